//! When something ended, read from the words of an error.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use regex::{Captures, Regex};

/// A date and time, with or without `T` and zone.
const INSTANT: &str = r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?) ?(?:Z|UTC|\+00:00)?";

static ISSUED: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"(?i)issued on '?{INSTANT}")));
/// Days, hours, minutes, seconds.
static INACTIVE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)inactive for (\d{1,5})\.(\d\d):(\d\d):(\d\d)"));
static LIFETIME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)maximum allowed lifetime for this request is (\d{1,9})"));
static END: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"End=(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d):(\d\d)"));
static EXPIRED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?i)(?:expired|ended|valid until|not after|notafter)(?: on| at| since)?:? '?{INSTANT}"
    ))
});

/// The date that the text names as the end; `None` where it names none.
pub(super) fn ended(text: &str) -> Option<Timestamp> {
    idle_or_lifetime(text)
        .or_else(|| END.captures(text).and_then(|found| of_numbers(&found)))
        .or_else(|| EXPIRED.captures(text).and_then(|found| instant(&found[1])))
}

/// Microsoft says when a refresh token was issued and how long it may live or lie unused.
fn idle_or_lifetime(text: &str) -> Option<Timestamp> {
    let issued = instant(&ISSUED.captures(text)?[1])?;
    let seconds = match (INACTIVE.captures(text), LIFETIME.captures(text)) {
        (Some(found), _) => {
            let part = |index: usize| found[index].parse::<i64>().ok();
            ((part(1)? * 24 + part(2)?) * 60 + part(3)?) * 60 + part(4)?
        }
        (None, Some(found)) => found[1].parse().ok()?,
        (None, None) => return None,
    };
    issued.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// Month, day, year, then the time.
fn of_numbers(found: &Captures<'_>) -> Option<Timestamp> {
    let part = |index: usize| found[index].parse::<i8>().ok();
    let (month, day, year) = (part(1)?, part(2)?, found[3].parse().ok()?);
    let civil = DateTime::new(year, month, day, part(4)?, part(5)?, part(6)?, 0).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn instant(text: &str) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is tested")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_providers_write_them() {
        let cases = [
            (
                "The refresh token has expired due to inactivity. The token was issued on 2026-01-20T16:18:37.2732417Z and was inactive for 90.00:00:00.",
                Some("2026-04-20T16:18:37.2732417Z"),
            ),
            (
                "The token was issued on 2026-04-11T06:01:22.0000000Z and the maximum allowed lifetime for this request is 14400.",
                Some("2026-04-11T10:01:22Z"),
            ),
            (
                "[Reason - The key used is expired., Found key 'Start=01/01/2024 00:00:00, End=01/31/2026 08:40:56']",
                Some("2026-01-31T08:40:56Z"),
            ),
            (
                "the secret expired on 2026-03-01 12:00:00 UTC",
                Some("2026-03-01T12:00:00Z"),
            ),
            (
                "certificate valid until: 2026-03-01T12:00:00Z",
                Some("2026-03-01T12:00:00Z"),
            ),
            (
                "The provided client secret keys are expired. Timestamp: 2026-01-04 06:30:30Z",
                None,
            ),
            ("End=99/99/2026 08:40:56", None),
            (
                "issued on 2026-01-20T16:18:37Z and was inactive for 99999.99:99:99",
                Some("2299-11-08T20:59:16Z"),
            ),
            (
                "issued on 9999-12-30T00:00:00Z and was inactive for 99999.00:00:00",
                None,
            ),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(ended(text), expected, "{text}");
        }
    }
}
