//! Runs summed up by the minute, the hour and the day: how they ended, and how long each stage took. A rollup is written
//! together with the run that it counts, so the two never disagree.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::latency::Latency;
use crate::probe::ProbeId;
use crate::run::Run;
use crate::taxonomy::{Class, Outcome, Stage};

/// How much time one rollup covers. Days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Minute,
    Hour,
    Day,
}

impl Level {
    pub(super) const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Seconds that one rollup covers.
    pub(super) fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }

    /// Where the rollup begins that `second` (since the epoch) belongs to.
    pub(super) fn floor(self, second: i64) -> i64 {
        second - second.rem_euclid(self.seconds())
    }

    /// The next beginning at or after `second`.
    fn ceil(self, second: i64) -> i64 {
        self.floor(second + self.seconds() - 1)
    }
}

/// Runs of one probe over some time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rollup {
    /// How many ended how.
    pub outcomes: Outcomes,
    /// Verdicts by class, of runs that failed or could not be judged.
    #[serde(default, with = "by_name")]
    pub classes: BTreeMap<Class, u64>,
    /// Whole runs that passed.
    #[serde(default)]
    pub duration: Latency,
    /// Steps that passed, also of runs that did not.
    #[serde(default, with = "by_name")]
    pub stages: BTreeMap<Stage, Latency>,
}

/// Classes and stages lie on disk by their names, which outlive any change of their order.
mod by_name {
    use std::collections::BTreeMap;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(super) fn serialize<K, V, S>(map: &BTreeMap<K, V>, serializer: S) -> Result<S::Ok, S::Error>
    where
        K: Copy + Into<&'static str>,
        V: Serialize,
        S: Serializer,
    {
        serializer.collect_map(map.iter().map(|(key, value)| ((*key).into(), value)))
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: FromStr + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let named = BTreeMap::<String, V>::deserialize(deserializer)?;
        let known = |name: &str| {
            let unknown = || de::Error::custom(format!("{name:?} is not known"));
            name.parse().map_err(|_| unknown())
        };
        let map = named
            .into_iter()
            .map(|(name, value)| Ok((known(&name)?, value)));
        map.collect()
    }
}

/// Runs by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcomes {
    pub ok: u64,
    pub degraded: u64,
    pub failed: u64,
    pub unknown: u64,
}

impl Outcomes {
    /// Of all runs.
    pub fn total(self) -> u64 {
        self.ok + self.degraded + self.failed + self.unknown
    }

    /// Failed runs among those that could be judged; `None` where there are none.
    pub fn failure_ratio(self) -> Option<f64> {
        let judged = self.total() - self.unknown;
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        (judged > 0).then(|| self.failed as f64 / judged as f64)
    }

    fn count(&mut self, outcome: Outcome) -> &mut u64 {
        match outcome {
            Outcome::Ok => &mut self.ok,
            Outcome::Degraded => &mut self.degraded,
            Outcome::Failed => &mut self.failed,
            Outcome::Unknown => &mut self.unknown,
        }
    }
}

impl Rollup {
    /// Of one run.
    pub fn of(run: &Run) -> Self {
        let mut rollup = Self::default();
        *rollup.outcomes.count(run.outcome) += 1;
        if let Some(verdict) = &run.verdict {
            rollup.classes.insert(verdict.class, 1);
        }
        if passed(run.outcome) {
            rollup.duration = Latency::of(run.duration_ms);
        }
        for step in run.steps.iter().filter(|step| passed(step.outcome)) {
            let stage = rollup.stages.entry(step.stage).or_default();
            stage.merge(&Latency::of(step.duration_ms));
        }
        rollup
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        let Outcomes {
            ok,
            degraded,
            failed,
            unknown,
        } = other.outcomes;
        self.outcomes.ok += ok;
        self.outcomes.degraded += degraded;
        self.outcomes.failed += failed;
        self.outcomes.unknown += unknown;
        for (class, count) in &other.classes {
            *self.classes.entry(*class).or_default() += count;
        }
        self.duration.merge(&other.duration);
        for (stage, latency) in &other.stages {
            self.stages.entry(*stage).or_default().merge(latency);
        }
    }
}

fn passed(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Ok | Outcome::Degraded)
}

