//! What the store takes on disk, and what goes when that is too much: the oldest evidence first, then the oldest runs,
//! then the oldest rollups. The database with the daemon's own state, and what was written last, always stays.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use uuid::Uuid;

use super::Error;
use super::block::made_ms;
use super::disk::DATABASE;
use super::packs::{Packs, Sort, evidence_hour, parse_name};
use crate::run::RunId;

/// Kept for the moment when nothing else can be written: enough for alert states and notices.
const RESERVE: (&str, i64) = ("reserve", 4 << 20);

/// Below this, or a fiftieth where the disk is small, the disk counts as full. Then four times as much is made free.
const LOW_BYTES: u64 = 32 << 20;

/// One thing that can go.
struct Piece {
    /// Milliseconds since the epoch.
    begins: u64,
    path: PathBuf,
    bytes: u64,
}

/// Bytes on disk of everything but what was moved aside.
pub(super) fn used(store: &Path) -> Result<u64, Error> {
    let mut all = 0;
    for part in [DATABASE, "packs", "evidence", RESERVE.0] {
        all += size_of(&store.join(part)).map_err(|source| failed(store, source))?;
    }
    Ok(all)
}

/// Bytes on disk of the database.
pub(super) fn database(store: &Path) -> Result<u64, Error> {
    let path = store.join(DATABASE);
    size_of(&path).map_err(|source| failed(&path, source))
}

/// Whether so many bytes can be written, and the disk is not full then.
pub(super) fn has(store: &Path, bytes: u64) -> bool {
    free(store).is_some_and(|(free, low)| free >= bytes.saturating_add(2 * low))
}

/// Bytes of a file, or of a folder with everything in it; what goes meanwhile counts for nothing.
fn size_of(path: &Path) -> io::Result<u64> {
    let of = |result: io::Result<u64>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        result => result,
    };
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        found => found?,
    };
    let mut all = found.blocks() * 512;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            all += of(size_of(&entry?.path()))?;
        }
    }
    Ok(all)
}

/// Takes away the oldest evidence until `bytes` have gone; says how many did.
pub(super) fn drop_evidence(store: &Path, bytes: u64) -> Result<u64, Error> {
    let mut gone = 0;
    for piece in evidence(store)? {
        if gone >= bytes {
            break;
        }
        remove(&piece.path).map_err(|source| failed(&piece.path, source))?;
        gone += piece.bytes;
    }
    if gone > 0 {
        tracing::warn!(bytes = gone, "took away the oldest evidence to make room");
    }
    Ok(gone)
}

/// Takes away evidence of hours that ended before this moment.
pub(super) fn drop_evidence_before(store: &Path, before_ms: u64) -> Result<(), Error> {
    const HOUR_MS: u64 = 3_600_000;
    for piece in evidence(store)? {
        // A file holds a whole hour, a folder one run.
        let ends = match piece.path.is_dir() {
            true => piece.begins + 1,
            false => piece.begins + HOUR_MS,
        };
        if ends <= before_ms {
            remove(&piece.path).map_err(|source| failed(&piece.path, source))?;
        }
    }
    Ok(())
}

/// The oldest day of packed runs or rollups.
pub(super) fn oldest_day(packs: &Packs) -> Result<Option<(Sort, u32)>, Error> {
    let files = packs.list()?;
    let days = |wanted: Sort| {
        let days = files.iter().filter_map(|(name, _)| parse_name(name));
        days.filter(move |(_, _, sort)| *sort == wanted)
            .map(|(day, ..)| day)
            .min()
    };
    let of = |sort| days(sort).map(|day| (sort, day));
    Ok(of(Sort::Runs).or_else(|| of(Sort::Rollups)))
}

/// Called when something could not be written: gives up the reserve, and evidence where the disk is full.
pub(super) fn in_need(store: &Path) {
    // Where it cannot be removed, nothing is lost by trying.
    let _ = fs::remove_file(store.join(RESERVE.0));
    let missing = missing(store);
    if missing > 0
        && let Err(error) = drop_evidence(store, missing)
    {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "cannot make room for the store"
        );
    }
}

/// Bytes that have to go so that the disk is not full; 0 where it is not.
pub(super) fn missing(store: &Path) -> u64 {
    match free(store) {
        Some((free, low)) if free < low => 4 * low - free,
        _ => 0,
    }
}

/// Sets the reserve aside, where there is room for it.
pub(super) fn set_aside(store: &Path) {
    let path = store.join(RESERVE.0);
    if path.exists() || free(store).is_some_and(|(free, low)| free < 4 * low) {
        return;
    }
    let made = fs::File::create(&path)
        .and_then(|file| nix::fcntl::posix_fallocate(&file, 0, RESERVE.1).map_err(io::Error::from));
    if let Err(error) = made {
        tracing::debug!(%error, "no space is set aside");
        let _ = fs::remove_file(&path);
    }
}

/// Bytes that are free, and those below which the disk counts as full.
fn free(store: &Path) -> Option<(u64, u64)> {
    let found = statvfs(store).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size());
    let low = LOW_BYTES.min(bytes(found.blocks()) / 50);
    Some((bytes(found.blocks_available()), low))
}

/// All evidence, the oldest first.
fn evidence(store: &Path) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut add = |folder: &str, begins: fn(&str) -> Option<u64>| -> Result<(), Error> {
        let folder = store.join(folder);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|source| failed(&folder, source))?,
        };
        for entry in entries {
            let path = entry.map_err(|source| failed(&folder, source))?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if let Some(begins) = name.and_then(begins) {
                let bytes = size_of(&path).map_err(|source| failed(&path, source))?;
                pieces.push(Piece {
                    begins,
                    path,
                    bytes,
                });
            }
        }
        Ok(())
    };
    add("packs", evidence_hour)?;
    add("evidence", |name| {
        Uuid::try_parse(name).ok().map(|id| made_ms(RunId(id)))
    })?;
    pieces.sort_by_key(|piece| piece.begins);
    Ok(pieces)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn failed(path: &Path, source: io::Error) -> Error {
    Error::Folder {
        path: path.to_owned(),
        source,
    }
}
