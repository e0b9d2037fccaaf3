//! Pages: values of inputs, addresses in attributes, and the text between the tags. Understands broken pages too.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::names::{self, Rule};
use super::{mark, text, value};

/// A tag, quoted attributes included; one without an end reaches to the end of the page.
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?s)<([a-zA-Z][a-zA-Z0-9-]*)((?:[^>"']|"[^"]*(?:"|$)|'[^']*(?:'|$))*)(>|$)"#)
});

/// One attribute with a value.
static ATTRIBUTE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?s)([^\s"'=<>/]+)(\s*=\s*)("[^"]*(?:"|$)|'[^']*(?:'|$)|[^\s"'>]+)"#)
});

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// A page or a part of one.
pub(super) fn redact(page: &str) -> String {
    let mut clean = String::with_capacity(page.len());
    let mut done = 0;
    // A text area holds its value between its tags.
    let mut hide_text = false;
    for tag in TAG.captures_iter(page) {
        let whole = tag.get(0).expect("group 0 is the match");
        clean.push_str(&between(&page[done..whole.start()], hide_text));
        hide_text = tag[1].eq_ignore_ascii_case("textarea");
        clean.push_str(&redact_tag(&tag));
        done = whole.end();
    }
    clean.push_str(&between(&page[done..], hide_text));
    clean
}

fn between(text: &str, hide: bool) -> String {
    if !hide {
        return text::redact(text);
    }
    match text.find("</") {
        Some(end) => format!("{}{}", mark(&text[..end]), text::redact(&text[end..])),
        None => mark(text),
    }
}

fn redact_tag(tag: &Captures<'_>) -> String {
    let attributes = &tag[2];
    let secret = holds_secret(&tag[1], attributes);
    let clean = ATTRIBUTE.replace_all(attributes, |found: &Captures<'_>| {
        let (name, quote, raw) = (&found[1], quote(&found[3]), unquote(&found[3]));
        let decoded = unescape(raw);
        let is_value = ["value", "content"]
            .iter()
            .any(|value| name.eq_ignore_ascii_case(value));
        let clean = if (secret && is_value) || hides_by_name(name) {
            mark(&decoded)
        } else {
            attribute_value(name, &decoded)
        };
        if clean == decoded {
            return found[0].to_owned();
        }
        format!("{name}{}{quote}{}{quote}", &found[2], escape(&clean))
    });
    format!("<{}{clean}{}", &tag[1], &tag[3])
}

/// `0;url=https://…` of a refresh has its address after the delay.
fn attribute_value(name: &str, decoded: &str) -> String {
    if name.eq_ignore_ascii_case("content")
        && let Some((delay, address)) = decoded.split_once("url=")
    {
        return format!("{delay}url={}", value(address, 0));
    }
    text::redact_random(&value(decoded, 0))
}

/// An input that is hidden or for a password, or whose name says so. Hidden inputs carry codes, tokens, SAML responses
/// and forgery tokens under any name, so all of them count.
fn holds_secret(tag: &str, attributes: &str) -> bool {
    let is_input = ["input", "button", "option", "meta", "param", "data"]
        .iter()
        .any(|name| tag.eq_ignore_ascii_case(name));
    is_input
        && ATTRIBUTE.captures_iter(attributes).any(|found| {
            let text = unquote(&found[3]).to_ascii_lowercase();
            match found[1].to_ascii_lowercase().as_str() {
                "type" => text == "hidden" || text == "password",
                "name" | "id" => names::rule(&text) != Rule::Keep,
                "autocomplete" => text.contains("password") || text.contains("one-time-code"),
                _ => false,
            }
        })
}

/// Attributes such as `data-token` and `data-csrf`.
fn hides_by_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.strip_prefix("data-")
        .is_some_and(|name| names::rule(name) != Rule::Keep)
}

fn quote(raw: &str) -> &str {
    match raw.as_bytes().first() {
        Some(b'"') => "\"",
        Some(b'\'') => "'",
        _ => "",
    }
}

fn unquote(raw: &str) -> &str {
    match quote(raw) {
        "" => raw,
        quote => raw[1..].strip_suffix(quote).unwrap_or(&raw[1..]),
    }
}

fn unescape(raw: &str) -> String {
    if !raw.contains('&') {
        return raw.to_owned();
    }
    raw.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&#x2F;", "/")
        .replace("&#x3D;", "=")
        .replace("&#61;", "=")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
