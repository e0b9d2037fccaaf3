//! What is usual for a stream of one probe: counts by the hour, and the two rates that follow from them.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Milliseconds of an hour; hours are counted from the epoch.
pub(super) const HOUR_MS: i64 = 3_600_000;

/// Hours that a baseline is learned from.
const LEARNED_HOURS: i64 = 14 * 24;
/// The newest hours are left out: what is just going wrong is not usual yet.
pub(super) const LAG_HOURS: i64 = 2;
/// The slow test looks back so far, and needs a baseline from before.
pub(super) const LONGEST_LOOK_HOURS: i64 = 48;
const KEPT_HOURS: usize = (LEARNED_HOURS + LONGEST_LOOK_HOURS + 3) as usize;

/// Runs of one hour beyond this are not counted: what is usual shows in fewer.
const MOST_RUNS: u32 = (1 << 15) - 1;

/// A new probe counts as failing in one run of ten until it has shown better: a new flaky environment does not alert in
/// its first hour, a new dead one still does.
const GUESS_BAD: f64 = 2.0;
const GUESS_RUNS: f64 = 20.0;
/// Slow runs are more common than failed ones.
const GUESS_BAD_SLOW: f64 = 3.0;
/// A run after a bad one is bad more often than others: a learned share between the guess and the most. What is wrong for
/// a moment is over after some minutes, so the guess is less where runs lie further apart.
const GUESS_AFTER: f64 = 40.0;
const GUESS_REPEAT: f64 = 0.05;
const GUESS_REPEAT_WITHIN_MS: f64 = 300_000.0;
const MOST_REPEAT: f64 = 0.10;

/// The hour that `at_ms` lies in.
pub(super) fn hour_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(HOUR_MS)
}

/// Runs of one hour, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) runs: u32,
    pub(super) bad: u32,
    /// Runs that followed a bad one.
    pub(super) after_bad: u32,
    /// Bad ones among these.
    pub(super) bad_again: u32,
    /// Part of an alert: never learned from.
    pub(super) left_out: bool,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.bad += other.bad;
        self.after_bad += other.after_bad;
        self.bad_again += other.bad_again;
    }
}

/// What is usual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    /// Share of bad runs.
    pub(super) bad: f64,
    /// Runs that followed a bad one, and bad ones among these.
    pub(super) after_bad: u32,
    pub(super) bad_again: u32,
    /// Runs that were learned from.
    pub(super) runs: u32,
}

impl Rates {
    fn of(counts: &Counts, is_slow: bool) -> Self {
        let guess = if is_slow { GUESS_BAD_SLOW } else { GUESS_BAD };
        Self {
            bad: (f64::from(counts.bad) + guess) / (f64::from(counts.runs) + GUESS_RUNS),
            after_bad: counts.after_bad,
            bad_again: counts.bad_again,
            runs: counts.runs,
        }
    }

    /// Share of bad runs that is to be expected so long after a bad one.
    pub(super) fn repeat(&self, after_ms: i64) -> f64 {
        let fading = GUESS_REPEAT_WITHIN_MS / (after_ms as f64).max(GUESS_REPEAT_WITHIN_MS);
        let guess = GUESS_REPEAT * fading;
        let learned = (f64::from(self.bad_again) + GUESS_AFTER * guess)
            / (f64::from(self.after_bad) + GUESS_AFTER);
        learned.clamp(guess, MOST_REPEAT)
    }
}

/// Counts by the hour, newest last, without gaps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Hours {
    newest: i64,
    #[serde(with = "packed")]
    cells: VecDeque<Counts>,
}

impl Hours {
    /// Counts a run.
    pub(super) fn note(&mut self, hour: i64, is_bad: bool, is_after_bad: bool, left_out: bool) {
        self.reach(hour);
        let Some(cell) = self.cell_mut(hour) else {
            return;
        };
        cell.left_out |= left_out;
        if cell.runs == MOST_RUNS {
            return;
        }
        cell.runs += 1;
        cell.bad += u32::from(is_bad);
        cell.after_bad += u32::from(is_after_bad);
        cell.bad_again += u32::from(is_after_bad && is_bad);
    }

