//! Where runs are kept: may it be written to, is there room, is it a disk that the store works on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{AccessFlags, access};

use super::{Check, size};
use crate::config::Store;
use crate::machine;

/// Below this even a small store soon has no room, in bytes.
const LITTLE: u64 = 64 << 20;

/// Room that lasts for a while, in bytes.
const ENOUGH: u64 = 1 << 30;

pub(super) fn checks(store: &Store) -> Vec<Check> {
    let mut checks = vec![folder(&store.path)];
    if let Some(there) = nearest(&store.path) {
        checks.push(room(machine::room_bytes(&there), &there, store.max_size));
        checks.push(file_system(
            machine::file_system(&there).as_deref(),
            &store.path,
        ));
    }
    checks
}

/// Whether a daemon is at work in the store's folder, which it keeps locked.
pub(super) fn is_in_use(folder: &Path) -> bool {
    let Ok(file) = fs::File::open(folder) else {
        return false;
    };
    // Given back at once.
    matches!(
        Flock::lock(file, FlockArg::LockExclusiveNonblock),
        Err((_, Errno::EWOULDBLOCK))
    )
}

/// The folder itself, or the one that it will be made in.
fn nearest(folder: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(folder).ok()?;
    whole
        .ancestors()
        .find(|path| path.exists())
        .map(Path::to_owned)
}

fn folder(path: &Path) -> Check {
    const NAME: &str = "store";
    let shown = path.display();
    let Some(there) = nearest(path) else {
        return Check::fault(
            NAME,
            format!("{shown} cannot be made"),
            "name another folder in `store.path`",
        );
    };
    if !there.is_dir() {
        let found = format!("{} is no folder", there.display());
        return Check::fault(NAME, found, "name a folder in `store.path`");
    }
    if access(&there, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        let user = nix::unistd::geteuid();
        return Check::fault(
            NAME,
            format!("user {user} may not write to {}", there.display()),
            format!("install -d -m 700 -o {user} {shown}; or name another folder in `store.path`"),
        );
    }
    if there != *path && !path.exists() {
        return Check::ok(NAME, format!("{shown} will be made"));
    }
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o007 != 0 {
        let found = format!("everybody on this machine may look into {shown}");
        return Check::warning(NAME, found, format!("chmod 700 {shown}"));
    }
    match is_in_use(path) {
        true => Check::ok(NAME, format!("{shown} is in use by a running daemon")),
        false => Check::ok(NAME, format!("{shown} may be written to, and is free")),
    }
}

fn room(left: Option<u64>, folder: &Path, most: u64) -> Check {
    const NAME: &str = "disk";
    let Some(left) = left else {
        return Check::skipped(NAME, "the system does not tell");
    };
    let found = format!(
        "{} left for the store, which takes at most {}",
        size(left),
        size(most)
    );
    let mend = format!(
        "make room (df -h {}), or lower `store.max_size`",
        folder.display()
    );
    if left < LITTLE {
        Check::fault(NAME, found, mend)
    } else if left < ENOUGH.min(most) {
        Check::warning(NAME, found, mend)
    } else {
        Check::ok(NAME, found)
    }
}

fn file_system(kind: Option<&str>, path: &Path) -> Check {
    const NAME: &str = "file system";
    let Some(kind) = kind else {
        return Check::skipped(NAME, "the system does not tell");
    };
    let is_remote = [
        "nfs",
        "cifs",
        "smb",
        "9p",
        "ceph",
        "fuse.sshfs",
        "fuse.s3fs",
        "glusterfs",
    ]
    .iter()
    .any(|remote| kind.starts_with(remote));
    if is_remote {
        return Check::warning(
            NAME,
            format!("{kind}: the store needs a disk of this machine to be safe after a crash"),
            "name a folder on a local disk in `store.path`",
        );
    }
    match kind {
        "tmpfs" | "ramfs" => Check::warning(
            NAME,
            format!("{kind}: runs are gone after a restart of the machine"),
            "name a folder on a disk in `store.path`",
        ),
        "overlay" | "aufs" => Check::warning(
            NAME,
            format!("{kind}: runs go with the container"),
            format!("mount a volume at {}", path.display()),
        ),
        kind => Check::ok(NAME, kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn check(judged: &Check, level: Level, words: &str) {
        assert_eq!(judged.level, level, "{judged:?}");
        let text = format!(
            "{} {}",
            judged.found,
            judged.mend.as_deref().unwrap_or_default()
        );
        assert!(text.contains(words), "{text}");
    }

    #[test]
    fn a_folder_is_made_taken_or_refused() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        check(&folder(&path), Level::Ok, "will be made");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        check(&folder(&path), Level::Warning, "chmod 700");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        check(&folder(&path), Level::Ok, "free");
        let held = Flock::lock(fs::File::open(&path).unwrap(), FlockArg::LockExclusive).unwrap();
        check(&folder(&path), Level::Ok, "in use by a running daemon");
        drop(held);
        assert!(!is_in_use(&path));
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        check(&folder(&file.join("store")), Level::Fault, "is no folder");
    }

    #[test]
    fn room_is_held_against_what_the_store_may_take() {
        let at = Path::new("/var/lib");
        check(
            &room(Some(100 << 30), at, 4 << 30),
            Level::Ok,
            "100 GiB left",
        );
        check(
            &room(Some(500 << 20), at, 4 << 30),
            Level::Warning,
            "df -h /var/lib",
        );
        check(&room(Some(500 << 20), at, 100 << 20), Level::Ok, "100 MiB");
        check(&room(Some(1 << 20), at, 4 << 30), Level::Fault, "max_size");
    }

    #[test]
    fn file_systems_that_lose_runs_are_named() {
        let at = Path::new("/data");
        check(&file_system(Some("ext4"), at), Level::Ok, "ext4");
        check(&file_system(Some("nfs4"), at), Level::Warning, "local disk");
        check(
            &file_system(Some("tmpfs"), at),
            Level::Warning,
            "after a restart",
        );
        check(
            &file_system(Some("overlay"), at),
            Level::Warning,
            "mount a volume at /data",
        );
    }
}
