//! The parts of the database, and what can be read of them.

use std::collections::BTreeMap;
use std::ops::Index;

use strum::IntoEnumIterator;

use super::record::{self, Brief, first_key_at, key_of, probe_of, record_key};
use super::rollup::{self, Level, Rollup, Span};
use super::state::Kind;
use super::writer::Change;
use super::{Error, Horizon, Purged, Query};
use crate::probe::ProbeId;
use crate::run::Run;
use crate::taxonomy::Outcome;

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
    /// Name → record of the daemon's own state.
    State(Kind),
}

impl Part {
    const FIXED: [Self; 7] = [
        Self::Runs,
        Self::ByProbe,
        Self::Open,
        Self::Evidence,
        Self::Rollups(Level::Minute),
        Self::Rollups(Level::Hour),
        Self::Rollups(Level::Day),
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
}

impl Index<Part> for Trees {
    type Output = sled::Tree;

    fn index(&self, part: Part) -> &sled::Tree {
        &self.trees[part.index()]
    }
}

pub(super) struct Old {
    pub(super) changes: Vec<Change>,
    pub(super) purged: Purged,
}

impl Trees {
    /// The oldest records that are too old, a step's worth.
    pub(super) fn oldest(&self, horizon: Horizon) -> Result<Old, Error> {
        let mut old = Old {
            changes: Vec::new(),
            purged: Purged::default(),
        };
        for entry in self[Part::Runs]
            .range(..first_key_at(horizon.runs))
            .take(PURGE_STEP)
        {
            let (key, bytes) = entry?;
            // One that cannot be read has no index entry that could be found.
            let index_key = probe_of(&key, &bytes)
                .ok()
                .zip(<[u8; 16]>::try_from(&*key).ok())
                .map(|(probe, id)| record_key(&probe, id));
            if let Some(index_key) = index_key {
                old.changes.push(Change::Remove(Part::ByProbe, index_key));
            }
            for part in [Part::Runs, Part::Evidence] {
                old.changes.push(Change::Remove(part, key.to_vec()));
            }
            old.purged.runs += 1;
        }
        for key in self[Part::Evidence]
            .range(..first_key_at(horizon.evidence))
            .keys()
            .take(PURGE_STEP)
        {
            old.changes
                .push(Change::Remove(Part::Evidence, key?.to_vec()));
            old.purged.evidence += 1;
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
                old.purged.rollups += 1;
            }
        }
        Ok(old)
    }

    pub(super) fn size_on_disk(&self) -> sled::Result<u64> {
        self.db.size_on_disk()
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
    pub(super) fn list(&self, query: &Query) -> Result<Vec<Run>, Error> {
        let before = query.before.map(key_of);
        let wanted = |outcome: Outcome| query.outcome.is_none_or(|wanted| wanted == outcome);
        let mut runs = Vec::new();
        if let Some(probe) = &query.probe {
            for entry in self.of_probe(probe, before) {
                let (key, bytes) = entry?;
                let id = &key[key.len() - 16..];
                if !wanted(record::decode::<Brief>(id, &bytes)?.outcome) {
                    continue;
                }
                if let Some(bytes) = self[Part::Runs].get(id)? {
                    runs.push(record::decode(id, &bytes)?);
                }
                if runs.len() >= query.limit {
                    break;
                }
            }
            return Ok(runs);
        }
        let range = match before {
            Some(before) => self[Part::Runs].range(..before),
            None => self[Part::Runs].iter(),
        };
        for entry in range.rev() {
            let (key, bytes) = entry?;
            if query.outcome.is_some() && !wanted(record::outcome_of(&key, &bytes)?) {
                continue;
            }
            runs.push(record::decode(&key, &bytes)?);
            if runs.len() >= query.limit {
                break;
            }
        }
        Ok(runs)
    }

    pub(super) fn newest(&self, probe: &ProbeId, limit: usize) -> Result<Vec<Brief>, Error> {
        let mut briefs = Vec::new();
        for entry in self.of_probe(probe, None).take(limit) {
            let (key, bytes) = entry?;
            briefs.push(record::decode(&key[key.len() - 16..], &bytes)?);
        }
        Ok(briefs)
    }

    /// Entries of a probe in the index, newest first.
    fn of_probe(
        &self,
        probe: &ProbeId,
        before: Option<[u8; 16]>,
    ) -> impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>> + use<> {
        let first = record_key(probe, [0; 16]);
        let end = record_key(probe, before.unwrap_or([0xff; 16]));
        self[Part::ByProbe].range(first..end).rev()
    }

    /// Everything that was counted of a probe in a span.
    pub(super) fn stats(&self, probe: &ProbeId, span: Span) -> Result<Rollup, Error> {
        let mut all = Rollup::default();
        for (level, from, to) in span.pieces() {
            let mut start = from;
            while start < to {
                let key = rollup::key(start, probe);
                if let Some(bytes) = self[Part::Rollups(level)].get(&key)? {
                    all.merge(&record::decode(&key, &bytes)?);
                }
                start += level.seconds();
            }
        }
        Ok(all)
    }

    /// Everything that was counted of every probe in a span.
    pub(super) fn overview(&self, span: Span) -> Result<BTreeMap<String, Rollup>, Error> {
        let mut all = BTreeMap::<String, Rollup>::new();
        for (level, from, to) in span.pieces() {
            let range = rollup::start_key(from)..rollup::start_key(to);
            for entry in self[Part::Rollups(level)].range(range) {
                let (key, bytes) = entry?;
                let Some(probe) = rollup::probe_in(&key) else {
                    continue;
                };
                let rollup: Rollup = record::decode(&key, &bytes)?;
                match all.get_mut(probe) {
                    Some(sum) => sum.merge(&rollup),
                    None => drop(all.insert(probe.to_owned(), rollup)),
                }
            }
        }
        Ok(all)
    }
}
