//! The parts of the database, and what can be read of them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Index;

use jiff::Timestamp;
use strum::IntoEnumIterator;
use uuid::Uuid;

use super::block::{Kept, made_ms};
use super::limits::Horizon;
use super::packs::Packs;
use super::record::{self, Brief, first_key_at, key_of, record_key};
use super::rollup::{self, Level, Rollup, Span};
use super::state::Kind;
use super::writer::Change;
use super::{Error, Query, sums};
use crate::probe::ProbeId;
use crate::run::{Evidence, Run, RunId};

/// How many records one step of a purge takes away.
const PURGE_STEP: usize = 500;

/// The parts of the database, a tree each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Run id → run without evidence.
    Runs,
    /// Probe, NUL, run id → the run in short.
    ByProbe,
    /// Run id → intent.
    Open,
    /// Run id → evidence.
    Evidence,
    /// Start, probe → rollup.
    Rollups(Level),
    /// Sort, day, probe, NUL, offset → where a block of packed runs or rollups lies.
    Blocks,
    /// Name → record of the daemon's own state.
    State(Kind),
}

impl Part {
    const FIXED: [Self; 8] = [
        Self::Runs,
        Self::ByProbe,
        Self::Open,
        Self::Evidence,
        Self::Rollups(Level::Minute),
        Self::Rollups(Level::Hour),
        Self::Rollups(Level::Day),
        Self::Blocks,
    ];

    /// All parts, in the order of their index.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Self::FIXED.into_iter().chain(Kind::iter().map(Self::State))
    }

    /// Place among the trees.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Runs => 0,
            Self::ByProbe => 1,
            Self::Open => 2,
            Self::Evidence => 3,
            Self::Rollups(level) => 4 + level as usize,
            Self::Blocks => 7,
            Self::State(kind) => Self::FIXED.len() + kind as usize,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Runs => "runs",
            Self::ByProbe => "by_probe",
            Self::Open => "open",
            Self::Evidence => "evidence",
            Self::Rollups(Level::Minute) => "minutes",
            Self::Rollups(Level::Hour) => "hours",
            Self::Rollups(Level::Day) => "days",
            Self::Blocks => "blocks",
            Self::State(kind) => kind.into(),
        }
    }
}

/// The database, open.
#[derive(Clone)]
pub(super) struct Trees {
    pub(super) db: sled::Db,
    /// By [`Part::index`].
    pub(super) trees: Vec<sled::Tree>,
    /// Beside it.
    pub(super) packs: Packs,
}

impl Index<Part> for Trees {
    type Output = sled::Tree;

    fn index(&self, part: Part) -> &sled::Tree {
        &self.trees[part.index()]
    }
}

pub(super) struct Old {
    pub(super) changes: Vec<Change>,
    pub(super) runs: usize,
    pub(super) rollups: usize,
}

impl Trees {
    /// The oldest records that are too old, a step's worth.
    pub(super) fn oldest(&self, horizon: Horizon) -> Result<Old, Error> {
        let mut old = Old {
            changes: Vec::new(),
            runs: 0,
            rollups: 0,
        };
        for entry in self[Part::Runs]
            .range(..first_key_at(horizon.runs))
            .take(PURGE_STEP)
        {
            let (key, bytes) = entry?;
            // One that cannot be read has no index entry that could be found.
            if let Ok(Kept { run, .. }) = record::decode_run(&key, &bytes) {
                let index_key = record_key(&run.probe, key_of(run.id));
                old.changes.push(Change::Remove(Part::ByProbe, index_key));
            }
            for part in [Part::Runs, Part::Evidence] {
                old.changes.push(Change::Remove(part, key.to_vec()));
            }
            old.runs += 1;
        }
        for key in self[Part::Evidence]
            .range(..first_key_at(horizon.evidence))
            .keys()
            .take(PURGE_STEP)
        {
            old.changes
                .push(Change::Remove(Part::Evidence, key?.to_vec()));
        }
        for level in Level::ALL {
            // Minutes cost as much as the runs that they count, and go with them.
            let before = match level {
                Level::Minute => horizon.runs,
                Level::Hour | Level::Day => horizon.rollups,
            };
            let part = Part::Rollups(level);
            let end = rollup::start_key(level.floor(before.as_second()));
            for key in self[part].range(..end).keys().take(PURGE_STEP) {
                old.changes.push(Change::Remove(part, key?.to_vec()));
                old.rollups += 1;
            }
        }
        Ok(old)
    }

