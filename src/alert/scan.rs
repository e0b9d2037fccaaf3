//! The window test: is there a window of the last runs that "something broke" explains far better than "as usual"?
//!
//! For a window of `n` runs with `k` bad ones the gain is the logarithm of the likelihood ratio between one common rate
//! `k / n` and the usual rates of the runs, a generalised likelihood ratio over all windows that begin with a bad run.
//! Runs close together in time share their fate, so a burst counts as few; a run after a bad one is more likely bad.

use std::collections::BinaryHeap;

use super::baseline::Rates;
use super::mix::{BROKEN, Mix};
use super::ring::{LONGEST_WINDOW_MS, Ring};
use crate::taxonomy::Class;

/// What a window must have to count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) least_bad: u32,
    pub(super) least_span_ms: i64,
    pub(super) least_rate: f64,
    /// Runs that come faster than this count as one and a half, not as many.
    pub(super) spread_ms: f64,
    /// A run after a bad one is expected to be bad at least this often.
    pub(super) least_repeat: f64,
    /// Mean slowdown; runs slower than five times count as five times.
    pub(super) least_slowdown: Option<f64>,
}

impl Limits {
    /// For results.
    pub(super) const RESULTS: Self = Self {
        least_bad: 3,
        least_span_ms: 240_000,
        least_rate: 0.12,
        spread_ms: 90_000.0,
        least_repeat: 0.0,
        least_slowdown: None,
    };
    /// For durations, which hang together over longer times.
    pub(super) const DURATIONS: Self = Self {
        least_bad: 5,
        least_span_ms: 15 * 60_000,
        least_rate: 0.25,
        spread_ms: 300_000.0,
        least_repeat: 0.05,
        least_slowdown: Some(1.55),
    };
}

/// More than the usual rate is expected of a run, because the rate is an estimate and drifts over the day.
const MARGIN: f64 = 1.5;
const LEAST_EXPECTED: f64 = 0.0005;
const MOST_EXPECTED: f64 = 0.95;
/// The walk back in time ends after so many bad runs, when windows that may count have been seen: older runs cannot make
/// the window stronger any more. Two hundred probes have so many within seconds, and still need their minutes.
const MOST_BAD: u32 = 40;
const SPANS_SEEN: i64 = 2;
const LONG: u32 = 60;
const TOO_THIN: f64 = 0.06;
/// How open it is what kind of failure an incident brings: small, so that the kind of its first failures is expected again.
const OPEN_MIND: f64 = 1.0;
/// A failure that is there because the one before it was is of the same kind so often.
const SAME_AGAIN: f64 = 0.9;
/// Price of the choice whether kinds are looked at.
const KINDS_OR_NOT: f64 = std::f64::consts::LN_2;
/// A slowdown counts up to this, in hundredths.
const MOST_SLOWDOWN: u16 = 500;

/// One stream of one probe, with what is usual for it.
#[derive(Clone, Copy)]
pub(super) struct Lane<'a> {
    pub(super) ring: &'a Ring,
    /// Runs up to here are no evidence: they belong to an alert that is over.
    pub(super) floor: i64,
    pub(super) usual: Rates,
    /// Kinds of failure that are usual for the probe and for all of them, in streams that have kinds.
    pub(super) mix: Option<(&'a Mix, &'a Mix)>,
}

/// The strongest window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// Its first bad run.
    pub(super) onset: i64,
    pub(super) span_ms: i64,
    pub(super) runs: u32,
    pub(super) bad: u32,
    pub(super) baseline: f64,
    pub(super) nats: f64,
    pub(super) slowdown: Option<f64>,
}

/// What is expected of a run, with the logarithms for most of them.
struct Expected {
    baseline: f64,
    rate: f64,
    bad: f64,
    good: f64,
}

impl Expected {
    fn of(usual: &Rates) -> Self {
        let rate = (MARGIN * usual.bad).clamp(LEAST_EXPECTED, MOST_EXPECTED);
        Self {
            baseline: usual.bad,
            rate,
            bad: rate.ln(),
            good: (1.0 - rate).ln(),
        }
    }

    /// How likely a bad run was at this place, as usual.
    fn rate_at(&self, lane: &Lane<'_>, position: usize, limits: &Limits) -> f64 {
        let points = lane.ring.points();
        let point = &points[position];
        if !point.is_after_bad {
            return self.rate;
        }
        let before = position.checked_sub(1).map(|before| points[before].at);
        let after_ms = before.map_or(0, |before| point.at - before);
        self.rate
            .max(lane.usual.repeat(after_ms))
            .max(limits.least_repeat)
    }

    /// Logarithm of how likely the run was, as usual.
    fn likely(&self, lane: &Lane<'_>, position: usize, limits: &Limits) -> f64 {
        let point = &lane.ring.points()[position];
        let rate = self.rate_at(lane, position, limits);
        match (point.is_bad, point.is_after_bad) {
            (true, true) => rate.ln(),
            (false, true) => (1.0 - rate).ln(),
            (true, false) => self.bad,
            (false, false) => self.good,
        }
    }
}

