//! Texts with a meaning: durations, sizes, addresses, patterns, expressions. Each is one type with one reader; the
//! schema names it as a `format`, so that a bad one is a fault with a place like any other.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp, Unit};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::api::Token;
use crate::expression::{self, ExpressionError};
use crate::probe::{Expectation, RedirectUri};

use super::address::{HostName, Issuer, Place, SafeUrl, SmtpUrl, WebUrl};

use super::words::nearest;

/// Why a text is not what it should be: what is wrong, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Id of the rule that it breaks, where there is one of its own.
    pub(super) rule: Option<&'static str>,
}

/// A value that is written as one text.
pub(super) trait Scalar: Sized {
    /// Its name as a `format` of the schema.
    const FORMAT: &'static str;
    /// Shown by editors.
    const EXAMPLES: &'static [&'static str];

    /// Reads the text. The reason never repeats a text that could hold a secret.
    fn read(text: &str) -> Result<Self, Reason>;
}

/// Why a text cannot be read; `None` when it can.
type Reader = fn(&str) -> Option<Reason>;

/// Every format of the schemas, and why a text does not fit it.
pub(super) const FORMATS: &[(&str, Reader)] = &[
    (Duration::FORMAT, reason::<Duration>),
    (Size::FORMAT, reason::<Size>),
    (Timestamp::FORMAT, reason::<Timestamp>),
    (WebUrl::FORMAT, reason::<WebUrl>),
    (SafeUrl::FORMAT, reason::<SafeUrl>),
    (Issuer::FORMAT, reason::<Issuer>),
    (SmtpUrl::FORMAT, reason::<SmtpUrl>),
    (Place::FORMAT, reason::<Place>),
    (HostName::FORMAT, reason::<HostName>),
    (RedirectUri::FORMAT, reason::<RedirectUri>),
    (Expectation::FORMAT, reason::<Expectation>),
    (CronPattern::FORMAT, reason::<CronPattern>),
    (TimeZone::FORMAT, reason::<TimeZone>),
    (SocketAddr::FORMAT, reason::<SocketAddr>),
    (IpAddr::FORMAT, reason::<IpAddr>),
    (MailAddress::FORMAT, reason::<MailAddress>),
    (Name::FORMAT, reason::<Name>),
    (Scope::FORMAT, reason::<Scope>),
    (TokenHash::FORMAT, reason::<TokenHash>),
    (HeaderName::FORMAT, reason::<HeaderName>),
    (HeaderValue::FORMAT, reason::<HeaderValue>),
];

fn reason<S: Scalar>(text: &str) -> Option<Reason> {
    S::read(text).err()
}

/// Stands for `S` where a type is due that serde and the schema know.
#[derive(Debug, Clone)]
pub(super) struct Text<S>(pub(super) S);

impl<'de, S: Scalar> Deserialize<'de> for Text<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Self)
    }
}

impl<S: Scalar> JsonSchema for Text<S> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        S::FORMAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": S::FORMAT, "examples": S::EXAMPLES})
    }
}

/// For `deserialize_with`.
pub(super) fn text<'de, D: Deserializer<'de>, S: Scalar>(deserializer: D) -> Result<S, D::Error> {
    let text = String::deserialize(deserializer)?;
    S::read(&text).map_err(|reason| D::Error::custom(reason.message))
}

impl Scalar for Duration {
    const FORMAT: &'static str = "human-duration";
    const EXAMPLES: &'static [&'static str] = &["800ms", "30s", "5m", "1h 30m", "30d"];

    fn read(text: &str) -> Result<Self, Reason> {
        let bad = || {
            plain("not a duration").helped("write a number and a unit: 800ms, 30s, 5m, 12h, 30d")
        };
        let span = Span::from_str(text.trim()).map_err(|_| bad())?;
        if span.get_years() != 0 || span.get_months() != 0 {
            return Err(plain("months and years have no fixed length")
                .helped("write days: 30d, 365d; `m` is minutes"));
        }
        let seconds = span
            .total((Unit::Second, SpanRelativeTo::days_are_24_hours()))
            .map_err(|_| bad())?;
        match Duration::try_from_secs_f64(seconds) {
            Ok(Duration::ZERO) => Err(plain("must be longer than nothing")),
            Ok(duration) => Ok(duration),
            Err(_) => Err(bad()),
        }
    }
}

