//! When a bad run is looked at again before its probe's next turn: some minutes decide what would take an hour of
//! scheduled runs.

use jiff::{SignedDuration, Timestamp};

use crate::probe::Budget;

/// Confirmation runs after one first bad run.
pub const MOST_CONFIRMATIONS: u32 = 4;

/// From one run to its confirmation.
pub const CONFIRMED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// A probe that has begun to be bad, and is not part of an alert yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// End of the first bad run after good ones.
    pub since: Timestamp,
    /// End of the newest run.
    pub last_run: Timestamp,
    /// Runs since the first bad one.
    pub runs_since: u32,
    /// Whether the newest bad run's action lets the daemon try again by itself.
    pub is_retryable: bool,
    /// So many more bad runs would alert.
    pub bad_runs_to_alert: u32,
}

/// When a run is due that confirms or clears `trouble`, if one is. `next_scheduled` is the probe's own next start: what
/// comes as soon by itself needs no confirmation. The run is stored and counted like any other, and keeps to `budget`.
pub fn confirmation(
    trouble: &Trouble,
    budget: &Budget,
    next_scheduled: Timestamp,
) -> Option<Timestamp> {
    let left = MOST_CONFIRMATIONS.saturating_sub(trouble.runs_since);
    // Where they could not decide it, as with a probe that fails often, they would be a burden and nothing else.
    if !trouble.is_retryable || left < trouble.bad_runs_to_alert {
        return None;
    }
    let polite = SignedDuration::from_secs(60) / i32::try_from(budget.logins_per_minute).ok()?;
    let due = trouble
        .last_run
        .checked_add(CONFIRMED_AFTER.max(polite))
        .ok()?;
    (due < next_scheduled).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn trouble() -> Trouble {
        Trouble {
            since: at(0),
            last_run: at(0),
            runs_since: 0,
            is_retryable: true,
            bad_runs_to_alert: 3,
        }
    }

    #[track_caller]
    fn check(trouble: Trouble, next_scheduled: i64, expected: Option<i64>) {
        let due = confirmation(&trouble, &Budget::default(), at(next_scheduled));
        assert_eq!(due, expected.map(at));
    }

    #[test]
    fn a_first_bad_run_is_confirmed_a_minute_later_four_times_at_most() {
        check(trouble(), 900, Some(60));
        let mut later = trouble();
        (later.last_run, later.runs_since, later.bad_runs_to_alert) = (at(190), 3, 1);
        check(later, 900, Some(250));
        (later.last_run, later.runs_since) = (at(250), 4);
        check(later, 900, None);
    }

    #[test]
    fn nothing_is_confirmed_in_vain() {
        let mut hopeless = trouble();
        hopeless.bad_runs_to_alert = 7;
        check(hopeless, 900, None);
        let mut lasting = trouble();
        lasting.is_retryable = false;
        check(lasting, 900, None);
        check(trouble(), 60, None);
    }
}
