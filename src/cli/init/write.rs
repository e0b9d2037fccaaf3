//! Writes the files: all of them, or none where they cannot be used together.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::Written;
use super::paths::Places;
use crate::cli::say;
use crate::config;
use crate::init::{self as files, Answers, Offer};
use crate::secret::Secret;

/// A secret that somebody typed, and the file that is to hold it.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) path: PathBuf,
    pub(super) secret: Secret,
}

/// Writes and reads back. With faults all that was new is taken away again.
pub(super) fn all(
    places: &Places,
    offer: &Offer,
    answers: &Answers,
    typed: &[Typed],
    force: bool,
) -> anyhow::Result<Written> {
    let mut new = Vec::new();
    for typed in typed {
        keep_secret(typed)?;
        new.push((typed.path.clone(), "only you can read it"));
    }
    let has_daemon = places.daemon.exists();
    if !has_daemon || force {
        file(&places.daemon, &files::daemon_file(&answers.daemon))?;
        new.push((places.daemon.clone(), "the daemon file"));
    }
    file(&places.probe, &files::probe_file(offer, answers))?;
    new.push((places.probe.clone(), "the probe file"));
    let loaded = config::load(&places.daemon);
    if loaded.is_err() {
        for (path, _) in &new {
            fs::remove_file(path)
                .with_context(|| format!("cannot take {} away", path.display()))?;
        }
        return Ok(loaded);
    }
    if has_daemon && !force {
        say(&format!("kept   {}", places.daemon.display()))?;
    }
    for (path, what) in &new {
        say(&format!("wrote  {}    {what}", path.display()))?;
    }
    Ok(loaded)
}

fn file(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    fs::write(path, text).with_context(cannot)
}

/// In a folder that only this user may enter, in a file that only this user may read: from the moment it is there.
fn keep_secret(typed: &Typed) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", typed.path.display());
    if let Some(folder) = typed.path.parent().filter(|folder| !folder.exists()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(cannot)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&typed.path)
        .with_context(cannot)?;
    // One that was there before keeps its mode.
    file.set_permissions(fs::Permissions::from_mode(0o600))
        .with_context(cannot)?;
    file.write_all(typed.secret.expose().as_bytes())
        .with_context(cannot)
}
