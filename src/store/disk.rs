//! Opening, locking, moving aside, and what is old: the parts that know how the store lies on disk.
//!
//! `db/` is the database, `evidence/<run id>/` holds screenshots, `quarantine-<time>/` a database that could not be read.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use uuid::Uuid;

use super::record::{first_key_at, probe_of, record_key};
use super::writer::Change;
use super::{Error, Purged};
use crate::clock;

/// Format of the whole store; each record has a version of its own besides.
const FORMAT: &[u8] = b"1";

/// The default of 1 GiB is more than a daemon should take; recent runs fit in this many times over.
const CACHE_BYTES: u64 = 32 << 20;

/// How many records one step of a purge takes away.
const PURGE_STEP: usize = 500;

/// Held on the store's folder itself, so that nothing is left behind.
pub(super) type Lock = Flock<fs::File>;

pub(super) struct Disk {
    pub(super) trees: Trees,
    pub(super) quarantined: Option<PathBuf>,
    pub(super) lock: Lock,
}

/// The parts of the database.
#[derive(Clone)]
pub(super) struct Trees {
    db: sled::Db,
    /// Run id → run without evidence.
    pub(super) runs: sled::Tree,
    /// Probe, NUL, run id → the run in short.
    pub(super) by_probe: sled::Tree,
    /// Run id → intent.
    pub(super) open: sled::Tree,
    /// Run id → evidence.
    pub(super) evidence: sled::Tree,
}

pub(super) struct Old {
    pub(super) changes: Vec<Change>,
    pub(super) purged: Purged,
}

impl Trees {
    /// The oldest records that are too old, a step's worth.
    pub(super) fn oldest(
        &self,
        runs_before: Timestamp,
        evidence_before: Timestamp,
    ) -> Result<Old, Error> {
        let mut old = Old {
            changes: Vec::new(),
            purged: Purged::default(),
        };
        for entry in self
            .runs
            .range(..first_key_at(runs_before))
            .take(PURGE_STEP)
        {
            let (key, bytes) = entry?;
            // One that cannot be read has no index entry that could be found.
            let index_key = probe_of(&key, &bytes)
                .ok()
                .zip(<[u8; 16]>::try_from(&*key).ok())
                .map(|(probe, id)| record_key(&probe, id));
            old.changes.push(Change::Remove {
                key: key.to_vec(),
                index_key,
            });
            old.purged.runs += 1;
        }
        for key in self
            .evidence
            .range(..first_key_at(evidence_before))
            .keys()
            .take(PURGE_STEP)
        {
            old.changes.push(Change::RemoveEvidence(key?.to_vec()));
            old.purged.evidence += 1;
        }
        Ok(old)
    }

    pub(super) fn size_on_disk(&self) -> sled::Result<u64> {
        self.db.size_on_disk()
    }

    pub(super) fn flush(&self) -> sled::Result<()> {
        self.db.flush().map(drop)
    }
}

/// Locks the folder and opens the database in it, a fresh one where the old one cannot be read.
pub(super) fn open(folder: &Path) -> Result<Disk, Error> {
    make_private(folder)?;
    let lock = lock(folder)?;
    let path = folder.join("db");
    let quarantined = match try_open(&path) {
        Ok(trees) => {
            return Ok(Disk {
                trees,
                quarantined: None,
                lock,
            });
        }
        Err(Fault::Ours(error)) => return Err(error),
        Err(Fault::Unreadable(why)) => {
            let aside = folder.join(format!("quarantine-{}", clock::now().as_millisecond()));
            fs::rename(&path, &aside).map_err(|source| Error::Folder {
                path: aside.clone(),
                source,
            })?;
            tracing::error!(
                store.path = %folder.display(), store.quarantine = %aside.display(), why,
                "the store could not be read and was moved aside; starting with an empty one"
            );
            aside
        }
    };
    match try_open(&path) {
        Ok(trees) => Ok(Disk {
            trees,
            quarantined: Some(quarantined),
            lock,
        }),
        Err(Fault::Ours(error)) => Err(error),
        Err(Fault::Unreadable(why)) => Err(Error::Database(sled::Error::ReportableBug(why))),
    }
}

