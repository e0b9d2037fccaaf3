//! Moves old runs from the database into packed blocks, which take a twentieth of the space and give it back when
//! they go. Blocks are written first; then one transaction puts them into the index and takes what they hold out of the
//! database. A crash in between leaves bytes that nobody points to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::Error;
use super::block::{self, Kept, made_ms};
use super::history;
use super::packs::{Content, DAY_MS, Entry, LATE_MS, Packs, Sort, day_of, file_name, parse_name};
use super::parts::{Part, Trees};
use super::record::{self, Brief, key_of, record_key};
use super::rollup::{self, Level, Rollup};
use super::slot::Slot;
use super::tend::Order;
use super::writer::{Change, Queue};
use crate::probe::ProbeId;
use crate::run::RunId;

/// Runs that may lie in the database before the older of them are packed, whatever their day. Each takes forty times as
/// much there.
const FRESH: usize = if cfg!(test) { 500 } else { 2_000 };

/// And so many of each probe that has some: blocks of fewer runs press badly, and fill the index.
const FRESH_OF_ONE: usize = 16;

/// Runs that are packed at a time.
const STEP: usize = 20_000;

/// Runs that one transaction takes out of the database.
const PORTION: usize = 1000;

/// Runs so young are left alone: pages and alerts look at them all the time.
const YOUNG_MS: u64 = 10 * 60_000;

/// Runs in one block at most.
const BLOCK: usize = 4096;

/// What packing needs of the store.
pub(super) struct Packer<'a> {
    pub(super) slot: &'a Slot,
    pub(super) queue: &'a Queue,
}

/// What is packed together: rows of a probe and a day.
type Groups<T> = BTreeMap<(u32, ProbeId), Vec<T>>;

/// A block that has been written.
struct Written {
    probe: ProbeId,
    key: Vec<u8>,
    entry: Entry,
    /// The runs in it, with the minute that counts each.
    runs: Vec<(RunId, i64)>,
}

impl Packer<'_> {
    /// Packs runs of days that are over, and older ones of today where there are many. Says how many.
    pub(super) fn runs(&self, now: Timestamp, order: &mut Order) -> Result<usize, Error> {
        let mut all = 0;
        loop {
            let before = self.slot.read(|trees| before(trees, now))?;
            let packed = self.pack_runs_before(before, order)?;
            all += packed;
            if packed < STEP {
                return Ok(all);
            }
        }
    }

    fn pack_runs_before(&self, before: u64, order: &mut Order) -> Result<usize, Error> {
        let written = self.slot.read(|trees| {
            let groups = fresh_before(trees, before)?;
            for (day, _) in groups.keys() {
                order.whole.remove(day);
            }
            write_runs(&trees.packs, &groups, |day| file_name(day, 0, Sort::Runs))
        })?;
        let count = written.iter().map(|written| written.runs.len()).sum();
        let mut written = written.into_iter().peekable();
        // In small portions, because everybody waits meanwhile.
        while written.peek().is_some() {
            let (mut portion, mut runs) = (Vec::new(), 0);
            while let Some(next) = written.next_if(|_| runs < PORTION) {
                runs += next.runs.len();
                portion.push(next);
            }
            self.queue.alone(move |trees| take_over(trees, &portion))?;
        }
        Ok(count)
    }

    /// Puts the small blocks of a day together, one day at a time. Says whether there was one.
    pub(super) fn repack(&self, now: Timestamp, order: &mut Order) -> Result<bool, Error> {
        let today = day_of(now_ms(now).saturating_sub(LATE_MS));
        let found = self
            .slot
            .read(|trees| scattered(trees, today, &mut order.whole))?;
        let Some(day) = found else {
            return Ok(false);
        };
        let (old, written) = self.slot.read(|trees| {
            let old = trees.blocks(Content::Runs, day, None)?;
            let mut groups = Groups::new();
            for kept in trees.packed_runs(day, None)? {
                let probe = kept.run.probe.clone();
                groups.entry((day, probe)).or_default().push(kept);
            }
            let generation = next_generation(&trees.packs, day)?;
            let name = |day| file_name(day, generation, Sort::Runs);
            Ok((old, write_runs(&trees.packs, &groups, name)?))
        })?;
        let files: BTreeSet<String> = old.iter().map(|(_, entry)| entry.file.clone()).collect();
        self.queue.alone(move |_| {
            let mut changes: Vec<Change> = Vec::new();
            changes.extend(
                old.into_iter()
                    .map(|(key, _)| Change::Remove(Part::Blocks, key)),
            );
            changes.extend(
                written
                    .into_iter()
                    .map(|written| index((written.key, written.entry))),
            );
            Ok(changes)
        })?;
        self.slot
            .read(|trees| files.iter().try_for_each(|file| trees.packs.remove(file)))?;
        Ok(true)
    }

    /// Takes away packed days from before a moment.
    pub(super) fn purge(&self, sort: Sort, before: Timestamp) -> Result<usize, Error> {
        let first = day_of(now_ms(before));
        let days = self.slot.read(|trees| trees.days_of(sort))?;
        let mut rows = 0;
        for day in days.into_iter().filter(|day| *day < first) {
            rows += self.drop_day(sort, day)?;
        }
        Ok(rows)
    }

    /// Takes away a packed day, and its space. Says how many rows it held.
    pub(super) fn drop_day(&self, sort: Sort, day: u32) -> Result<usize, Error> {
        let blocks = self.slot.read(|trees| trees.blocks_of(sort, day))?;
        let rows: u32 = blocks.iter().map(|(_, entry)| entry.rows).sum();
        let keys = blocks.into_iter().map(|(key, _)| key);
        let changes = keys.map(|key| Change::Remove(Part::Blocks, key)).collect();
        self.queue.alone(move |_| Ok(changes))?;
        self.slot.read(|trees| {
            for (name, _) in trees.packs.list()? {
                if parse_name(&name).is_some_and(|(of, _, is)| (of, is) == (day, sort)) {
                    trees.packs.remove(&name)?;
                }
            }
            Ok(())
        })?;
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    /// Takes away files that nothing points to: a crash left them.
    pub(super) fn sweep(&self) -> Result<(), Error> {
        self.slot.read(|trees| {
            let mut known = BTreeSet::new();
            for sort in Sort::ALL {
                for day in trees.days_of(sort)? {
                    let blocks = trees.blocks_of(sort, day)?;
                    known.extend(blocks.into_iter().map(|(_, entry)| entry.file));
                }
            }
            for (name, _) in trees.packs.list()? {
                if parse_name(&name).is_some() && !known.contains(&name) {
                    trees.packs.remove(&name)?;
                }
            }
            Ok(())
        })
    }
}

