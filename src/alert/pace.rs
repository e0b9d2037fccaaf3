//! How long a run, or a stage of it, usually takes at this time of day. Medians of hours, so that single slow runs, of
//! which there are always some, move nothing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Hours that are kept, and that the floor is taken from.
const KEPT_HOURS: usize = 8 * 24 + 3;
/// Days that are compared by the time of day.
const DAYS: i64 = 7;
/// So many hours before and after the time of day count as the same.
const AROUND: i64 = 2;
/// The newest hours are left out: slower by the hour must not become usual.
const LAG_HOURS: i64 = 24;
/// Runs of the present hour that are kept for its median.
const MOST_OF_AN_HOUR: usize = 64;

/// The median of one hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "(u32, u16, u8)", into = "(u32, u16, u8)")]
struct Median {
    ms: u32,
    /// Runs behind it; none when nothing passed in that hour.
    runs: u16,
    left_out: bool,
}

impl From<(u32, u16, u8)> for Median {
    fn from((ms, runs, left_out): (u32, u16, u8)) -> Self {
        Self {
            ms,
            runs,
            left_out: left_out != 0,
        }
    }
}

impl From<Median> for (u32, u16, u8) {
    fn from(median: Median) -> Self {
        (median.ms, median.runs, u8::from(median.left_out))
    }
}

/// Medians by the hour, oldest first, without gaps, and the durations of the present hour.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pace {
    /// The hour that `present` belongs to; the medians end before it.
    hour: i64,
    present: Vec<u32>,
    /// How many there were, also beyond those kept.
    seen: u16,
    left_out: bool,
    past: VecDeque<Median>,
}

impl Pace {
    /// Notes how long a passed run took.
    pub(super) fn note(&mut self, hour: i64, ms: u32, left_out: bool) {
        self.reach(hour);
        self.left_out |= left_out;
        if self.present.len() < MOST_OF_AN_HOUR {
            self.present.push(ms);
        } else {
            // The newest takes the place of the oldest.
            self.present[usize::from(self.seen) % MOST_OF_AN_HOUR] = ms;
        }
        self.seen = self.seen.saturating_add(1);
    }

    /// Takes the hours from the first to the last one out of what is learned from.
    pub(super) fn leave_out(&mut self, first: i64, last: i64) {
        let oldest = self.oldest();
        for (index, median) in self.past.iter_mut().enumerate() {
            median.left_out |= (first..=last).contains(&(oldest + index as i64));
        }
        self.left_out |= (first..=last).contains(&self.hour);
    }

    /// The usual duration at `hour`, in milliseconds. `None` in the first day.
    pub(super) fn usual(&self, hour: i64) -> Option<f64> {
        let newest = hour - LAG_HOURS;
        let older = || {
            let oldest = self.oldest();
            self.past
                .iter()
                .enumerate()
                .map(move |(index, median)| (oldest + index as i64, median))
                .filter(|(_, median)| !median.left_out && median.runs > 0)
                .take_while(move |(at, _)| *at <= newest)
        };
        let floor = median(older())?;
        let same_time = older().filter(|(at, _)| {
            let apart = (hour - at).rem_euclid(24);
            hour - at <= DAYS * 24 + AROUND && apart.min(24 - apart) <= AROUND
        });
        Some(median(same_time).map_or(floor, |usual| usual.max(floor)))
    }

    fn oldest(&self) -> i64 {
        self.hour - self.past.len() as i64
    }

    fn reach(&mut self, hour: i64) {
        if self.past.is_empty() && self.present.is_empty() || hour - self.hour > KEPT_HOURS as i64 {
            *self = Self {
                hour,
                ..Self::default()
            };
        }
        while self.hour < hour {
            self.present.sort_unstable();
            self.past.push_back(Median {
                ms: self
                    .present
                    .get(self.present.len() / 2)
                    .copied()
                    .unwrap_or_default(),
                runs: self.seen,
                left_out: self.left_out,
            });
            self.present.clear();
            self.seen = 0;
            self.left_out = false;
            self.hour += 1;
        }
        while self.past.len() > KEPT_HOURS {
            self.past.pop_front();
        }
    }
}

/// The middle one, where each median counts as often as there are runs behind it.
fn median<'a>(medians: impl Iterator<Item = (i64, &'a Median)>) -> Option<f64> {
    let mut sorted: Vec<(u32, u64)> = medians
        .map(|(_, median)| (median.ms, u64::from(median.runs)))
        .collect();
    sorted.sort_unstable();
    let total: u64 = sorted.iter().map(|(_, runs)| runs).sum();
    let mut seen = 0;
    sorted
        .into_iter()
        .find(|(_, runs)| {
            seen += runs;
            seen * 2 >= total
        })
        .map(|(ms, _)| f64::from(ms))
}
