//! Packed rollups: those by the hour in a block for each probe and day, those by the day in blocks of many probes. A
//! question over months is answered from days, and is one about all probes as often as not.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Error;
use super::history::{self, probe_in};
use super::packer::{Packer, index, now_ms, sync};
use super::packs::{Content, DAY_MS, Entry, LATE_MS, Packs, Sort, day_of, file_name};
use super::parts::{Part, Trees};
use super::record::{decode_small, encode_small};
use super::rollup::{self, Level, Rollup};
use super::writer::Change;
use crate::probe::ProbeId;

/// How hard to press: a block is written once, and read for years.
const LEVEL: i32 = 12;

/// No block of rollups unpacks to more: what does is none.
const MOST_BYTES: usize = 256 << 20;

/// Probes whose days share a block: few enough for a question about one of them.
const TOGETHER: usize = 64;

/// One rollup of a block.
#[derive(Serialize, Deserialize)]
struct Row {
    probe: ProbeId,
    level: Level,
    /// Seconds since the epoch.
    start: i64,
    rollup: Rollup,
}

/// A rollup on its way into a block, and its record as it was read.
struct Old {
    row: Row,
    key: Vec<u8>,
    bytes: sled::IVec,
}

/// A block that has been written, and its key in the index.
type Written = (Vec<u8>, Entry);

impl Packer<'_> {
    /// Packs rollups by the hour and the day, of days that are over. Says how many.
    pub(super) fn rollups(&self, now: Timestamp) -> Result<usize, Error> {
        let end = now_ms(now).saturating_sub(LATE_MS) / DAY_MS * DAY_MS;
        let end = i64::try_from(end / 1000).unwrap_or(0);
        let mut all = 0;
        // A day at a time.
        loop {
            let old = self.slot.read(|trees| old_rollups(trees, end))?;
            if old.is_empty() {
                return Ok(all);
            }
            all += old.len();
            let rows: Vec<&Row> = old.iter().map(|old| &old.row).collect();
            let written = self.slot.read(|trees| write(&trees.packs, &rows))?;
            self.queue.alone(move |trees| {
                let mut changes: Vec<Change> = written.into_iter().map(index).collect();
                for old in old {
                    let part = Part::Rollups(old.row.level);
                    // A run that ended late may have been added meanwhile: the next time, then.
                    if trees[part]
                        .get(&old.key)?
                        .is_none_or(|now| now != old.bytes)
                    {
                        return Ok(Vec::new());
                    }
                    changes.push(Change::Remove(part, old.key));
                }
                Ok(changes)
            })?;
        }
    }
}

/// Rollups that begin before this second, those of the first day of them.
fn old_rollups(trees: &Trees, end: i64) -> Result<Vec<Old>, Error> {
    let mut all = Vec::new();
    let levels = [Level::Hour, Level::Day];
    let mut first = None;
    for level in levels {
        let oldest = trees[Part::Rollups(level)].first()?;
        let start = oldest.map(|(key, _)| rollup::start_in(&key));
        first = first.into_iter().chain(start).min();
    }
    let Some(first) = first.filter(|first| *first < end) else {
        return Ok(all);
    };
    let day_end = Level::Day.floor(first) + Level::Day.seconds();
    for level in levels {
        let range = ..rollup::start_key(day_end.min(end));
        for entry in trees[Part::Rollups(level)].range(range) {
            let (key, bytes) = entry?;
            let Some(probe) = rollup::probe_in(&key).map(ProbeId::recorded) else {
                continue;
            };
            let row = Row {
                probe,
                level,
                start: rollup::start_in(&key),
                rollup: decode_small(&key, &bytes)?,
            };
            let key = key.to_vec();
            all.push(Old { row, key, bytes });
        }
    }
    Ok(all)
}

/// Writes rollups by the hour and the day into blocks.
fn write(packs: &Packs, rows: &[&Row]) -> Result<Vec<Written>, Error> {
    let mut hours = BTreeMap::<(u32, &ProbeId), Vec<&Row>>::new();
    let mut days = BTreeMap::<u32, Vec<&Row>>::new();
    for &row in rows {
        let day = day_of(u64::try_from(row.start).unwrap_or(0) * 1000);
        match row.level {
            Level::Day => days.entry(day).or_default().push(row),
            Level::Minute | Level::Hour => hours.entry((day, &row.probe)).or_default().push(row),
        }
    }
    let mut written = Vec::new();
    for ((day, _), rows) in hours {
        written.extend(write_block(packs, Content::Hours, day, &rows)?);
    }
    for (day, mut rows) in days {
        rows.sort_by_key(|row| &row.probe);
        for rows in rows.chunks(TOGETHER) {
            written.extend(write_block(packs, Content::Days, day, rows)?);
        }
    }
    sync(packs, written.iter().map(|(_, entry)| entry))?;
    Ok(written)
}

