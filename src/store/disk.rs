//! Opening, locking, moving aside, and what is old: the parts that know how the store lies on disk.
//!
//! `db/` is the database, `packs/` what was packed out of it, `evidence/<run id>/` holds screenshots, `reserve` is room
//! for the day when there is none, `quarantine-<time>/` a database with its packs that could not be read.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::Error;
use super::anew;
use super::filesystem;
use super::migrate;
use super::packs::Packs;
use super::parts::{Part, Trees};
use crate::clock;

/// Format of the whole store; each record has a version of its own besides. 1 had no rollups, 2 had packed ones of a day
/// among those of its hours, and all of it as JSON.
const FORMAT: &[u8] = b"3";

/// The default of 1 GiB is more than a daemon should take; recent runs fit in this many times over.
const CACHE_BYTES: u64 = 32 << 20;

/// The database, in the folder of the store.
pub(super) const DATABASE: &str = "db";

/// How often (in milliseconds) the database cleans up a part of its file. Without that, what nobody points to any more
/// takes twenty times the place of what is in use.
const CLEANING_MS: u64 = 500;

/// Held on the store's folder itself, so that nothing is left behind.
pub(super) type Lock = Flock<fs::File>;

pub(super) struct Disk {
    pub(super) trees: Trees,
    pub(super) quarantined: Option<PathBuf>,
    pub(super) lock: Lock,
}

/// Locks the folder and opens the database in it, a fresh one where the old one cannot be read.
pub(super) fn open(folder: &Path) -> Result<Disk, Error> {
    make_private(folder)?;
    if let Some(kind) = filesystem::remote(folder) {
        return Err(Error::Remote {
            path: folder.to_owned(),
            kind,
        });
    }
    let lock = lock(folder)?;
    anew::settle(folder)?;
    let path = folder.join(DATABASE);
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
            move_aside(folder, &aside)?;
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

/// The database, and the packs that only it can read.
fn move_aside(folder: &Path, aside: &Path) -> Result<(), Error> {
    make_private(aside)?;
    for part in [DATABASE, "packs"] {
        let from = folder.join(part);
        if from.exists() {
            fs::rename(&from, aside.join(part))
                .map_err(|source| Error::Folder { path: from, source })?;
        }
    }
    Ok(())
}

/// Opens the database of a folder that is locked already, once it has failed.
pub(super) fn reopen(folder: &Path) -> Result<Trees, Error> {
    anew::settle(folder)?;
    match try_open(&folder.join(DATABASE)) {
        Ok(trees) => Ok(trees),
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
    wait_until_free(path).map_err(Fault::Ours)?;
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
        Some(marker) if matches!(&*marker, b"1" | b"2") => {
            let migrate = if &*marker == b"1" {
                migrate::from_1
            } else {
                migrate::from_2
            };
            migrate(&trees).map_err(Fault::Ours)?;
            mark(&trees).map_err(|error| Fault::Ours(error.into()))?;
            Ok(trees)
        }
        Some(marker) => Err(Fault::Ours(Error::Newer {
            path: path.to_owned(),
            found: String::from_utf8_lossy(&marker).into_owned(),
        })),
        None if existed => Err(Fault::Unreadable("what was in it is gone".to_owned())),
        None => {
            mark(&trees).map_err(|error| Fault::Ours(error.into()))?;
            Ok(trees)
        }
    }
}

fn mark(trees: &Trees) -> sled::Result<()> {
    trees.db.insert("format", FORMAT)?;
    trees.flush()
}

/// How every database is opened.
pub(super) fn config(path: &Path) -> sled::Config {
    sled::Config::new().path(path).cache_capacity(CACHE_BYTES)
}

fn open_trees(path: &Path) -> sled::Result<Trees> {
    // The writer flushes by itself, before it answers; but what flushes from time to time is what cleans up.
    let db = config(path).flush_every_ms(Some(CLEANING_MS)).open()?;
    let trees = Part::all()
        .map(|part| db.open_tree(part.name()))
        .collect::<sled::Result<Vec<_>>>()?;
    for tree in &trees {
        tree.first()?;
        tree.last()?;
    }
    let packs = Packs::of(path.parent().unwrap_or(path));
    Ok(Trees { db, trees, packs })
}

/// A full disk or a missing right says nothing about what is in the store.
fn is_about_the_machine(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::PermissionDenied | Kind::StorageFull | Kind::ReadOnlyFilesystem | Kind::QuotaExceeded
    ) || error.raw_os_error() == Some(Errno::EMFILE as i32)
}

/// Another process may still be about to end, and a child that is being started holds what its parent had open for a
/// moment.
const FOLDER_PATIENCE: Duration = Duration::from_secs(2);

/// Whoever has the folder has the database too, but for threads of its own that take their time to let go of it.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

fn lock(folder: &Path) -> Result<Lock, Error> {
    lock_within(folder, folder, FOLDER_PATIENCE)
}

/// Waits until a database that this process has closed is really free: it would be refused, and taken for unreadable.
pub(super) fn wait_until_free(database: &Path) -> Result<(), Error> {
    let file = database.join("db");
    if file.exists() {
        lock_within(&file, database, DATABASE_PATIENCE)?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "opening blocks, and is called off the runtime"
)]
fn lock_within(path: &Path, told: &Path, patience: Duration) -> Result<Lock, Error> {
    let failed = |source| Error::Folder {
        path: path.to_owned(),
        source,
    };
    let mut file = fs::File::open(path).map_err(failed)?;
    let began = Instant::now();
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((same, Errno::EWOULDBLOCK)) if began.elapsed() < patience => file = same,
            Err((_, Errno::EWOULDBLOCK)) => {
                return Err(Error::InUse {
                    path: told.to_owned(),
                });
            }
            Err((_, errno)) => return Err(failed(errno.into())),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Runs of real accounts are nobody else's business.
pub(super) fn make_private(folder: &Path) -> Result<(), Error> {
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
