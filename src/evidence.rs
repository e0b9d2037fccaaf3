//! Evidence on disk: one folder a run, with what was seen as JSON and the screenshot beside it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::run::Run;
use crate::taxonomy::Outcome;

/// Where evidence is kept.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The folder of a daemon's store.
    pub fn of_store(store: &Path) -> Self {
        Self(store.join("evidence"))
    }

    /// The store's folder where this user may write to it, otherwise one below the folder for temporary files.
    pub fn for_commands(store: &Path) -> Self {
        let folder = Self::of_store(store);
        match make_private(&folder.0) {
            Ok(()) => folder,
            Err(_) => Self(std::env::temp_dir().join("authcanary-evidence")),
        }
    }

    /// Writes what was seen in a run that did not pass, and notes the place in it. Good runs leave nothing here.
    pub fn save(&self, run: &mut Run) -> io::Result<()> {
        let bad = matches!(run.outcome, Outcome::Failed | Outcome::Unknown);
        let Some(evidence) = run.evidence.as_mut().filter(|_| bad) else {
            return Ok(());
        };
        let folder = self.0.join(run.id.to_string());
        make_private(&folder)?;
        evidence.saved = Some(folder.display().to_string());
        if let Some(png) = evidence
            .page
            .as_mut()
            .and_then(|page| page.screenshot.take())
        {
            fs::write(folder.join("screenshot.png"), png)?;
        }
        fs::write(folder.join("run.json"), serde_json::to_vec_pretty(run)?)
    }

    /// The screenshot of a run, where there is one.
    pub fn screenshot(&self, run: crate::run::RunId) -> PathBuf {
        self.0.join(run.to_string()).join("screenshot.png")
    }
}

/// Pages of a real account are nobody else's business.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}
