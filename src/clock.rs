//! The one place that reads the wall clock. Thought modules take `now` as a value.

use jiff::Timestamp;

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "this is the owner of the clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The time of day in whole milliseconds, as records hold it.
pub fn stamp() -> Timestamp {
    let now = now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}