    /// Counts so many bad runs of one hour, each after a bad one.
    pub(super) fn note_bad_again(&mut self, hour: i64, times: u32, left_out: bool) {
        self.reach(hour);
        let Some(cell) = self.cell_mut(hour) else {
            return;
        };
        cell.left_out |= left_out;
        let times = times.min(MOST_RUNS - cell.runs);
        cell.add(&Counts {
            runs: times,
            bad: times,
            after_bad: times,
            bad_again: times,
            left_out,
        });
    }

    /// Takes the hours from the first to the last one out of what is learned from.
    pub(super) fn leave_out(&mut self, first: i64, last: i64) {
        for hour in first.max(self.oldest())..=last.min(self.newest) {
            if let Some(cell) = self.cell_mut(hour) {
                cell.left_out = true;
            }
        }
    }

    /// What is usual, seen from `hour`, without the newest `lag` hours.
    pub(super) fn rates(&self, hour: i64, lag: i64, is_slow: bool) -> Rates {
        let last = hour - 1 - lag;
        let mut sum = Counts::default();
        for (_, cell) in self.between(last - LEARNED_HOURS + 1, last) {
            if !cell.left_out {
                sum.add(cell);
            }
        }
        Rates::of(&sum, is_slow)
    }

    /// What is usual, for tests of windows.
    pub(super) fn usual(&self, hour: i64, is_slow: bool) -> Rates {
        self.rates(hour, LAG_HOURS, is_slow)
    }

    /// Hours with what they hold, oldest first.
    pub(super) fn between(&self, first: i64, last: i64) -> impl Iterator<Item = (i64, &Counts)> {
        let oldest = self.oldest();
        let from = (first - oldest).clamp(0, self.cells.len() as i64) as usize;
        let to = (last + 1 - oldest).clamp(from as i64, self.cells.len() as i64) as usize;
        (from..to).map(move |index| (oldest + index as i64, &self.cells[index]))
    }

    fn oldest(&self) -> i64 {
        self.newest + 1 - self.cells.len() as i64
    }

    fn cell_mut(&mut self, hour: i64) -> Option<&mut Counts> {
        let index = usize::try_from(hour - self.oldest()).ok()?;
        self.cells.get_mut(index)
    }

    fn reach(&mut self, hour: i64) {
        if self.cells.is_empty() || hour - self.newest > KEPT_HOURS as i64 {
            self.cells.clear();
            self.cells.push_back(Counts::default());
            self.newest = hour;
        }
        while self.newest < hour {
            self.cells.push_back(Counts::default());
            self.newest += 1;
        }
        while self.cells.len() > KEPT_HOURS {
            self.cells.pop_front();
        }
    }
}

/// An hour as one number, small when nothing happened: there are hundreds of them a probe.
mod packed {
    use std::collections::VecDeque;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{Counts, MOST_RUNS};

    const BITS: u32 = 15;

    pub(super) fn serialize<S: Serializer>(
        cells: &VecDeque<Counts>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(cells.iter().map(|cell| {
            let part = |value: u32, place: u32| u64::from(value) << (1 + place * BITS);
            u64::from(cell.left_out)
                | part(cell.runs, 0)
                | part(cell.bad, 1)
                | part(cell.after_bad, 2)
                | part(cell.bad_again, 3)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VecDeque<Counts>, D::Error> {
        let cells = Vec::<u64>::deserialize(deserializer)?;
        let part = |cell: u64, place: u32| (cell >> (1 + place * BITS)) as u32 & MOST_RUNS;
        Ok(cells
            .into_iter()
            .map(|cell| Counts {
                runs: part(cell, 0),
                bad: part(cell, 1),
                after_bad: part(cell, 2),
                bad_again: part(cell, 3),
                left_out: cell & 1 == 1,
            })
            .collect())
    }
}
