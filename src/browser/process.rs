//! Owns what a driver leaves in the system: its whole process tree, and the folder in which it keeps profiles.
//!
//! Chromium's helpers leave group, session and parent, so none of these finds them all. Each process inherits one
//! environment variable that names its folder; that, descent from such a process, and the driver's process group
//! together do. The folder is locked for as long as its owner lives: a lock that can be taken marks the leftovers of a
//! daemon that was killed, across restarts of the machine and containers, where process ids mean nothing.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpgrp, getpid};
use tempfile::TempDir;

/// Environment variable of everything that a driver starts: the folder of that driver.
pub(super) const MARK: &str = "AUTHCANARY_BROWSER";
const PREFIX: &str = "authcanary-browser-";
const LOCK: &str = "lock";
/// Killed processes are gone in milliseconds, unless the machine is in trouble.
const DEATH: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(3);

/// The folder of one driver and all its processes. Dropping it kills them and removes it.
#[derive(Debug)]
pub(super) struct Den {
    folder: TempDir,
    /// Held, not read: it shows that the owner lives.
    _lock: File,
}

impl Den {
    /// Makes the folder, and takes over orphans of this process from now on.
    pub(super) fn dig() -> io::Result<Self> {
        // Helpers whose parent died would else go to a process 1 that may not reap them, as in many containers.
        set_child_subreaper(true)?;
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()?;
        // Locked before it gets its name, so that another daemon's sweep never sees it unlocked.
        let unnamed = folder.path().join("lock.new");
        let lock = File::create(&unnamed)?;
        lock.try_lock()?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// Profiles and temporary files of the driver go here.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Den {
    /// Blocks for some milliseconds: nobody may find the processes alive after this.
    fn drop(&mut self) {
        clear(self.path());
    }
}

/// Removes what daemons left that were killed before they could. Returns how many folders that were.
pub(super) fn sweep() -> usize {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()))
        .filter(|entry| sweep_one(&entry.path()))
        .count()
}

/// A folder without a lock file is just being made; one whose lock is held has a living owner.
fn sweep_one(folder: &Path) -> bool {
    let Ok(lock) = File::open(folder.join(LOCK)) else {
        return false;
    };
    if lock.try_lock().is_err() {
        return false;
    }
    clear(folder);
    true
}

/// Kills all processes of `folder`, waits until they are gone, and removes it.
fn clear(folder: &Path) {
    let end = Instant::now() + DEATH;
    let mut known = BTreeSet::new();
    while strike(folder, &mut known) + reap_orphans() > 0 && Instant::now() < end {
        pause();
    }
    while let Err(error) = fs::remove_dir_all(folder) {
        if error.kind() == io::ErrorKind::NotFound {
            break;
        }
        if Instant::now() >= end {
            tracing::warn!(folder = %folder.display(), %error, "could not remove a browser's folder");
            break;
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a destructor cannot await, and the wait is a few milliseconds"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

/// Kills what is there at this moment and says how many that were. A process about to end has lost its environment and
/// its parent, so those that were found once stay `known`.
fn strike(folder: &Path, known: &mut BTreeSet<i32>) -> usize {
    let found = members(&table(), |pid| {
        known.contains(&pid) || is_marked(pid, folder)
    });
    for &pid in &found {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        // Fails for all but our own children, whose entry in the process table would else stay.
        let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    }
    let count = found.len();
    known.extend(found);
    count
}

/// Reaps dead processes that came to us as orphans, and says how many there were: one whose threads are still ending
/// looks dead and cannot be reaped yet. Children that this process started itself are in its own process group or lead
/// one, and are left to whoever started them.
fn reap_orphans() -> usize {
    let (us, group) = (getpid().as_raw(), getpgrp().as_raw());
    let is_orphan = |pid, process: &Process| {
        process.dead && process.parent == us && process.group != group && process.group != pid
    };
    let mut orphans = table();
    orphans.retain(|&pid, process| is_orphan(pid, process));
    for &pid in orphans.keys() {
        let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    }
    orphans.len()
}

/// One line of the process table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: i32,
    group: i32,
    /// Ended, and not yet waited for.
    dead: bool,
}

/// Marked processes, their descendants, and the process groups that marked ones lead. The dead do not count.
fn members(table: &HashMap<i32, Process>, marked: impl Fn(i32) -> bool) -> BTreeSet<i32> {
    let alive = || table.iter().filter(|(_, process)| !process.dead);
    let mut found: BTreeSet<i32> = alive()
        .map(|(&pid, _)| pid)
        .filter(|&pid| marked(pid))
        .collect();
    loop {
        let more: Vec<i32> = alive()
            .filter(|(pid, process)| {
                !found.contains(pid)
                    && (found.contains(&process.parent) || found.contains(&process.group))
            })
            .map(|(&pid, _)| pid)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn table() -> HashMap<i32, Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return HashMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, parse_stat(&stat)?))
        })
        .collect()
}

/// State, parent and group from `/proc/PID/stat`; the name before them is in parentheses and may hold anything.
fn parse_stat(stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Process {
        dead: matches!(state, "Z" | "X"),
        parent: fields.next()?.parse().ok()?,
        group: fields.next()?.parse().ok()?,
    })
}

fn is_marked(pid: i32, folder: &Path) -> bool {
    let Ok(environment) = fs::read(PathBuf::from(format!("/proc/{pid}/environ"))) else {
        return false;
    };
    let mark = [MARK.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat();
    environment
        .split(|&byte| byte == 0)
        .any(|line| line == mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(parent: i32, group: i32) -> Process {
        Process {
            parent,
            group,
            dead: false,
        }
    }

    #[test]
    fn helpers_that_left_group_and_parent_are_found_too() {
        let table = HashMap::from([
            (10, alive(1, 10)),  // the driver, marked
            (11, alive(10, 10)), // the browser
            (12, alive(11, 11)), // a renderer, its environment overwritten by its title
            (13, alive(1, 13)),  // a crash handler: own session, no parent, marked
            (14, alive(1, 10)),  // an orphan of the driver's group
            (20, alive(1, 20)),  // somebody else
            (
                21,
                Process {
                    dead: true,
                    ..alive(10, 10)
                },
            ),
        ]);
        let found = members(&table, |pid| pid == 10 || pid == 13);
        assert_eq!(found, BTreeSet::from([10, 11, 12, 13, 14]));
    }

    #[test]
    fn a_process_name_may_hold_anything() {
        let process = parse_stat("7 (a) b (c)) Z 3 4 5 0 -1").unwrap();
        assert_eq!(
            process,
            Process {
                parent: 3,
                group: 4,
                dead: true
            }
        );
    }

    #[test]
    fn a_living_owner_keeps_its_folder_and_a_dead_one_does_not() {
        let den = Den::dig().unwrap();
        let path = den.path().to_owned();
        assert!(!sweep_one(&path), "the owner lives");
        let left = tempfile::Builder::new().prefix("left-").tempdir().unwrap();
        fs::write(left.path().join(LOCK), "").unwrap();
        fs::write(left.path().join("profile"), "").unwrap();
        assert!(sweep_one(left.path()), "nobody holds the lock");
        assert!(!left.path().exists());
        drop(den);
        assert!(!path.exists());
    }

    #[test]
    fn dropping_kills_the_tree() {
        let den = Den::dig().unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", "setsid sleep 1000 & exec sleep 1000"])
            .env(MARK, den.path())
            .spawn()
            .unwrap();
        drop(den);
        // Gone already, or reaped by the drop itself.
        assert!(child.try_wait().is_err() || child.try_wait().unwrap().is_some());
    }
}
