//! The newest runs of a stream of one probe, as yes or no.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::baseline::HOUR_MS;
use crate::taxonomy::Class;

/// Windows look back so far.
pub(super) const LONGEST_WINDOW_MS: i64 = 6 * HOUR_MS;
/// And over so many runs of one probe, whatever time they span.
pub(super) const MOST_POINTS: usize = 512;
/// Slow runs are judged on fewer: a quarter of them must be slow.
const MOST_SLOW_POINTS: usize = 160;

/// One run in one stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) at: i64,
    pub(super) is_bad: bool,
    /// Whether the run before it was bad, and not long ago.
    pub(super) is_after_bad: bool,
    /// Duration as a multiple of the usual one, in hundredths; 0 in streams that are not about time.
    pub(super) slowdown: u16,
    /// What a bad run ended with, where it says.
    pub(super) class: Option<Class>,
}

/// Points in the order of time, as many as any window may want.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Ring(#[serde(with = "packed")] VecDeque<Point>);

impl Ring {
    /// Puts a point in its place and lets go of those that are too old.
    pub(super) fn push(&mut self, point: Point, is_slow: bool) {
        let behind = self.0.iter().rev().take_while(|p| p.at > point.at).count();
        self.0.insert(self.0.len() - behind, point);
        let most = if is_slow {
            MOST_SLOW_POINTS
        } else {
            MOST_POINTS
        };
        let newest = self.0.back().map_or(point.at, |newest| newest.at);
        while self.0.len() > most
            || self
                .0
                .front()
                .is_some_and(|p| p.at < newest - LONGEST_WINDOW_MS)
        {
            self.0.pop_front();
        }
    }

    /// All of them, oldest first.
    pub(super) fn points(&self) -> &VecDeque<Point> {
        &self.0
    }

    /// Those at `from` or later, oldest first.
    pub(super) fn since(&self, from: i64) -> impl Iterator<Item = &Point> {
        let first = self.0.partition_point(|point| point.at < from);
        self.0.range(first..)
    }
}

/// Two numbers a point: how long after the one before it, with the two marks; and how slow. Then the classes of the bad
/// ones, by name.
mod packed {
    use std::collections::VecDeque;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Point;
    use crate::taxonomy::Class;

    pub(super) fn serialize<S: Serializer>(
        points: &VecDeque<Point>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut before = 0;
        let mut numbers = Vec::with_capacity(2 * points.len());
        for point in points {
            let after = point.at - before;
            before = point.at;
            let marks = i64::from(point.is_bad) << 1 | i64::from(point.is_after_bad);
            numbers.extend([after << 2 | marks, i64::from(point.slowdown)]);
        }
        let bad = points.iter().filter(|point| point.is_bad);
        let classes: Vec<Option<Class>> = bad.map(|point| point.class).collect();
        (numbers, classes).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<VecDeque<Point>, D::Error> {
        let (numbers, classes) = <(Vec<i64>, Vec<Option<Class>>)>::deserialize(deserializer)?;
        let mut classes = classes.into_iter();
        let mut at = 0;
        Ok(numbers
            .chunks_exact(2)
            .map(|pair| {
                at += pair[0] >> 2;
                let is_bad = pair[0] & 2 != 0;
                Point {
                    at,
                    is_bad,
                    is_after_bad: pair[0] & 1 != 0,
                    slowdown: u16::try_from(pair[1]).unwrap_or(u16::MAX),
                    class: is_bad.then(|| classes.next().flatten()).flatten(),
                }
            })
            .collect())
    }
}