/// What the kinds of the bad runs say, beyond their number.
#[derive(Default)]
struct Kinds {
    seen: Vec<(Class, u32)>,
    all: u32,
    broken: f64,
    usual: f64,
}

impl Kinds {
    fn add(&mut self, lane: &Lane<'_>, position: usize) {
        let points = lane.ring.points();
        let point = &points[position];
        let (Some(class), Some((mix, of_all))) = (point.class, lane.mix) else {
            return;
        };
        let index = match self.seen.iter().position(|(seen, _)| *seen == class) {
            Some(index) => index,
            None => {
                self.seen.push((class, 0));
                self.seen.len() - 1
            }
        };
        let (_, count) = &mut self.seen[index];
        let (known, all) = (f64::from(*count), f64::from(self.all));
        self.broken += ((known + OPEN_MIND * BROKEN) / (all + OPEN_MIND)).ln();
        *count += 1;
        self.all += 1;
        let share = mix.share(class, of_all);
        let before = points
            .iter()
            .take(position)
            .rev()
            .find_map(|point| point.class);
        let likely = match before {
            Some(before) if before == class => SAME_AGAIN + (1.0 - SAME_AGAIN) * share,
            Some(_) => share,
            None => share,
        };
        self.usual += likely.ln();
    }

    fn gain(&self) -> f64 {
        (self.broken - self.usual - KINDS_OR_NOT).max(0.0)
    }
}

/// The window with the highest gain that ends at `now`, over the runs of all lanes together.
pub(super) fn strongest(lanes: &[Lane<'_>], now: i64, limits: &Limits) -> Option<Window> {
    let expected: Vec<Expected> = lanes.iter().map(|lane| Expected::of(&lane.usual)).collect();
    let mut heads: BinaryHeap<(i64, usize, usize)> = BinaryHeap::with_capacity(lanes.len());
    for (index, lane) in lanes.iter().enumerate() {
        if let Some(last) = lane.ring.points().len().checked_sub(1) {
            heads.push((lane.ring.points()[last].at, index, last));
        }
    }
    let (mut runs, mut bad) = (0_u32, 0_u32);
    let (mut as_usual, mut baselines, mut slowdowns) = (0.0, 0.0, 0.0);
    let mut kinds = Kinds::default();
    let mut bad_at = None;
    let mut best: Option<Window> = None;
    while let Some((at, index, position)) = heads.pop() {
        if at < now - LONGEST_WINDOW_MS {
            break;
        }
        let lane = &lanes[index];
        if at <= lane.floor {
            continue;
        }
        if let Some(next) = position.checked_sub(1) {
            heads.push((lane.ring.points()[next].at, index, next));
        }
        let point = &lane.ring.points()[position];
        let expected = &expected[index];
        runs += 1;
        baselines += expected.baseline;
        slowdowns += f64::from(point.slowdown.min(MOST_SLOWDOWN)) / 100.0;
        as_usual += expected.likely(lane, position, limits);
        if point.is_bad {
            bad += 1;
            bad_at = Some(at);
            kinds.add(lane, position);
        }
        // Runs of one instant come into the window together: the order among them means nothing.
        if bad_at == Some(at) && heads.peek().is_none_or(|head| head.0 != at) {
            let window = Window {
                onset: at,
                span_ms: now - at,
                runs,
                bad,
                baseline: baselines / f64::from(runs),
                nats: 0.0,
                slowdown: limits.least_slowdown.map(|_| slowdowns / f64::from(runs)),
            };
            if let Some(window) = weigh(window, as_usual - kinds.gain(), limits)
                && best.is_none_or(|best| window.nats > best.nats)
            {
                best = Some(window);
            }
        }
        let is_full = bad >= MOST_BAD && now - at >= SPANS_SEEN * limits.least_span_ms;
        if is_full || runs >= LONG && f64::from(bad) < TOO_THIN * f64::from(runs) {
            break;
        }
    }
    best
}

/// The window with its gain, if it may count at all.
fn weigh(mut window: Window, as_usual: f64, limits: &Limits) -> Option<Window> {
    let (runs, bad) = (f64::from(window.runs), f64::from(window.bad));
    let rate = bad / runs;
    if window.bad < limits.least_bad
        || window.span_ms < limits.least_span_ms
        || rate < limits.least_rate
        || rate <= 2.0 * window.baseline
        || limits.least_slowdown > window.slowdown
    {
        return None;
    }
    let gain = bad * rate.ln() + good_part(runs - bad, rate) - as_usual;
    let apart = 2.0 + window.span_ms as f64 / limits.spread_ms;
    window.nats = gain * (apart / runs).min(1.0);
    Some(window)
}

fn good_part(good: f64, rate: f64) -> f64 {
    if good == 0.0 {
        0.0
    } else {
        good * (1.0 - rate).ln()
    }
}

/// How far a share lies from an expected one, in nats a run (Kullback and Leibler).
pub(super) fn divergence(share: f64, expected: f64) -> f64 {
    let part = |a: f64, b: f64| if a <= 0.0 { 0.0 } else { a * (a / b).ln() };
    part(share, expected) + part(1.0 - share, 1.0 - expected)
}
