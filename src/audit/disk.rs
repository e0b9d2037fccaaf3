//! What can be seen of files without opening them: whether they are there, and for whom. The only part of the audit
//! that touches the disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::Reading;
use crate::secret::SecretRef;

use super::{environments, secrets};

/// Files of secrets, and what was seen of each.
#[derive(Debug, Default)]
pub struct Disk(BTreeMap<PathBuf, Sight>);

/// What is seen of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Not there, or in a folder that cannot be looked into.
    Missing,
    /// Everybody on this machine can get at it.
    Open { mode: u32 },
    /// Only some can.
    Guarded,
}

impl Disk {
    /// What was seen of a file.
    pub fn of(&self, path: &Path) -> Sight {
        self.0.get(path).copied().unwrap_or(Sight::Missing)
    }
}

/// Looks at the files of all secrets of a configuration.
pub fn look(reading: &Reading) -> Disk {
    let Some(daemon) = &reading.daemon else {
        return Disk::default();
    };
    let of_probes = daemon.probes.iter().flat_map(environments::secrets);
    let of_probes = of_probes.map(|(_, secret)| secret.clone());
    let of_daemon = secrets::of_daemon(daemon)
        .into_iter()
        .map(|(_, secret)| secret);
    let files = of_probes
        .chain(of_daemon)
        .filter_map(|secret| match secret {
            SecretRef::File(path) => Some((path.clone(), sight(&path))),
            SecretRef::Env(_) | SecretRef::Credential(_) | SecretRef::Command(_) => None,
        });
    Disk(files.collect())
}

/// A file is open to everybody when its mode and those of all folders above let them through. Links are followed, as
/// whoever reads does.
fn sight(path: &Path) -> Sight {
    let mode = |path: &Path| fs::metadata(path).map(|found| found.permissions().mode());
    let Ok((real, own)) = fs::canonicalize(path).and_then(|real| Ok((real.clone(), mode(&real)?)))
    else {
        return Sight::Missing;
    };
    let passes = |folder: &Path| mode(folder).is_ok_and(|mode| mode & 0o001 != 0);
    match own & 0o006 != 0 && real.ancestors().skip(1).all(passes) {
        true => Sight::Open { mode: own & 0o777 },
        false => Sight::Guarded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_as_open_as_the_folders_above_let_it_be() {
        let folder = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let file = folder.path().join("secret");
        fs::write(&file, "x").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let check = |folder_mode, mode, expected: Sight| {
            set(folder.path(), folder_mode);
            set(&file, mode);
            assert_eq!(sight(&file), expected, "{mode:o}");
            assert_eq!(sight(&link), expected, "{mode:o}");
        };
        check(0o755, 0o644, Sight::Open { mode: 0o644 });
        check(0o755, 0o602, Sight::Open { mode: 0o602 });
        check(0o755, 0o640, Sight::Guarded);
        check(0o700, 0o644, Sight::Guarded);
        assert_eq!(sight(&folder.path().join("nowhere")), Sight::Missing);
    }
}
