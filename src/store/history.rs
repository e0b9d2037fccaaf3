//! What is packed: the index of the blocks, and reading runs and rollups out of them.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Error;
use super::block::{self, Kept, made_ms};
use super::packs::{Entry, Sort, day_of, parse_name};
use super::parts::{Part, Trees};
use super::record::{decode, encode};
use super::rollup::{Level, Rollup};
use crate::probe::ProbeId;
use crate::run::{Run, RunId};

/// Rollups are pressed as hard as runs.
const LEVEL: i32 = 12;

/// No block of rollups unpacks to more: what does is none.
const MOST_BYTES: usize = 256 << 20;

/// A run belongs to the day of its id, which is made before it starts. Clocks may disagree by so much.
const SLACK_MS: u64 = 3_600_000;

/// Key of a block in the index: by sort and day, so that a day goes as a whole, then by probe. A day may have several
/// files, in which blocks of one probe lie at the same offset.
pub(super) fn key(sort: Sort, day: u32, probe: &ProbeId, entry: &Entry) -> Vec<u8> {
    let generation = parse_name(&entry.file).map_or(0, |(_, generation, _)| generation);
    let mut key = of_probe(sort, day, probe);
    key.extend((u64::from(generation) << 48 | entry.offset).to_be_bytes());
    key
}

fn of_day(sort: Sort, day: u32) -> Vec<u8> {
    let mut key = vec![sort.byte()];
    key.extend(day.to_be_bytes());
    key
}

fn of_probe(sort: Sort, day: u32, probe: &ProbeId) -> Vec<u8> {
    let mut key = of_day(sort, day);
    key.extend(probe.as_str().as_bytes());
    key.push(0);
    key
}

/// The probe in the key of a block.
pub(super) fn probe_in(key: &[u8]) -> Option<&str> {
    let name = key.get(5..key.len().checked_sub(9)?)?;
    std::str::from_utf8(name).ok()
}

/// One rollup of a block.
#[derive(serde::Serialize, serde::Deserialize)]
pub(super) struct Row {
    pub(super) level: Level,
    /// Seconds since the epoch.
    pub(super) start: i64,
    pub(super) rollup: Rollup,
}

/// Packs rollups of one probe.
pub(super) fn pack_rollups(rows: &[&Row]) -> Vec<u8> {
    zstd::bulk::compress(&encode(&rows), LEVEL).expect("memory is there to compress in")
}

impl Trees {
    /// Blocks of a day: of one probe, or of all.
    pub(super) fn blocks(
        &self,
        sort: Sort,
        day: u32,
        probe: Option<&ProbeId>,
    ) -> Result<Vec<(Vec<u8>, Entry)>, Error> {
        let prefix = match probe {
            Some(probe) => of_probe(sort, day, probe),
            None => of_day(sort, day),
        };
        let mut blocks = Vec::new();
        for entry in self[Part::Blocks].scan_prefix(prefix) {
            let (key, bytes) = entry?;
            blocks.push((key.to_vec(), decode(&key, &bytes)?));
        }
        Ok(blocks)
    }

    /// Days that have blocks, newest first.
    pub(super) fn days(&self, sort: Sort) -> Result<Vec<u32>, Error> {
        let mut days = Vec::new();
        let mut end = vec![sort.byte() + 1];
        while let Some((key, _)) = self[Part::Blocks].get_lt(&end)? {
            if key.first() != Some(&sort.byte()) {
                break;
            }
            let day = key.get(1..5).and_then(|day| day.try_into().ok());
            let day = day.map_or(0, u32::from_be_bytes);
            days.push(day);
            end = of_day(sort, day);
        }
        Ok(days)
    }

    /// Packed runs of a day, of one probe or of all, by id.
    pub(super) fn packed_runs(
        &self,
        day: u32,
        probe: Option<&ProbeId>,
    ) -> Result<Vec<Kept>, Error> {
        let mut runs = Vec::new();
        for (_, entry) in self.blocks(Sort::Runs, day, probe)? {
            runs.extend(self.unpack(&entry)?);
        }
        runs.sort_by_key(|kept| kept.run.id);
        Ok(runs)
    }