    /// All trees, by [`Part::index`].
    pub(super) fn all(&self) -> &[sled::Tree] {
        &self.trees
    }

    pub(super) fn flush(&self) -> sled::Result<()> {
        self.db.flush().map(drop)
    }
}

impl Trees {
    /// A run, wherever it lies.
    pub(super) fn run(&self, id: RunId) -> Result<Option<Kept>, Error> {
        match self[Part::Runs].get(key_of(id))? {
            Some(bytes) => record::decode_run(&key_of(id), &bytes).map(Some),
            None => self.packed_run(id),
        }
    }

    pub(super) fn list(&self, query: &Query) -> Result<Vec<Kept>, Error> {
        let wanted = |kept: &Kept| {
            query
                .outcome
                .is_none_or(|outcome| outcome == kept.run.outcome)
        };
        let mut found = match &query.probe {
            Some(probe) => self.fresh_of(probe, query, wanted)?,
            None => self.fresh(query, wanted)?,
        };
        found.extend(self.packed_before(
            query.probe.as_ref(),
            query.before,
            query.limit,
            wanted,
        )?);
        found.sort_by_key(|kept| std::cmp::Reverse(kept.run.id));
        found.truncate(query.limit);
        Ok(found)
    }

    /// What was seen in a run, where that is kept.
    pub(super) fn evidence_of(&self, kept: &Kept) -> Result<Option<Evidence>, Error> {
        let id = kept.run.id;
        // Where earlier versions put it.
        if let Some(bytes) = self[Part::Evidence].get(key_of(id))? {
            return record::decode(&key_of(id), &bytes).map(Some);
        }
        match kept.evidence {
            Some(offset) => self.packs.evidence(id, offset),
            None => Ok(None),
        }
    }

    /// Runs that are not packed yet, newest first.
    fn fresh(&self, query: &Query, wanted: impl Fn(&Kept) -> bool) -> Result<Vec<Kept>, Error> {
        let range = match query.before {
            Some(before) => self[Part::Runs].range(..key_of(before)),
            None => self[Part::Runs].iter(),
        };
        let mut runs = Vec::new();
        for entry in range.rev() {
            let (key, bytes) = entry?;
            let kept = record::decode_run(&key, &bytes)?;
            if wanted(&kept) {
                runs.push(kept);
            }
            if runs.len() >= query.limit {
                break;
            }
        }
        Ok(runs)
    }

    /// The same of one probe.
    fn fresh_of(
        &self,
        probe: &ProbeId,
        query: &Query,
        wanted: impl Fn(&Kept) -> bool,
    ) -> Result<Vec<Kept>, Error> {
        let mut runs = Vec::new();
        for entry in self.of_probe(probe, query.before.map(key_of)) {
            let (key, _) = entry?;
            let id = &key[key.len() - 16..];
            if let Some(bytes) = self[Part::Runs].get(id)? {
                runs.extend(Some(record::decode_run(id, &bytes)?).filter(&wanted));
            }
            if runs.len() >= query.limit {
                break;
            }
        }
        Ok(runs)
    }

    /// Runs whose id was made in a time, oldest first.
    pub(super) fn between(
        &self,
        from: Timestamp,
        to: Timestamp,
        probe: Option<&ProbeId>,
    ) -> Result<Vec<Run>, Error> {
        let ours = |run: &Run| probe.is_none_or(|probe| run.probe == *probe);
        let mut runs = self.packed_between(from, to, probe)?;
        for entry in self[Part::Runs].range(first_key_at(from)..first_key_at(to)) {
            let (key, bytes) = entry?;
            runs.push(record::decode_run(&key, &bytes)?.run);
        }
        runs.retain(ours);
        runs.sort_by_key(|run| run.id);
        Ok(runs)
    }

