//! What is packed: the index of the blocks, and reading runs out of them.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::Error;
use super::block::{self, Kept, made_ms};
use super::packs::{Content, Entry, Sort, day_of, parse_name};
use super::parts::{Part, Trees};
use super::rollup::{self, Rollup};
use super::sums;
use crate::probe::ProbeId;
use crate::run::{Run, RunId};

/// A run belongs to the day of its id, which is made before it starts. Clocks may disagree by so much.
const SLACK_MS: u64 = 3_600_000;

/// Key of a block in the index: by sort and day, so that a day goes as a whole, then by probe. A day may have several
/// files, in which blocks of one probe lie at the same offset.
pub(super) fn key(content: Content, day: u32, probe: &ProbeId, entry: &Entry) -> Vec<u8> {
    let generation = parse_name(&entry.file).map_or(0, |(_, generation, _)| generation);
    let mut key = of_probe(content, day, probe);
    key.extend((u64::from(generation) << 48 | entry.offset).to_be_bytes());
    key
}

fn of_day(content: Content, day: u32) -> Vec<u8> {
    let mut key = vec![content.byte()];
    key.extend(day.to_be_bytes());
    key
}

fn of_probe(content: Content, day: u32, probe: &ProbeId) -> Vec<u8> {
    let mut key = of_day(content, day);
    key.extend(probe.as_str().as_bytes());
    key.push(0);
    key
}

/// The probe in the key of a block.
pub(super) fn probe_in(key: &[u8]) -> Option<&str> {
    let name = key.get(5..key.len().checked_sub(9)?)?;
    std::str::from_utf8(name).ok()
}

impl Trees {
    /// Blocks of a day: of one probe, or of all.
    pub(super) fn blocks(
        &self,
        content: Content,
        day: u32,
        probe: Option<&ProbeId>,
    ) -> Result<Vec<(Vec<u8>, Entry)>, Error> {
        let prefix = match probe {
            Some(probe) => of_probe(content, day, probe),
            None => of_day(content, day),
        };
        let mut blocks = Vec::new();
        for entry in self[Part::Blocks].scan_prefix(prefix) {
            let (key, bytes) = entry?;
            let entry = Entry::decode(&key, &bytes)?;
            blocks.push((key.to_vec(), entry));
        }
        Ok(blocks)
    }

    /// Days that have blocks, newest first.
    pub(super) fn days(&self, content: Content) -> Result<Vec<u32>, Error> {
        let mut days = Vec::new();
        let mut end = vec![content.byte() + 1];
        while let Some((key, _)) = self[Part::Blocks].get_lt(&end)? {
            if key.first() != Some(&content.byte()) {
                break;
            }
            let day = key.get(1..5).and_then(|day| day.try_into().ok());
            let day = day.map_or(0, u32::from_be_bytes);
            days.push(day);
            end = of_day(content, day);
        }
        Ok(days)
    }

    /// Days that have files of this sort.
    pub(super) fn days_of(&self, sort: Sort) -> Result<BTreeSet<u32>, Error> {
        let mut days = BTreeSet::new();
        for &content in sort.holds() {
            days.extend(self.days(content)?);
        }
        Ok(days)
    }

    /// Blocks in the files of a day.
    pub(super) fn blocks_of(&self, sort: Sort, day: u32) -> Result<Vec<(Vec<u8>, Entry)>, Error> {
        let mut blocks = Vec::new();
        for &content in sort.holds() {
            blocks.extend(self.blocks(content, day, None)?);
        }
        Ok(blocks)
    }

    /// Packed runs of a day, of one probe or of all, by id.
    pub(super) fn packed_runs(
        &self,
        day: u32,
        probe: Option<&ProbeId>,
    ) -> Result<Vec<Kept>, Error> {
        let mut runs = Vec::new();
        for (_, entry) in self.blocks(Content::Runs, day, probe)? {
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
        for (_, entry) in self.blocks(Content::Runs, day_of(made_ms(id)), None)? {
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
        for day in self.days(Content::Runs)? {
            if found.len() >= limit {
                break;
            }
            if before.is_some_and(|before| day > day_of(made_ms(before))) {
                continue;
            }
            let mut entries = self.blocks(Content::Runs, day, probe)?;
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
        for day in self.days_between(Content::Runs, day_of(from), day_of(to))? {
            for (_, entry) in self.blocks(Content::Runs, day, probe)? {
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
        for day in self.days_between(Content::Runs, day_of(from), u32::MAX - 1)? {
            let blocks = self.blocks(Content::Runs, day, None)?;
            let ends = blocks.iter().filter_map(|(_, entry)| entry.ends);
            let since = ends.filter(|(_, last)| made_ms(*last) >= from);
            if let Some(first) = since.map(|(first, _)| made_ms(first).max(from)).min() {
                return Ok(Some(first));
            }
        }
        Ok(None)
    }

    /// Adds what packed runs, minute by minute, count from one second to another.
    pub(super) fn add_minutes(
        &self,
        (from, to): (i64, i64),
        probe: Option<&ProbeId>,
        sums: &mut HashMap<String, Rollup>,
    ) -> Result<(), Error> {
        let ms = |second: i64| u64::try_from(second).unwrap_or(0).saturating_mul(1000);
        let first = day_of(ms(from).saturating_sub(SLACK_MS));
        let last = day_of((ms(to) + SLACK_MS).saturating_sub(1));
        for day in self.days_between(Content::Runs, first, last)? {
            for (_, entry) in self.blocks(Content::Runs, day, probe)? {
                let elsewhere = |(first, last): (RunId, RunId)| {
                    made_ms(first) > ms(to) + SLACK_MS || made_ms(last) + SLACK_MS < ms(from)
                };
                if entry.ends.is_some_and(elsewhere) {
                    continue;
                }
                for kept in self.unpack_what_can_be(&entry) {
                    if (from..to).contains(&rollup::second_of(&kept.run)) {
                        sums::add(sums, kept.run.probe.as_str(), Rollup::of(&kept.run));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn days_between(
        &self,
        content: Content,
        first: u32,
        last: u32,
    ) -> Result<Vec<u32>, Error> {
        let mut days = Vec::new();
        let mut next = of_day(content, first);
        let end = of_day(content, last.saturating_add(1));
        while let Some(entry) = self[Part::Blocks].range(next..end.clone()).next() {
            let (key, _) = entry?;
            let day = key.get(1..5).and_then(|day| day.try_into().ok());
            let day = day.map_or(0, u32::from_be_bytes);
            days.push(day);
            next = of_day(content, day.saturating_add(1));
        }
        Ok(days)
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
