//! Text without a structure of its own: assignments to telling names, JWTs, credentials after a scheme, random strings.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::names::{self, Rule};
use super::{is_mark, mark};

/// `name=`, `"name": "`, `%26name%3D`: everything before an assigned value. The name is looked at afterwards.
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)(?:%(?:25)*[0-9a-f]{2})?([a-z][a-z0-9_.-]{1,60})(\\*["']?\s*(?:=|:|%(?:25)*3[DA]|\\u003d)\s*)(\\*["']|%(?:25)*2[27])?"#,
    )
});

/// A JSON Web Token, signed (three parts) or encrypted (five).
static JWT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){2,4}"));

/// What follows an authentication scheme.
static SCHEME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?i)\b(Bearer|Basic|DPoP)(\s+|%20|\+)([A-Za-z0-9._~+/-]{8,}=*)("?)"#)
});

/// Runs of characters long enough to be a token.
static RUN: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z0-9_+=~-]{24,}"));

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// Everything that is known to hide secrets in text.
pub(super) fn redact(text: &str) -> String {
    redact_random(&redact_known_shapes(text))
}

/// Assignments, credentials and JWTs, but not strings that are only random: those may be identifiers.
pub(super) fn redact_known_shapes(text: &str) -> String {
    let text = assignments(text);
    let text = SCHEME.replace_all(&text, credential);
    JWT.replace_all(&text, |found: &Captures<'_>| without_signature(&found[0]))
        .into_owned()
}

/// Hides runs that look drawn at random.
pub(super) fn redact_random(text: &str) -> String {
    RUN.replace_all(text, |found: &Captures<'_>| {
        let run = &found[0];
        if is_random(run) && !is_part_of_jwt(text, found) {
            return mark(run);
        }
        run.to_owned()
    })
    .into_owned()
}

/// A document that should be a signed JWT: without its signature when it is, hidden when it is anything else.
pub(super) fn signed(text: &str) -> String {
    let is_jwt = JWT.find(text).is_some_and(|found| found.as_str() == text);
    if is_jwt || is_stripped_jwt(text) {
        return without_signature(text);
    }
    mark(text)
}

fn is_stripped_jwt(text: &str) -> bool {
    let mut parts = text.splitn(3, '.');
    let head = parts.next().is_some_and(|head| head.starts_with("eyJ"));
    head && parts.next().is_some() && parts.next().is_some_and(is_mark)
}

/// Header and claims of a signed token tell what is wrong with it; without the signature nobody can use it. Of an
/// encrypted one only the header is readable anyway.
fn without_signature(jwt: &str) -> String {
    let parts: Vec<&str> = jwt.split('.').collect();
    let kept = if parts.len() == 3 { 2 } else { 1 };
    format!(
        "{}.{}",
        parts[..kept].join("."),
        mark(&parts[kept..].join("."))
    )
}

/// Header and claims of a token whose signature is gone stay readable.
fn is_part_of_jwt(text: &str, found: &Captures<'_>) -> bool {
    let run = found.get(0).expect("group 0 is the match");
    let (before, after) = (&text[..run.start()], &text[run.end()..]);
    let header = run.as_str().starts_with("eyJ") && after.starts_with('.');
    let claims = before.ends_with('.') && after.starts_with(".[redacted-");
    header || claims
}

/// Hides what is assigned to telling names. After any other name the search goes on inside its value, which may hold
/// further assignments: `next=https://host/?code=...`.
fn assignments(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut done = 0;
    while let Some(found) = ASSIGNMENT.captures_at(text, done) {
        let start = found.get(0).expect("group 0 is the match").end();
        clean.push_str(&text[done..start]);
        done = start;
        let rule = names::rule(&found[1]);
        if rule == Rule::Keep {
            continue;
        }
        let quote = found.get(3).map_or("", |quote| quote.as_str());
        let end = start + value_length(&text[start..], quote, rule);
        let is_prose = found[2].contains(':') && quote.is_empty();
        if let Some(hidden) = assigned(rule, is_prose, &text[start..end]) {
            clean.push_str(&hidden);
            done = end;
        }
    }
    clean.push_str(&text[done..]);
    clean
}

/// A quoted value reaches to a quote written like its own, any other to the next separator.
fn value_length(rest: &str, quote: &str, rule: Rule) -> usize {
    let end = match quote {
        _ if rule == Rule::Signature => {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && !"._~+/-".contains(c))
        }
        "\"" | "'" => super::json::unescaped(rest, quote.as_bytes()[0]),
        _ if quote.starts_with('\\') => rest.find(quote),
        _ => rest.find(|c: char| c.is_whitespace() || "\"'<>&;,".contains(c)),
    };
    end.unwrap_or(rest.len())
}

/// What stands in place of `value`; `None` to leave it. In prose, `password: wrong` is no assignment.
fn assigned(rule: Rule, is_prose: bool, value: &str) -> Option<String> {
    if value.is_empty() || value.starts_with("[redacted-") {
        return None;
    }
    let hide = match rule {
        Rule::Keep => false,
        Rule::Signature => return signed_in_text(value),
        Rule::Hide => !is_prose || !is_word(value),
        Rule::Code => !is_prose || !names::reads_as_error_code(value),
    };
    hide.then(|| mark(value))
}

/// `request` and `id_token` are words of prose too: only what has the shape of a token is hidden.
fn signed_in_text(value: &str) -> Option<String> {
    if value.starts_with("eyJ") {
        return Some(signed(value));
    }
    is_random(value).then(|| mark(value))
}

fn credential(found: &Captures<'_>) -> String {
    let token = &found[3];
    // `Bearer error="invalid_token"` is a challenge, `Basic authentication` is prose.
    let is_challenge = !found[4].is_empty();
    if is_challenge || (token.len() < 20 && is_word(token)) {
        return found[0].to_owned();
    }
    format!("{}{}{}", &found[1], &found[2], mark(token))
}

fn is_word(text: &str) -> bool {
    text.trim_end_matches(['.', ':', '!', '?'])
        .chars()
        .all(|c| c.is_alphabetic() || c == '-' || c == '_')
}

/// Long, and of mixed letters and digits, or very long hexadecimal. UUIDs, trace ids and names in words are not.
fn is_random(run: &str) -> bool {
    let hex = run.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if hex {
        return run.len() >= 40;
    }
    let count = |test: fn(&u8) -> bool| run.as_bytes().iter().filter(|b| test(b)).count();
    let (upper, lower, digit) = (
        count(u8::is_ascii_uppercase),
        count(u8::is_ascii_lowercase),
        count(u8::is_ascii_digit),
    );
    let kinds = [upper, lower, digit]
        .iter()
        .filter(|&&count| count >= 2)
        .count();
    run.len() >= 24 && (kinds == 3 || (kinds == 2 && digit >= 4))
}
