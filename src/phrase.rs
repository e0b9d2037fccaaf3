//! Times as people say them. Machines get the exact ones beside them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `1.24 s`, `18 ms`, `2 min 5 s`
pub fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{:.2} s", ms as f64 / 1e3),
        10_000..60_000 => format!("{:.1} s", ms as f64 / 1e3),
        _ => rough(SignedDuration::from_millis(ms.cast_signed())),
    }
}

/// `240 µs`, or as [`duration`]
pub fn micros(us: u64) -> String {
    if us < 1000 {
        format!("{us} µs")
    } else {
        duration(us / 1000)
    }
}

/// `3 s ago`
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let since = now.duration_since(at);
    if since.as_secs() < 1 {
        "just now".to_owned()
    } else {
        format!("{} ago", rough(since))
    }
}

/// `in 3 s`
pub fn until(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now);
    if left.as_secs() < 1 {
        "now".to_owned()
    } else {
        format!("in {}", rough(left))
    }
}

/// `2026-06-01 12:00:00 UTC`
pub fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `5 min`
pub fn span(span: Duration) -> String {
    rough(SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX))
}

/// `120 ms behind ours`
pub fn offset(ms: i64) -> String {
    match ms {
        0 => "as ours".to_owned(),
        ..0 => format!("{} behind ours", duration(ms.unsigned_abs())),
        _ => format!("{} ahead of ours", duration(ms.unsigned_abs())),
    }
}

/// The two largest units: `2 min 5 s`
pub fn rough(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    let (large, small, units) = match seconds {
        ..60 => return format!("{seconds} s"),
        60..3600 => (seconds / 60, seconds % 60, ("min", "s")),
        3600..86_400 => (seconds / 3600, seconds % 3600 / 60, ("h", "min")),
        _ => (seconds / 86_400, seconds % 86_400 / 3600, ("d", "h")),
    };
    if small == 0 {
        format!("{large} {}", units.0)
    } else {
        format!("{large} {} {small} {}", units.0, units.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        let cases = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1240, "1.24 s"),
            (31_400, "31.4 s"),
            (125_000, "2 min 5 s"),
        ];
        for (ms, expected) in cases {
            assert_eq!(duration(ms), expected);
        }
        let now = Timestamp::UNIX_EPOCH;
        let cases = [
            (0, "just now"),
            (3, "3 s ago"),
            (3600, "1 h ago"),
            (90_000, "1 d 1 h ago"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(ago(now - SignedDuration::from_secs(seconds), now), expected);
        }
        assert_eq!(
            until(now + SignedDuration::from_secs(75), now),
            "in 1 min 15 s"
        );
        assert_eq!(until(now - SignedDuration::from_secs(75), now), "now");
        assert_eq!(micros(240), "240 µs");
        assert_eq!(span(Duration::from_secs(300)), "5 min");
        assert_eq!(offset(-120), "120 ms behind ours");
        assert_eq!(instant(now), "1970-01-01 00:00:00 UTC");
    }
}
