//! The provider's clock, as its `Date` header shows it.

use jiff::fmt::rfc2822;

use super::Reply;

/// The provider's clock minus ours, in milliseconds, from the `Date` of a reply; `None` without a usable one. Right to
/// about half a second and half the wait: the header has whole seconds, taken as their middle, and was written some
/// time between request and answer, taken as the middle too. A cached answer (RFC 9111 section 5.1) tells nothing.
pub fn clock_offset_ms(reply: &Reply) -> Option<i64> {
    let age = reply
        .header("age")
        .and_then(|age| age.trim().parse().ok())
        .unwrap_or(0_u64);
    if age > 0 {
        return None;
    }
    let date = rfc2822::parse(reply.header("date")?.trim())
        .ok()?
        .timestamp();
    let written_ms = date.as_millisecond() + 500;
    let half_wait_ms = i64::try_from(reply.waited.as_millis() / 2).ok()?;
    Some(written_ms - (reply.received_at.as_millisecond() - half_wait_ms))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn offset(headers: &[(&str, &str)]) -> Option<i64> {
        clock_offset_ms(&Reply {
            status: 200,
            headers: headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            body: bytes::Bytes::new(),
            url: "http://localhost/".parse().unwrap(),
            received_at: "2026-03-01T12:00:10.600Z".parse().unwrap(),
            waited: Duration::from_millis(200),
        })
    }

    #[test]
    fn the_offset_is_the_middle_of_the_second_against_the_middle_of_the_wait() {
        assert_eq!(
            offset(&[("date", "Sun, 01 Mar 2026 12:00:10 GMT")]),
            Some(0)
        );
        assert_eq!(
            offset(&[("date", "Sun, 01 Mar 2026 12:05:10 GMT")]),
            Some(300_000)
        );
        assert_eq!(
            offset(&[("date", "Sun, 01 Mar 2026 11:59:10 GMT")]),
            Some(-60_000)
        );
    }

    #[test]
    fn without_a_date_of_its_own_an_answer_tells_nothing() {
        assert_eq!(offset(&[]), None);
        assert_eq!(offset(&[("date", "yesterday")]), None);
        assert_eq!(
            offset(&[("date", "Sun, 01 Mar 2026 12:00:10 GMT"), ("age", "30")]),
            None
        );
    }
}
