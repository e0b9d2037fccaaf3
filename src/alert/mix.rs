//! Which kinds of failure are usual for a probe. A failure of a kind that a probe never shows, and the same kind again
//! and again, say more than the number of failures alone.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::baseline::LAG_HOURS;
use crate::taxonomy::Class;

/// Counts are halved beyond so many failures, so that the mix is that of the last weeks.
const MOST_LEARNED: u32 = 4000;
/// As with rates: a kind counts as likelier than it was seen to be, and all the more so while little is known.
const MARGIN: f64 = 1.5;
const GUESS_KNOWN: f64 = 1.0;
const GUESS_ALL: f64 = 20.0;
/// Share of any class among the failures of an incident that nothing is known of yet.
pub(super) const BROKEN: f64 = 0.025;
/// Failures of the last hours, not learned from yet; more than that in so short a time is no usual failure.
const MOST_FRESH: usize = 512;

/// Classes of the usual failures of a probe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Mix {
    learned: Vec<(Class, u32)>,
    fresh: VecDeque<(i64, Class)>,
}

impl Mix {
    /// Notes a failure.
    pub(super) fn note(&mut self, hour: i64, class: Class) {
        while let Some(&(at, class)) = self.fresh.front()
            && at < hour - LAG_HOURS
        {
            self.fresh.pop_front();
            self.learn(class);
        }
        if self.fresh.len() < MOST_FRESH {
            self.fresh.push_back((hour, class));
        }
    }

    /// Takes the hours from the first to the last one out of what is learned from.
    pub(super) fn leave_out(&mut self, first: i64, last: i64) {
        self.fresh
            .retain(|(hour, _)| !(first..=last).contains(hour));
    }

    /// Share of a class among the usual failures, with those of all probes as the guess while there are few.
    pub(super) fn share(&self, class: Class, of_all: &Self) -> f64 {
        let pooled = of_all.part(class, GUESS_KNOWN, GUESS_ALL);
        self.part(class, GUESS_ALL * pooled, GUESS_ALL).min(1.0)
    }

    fn part(&self, class: Class, guess: f64, weight: f64) -> f64 {
        let all: u32 = self.learned.iter().map(|(_, count)| count).sum();
        let known = self.learned.iter().find(|(known, _)| *known == class);
        let known = known.map_or(0.0, |(_, count)| f64::from(*count));
        (MARGIN * known + guess) / (f64::from(all) + weight)
    }

    fn learn(&mut self, class: Class) {
        match self.learned.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => self.learned.push((class, 1)),
        }
        let all: u32 = self.learned.iter().map(|(_, count)| count).sum();
        if all > MOST_LEARNED {
            for (_, count) in &mut self.learned {
                *count /= 2;
            }
            self.learned.retain(|(_, count)| *count > 0);
        }
    }
}
