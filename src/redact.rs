//! Takes secrets out of everything that is kept: stored evidence, logs, messages, browser hops.
//!
//! Two rules work together. By position: the value of `code`, of a token, a password, a cookie and the like is hidden
//! wherever it stands in a query, fragment, form, JSON, header or page. By value: secrets that are known (from the
//! vault, or learned on the way) are hidden wherever they stand, through percent, JSON, HTML and base64 encodings.
//! Where the structure is not understood, more is hidden rather than less.
//!
//! A hidden value leaves a mark such as `[redacted-43-chars-a1b2]`: its length, and a fingerprint that is the same for
//! the same value within one process and says nothing outside it. So a reader still sees that a state came back changed.
//!
//! Known values shorter than [`SHORTEST_KNOWN`] are hidden by position only, except that a one-time code is hidden where it
//! stands alone: sweeping `1234` would blank harmless text.

mod html;
mod json;
mod names;
mod params;
mod sweep;
mod text;

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, PoisonError, RwLock};

use crate::secret::Secret;
use names::Rule;
use sweep::Sweep;

/// Known values of fewer bytes are hidden by position only, unless they are one-time codes.
pub const SHORTEST_KNOWN: usize = 8;

/// Bodies are cut to so many bytes after redaction.
pub const BODY_LIMIT_BYTES: usize = 64 * 1024;

/// Header values are cut to so many bytes after redaction.
pub const HEADER_LIMIT_BYTES: usize = 8 * 1024;

/// What lies beyond is left out before redaction, which bounds its work.
const READ_LIMIT_BYTES: usize = 2 * BODY_LIMIT_BYTES;

/// Encodings inside encodings (an address in a parameter of an address) are followed so far, and hidden beyond.
const DEPTH_LIMIT: usize = 6;

/// Hides secrets. One per run: what a run learns is hidden in that run.
#[derive(Debug, Default)]
pub struct Redactor {
    known: RwLock<Sweep>,
}

impl Redactor {
    /// Knows `secrets` from the start.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut sweep = Sweep::default();
        sweep.learn(secrets.into_iter().map(Secret::expose));
        Self {
            known: RwLock::new(sweep),
        }
    }

    /// Adds a value seen on the way: a code, a token, a one-time code.
    pub fn learn(&self, value: &str) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.learn([value]);
    }

    /// An absolute or relative address: user info, path, query and fragment.
    pub fn url(&self, url: &str) -> String {
        self.through(url, |text| params::url(text, 0))
    }

    /// The value of a header, cut to [`HEADER_LIMIT_BYTES`].
    pub fn header(&self, name: &str, value: &str) -> String {
        let clean = self.through(value, |text| header(&name.to_ascii_lowercase(), text));
        cut(clean, HEADER_LIMIT_BYTES)
    }

    /// A whole body of any kind, cut to [`BODY_LIMIT_BYTES`]. What the text looks like counts for more than
    /// `content_type`, which servers get wrong.
    pub fn body(&self, content_type: Option<&str>, body: &[u8]) -> String {
        if body.len() > READ_LIMIT_BYTES {
            let left_out = body.len() - READ_LIMIT_BYTES;
            let start = self.partial_body(content_type, &body[..READ_LIMIT_BYTES]);
            return format!("{start}[cut, {left_out} bytes more]");
        }
        let Some(text) = readable(body) else {
            return format!("[binary, {} bytes]", body.len());
        };
        let clean = self.through(&text, |text| match Kind::of(content_type, text) {
            Kind::Json => json::redact(text, 0),
            Kind::Markup => html::redact(text),
            Kind::Form => params::form(text, 0),
            Kind::Text => text::redact(text),
        });
        cut(clean, BODY_LIMIT_BYTES)
    }

    /// A body whose end is missing. Its last word may be the first part of a secret, and is hidden.
    pub fn partial_body(&self, content_type: Option<&str>, body: &[u8]) -> String {
        let body = &body[..body.len().min(READ_LIMIT_BYTES)];
        let start = body
            .iter()
            .rposition(|byte| b" \t\r\n\"'&<>,;".contains(byte))
            .map_or(0, |at| at + 1);
        let whole = self.body(content_type, &body[..start]);
        match body.len() - start {
            0 => whole,
            hidden => format!("{whole}[cut short, {hidden} bytes hidden]"),
        }
    }

    /// Free text: an error message, the visible text of a page, a line of a console.
    pub fn text(&self, text: &str) -> String {
        self.through(text, text::redact)
    }

    /// The name of a public thing, such as a key or a request: random as it may look, only what is known or has the shape
    /// of a token is hidden.
    pub fn identifier(&self, name: &str) -> String {
        self.through(name, text::redact_known_shapes)
    }

    /// A page or a part of one: values of inputs, addresses in links, and the text between.
    pub fn html(&self, html: &str) -> String {
        self.through(html, html::redact)
    }

    /// Known values go first, while they are whole, and once more at the end, in case taking the structure apart
    /// brought one to light.
    fn through(&self, text: &str, by_position: impl FnOnce(&str) -> String) -> String {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let clean = by_position(&known.sweep(text));
        match known.sweep(&clean) {
            Cow::Borrowed(_) => clean,
            Cow::Owned(cleaner) => cleaner,
        }
    }
}