/// Runs from before this moment are to be packed: whole days, or all but the youngest where there are many.
fn before(trees: &Trees, now: Timestamp) -> Result<u64, Error> {
    let enough = FRESH.max(FRESH_OF_ONE * trees.fresh_probes()?);
    let many = trees[Part::Runs].iter().keys().nth(enough).transpose()?;
    Ok(match many {
        Some(_) => now_ms(now).saturating_sub(YOUNG_MS) / 60_000 * 60_000,
        None => now_ms(now).saturating_sub(LATE_MS) / DAY_MS * DAY_MS,
    })
}

/// The oldest runs that are not packed and began before this moment, a step's worth.
fn fresh_before(trees: &Trees, before: u64) -> Result<Groups<Kept>, Error> {
    let mut groups = Groups::new();
    let end = Timestamp::from_millisecond(before.cast_signed()).unwrap_or(Timestamp::MIN);
    for entry in trees[Part::Runs]
        .range(..record::first_key_at(end))
        .take(STEP)
    {
        let (key, bytes) = entry?;
        match record::decode_run(&key, &bytes) {
            Ok(kept) => {
                let day = day_of(made_ms(kept.run.id));
                let group = (day, kept.run.probe.clone());
                groups.entry(group).or_default().push(kept);
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a run is not packed"
                );
            }
        }
    }
    Ok(groups)
}

fn write_runs(
    packs: &Packs,
    groups: &Groups<Kept>,
    name: impl Fn(u32) -> String,
) -> Result<Vec<Written>, Error> {
    let mut written = Vec::new();
    for ((day, probe), runs) in groups {
        for runs in runs.chunks(BLOCK) {
            let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
                continue;
            };
            let ends = Some((first.run.id, last.run.id));
            let block = block::pack(runs);
            let mut entry = Entry::write(packs, &name(*day), &block, runs.len())?;
            entry.ends = ends;
            written.push(Written {
                key: history::key(Content::Runs, *day, probe, &entry),
                probe: probe.clone(),
                entry,
                runs: runs
                    .iter()
                    .map(|kept| (kept.run.id, minute(kept)))
                    .collect(),
            });
        }
    }
    sync(packs, written.iter().map(|written| &written.entry))?;
    Ok(written)
}