/// A day, which stands for its first moment in UTC, or a moment with its zone.
impl Scalar for Timestamp {
    const FORMAT: &'static str = "day-or-moment";
    const EXAMPLES: &'static [&'static str] = &["2027-03-01", "2027-03-01T12:00:00Z"];

    fn read(text: &str) -> Result<Self, Reason> {
        let text = text.trim();
        let of_day = |day: Date| day.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
        let is_day = text.len() == "2027-03-01".len();
        let day = text.parse().ok().filter(|_| is_day).and_then(of_day);
        day.or_else(|| text.parse().ok()).ok_or_else(|| {
            plain("not a day, nor a moment")
                .helped("write 2027-03-01, or 2027-03-01T12:00:00Z with its zone")
        })
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl Scalar for Size {
    const FORMAT: &'static str = "byte-size";
    const EXAMPLES: &'static [&'static str] = &["64KiB", "1MiB", "4GiB"];

    fn read(text: &str) -> Result<Self, Reason> {
        let text = text.trim();
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let factor: Option<u64> = match text[end..].trim_start() {
            "" | "B" => Some(1),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            "TiB" => Some(1 << 40),
            "kB" | "KB" => Some(1000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            "TB" => Some(1_000_000_000_000),
            _ => None,
        };
        let number = text[..end].parse::<u64>().ok();
        match number.zip(factor).and_then(|(n, f)| n.checked_mul(f)) {
            Some(bytes) => Ok(Self(bytes)),
            None => {
                Err(plain("not a size")
                    .helped("write a whole number and a unit: 64KiB, 1MiB, 4GiB"))
            }
        }
    }
}

impl Scalar for Expectation {
    const FORMAT: &'static str = "cel-expression";
    const EXAMPLES: &'static [&'static str] = &["status == 200", "body.email == account.username"];

    fn read(text: &str) -> Result<Self, Reason> {
        match expression::compile(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => {
                let near = if let ExpressionError::UnknownVariable(name) = &error {
                    nearest(name, expression::VARIABLES)
                } else {
                    None
                };
                let reason = plain(&error.to_string());
                Err(match near {
                    Some(near) => reason.helped(&format!("did you mean `{near}`?")),
                    None => reason,
                })
            }
        }
    }
}

/// A cron pattern that comes due some day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CronPattern(pub(super) String);

impl Scalar for CronPattern {
    const FORMAT: &'static str = "cron-pattern";
    const EXAMPLES: &'static [&'static str] = &["*/5 8-18 * * MON-FRI", "0 3 * * *"];

    fn read(text: &str) -> Result<Self, Reason> {
        let cron = croner::Cron::from_str(text).map_err(|error| {
            let message = error.to_string();
            plain(&format!(
                "not a cron pattern: {}",
                message.trim_end_matches('.')
            ))
            .helped("five fields: minute hour day month weekday, as in */5 8-18 * * MON-FRI")
        })?;
        // Any instant will do: the search looks years ahead.
        let from = DateTime::constant(2024, 1, 1, 0, 0, 0, 0).to_zoned(TimeZone::UTC);
        let next = from
            .ok()
            .and_then(|from| cron.find_next_occurrence(&from, false).ok());
        match next {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(plain("this cron pattern never comes due")),
        }
    }
}

impl Scalar for TimeZone {
    const FORMAT: &'static str = "time-zone";
    const EXAMPLES: &'static [&'static str] = &["Europe/Berlin", "UTC"];

    fn read(text: &str) -> Result<Self, Reason> {
        TimeZone::get(text).map_err(|_| {
            let names: Vec<String> = jiff::tz::db()
                .available()
                .map(|name| name.to_string())
                .collect();
            let near = nearest(text, names.iter().map(String::as_str));
            plain("not a time zone of the IANA database").helped(&match near {
                Some(known) => format!("did you mean `{known}`?"),
                None => "write a name such as Europe/Berlin or UTC".to_owned(),
            })
        })
    }
}

impl Scalar for IpAddr {
    const FORMAT: &'static str = "ip-address";
    const EXAMPLES: &'static [&'static str] = &["192.0.2.7", "2001:db8::7"];

    fn read(text: &str) -> Result<Self, Reason> {
        text.parse().map_err(|_| plain("not an IP address"))
    }
}

impl Scalar for SocketAddr {
    const FORMAT: &'static str = "socket-address";
    const EXAMPLES: &'static [&'static str] = &["127.0.0.1:8420", "[::1]:8420", "0.0.0.0:8420"];

    fn read(text: &str) -> Result<Self, Reason> {
        text.parse().map_err(|_| {
            plain("not an address to listen at").helped(
                "write IP address and port: 127.0.0.1:8420, [::]:8420; port 0 takes a free one",
            )
        })
    }
}

/// A mail address, with or without a name before it.
#[derive(Debug, Clone)]
pub(super) struct MailAddress;

impl Scalar for MailAddress {
    const FORMAT: &'static str = "mail-address";
    const EXAMPLES: &'static [&'static str] = &["sre@example.com", "Canary <canary@example.com>"];

    fn read(text: &str) -> Result<Self, Reason> {
        let address = match text.split_once('<') {
            Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
            None => text,
        };
        let plain_text = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c.is_control())
        };
        match address.rsplit_once('@') {
            Some((user, host)) if plain_text(user) && plain_text(host) => Ok(Self),
            _ => Err(plain("not a mail address").helped("write user@example.com")),
        }
    }
}

/// A name that ends up in labels, addresses and folders.
#[derive(Debug, Clone)]
pub(super) struct Name(pub(super) String);