enum Fault {
    /// Trying with an empty store would not help, or would hide something.
    Ours(Error),
    Unreadable(String),
}

fn try_open(path: &Path) -> Result<Trees, Fault> {
    let existed = path.join("db").exists();
    // A broken file makes the database return an error or panic, depending on where it is broken.
    let opened = catch_unwind(AssertUnwindSafe(|| open_trees(path)));
    let trees = match opened {
        Ok(Ok(trees)) => trees,
        Ok(Err(sled::Error::Io(source))) if is_about_the_machine(&source) => {
            return Err(Fault::Ours(Error::Folder {
                path: path.to_owned(),
                source,
            }));
        }
        Ok(Err(error)) => return Err(Fault::Unreadable(error.to_string())),
        Err(_) => return Err(Fault::Unreadable("the database panicked".to_owned())),
    };
    let marker = trees
        .db
        .get("format")
        .map_err(|error| Fault::Unreadable(error.to_string()))?;
    match marker {
        Some(marker) if &*marker == FORMAT => Ok(trees),
        Some(marker) => Err(Fault::Ours(Error::Newer {
            path: path.to_owned(),
            found: String::from_utf8_lossy(&marker).into_owned(),
        })),
        None if existed => Err(Fault::Unreadable("what was in it is gone".to_owned())),
        None => {
            let marked = trees
                .db
                .insert("format", FORMAT)
                .and_then(|_| trees.flush());
            marked.map_err(|error| Fault::Ours(error.into()))?;
            Ok(trees)
        }
    }
}

fn open_trees(path: &Path) -> sled::Result<Trees> {
    // The writer flushes by itself, before it answers.
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    let db = config.open()?;
    let trees = Trees {
        runs: db.open_tree("runs")?,
        by_probe: db.open_tree("by_probe")?,
        open: db.open_tree("open")?,
        evidence: db.open_tree("evidence")?,
        db,
    };
    for tree in [&trees.runs, &trees.by_probe, &trees.open, &trees.evidence] {
        tree.first()?;
        tree.last()?;
    }
    Ok(trees)
}

/// A full disk or a missing right says nothing about what is in the store.
fn is_about_the_machine(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::PermissionDenied | Kind::StorageFull | Kind::ReadOnlyFilesystem | Kind::QuotaExceeded
    ) || error.raw_os_error() == Some(Errno::EMFILE as i32)
}

fn lock(folder: &Path) -> Result<Lock, Error> {
    let file = fs::File::open(folder).map_err(|source| Error::Folder {
        path: folder.to_owned(),
        source,
    })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => Error::InUse {
            path: folder.to_owned(),
        },
        errno => Error::Folder {
            path: folder.to_owned(),
            source: errno.into(),
        },
    })
}

/// Runs of real accounts are nobody else's business.
fn make_private(folder: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|source| Error::Folder {
        path: folder.to_owned(),
        source,
    })
}

pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        make_private(folder)?;
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    let written = file.and_then(|mut file| io::Write::write_all(&mut file, bytes));
    written.map_err(|source| Error::Folder {
        path: path.to_owned(),
        source,
    })
}

/// Takes away the evidence folders of runs from before `before`. A folder that is no run's stays.
pub(super) fn purge_evidence_folders(store: &Path, before: Timestamp) -> Result<(), Error> {
    let folder = store.join("evidence");
    let failed = |source| Error::Folder {
        path: folder.clone(),
        source,
    };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    let end = first_key_at(before);
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let run = entry
            .file_name()
            .to_str()
            .and_then(|name| Uuid::try_parse(name).ok());
        if run.is_some_and(|run| *run.as_bytes() < end) {
            fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}