    /// When the first run since a moment began, or a moment shortly before.
    pub(super) fn first_since(&self, from: Timestamp) -> Result<Option<Timestamp>, Error> {
        let fresh = self[Part::Runs]
            .range(first_key_at(from)..)
            .keys()
            .next()
            .transpose()?;
        let fresh = fresh.and_then(|key| Uuid::from_slice(&key).ok());
        let fresh = fresh.map(|id| made_ms(RunId(id)));
        let first = self
            .first_packed_since(from)?
            .into_iter()
            .chain(fresh)
            .min();
        Ok(first.and_then(|ms| Timestamp::from_millisecond(ms.cast_signed()).ok()))
    }

    pub(super) fn newest(&self, probe: &ProbeId, limit: usize) -> Result<Vec<Brief>, Error> {
        let mut briefs: Vec<Brief> = Vec::new();
        for entry in self.of_probe(probe, None).take(limit) {
            let (key, bytes) = entry?;
            briefs.push(record::decode(&key[key.len() - 16..], &bytes)?);
        }
        if briefs.len() < limit {
            let packed = self.packed_before(Some(probe), None, limit, |_| true)?;
            briefs.extend(packed.iter().map(|kept| Brief::of(&kept.run)));
            briefs.sort_by_key(|brief| std::cmp::Reverse(brief.id));
            briefs.truncate(limit);
        }
        Ok(briefs)
    }

    /// Entries of a probe in the index, newest first.
    pub(super) fn of_probe(
        &self,
        probe: &ProbeId,
        before: Option<[u8; 16]>,
    ) -> impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>> + use<> {
        let first = record_key(probe, [0; 16]);
        let end = record_key(probe, before.unwrap_or([0xff; 16]));
        self[Part::ByProbe].range(first..end).rev()
    }

    /// How many probes have runs that are not packed.
    pub(super) fn fresh_probes(&self) -> Result<usize, Error> {
        let mut count = 0;
        let mut next = Vec::new();
        while let Some(entry) = self[Part::ByProbe].range(next.clone()..).next() {
            let (mut key, _) = entry.map(|(key, value)| (key.to_vec(), value))?;
            // Past all runs of this one: names hold no byte below a space.
            key.truncate(key.len() - 16);
            *key.last_mut().expect("a NUL ends the name") += 1;
            next = key;
            count += 1;
        }
        Ok(count)
    }

    /// Everything that was counted of a probe in a span.
    pub(super) fn stats(&self, probe: &ProbeId, span: Span) -> Result<Rollup, Error> {
        let mut sums = HashMap::new();
        for (level, from, to) in span.pieces() {
            let mut start = from;
            while start < to {
                let key = rollup::key(start, probe);
                if let Some(bytes) = self[Part::Rollups(level)].get(&key)? {
                    sums::add(
                        &mut sums,
                        probe.as_str(),
                        record::decode_small(&key, &bytes)?,
                    );
                }
                start += level.seconds();
            }
            self.add_packed(level, (from, to), Some(probe), &mut sums)?;
        }
        Ok(sums.remove(probe.as_str()).unwrap_or_default())
    }

    /// Everything that was counted of every probe in a span.
    pub(super) fn overview(&self, span: Span) -> Result<BTreeMap<String, Rollup>, Error> {
        let mut sums = HashMap::new();
        for (level, from, to) in span.pieces() {
            let range = rollup::start_key(from)..rollup::start_key(to);
            for entry in self[Part::Rollups(level)].range(range) {
                let (key, bytes) = entry?;
                if let Some(probe) = rollup::probe_in(&key) {
                    sums::add(&mut sums, probe, record::decode_small(&key, &bytes)?);
                }
            }
            self.add_packed(level, (from, to), None, &mut sums)?;
        }
        Ok(sums.into_iter().collect())
    }

    /// Adds what lies in blocks. Minutes are counted from the packed runs themselves.
    fn add_packed(
        &self,
        level: Level,
        seconds: (i64, i64),
        probe: Option<&ProbeId>,
        sums: &mut HashMap<String, Rollup>,
    ) -> Result<(), Error> {
        match level {
            Level::Minute => self.add_minutes(seconds, probe, sums),
            Level::Hour | Level::Day => self.add_rollups(level, seconds, probe, sums),
        }
    }
}