impl Scalar for Name {
    const FORMAT: &'static str = "name";
    const EXAMPLES: &'static [&'static str] = &["keycloak", "prod", "eu-west-1"];

    fn read(text: &str) -> Result<Self, Reason> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.chars().all(good) {
            return Ok(Self(text.to_owned()));
        }
        Err(plain("not a name")
            .helped("a letter or digit, then letters, digits, `-`, `_` and `.`, at most 64 in all"))
    }
}

/// The hash that a bearer token of the API is known by.
#[derive(Debug, Clone)]
pub(super) struct TokenHash(pub(super) String);

impl Scalar for TokenHash {
    const FORMAT: &'static str = "token-hash";
    const EXAMPLES: &'static [&'static str] =
        &["sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"];

    fn read(text: &str) -> Result<Self, Reason> {
        match Token::new("", text, Vec::new()) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(plain("not the SHA-256 of a token in hexadecimal")
                .helped("print it with: printf %s \"$TOKEN\" | sha256sum")),
        }
    }
}

/// One scope (RFC 6749 section 3.3).
#[derive(Debug, Clone)]
pub(super) struct Scope;

impl Scalar for Scope {
    const FORMAT: &'static str = "scope";
    const EXAMPLES: &'static [&'static str] = &["openid", "offline_access"];

    fn read(text: &str) -> Result<Self, Reason> {
        let good = |c: char| c.is_ascii_graphic() && c != '"' && c != '\\';
        if !text.is_empty() && text.chars().all(good) {
            return Ok(Self);
        }
        Err(plain("not one scope")
            .helped("write each scope as an item of its own: [openid, profile]"))
    }
}

/// Name of an extra request header.
#[derive(Debug, Clone)]
pub(super) struct HeaderName;

impl Scalar for HeaderName {
    const FORMAT: &'static str = "header-name";
    const EXAMPLES: &'static [&'static str] = &["x-tenant"];

    fn read(text: &str) -> Result<Self, Reason> {
        match http::HeaderName::from_bytes(text.as_bytes()) {
            Ok(_) => Ok(Self),
            Err(_) => Err(plain("not a header name")),
        }
    }
}

/// Value of an extra request header.
#[derive(Debug, Clone)]
pub(super) struct HeaderValue;

impl Scalar for HeaderValue {
    const FORMAT: &'static str = "header-value";
    const EXAMPLES: &'static [&'static str] = &["blue"];

    fn read(text: &str) -> Result<Self, Reason> {
        match http::HeaderValue::from_str(text) {
            Ok(_) => Ok(Self),
            Err(_) => Err(plain(
                "not a header value: line breaks and control characters are refused",
            )),
        }
    }
}

/// A reason without advice.
pub(super) fn plain(message: &str) -> Reason {
    Reason {
        message: message.to_owned(),
        help: None,
        rule: None,
    }
}

impl Reason {
    /// The same with advice.
    pub(super) fn helped(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }

    /// The same, known by the id of a rule.
    pub(super) fn by(mut self, rule: &'static str) -> Self {
        self.rule = Some(rule);
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check<S: Scalar>(text: &str) -> Result<S, String> {
        S::read(text).map_err(|reason| reason.message)
    }

    #[test]
    fn durations_have_units() {
        let cases = [
            ("800ms", 800),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("2w", 1_209_600_000),
            ("PT5M", 300_000),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(
                check(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "-5s",
            "0s",
            "1mo",
            "1y",
            "five minutes",
            "99999999999999d",
        ] {
            assert!(check::<Duration>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_of_either_kind_of_unit() {
        let cases = [
            ("4GiB", 4 << 30),
            ("64 KiB", 64 << 10),
            ("1MB", 1_000_000),
            ("512", 512),
            ("512B", 512),
        ];
        for (text, bytes) in cases {
            assert_eq!(check::<Size>(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "GiB", "4G", "1.5GiB", "-1MiB", "99999999999TiB"] {
            assert!(check::<Size>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cron_patterns_come_due_some_day() {
        for text in [
            "*/5 8-18 * * MON-FRI",
            "0 3 * * *",
            "30 */5 * * * *",
            "0 0 29 2 *",
            "@daily",
        ] {
            assert!(check::<CronPattern>(text).is_ok(), "{text}");
        }
        for text in ["", "* * * *", "60 * * * *", "0 0 30 2 *", "every day"] {
            assert!(check::<CronPattern>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mail_addresses_may_carry_a_name() {
        for text in ["sre@example.com", "Canary <canary@example.com>", "a@b"] {
            assert!(check::<MailAddress>(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "sre",
            "@example.com",
            "sre@",
            "Canary <canary@example.com",
            "a b@example.com",
        ] {
            assert!(check::<MailAddress>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in "\\PC{0,60}") {
            for (_, reason) in FORMATS {
                let _ = reason(&text);
            }
        }
    }
}
