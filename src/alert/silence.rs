//! Time that goes on: runs that do not come, and what ends by itself.
//!
//! Each run that is missing is one bad run of the stream `unknown`. While it may decide something it is judged like any
//! other. Once an open alert speaks for a silent probe, further silence only moves figures: however long it lasts, they are
//! worked out from the span, and are those that counting gives.

use super::baseline::{HOUR_MS, hour_of};
use super::change::Change;
use super::detector::Detector;
use super::observation::Stream;
use super::series::{Said, Series};

/// A probe that has not run for so long is gone: it was taken out of the configuration, or its location was.
const GONE_AFTER_MS: i64 = 72 * HOUR_MS;

/// Fewer missing runs of each probe are counted one by one.
const WORTH_IT: i64 = 8;

/// Runs of one probe that are missing one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) first: i64,
    pub(super) every: i64,
    /// At least one.
    pub(super) times: i64,
}

impl Missing {
    /// Those before `until`, if there are any.
    pub(super) fn before(until: i64, first: i64, every: i64) -> Option<Self> {
        let times = (until - first + every - 1).div_euclid(every);
        (times > 0).then_some(Self {
            first,
            every,
            times,
        })
    }

    pub(super) fn last(&self) -> i64 {
        self.first + (self.times - 1) * self.every
    }

    /// When each of them was due.
    pub(super) fn moments(self) -> impl Iterator<Item = i64> {
        (0..self.times).map(move |index| self.first + index * self.every)
    }

    /// The last ones, so many at most.
    pub(super) fn newest(self, most: usize) -> Self {
        let left_out = (self.times - most as i64).max(0);
        Self {
            first: self.first + left_out * self.every,
            times: self.times - left_out,
            ..self
        }
    }

    /// Hours, with how many lie in each.
    pub(super) fn by_hour(self) -> impl Iterator<Item = (i64, u32)> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let all = rest?;
            let hour = hour_of(all.first);
            let inside = Self::before((hour + 1) * HOUR_MS, all.first, all.every)?;
            let times = inside.times.min(all.times);
            rest = (times < all.times).then_some(Self {
                first: all.first + times * all.every,
                times: all.times - times,
                ..all
            });
            Some((hour, u32::try_from(times).unwrap_or(u32::MAX)))
        })
    }
}

impl Detector {
    /// Lets time go on to `now`, and lets happen in its order what happens by time alone.
    pub(super) fn advance(&mut self, now: i64, changes: &mut Vec<Change>) {
        while let Some(at) = self.next_silence(now) {
            self.end_what_is_over(at, changes);
            self.clock = self.clock.max(at);
            if !self.pass_over(now) {
                self.note_silence(at, changes);
            }
        }
        self.end_what_is_over(now, changes);
        self.clock = self.clock.max(now);
        self.cases
            .retain(|case| case.is_open() || case.may_reopen(now));
    }

    /// The next moment before `now` from which a run is missing.
    fn next_silence(&mut self, now: i64) -> Option<i64> {
        if self.quiet_until >= now {
            return None;
        }
        let next = self.everyone.values().map(Series::silent_at).min();
        self.quiet_until = next.unwrap_or(i64::MAX);
        next.filter(|&at| at < now)
    }

    fn note_silence(&mut self, at: i64, changes: &mut Vec<Change>) {
        let silent: Vec<u32> = self
            .everyone
            .iter()
            .filter(|(_, series)| series.silent_at() <= at)
            .map(|(id, _)| *id)
            .collect();
        let mut gone = Vec::new();
        let mut missing = Vec::new();
        for &id in &silent {
            let left_out = self.is_silence_left_out(id, at);
            let Some(series) = self.everyone.get_mut(&id) else {
                continue;
            };
            series.silent(at);
            if i64::from(series.silences) * series.interval_ms() > GONE_AFTER_MS {
                gone.push(id);
            }
            if series.rule(Stream::Unknown).off {
                continue;
            }
            let said = Said {
                stream: Stream::Unknown,
                is_bad: true,
                slowdown: None,
                class: None,
            };
            self.put(id, at, said, left_out);
            missing.push(id);
        }
        for id in missing {
            self.judge(id, Stream::Unknown, at, changes);
        }
        self.forget(&gone, at, changes);
    }

    fn is_silence_left_out(&self, id: u32, at: i64) -> bool {
        self.masking(id, Stream::Unknown)
            .is_some_and(|index| self.cases[index].leaves_out(at))
    }

    /// Goes over the silence in which nothing is decided any more, if it is long. Whether it did.
    fn pass_over(&mut self, now: i64) -> bool {
        let mut until = self.next_end(now).map_or(now, |(at, _)| at.min(now));
        let mut settled = Vec::new();
        for (&id, series) in &self.everyone {
            let end = self.settled_until(id, series);
            until = until.min(end.unwrap_or(series.silent_at()));
            settled.extend(end.map(|_| id));
        }
        let all: Vec<(u32, Missing)> = settled
            .into_iter()
            .filter_map(|id| Some((id, self.everyone.get(&id)?.missing_before(until)?)))
            .collect();
        if all.iter().all(|(_, missing)| missing.times < WORTH_IT) {
            return false;
        }
        let mut heard = Vec::with_capacity(all.len());
        for (id, missing) in all {
            let left_out = self.is_silence_left_out(id, missing.first);
            if let Some(series) = self.everyone.get_mut(&id)
                && let Some(usual) = series.miss(missing, left_out)
            {
                heard.push((id, missing, usual));
            }
        }
        let open = self.cases.iter_mut().filter(|case| case.is_open());
        for case in open.filter(|case| case.stream == Stream::Unknown) {
            case.miss(&heard);
        }
        true
    }

    /// Before this moment the silence of a silent probe decides nothing; `None` where each missing run may.
    fn settled_until(&self, id: u32, series: &Series) -> Option<i64> {
        let gone_at = series.gone_at(GONE_AFTER_MS)?;
        if series.rule(Stream::Unknown).off {
            return Some(gone_at);
        }
        let case = &self.cases[self.masking(id, Stream::Unknown)?];
        let is_judged = case.stream == Stream::Unknown && case.is_faint();
        let mut heard_by = self.cases.iter().filter(|case| {
            case.is_open() && case.stream == Stream::Unknown && case.bad.contains(&id)
        });
        if is_judged || !series.is_missed_again() || heard_by.any(|case| !case.is_all_bad()) {
            return None;
        }
        let left_out_until = case.left_out_until();
        Some(match case.leaves_out(series.silent_at()) {
            true => gone_at.min(left_out_until + 1),
            false => gone_at,
        })
    }
}
