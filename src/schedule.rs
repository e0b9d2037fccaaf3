//! When a probe is due next. Pure: takes `now`, reads no clock, and gives the same answer after a restart.
//!
//! Intervals have a phase of their own, drawn from the probe's name, so that many probes do not start together.
//!
//! Cron patterns are wall-clock times in a time zone. Where the clock changes:
//!
//! - A time that the spring gap leaves out runs at the first instant after the gap. Several of them run once.
//! - A time that the autumn fold repeats runs once, the first time round, when the pattern lists its hours, minutes
//!   and seconds (`30 2 * * *`, `0 1-4 * * *`).
//! - Where one of the three begins with `*` the pattern means an interval (`*/5 * * * *`): it goes on through both
//!   halves of the fold, so that no hour stays unwatched.

use std::time::Duration;

use croner::Cron;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::probe::{Cadence, ProbeId, Window};

/// A start that is later than this was missed: the machine slept, its clock was set forward, or it is overloaded.
pub const MISSED_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// Clocks are corrected by less than this without anybody noticing.
const JUMP: SignedDuration = SignedDuration::from_secs(2);

/// The next start strictly after `now`; `None` when a cron pattern never matches again.
pub fn next_start(probe: &ProbeId, cadence: &Cadence, now: Timestamp) -> Option<Timestamp> {
    match cadence {
        Cadence::Every(period) => Some(next_in_phase(probe, *period, now)),
        Cadence::Cron { pattern, timezone } => next_by_cron(pattern, timezone, now),
    }
}

/// Whether a start due at `due` is so late at `now` that it is recorded as missed and not made up for.
pub fn is_missed(due: Timestamp, now: Timestamp) -> bool {
    now.duration_since(due) > MISSED_AFTER
}

/// By how much the wall clock was set, or the machine slept, while `elapsed` went by on a clock that does neither.
/// `None` where it was not worth mentioning.
pub fn clock_jump(before: Timestamp, now: Timestamp, elapsed: Duration) -> Option<SignedDuration> {
    let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
    Some(now.duration_since(before) - elapsed).filter(|jump| jump.abs() > JUMP)
}

/// The start to wait for once the clock was set: the planned one, unless it has come to lie too far away. A planned one
/// that is over now is still to be dealt with.
pub fn replan(
    probe: &ProbeId,
    cadence: &Cadence,
    planned: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let next = next_start(probe, cadence, now);
    match (planned, next) {
        (Some(planned), Some(next)) => Some(planned.min(next)),
        (planned, next) => planned.or(next),
    }
}

/// From the start after `at` to the one after that; a day where there is none.
pub fn interval(probe: &ProbeId, cadence: &Cadence, at: Timestamp) -> Duration {
    if let Cadence::Every(every) = cadence {
        return *every;
    }
    let first = next_start(probe, cadence, at);
    let second = first.and_then(|first| next_start(probe, cadence, first));
    let between = first
        .zip(second)
        .map(|(first, second)| second.duration_since(first));
    let between = between.and_then(|between| Duration::try_from(between).ok());
    between.unwrap_or(Duration::from_secs(86_400))
}

/// Whether a window is open at `at`.
pub fn in_window(window: &Window, at: Timestamp) -> bool {
    let Ok(before) = at.checked_sub(window.lasts) else {
        return false;
    };
    // The first begin after `at - lasts` belongs to a window that is still open, if it is not yet to come.
    next_by_cron(&window.pattern, &window.timezone, before).is_some_and(|begin| begin <= at)
}

/// Starts lie at `phase + n * period` since the epoch.
fn next_in_phase(probe: &ProbeId, period: Duration, now: Timestamp) -> Timestamp {
    let period = i64::try_from(period.as_millis()).unwrap_or(i64::MAX).max(1);
    let phase = i64::try_from(stable_hash(probe.as_str()) % period.unsigned_abs()).unwrap_or(0);
    let now_ms = now.as_millisecond();
    let since = (now_ms - phase).rem_euclid(period);
    // Saturates far outside the years that a period from a file can reach.
    Timestamp::from_millisecond(now_ms.saturating_add(period - since)).unwrap_or(Timestamp::MAX)
}

/// FNV-1a with a final mix: the hasher of the standard library may change between its versions, phases may not.
fn stable_hash(text: &str) -> u64 {
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

fn next_by_cron(pattern: &str, timezone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let cron: Cron = pattern.parse().ok()?;
    if !means_interval(pattern) {
        return next_listed(&cron, timezone, now);
    }
    // The next match on either half of a fold; a gap is stepped over.
    let matched = cron
        .find_next_occurrence(&now.to_zoned(timezone.clone()), false)
        .ok();
    let matched = matched.map(|zoned| zoned.timestamp());
    match (matched, carried_over_gap(&cron, timezone, now)) {
        (Some(matched), Some(carried)) => Some(matched.min(carried)),
        (matched, carried) => matched.or(carried),
    }
}

/// Whether second, minute or hour begins with `*`.
fn means_interval(pattern: &str) -> bool {
    let fields: Vec<&str> = pattern.split_whitespace().collect();
    if let [nickname] = fields[..] {
        return nickname.eq_ignore_ascii_case("@hourly");
    }
    let time_of_day = if fields.len() > 5 { 3 } else { 2 };
    let parts = fields
        .iter()
        .take(time_of_day)
        .flat_map(|field| field.split(','));
    parts.into_iter().any(|part| part.starts_with(['*', '?']))
}

/// The wall-clock times of the pattern, each made an instant once. Their order is that of the instants.
fn next_listed(cron: &Cron, timezone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let mut wall = timezone.to_datetime(now);
    loop {
        wall = cron.find_next_occurrence(&wall, false).ok()?;
        let instant = once(timezone, wall)?;
        if instant > now {
            return Some(instant);
        }
    }
}

/// The one instant at which a wall-clock time runs.
fn once(timezone: &TimeZone, wall: DateTime) -> Option<Timestamp> {
    let ambiguous = timezone.to_ambiguous_timestamp(wall);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => ambiguous.unambiguous().ok(),
        AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
        AmbiguousOffset::Gap { .. } => {
            let before = ambiguous.earlier().ok()?;
            timezone
                .following(before)
                .next()
                .map(|transition| transition.timestamp())
        }
    }
}

/// The end of the next gap, when the pattern has a time inside it.
fn carried_over_gap(cron: &Cron, timezone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let transition = timezone.following(now).next()?.timestamp();
    let before = timezone.to_datetime(transition - SignedDuration::from_secs(1));
    let first = timezone.to_datetime(transition);
    let inside = cron.find_next_occurrence(&before, false).ok()?;
    (inside < first).then_some(transition)
}

#[cfg(test)]
mod tests;