fn write_block(
    packs: &Packs,
    content: Content,
    day: u32,
    rows: &[&Row],
) -> Result<Option<Written>, Error> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(None);
    };
    let mut entry = Entry::write(
        packs,
        &file_name(day, 0, Sort::Rollups),
        &pack(rows),
        rows.len(),
    )?;
    entry.until = (content == Content::Days).then(|| last.probe.clone());
    let key = history::key(content, day, &first.probe, &entry);
    Ok(Some((key, entry)))
}

/// The first version was JSON as zstd, and has no version in front.
const VERSION: u8 = 2;

fn pack(rows: &[&Row]) -> Vec<u8> {
    let packed = zstd::bulk::compress(&encode_small(&rows), LEVEL);
    let packed = packed.expect("memory is there to compress in");
    [&[VERSION][..], &packed].concat()
}

fn unpack(trees: &Trees, key: &[u8], entry: &Entry) -> Result<Vec<Row>, Error> {
    let block = entry.read(&trees.packs)?;
    match block.split_first() {
        Some((&VERSION, packed)) => decode_small(key, &decompress(packed, entry)?),
        _ => unpack_json(&block, key, entry),
    }
}

/// A block of the first version: hours of a probe, and its day beside them.
fn unpack_json(block: &[u8], key: &[u8], entry: &Entry) -> Result<Vec<Row>, Error> {
    #[derive(Deserialize)]
    struct WithoutProbe {
        level: Level,
        start: i64,
        rollup: Rollup,
    }
    let rows: Vec<WithoutProbe> = decode_small(key, &decompress(block, entry)?)?;
    let probe = ProbeId::recorded(probe_in(key).unwrap_or_default());
    let with_probe = |row: WithoutProbe| Row {
        probe: probe.clone(),
        level: row.level,
        start: row.start,
        rollup: row.rollup,
    };
    Ok(rows.into_iter().map(with_probe).collect())
}

fn decompress(packed: &[u8], entry: &Entry) -> Result<Vec<u8>, Error> {
    let size = zstd::bulk::Decompressor::upper_bound(packed).unwrap_or(MOST_BYTES);
    let unpacked = zstd::bulk::decompress(packed, size.min(MOST_BYTES));
    unpacked.map_err(|fault| entry.broken(fault.to_string()))
}

impl Trees {
    /// Adds what packed rollups by the hour or the day count from one second to another.
    pub(super) fn add_rollups(
        &self,
        level: Level,
        (from, to): (i64, i64),
        probe: Option<&ProbeId>,
        sums: &mut HashMap<String, Rollup>,
    ) -> Result<(), Error> {
        let day = |second: i64| day_of(u64::try_from(second).unwrap_or(0).saturating_mul(1000));
        let (content, in_key) = match level {
            Level::Day => (Content::Days, None),
            Level::Minute | Level::Hour => (Content::Hours, probe),
        };
        let ours = |name: &str| probe.is_none_or(|probe| probe.as_str() == name);
        // Days without blocks are many where a span is long and the store is young.
        for day in self.days_between(content, day(from), day(to - 1))? {
            for (key, entry) in self.blocks(content, day, in_key)? {
                if !may_hold(probe, &key, &entry) {
                    continue;
                }
                for row in unpack(self, &key, &entry)? {
                    let within = row.level == level && (from..to).contains(&row.start);
                    if within && ours(row.probe.as_str()) {
                        add(sums, row.probe.as_str(), row.rollup);
                    }
                }
            }
        }
        Ok(())
    }

    /// Stores of before had the days beside the hours: copies them to where they are looked for now.
    pub(super) fn move_days(&self) -> Result<(), Error> {
        let mut moved = Vec::new();
        for day in self.days(Content::Hours)? {
            let mut rows = Vec::new();
            for (key, entry) in self.blocks(Content::Hours, day, None)? {
                rows.extend(unpack(self, &key, &entry)?);
            }
            rows.retain(|row| row.level == Level::Day);
            let rows: Vec<&Row> = rows.iter().collect();
            moved.extend(write(&self.packs, &rows)?);
        }
        // At once, so that none is counted twice when it begins again.
        let mut batch = sled::Batch::default();
        for day in self.days(Content::Days)? {
            for (key, _) in self.blocks(Content::Days, day, None)? {
                batch.remove(key);
            }
        }
        for (key, entry) in moved {
            batch.insert(key, entry.encode());
        }
        self[Part::Blocks].apply_batch(batch)?;
        Ok(())
    }
}

/// Adds to the sum of a probe.
pub(super) fn add(sums: &mut HashMap<String, Rollup>, probe: &str, more: Rollup) {
    match sums.get_mut(probe) {
        Some(sum) => sum.merge(&more),
        None => drop(sums.insert(probe.to_owned(), more)),
    }
}

/// Whether a block of many probes may hold one of them.
fn may_hold(probe: Option<&ProbeId>, key: &[u8], entry: &Entry) -> bool {
    let (Some(probe), Some(until)) = (probe, &entry.until) else {
        return true;
    };
    probe_in(key).is_some_and(|first| first <= probe.as_str()) && probe <= until
}