/// Where a run is counted: by its start.
pub(super) fn second_of(run: &Run) -> i64 {
    run.started_at.as_second()
}

/// Key of a rollup: by time first, so that all probes of a span lie together and the oldest are found at once.
pub(super) fn key(start: i64, probe: &ProbeId) -> Vec<u8> {
    [&start_key(start)[..], probe.as_str().as_bytes()].concat()
}

/// What the keys of rollups that begin at `start` begin with.
pub(super) fn start_key(start: i64) -> [u8; 8] {
    u64::try_from(start).unwrap_or(0).to_be_bytes()
}

/// The second in the key of a rollup.
pub(super) fn start_in(key: &[u8]) -> i64 {
    let start = key.first_chunk().copied().map_or(0, u64::from_be_bytes);
    i64::try_from(start).unwrap_or(i64::MAX)
}

/// The probe in the key of a rollup.
pub(super) fn probe_in(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(8..)?).ok()
}

/// From one moment to another, the second not included, in whole minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    /// From the minute of `from` to the end of the minute before `to`, or of the one that `to` lies in.
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        let at = |second: i64| Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
        let from = Level::Minute.floor(from.as_second());
        // A part of a second after the minute lies in the next one already.
        let to = to.as_second() + i64::from(to.subsec_nanosecond() > 0);
        let to = Level::Minute.ceil(to);
        Self {
            from: at(from),
            to: at(to.max(from)),
        }
    }

    /// The last `length` until `now`.
    pub fn last(length: SignedDuration, now: Timestamp) -> Self {
        Self::new(now.checked_sub(length).unwrap_or(Timestamp::MIN), now)
    }

    /// The fewest rollups that cover it exactly: minutes at the ends, hours and days in between. Each piece is a level
    /// with the seconds from and to.
    pub(super) fn pieces(self) -> Vec<(Level, i64, i64)> {
        let mut pieces = Vec::new();
        cover(
            Level::Day,
            self.from.as_second(),
            self.to.as_second(),
            &mut pieces,
        );
        pieces
    }
}

fn cover(level: Level, from: i64, to: i64, pieces: &mut Vec<(Level, i64, i64)>) {
    let finer = match level {
        Level::Minute => None,
        Level::Hour => Some(Level::Minute),
        Level::Day => Some(Level::Hour),
    };
    let (first, end) = (level.ceil(from), level.floor(to));
    let mut ends = |from, to| {
        if let Some(finer) = finer.filter(|_| from < to) {
            cover(finer, from, to, pieces);
        }
    };
    if first >= end {
        return ends(from, to);
    }
    ends(from, first);
    ends(end, to);
    pieces.push((level, first, end));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_cover_a_span_once_and_without_a_gap(from in 0_i64..200_000, minutes in 0_i64..20_000) {
            let from = from * 60;
            let to = from + minutes * 60;
            let at = |second| Timestamp::from_second(second).unwrap();
            let mut pieces = Span::new(at(from), at(to)).pieces();
            pieces.sort_by_key(|piece| piece.1);
            let mut end = from;
            for (level, start, stop) in &pieces {
                prop_assert_eq!(*start, end);
                prop_assert!(start < stop);
                prop_assert_eq!((level.floor(*start), level.floor(*stop)), (*start, *stop));
                end = *stop;
            }
            prop_assert_eq!(end, to);
            let rollups: i64 = pieces.iter().map(|(level, start, stop)| (stop - start) / level.seconds()).sum();
            prop_assert!(rollups <= 2 * 59 + 2 * 23 + minutes / 1440);
        }
    }

    #[test]
    fn a_span_takes_in_the_minutes_it_touches() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let just_begun = Span::new(at("2026-06-01T10:00:59Z"), at("2026-06-01T10:02:00.001Z"));
        assert_eq!(just_begun.to, at("2026-06-01T10:03:00Z"));
        let span = Span::new(at("2026-06-01T10:00:59Z"), at("2026-06-01T10:02:01Z"));
        assert_eq!(
            (span.from, span.to),
            (at("2026-06-01T10:00:00Z"), at("2026-06-01T10:03:00Z"))
        );
        let backwards = Span::new(at("2026-06-01T10:02:00Z"), at("2026-06-01T10:00:00Z"));
        assert!(backwards.pieces().is_empty());
    }
}
