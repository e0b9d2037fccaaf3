//! Files beside the database that grow at their end only and go as a whole. The database never gives space back, so
//! what takes most of it lies here: packed runs and rollups by the day, evidence by the hour.
//!
//! What a file holds is told by the index in the database alone. What a crash left at its end is never read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::block::made_ms;
use super::record::{decode, decode_small, encode_small};
use super::{Error, disk};
use crate::probe::ProbeId;
use crate::run::{Evidence, RunId};

const HOUR_MS: u64 = 3_600_000;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

/// A day is over, and its runs have ended, so long after midnight.
pub(super) const LATE_MS: u64 = HOUR_MS;

/// Evidence is pressed once for each run, while others wait.
const LEVEL: i32 = 3;

/// Bytes before each piece of evidence: length, checksum, run id.
const HEAD: usize = 4 + 4 + 16;

/// No evidence unpacks to more: what does is none.
const MOST_BYTES: usize = 256 << 20;

/// What a file holds; the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Runs,
    Rollups,
}

impl Sort {
    pub(super) const ALL: [Self; 2] = [Self::Runs, Self::Rollups];

    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::Rollups => "rollups",
        }
    }

    /// What lies in such files.
    pub(super) fn holds(self) -> &'static [Content] {
        match self {
            Self::Runs => &[Content::Runs],
            Self::Rollups => &[Content::Hours, Content::Days],
        }
    }
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Of one probe.
    Runs,
    /// Rollups by the hour, of one probe.
    Hours,
    /// Rollups by the day, of many probes: a question over months reads little else.
    Days,
}

impl Content {
    /// First byte of the keys in the index.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Runs => 0,
            Self::Hours => 1,
            Self::Days => 2,
        }
    }
}

/// Ending of the files of evidence.
const EVIDENCE: &str = "evidence";

/// The folder of these files.
#[derive(Debug, Clone)]
pub(super) struct Packs {
    folder: PathBuf,
}

impl Packs {
    /// In the folder of a store.
    pub(super) fn of(store: &Path) -> Self {
        Self {
            folder: store.join("packs"),
        }
    }

    /// Adds bytes to the end of a file and says where they begin. They are durable after [`Self::sync`].
    pub(super) fn append(&self, name: &str, bytes: &[u8]) -> Result<u64, Error> {
        let failed = |source| self.failed(name, source);
        let path = self.folder.join(name);
        let is_new = !path.exists();
        if is_new {
            disk::make_private(&self.folder)?;
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        let end = file.metadata().map_err(failed)?.len();
        if let Err(error) = file.write_all(bytes) {
            // What did not fit must not take the last of the space. Fails where nothing else works either.
            let _ = file.set_len(end);
            return Err(failed(error));
        }
        if is_new {
            let folder = File::open(&self.folder).map_err(failed)?;
            folder.sync_all().map_err(failed)?;
        }
        Ok(end)
    }

    /// Makes what was added durable.
    pub(super) fn sync(&self, name: &str) -> Result<(), Error> {
        let file = File::open(self.folder.join(name)).and_then(|file| file.sync_data());
        file.map_err(|source| self.failed(name, source))
    }

    /// Bytes of a file.
    pub(super) fn read(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; length];
        let read = File::open(self.folder.join(name))
            .and_then(|file| file.read_exact_at(&mut bytes, offset));
        match read {
            Ok(()) => Ok(bytes),
            Err(source) => Err(self.failed(name, source)),
        }
    }

    /// Names and sizes of all files, by name, so that older ones of a kind come first.
    pub(super) fn list(&self) -> Result<Vec<(String, u64)>, Error> {
        let failed = |source| self.failed("", source);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(failed(source)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().into_string() {
                files.push((name, entry.metadata().map_err(failed)?.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Takes a file away, where there is one.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        match fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(name, error)),
            _ => Ok(()),
        }
    }

    /// Adds what was seen in a run to the evidence of its hour. Gives the file, to be synced, and the offset.
    pub(super) fn add_evidence(&self, id: RunId, json: &[u8]) -> Result<(String, u64), Error> {
        let packed = zstd::bulk::compress(json, LEVEL).expect("memory is there to compress in");
        let length = u32::try_from(packed.len()).expect("evidence is far below 4 GiB");
        let mut bytes = Vec::with_capacity(HEAD + packed.len());
        bytes.extend(length.to_le_bytes());
        bytes.extend(checksum(id, &packed).to_le_bytes());
        bytes.extend(id.0.as_bytes());
        bytes.extend(packed);
        let name = evidence_name(made_ms(id));
        let offset = self.append(&name, &bytes)?;
        Ok((name, offset))
    }

    /// What was seen in a run; `None` where that is no longer kept.
    pub(super) fn evidence(&self, id: RunId, offset: u64) -> Result<Option<Evidence>, Error> {
        let name = evidence_name(made_ms(id));
        let Ok(head) = self.read(&name, offset, HEAD) else {
            return Ok(None);
        };
        let number = |at: usize| head[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        let length = usize::try_from(number(0)).unwrap_or(usize::MAX);
        if head[8..] != id.0.as_bytes()[..] || length > MOST_BYTES {
            // The file went, and another took its place.
            return Ok(None);
        }
        let offset = offset + HEAD as u64;
        let Ok(packed) = self.read(&name, offset, length) else {
            return Ok(None);
        };
        if checksum(id, &packed) != number(4) {
            return Ok(None);
        }
        let size = zstd::bulk::Decompressor::upper_bound(&packed).unwrap_or(MOST_BYTES);
        match zstd::bulk::decompress(&packed, size.min(MOST_BYTES)) {
            Ok(json) => decode(id.0.as_bytes(), &json).map(Some),
            Err(source) => Err(self.failed(&name, source)),
        }
    }

    fn failed(&self, name: &str, source: io::Error) -> Error {
        Error::Folder {
            path: self.folder.join(name),
            source,
        }
    }
}

fn checksum(id: RunId, packed: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(id.0.as_bytes());
    hasher.update(packed);
    hasher.finalize()
}

/// Where a block lies, as the index tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) file: String,
    pub(super) offset: u64,
    pub(super) length: u32,
    checksum: u32,
    /// Runs, or rollups.
    pub(super) rows: u32,
    /// The runs at both ends; absent for rollups.
    #[serde(default)]
    pub(super) ends: Option<(RunId, RunId)>,
    /// The last probe in it; absent where there is but the one in the key.
    #[serde(default)]
    pub(super) until: Option<ProbeId>,
}

impl Entry {
    /// Adds a block to a file. It is durable once the file is synced.
    pub(super) fn write(
        packs: &Packs,
        file: &str,
        block: &[u8],
        rows: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            file: file.to_owned(),
            offset: packs.append(file, block)?,
            length: u32::try_from(block.len()).expect("a block is far below 4 GiB"),
            checksum: crc32fast::hash(block),
            rows: u32::try_from(rows).expect("a block holds few rows"),
            ends: None,
            until: None,
        })
    }