/// What a body looks like.
enum Kind {
    Json,
    Markup,
    Form,
    Text,
}

impl Kind {
    fn of(content_type: Option<&str>, text: &str) -> Self {
        let declared = |what: &str| {
            content_type.is_some_and(|declared| declared.to_ascii_lowercase().contains(what))
        };
        match text.trim_start().as_bytes().first() {
            Some(b'<') => Self::Markup,
            Some(b'{' | b'[' | b'"') => Self::Json,
            _ if declared("html") => Self::Markup,
            _ if declared("form-urlencoded") || params::looks_like_form(text.trim()) => Self::Form,
            _ if declared("json") => Self::Json,
            _ => Self::Text,
        }
    }
}

/// The body as text; `None` for anything that holds control characters, such as compressed or UTF-16 bodies, in which
/// secrets could not be found.
fn readable(body: &[u8]) -> Option<Cow<'_, str>> {
    let odd = |byte: &u8| *byte < 0x20 && !b"\t\r\n\x0c".contains(byte);
    if body.iter().any(odd) {
        return None;
    }
    Some(String::from_utf8_lossy(body))
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let left_out = text.len() - limit;
        text.truncate(text.floor_char_boundary(limit));
        text.push_str(&format!("[cut, {left_out} bytes more]"));
    }
    text
}

fn header(name: &str, value: &str) -> String {
    match name {
        "authorization" | "proxy-authorization" => match value.trim().split_once(' ') {
            Some((scheme, rest)) => format!("{scheme} {}", mark(rest.trim())),
            None => mark(value.trim()),
        },
        "cookie" => join_pairs(value, |_| true),
        "set-cookie" => join_pairs(value, |index| index == 0),
        "location" | "content-location" | "referer" | "origin" => params::url(value, 0),
        // Challenges name errors and scopes, which the verdict needs; `text` still finds a token in one.
        "www-authenticate" | "proxy-authenticate" => text::redact(value),
        _ if names::rule(name) != Rule::Keep => mark(value),
        _ if names::is_identifier_header(name) => text::redact_known_shapes(value),
        _ => text::redact(value),
    }
}

/// `name=value; name=value`, the values of chosen pairs hidden.
fn join_pairs(value: &str, hide: impl Fn(usize) -> bool) -> String {
    let pairs = value.split(';').enumerate().map(|(index, pair)| {
        if !hide(index) {
            return text::redact(pair);
        }
        let (name, value) = pair.split_once('=').unwrap_or(("", pair));
        let separator = if pair.contains('=') { "=" } else { "" };
        format!("{name}{separator}{}", mark(value.trim()))
    });
    pairs.collect::<Vec<_>>().join(";")
}

/// Salt of the fingerprints, new in every process. It is random, and still leaves this module pure in what it decides:
/// nothing depends on its value.
static SALT: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What stands in place of a hidden value. A mark is its own mark, so that redacting twice changes nothing.
fn mark(value: &str) -> String {
    if value.is_empty() || is_mark(value) {
        return value.to_owned();
    }
    let fingerprint = SALT.hash_one(value) & 0xffff;
    format!(
        "[redacted-{}-chars-{fingerprint:04x}]",
        value.chars().count()
    )
}

fn is_mark(value: &str) -> bool {
    value
        .strip_prefix("[redacted-")
        .and_then(|rest| rest.strip_suffix(']'))
        .and_then(|rest| rest.split_once("-chars-"))
        .is_some_and(|(count, fingerprint)| {
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let hex = fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
            digits(count) && count.len() <= 10 && fingerprint.len() == 4 && hex
        })
}

/// A decoded value whose name says nothing about it: an address, a document or a text of its own.
fn value(text: &str, depth: usize) -> String {
    if is_mark(text) {
        return text.to_owned();
    }
    if depth > DEPTH_LIMIT {
        return mark(text);
    }
    match text.trim_start().as_bytes().first() {
        Some(b'{' | b'[') => json::redact(text, depth),
        Some(b'<') => html::redact(text),
        _ if text.contains("://") && !text.contains(char::is_whitespace) => {
            params::url(text, depth)
        }
        _ if text.starts_with('/') && text.contains(['?', '#']) => params::url(text, depth),
        _ if params::looks_like_form(text) => params::form(text, depth),
        _ => text::redact_known_shapes(text),
    }
}

#[cfg(test)]
mod tests;