    /// The runs of a block; none where it is broken or gone, which costs these runs only.
    fn unpack_what_can_be(&self, entry: &Entry) -> Vec<Kept> {
        self.unpack(entry).unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "packed runs are left out"
            );
            Vec::new()
        })
    }

    pub(super) fn unpack(&self, entry: &Entry) -> Result<Vec<Kept>, Error> {
        let block = entry.read(&self.packs)?;
        block::unpack(&block).map_err(|fault| entry.broken(chain(&fault)))
    }

    /// A packed run by its id. Reads only the ids of the blocks that it may be in.
    pub(super) fn packed_run(&self, id: RunId) -> Result<Option<Kept>, Error> {
        for (_, entry) in self.blocks(Sort::Runs, day_of(made_ms(id)), None)? {
            let within = |(first, last): &(RunId, RunId)| (*first..=*last).contains(&id);
            if !entry.ends.as_ref().is_some_and(within) {
                continue;
            }
            let head = block::head_bytes(entry.rows);
            let holds = self.packs.read(&entry.file, entry.offset, head);
            if holds.is_ok_and(|head| block::holds(&head, id).unwrap_or(true)) {
                let runs = self.unpack_what_can_be(&entry);
                if let Some(kept) = runs.into_iter().find(|kept| kept.run.id == id) {
                    return Ok(Some(kept));
                }
            }
        }
        Ok(None)
    }

    /// Packed runs older than `before`, newest first, that are `wanted`.
    pub(super) fn packed_before(
        &self,
        probe: Option<&ProbeId>,
        before: Option<RunId>,
        limit: usize,
        wanted: impl Fn(&Kept) -> bool,
    ) -> Result<Vec<Kept>, Error> {
        let older = |id: RunId| before.is_none_or(|before| id < before);
        let mut found: Vec<Kept> = Vec::new();
        for day in self.days(Sort::Runs)? {
            if found.len() >= limit {
                break;
            }
            if before.is_some_and(|before| day > day_of(made_ms(before))) {
                continue;
            }
            let mut entries = self.blocks(Sort::Runs, day, probe)?;
            entries.retain(|(_, entry)| entry.ends.is_some_and(|(first, _)| older(first)));
            entries.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.ends.map(|ends| ends.1)));
            let mut of_day: Vec<Kept> = Vec::new();
            for (_, entry) in entries {
                // Nothing in this block or those that follow is newer than what was found.
                let enough = of_day.len() + found.len() >= limit;
                let last = entry.ends.map(|ends| ends.1);
                if enough {
                    of_day.sort_by_key(|kept| std::cmp::Reverse(kept.run.id));
                    of_day.truncate(limit - found.len());
                    if of_day.last().map(|kept| kept.run.id) > last {
                        break;
                    }
                }
                let runs = self.unpack_what_can_be(&entry);
                of_day.extend(
                    runs.into_iter()
                        .filter(|kept| older(kept.run.id) && wanted(kept)),
                );
            }
            of_day.sort_by_key(|kept| std::cmp::Reverse(kept.run.id));
            found.extend(of_day);
            found.truncate(limit);
        }
        Ok(found)
    }

    /// Packed runs whose id was made in a time.
    pub(super) fn packed_between(
        &self,
        from: Timestamp,
        to: Timestamp,
        probe: Option<&ProbeId>,
    ) -> Result<Vec<Run>, Error> {
        let (from, to) = (millis(from), millis(to));
        let within = |id: RunId| (from..to).contains(&made_ms(id));
        let mut runs = Vec::new();
        for day in self.days_between(Sort::Runs, day_of(from), day_of(to))? {
            for (_, entry) in self.blocks(Sort::Runs, day, probe)? {
                let apart =
                    |(first, last): (RunId, RunId)| made_ms(last) < from || made_ms(first) >= to;
                if entry.ends.is_none_or(apart) {
                    continue;
                }
                let block = self.unpack_what_can_be(&entry).into_iter();
                runs.extend(block.map(|kept| kept.run).filter(|run| within(run.id)));
            }
        }
        Ok(runs)
    }

    /// A moment (in milliseconds) since `from` before which no packed run began.
    pub(super) fn first_packed_since(&self, from: Timestamp) -> Result<Option<u64>, Error> {
        let from = millis(from);
        for day in self.days_between(Sort::Runs, day_of(from), u32::MAX - 1)? {
            let blocks = self.blocks(Sort::Runs, day, None)?;
            let ends = blocks.iter().filter_map(|(_, entry)| entry.ends);
            let since = ends.filter(|(_, last)| made_ms(*last) >= from);
            if let Some(first) = since.map(|(first, _)| made_ms(first).max(from)).min() {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Adds what packed rollups, or for minutes the packed runs themselves, count from one second to another.
    pub(super) fn add_packed(
        &self,
        level: Level,
        (from, to): (i64, i64),
        probe: Option<&ProbeId>,
        sums: &mut HashMap<String, Rollup>,
    ) -> Result<(), Error> {
        let ms = |second: i64| u64::try_from(second).unwrap_or(0).saturating_mul(1000);
        let (sort, slack) = match level {
            Level::Minute => (Sort::Runs, SLACK_MS),
            Level::Hour | Level::Day => (Sort::Rollups, 0),
        };
        let first = day_of(ms(from).saturating_sub(slack));
        let last = day_of((ms(to) + slack).saturating_sub(1));
        // Days without blocks are many where a span is long and the store is young.
        for day in self.days_between(sort, first, last)? {
            for (key, entry) in self.blocks(sort, day, probe)? {
                let Some(name) = probe_in(&key) else {
                    continue;
                };
                let sum = sums.entry(name.to_owned()).or_default();
                match sort {
                    Sort::Runs => {
                        let within =
                            |kept: &Kept| (from..to).contains(&super::rollup::second_of(&kept.run));
                        let elsewhere = |(first, last): (RunId, RunId)| {
                            made_ms(first) > ms(to) + slack || made_ms(last) + slack < ms(from)
                        };
                        if entry.ends.is_some_and(elsewhere) {
                            continue;
                        }
                        let runs = self.unpack_what_can_be(&entry);
                        for kept in runs.iter().filter(|kept| within(kept)) {
                            sum.merge(&Rollup::of(&kept.run));
                        }
                    }
                    Sort::Rollups => {
                        for row in self.unpack_rollups(&entry)? {
                            if row.level == level && (from..to).contains(&row.start) {
                                sum.merge(&row.rollup);
                            }
                        }
                    }
                }
            }
        }
        sums.retain(|_, sum| sum.outcomes.total() > 0);
        Ok(())
    }

    fn days_between(&self, sort: Sort, first: u32, last: u32) -> Result<Vec<u32>, Error> {
        let mut days = Vec::new();
        let mut next = of_day(sort, first);
        let end = of_day(sort, last.saturating_add(1));
        while let Some(entry) = self[Part::Blocks].range(next..end.clone()).next() {
            let (key, _) = entry?;
            let day = key.get(1..5).and_then(|day| day.try_into().ok());
            let day = day.map_or(0, u32::from_be_bytes);
            days.push(day);
            next = of_day(sort, day.saturating_add(1));
        }
        Ok(days)
    }

    pub(super) fn unpack_rollups(&self, entry: &Entry) -> Result<Vec<Row>, Error> {
        let block = entry.read(&self.packs)?;
        let size = zstd::bulk::Decompressor::upper_bound(&block).unwrap_or(MOST_BYTES);
        let rows = zstd::bulk::decompress(&block, size.min(MOST_BYTES));
        let rows = rows.map_err(|fault| entry.broken(fault.to_string()))?;
        serde_json::from_slice(&rows).map_err(|fault| entry.broken(fault.to_string()))
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or(0)
}

fn chain(fault: &dyn std::error::Error) -> String {
    match fault.source() {
        Some(source) => format!("{fault}: {source}"),
        None => fault.to_string(),
    }
}