    /// The bytes of the block.
    pub(super) fn read(&self, packs: &Packs) -> Result<Vec<u8>, Error> {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        let block = packs.read(&self.file, self.offset, length)?;
        if crc32fast::hash(&block) != self.checksum {
            return Err(self.broken("its checksum is wrong".to_owned()));
        }
        Ok(block)
    }

    /// Where it is broken, and why.
    pub(super) fn broken(&self, why: String) -> Error {
        Error::Block {
            file: self.file.clone(),
            offset: self.offset,
            why,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        encode_small(self)
    }

    pub(super) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self, Error> {
        decode_small(key, bytes)
    }
}

/// The day (since the epoch) of a moment in milliseconds.
pub(super) fn day_of(ms: u64) -> u32 {
    u32::try_from(ms / DAY_MS).unwrap_or(u32::MAX)
}

/// The next file of a day that does not exist yet, or the one that is written to.
pub(super) fn file_name(day: u32, generation: u32, sort: Sort) -> String {
    format!("{}.{generation}.{}", date(day), sort.ending())
}

/// Day, generation and sort of a file, as its name tells.
pub(super) fn parse_name(name: &str) -> Option<(u32, u32, Sort)> {
    let mut parts = name.split('.');
    let (date, generation, ending) = (parts.next()?, parts.next()?, parts.next()?);
    let sort = Sort::ALL.into_iter().find(|sort| sort.ending() == ending)?;
    let date: jiff::civil::Date = date.parse().ok()?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let day = day_of(u64::try_from(start.as_millisecond()).ok()?);
    Some((day, generation.parse().ok()?, sort))
}

/// The file that takes the evidence of runs begun at this moment.
fn evidence_name(ms: u64) -> String {
    let hour = ms / HOUR_MS % 24;
    format!("{}T{hour:02}.{EVIDENCE}", date(day_of(ms)))
}

/// When the hour of a file of evidence begins, in milliseconds; `None` for other files.
pub(super) fn evidence_hour(name: &str) -> Option<u64> {
    let (date, hour) = name
        .strip_suffix(EVIDENCE)?
        .strip_suffix('.')?
        .split_once('T')?;
    let date: jiff::civil::Date = date.parse().ok()?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let start = u64::try_from(start.as_millisecond()).ok()?;
    Some(start + hour.parse::<u64>().ok()? * HOUR_MS)
}

fn date(day: u32) -> String {
    let start = u64::from(day) * DAY_MS;
    let start = Timestamp::from_millisecond(start.cast_signed()).unwrap_or(Timestamp::MAX);
    start.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use uuid::Uuid;

    use super::*;
    use crate::store::record::encode;

    #[test]
    fn names_tell_what_is_in_a_file() {
        let name = file_name(20_605, 3, Sort::Rollups);
        assert_eq!(name, "2026-06-01.3.rollups");
        assert_eq!(parse_name(&name), Some((20_605, 3, Sort::Rollups)));
        let ms = 20_605 * DAY_MS + 7 * HOUR_MS;
        assert_eq!(evidence_name(ms + 5), "2026-06-01T07.evidence");
        assert_eq!(evidence_hour("2026-06-01T07.evidence"), Some(ms));
        for other in [
            "",
            "x",
            "2026-06-01.runs",
            "2026-06-01.1.runs~",
            "2026-06-01.1.evidence",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
            assert_eq!(evidence_hour(other), None, "{other}");
        }
    }

    #[test]
    fn evidence_is_found_by_its_run_only() {
        let folder = TempDir::new().unwrap();
        let packs = Packs::of(folder.path());
        let id = |n: u8| RunId(Uuid::from_bytes([n; 16]));
        let seen = Evidence {
            clock_offset_ms: Some(7),
            ..Evidence::default()
        };
        packs
            .add_evidence(id(1), &encode(&Evidence::default()))
            .unwrap();
        let (file, offset) = packs.add_evidence(id(1), &encode(&seen)).unwrap();
        packs.sync(&file).unwrap();
        assert_eq!(packs.evidence(id(1), offset).unwrap(), Some(seen));
        for (id, offset) in [(id(1), offset + 1), (id(2), offset), (id(1), 1 << 40)] {
            assert_eq!(packs.evidence(id, offset).unwrap(), None);
        }
        packs.remove(&file).unwrap();
        assert_eq!(packs.evidence(id(1), offset).unwrap(), None);
    }
}