pub(super) fn sync<'a>(
    packs: &Packs,
    written: impl Iterator<Item = &'a Entry>,
) -> Result<(), Error> {
    let files: BTreeSet<&str> = written.map(|entry| entry.file.as_str()).collect();
    files.into_iter().try_for_each(|file| packs.sync(file))
}

pub(super) fn index((key, entry): (Vec<u8>, Entry)) -> Change {
    Change::Put(Part::Blocks, key, entry.encode())
}

/// The changes that put packed runs in the place of those in the database. Minutes are counted from packed runs; those
/// in the database count what is left there.
fn take_over(trees: &Trees, portion: &[Written]) -> Result<Vec<Change>, Error> {
    let mut changes = Vec::new();
    let mut packed = HashMap::<&ProbeId, (HashSet<RunId>, BTreeSet<i64>)>::new();
    for written in portion {
        changes.push(index((written.key.clone(), written.entry.clone())));
        let (ids, minutes) = packed.entry(&written.probe).or_default();
        for (id, minute) in &written.runs {
            let key = key_of(*id);
            changes.push(Change::Remove(Part::Runs, key.to_vec()));
            let index_key = record_key(&written.probe, key);
            changes.push(Change::Remove(Part::ByProbe, index_key));
            ids.insert(*id);
            minutes.insert(*minute);
        }
    }
    for (probe, (ids, minutes)) in packed {
        let mut left: BTreeMap<i64, Option<Rollup>> =
            minutes.into_iter().map(|minute| (minute, None)).collect();
        for entry in trees.of_probe(probe, None) {
            let (key, bytes) = entry?;
            let brief: Brief = record::decode(&key, &bytes)?;
            let minute = Level::Minute.floor(brief.started_at.as_second());
            let Some(left) = left.get_mut(&minute).filter(|_| !ids.contains(&brief.id)) else {
                continue;
            };
            if let Some(bytes) = trees[Part::Runs].get(key_of(brief.id))? {
                let kept = record::decode_run(&key, &bytes)?;
                left.get_or_insert_default().merge(&Rollup::of(&kept.run));
            }
        }
        for (minute, left) in left {
            let (part, key) = (Part::Rollups(Level::Minute), rollup::key(minute, probe));
            changes.push(match left {
                Some(rollup) => Change::Put(part, key, record::encode_small(&rollup)),
                None => Change::Remove(part, key),
            });
        }
    }
    Ok(changes)
}

/// The newest day before `today` with a probe whose runs lie in several blocks that fit into one. Days that have none
/// are added to those known to be `whole`.
fn scattered(trees: &Trees, today: u32, whole: &mut BTreeSet<u32>) -> Result<Option<u32>, Error> {
    for day in trees.days(Content::Runs)? {
        if day >= today || whole.contains(&day) {
            continue;
        }
        let mut probes = BTreeMap::<Vec<u8>, (usize, usize)>::new();
        for (key, entry) in trees.blocks(Content::Runs, day, None)? {
            let probe = history::probe_in(&key).unwrap_or_default();
            let (blocks, rows) = probes.entry(probe.into()).or_default();
            *blocks += 1;
            *rows += usize::try_from(entry.rows).unwrap_or(BLOCK);
        }
        let scattered = |(blocks, rows): &(usize, usize)| *blocks > rows.div_ceil(BLOCK);
        if probes.values().any(scattered) {
            return Ok(Some(day));
        }
        whole.insert(day);
    }
    Ok(None)
}

fn next_generation(packs: &Packs, day: u32) -> Result<u32, Error> {
    let files = packs.list()?;
    let of_day = files.iter().filter_map(|(name, _)| parse_name(name));
    let of_day = of_day.filter(|(of, _, sort)| (*of, *sort) == (day, Sort::Runs));
    Ok(of_day
        .map(|(_, generation, _)| generation + 1)
        .max()
        .unwrap_or(0))
}

fn minute(kept: &Kept) -> i64 {
    Level::Minute.floor(rollup::second_of(&kept.run))
}

pub(super) fn now_ms(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}
