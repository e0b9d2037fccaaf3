//! Addresses and form-encoded parameters, changed only where something is hidden.

use std::borrow::Cow;

use super::names::{self, Rule};
use super::{DEPTH_LIMIT, mark, text, value};

/// An address, absolute or relative.
pub(super) fn url(url: &str, depth: usize) -> String {
    if depth > DEPTH_LIMIT {
        return mark(url);
    }
    let (rest, fragment) = split(url, '#');
    let (place, query) = split(rest, '?');
    let mut clean = path(&user_info(place));
    if let Some(query) = query {
        clean.push('?');
        clean.push_str(&form(query, depth + 1));
    }
    if let Some(fragment) = fragment {
        clean.push('#');
        clean.push_str(&match fragment.split_once('?') {
            // A page that routes in its fragment: `#/callback?code=...`
            Some((route, query)) => format!("{}?{}", path(route), form(query, depth + 1)),
            None if fragment.contains('=') => form(fragment, depth + 1),
            None => path(fragment),
        });
    }
    clean
}

/// `name=value&name=value`
pub(super) fn form(form: &str, depth: usize) -> String {
    if depth > DEPTH_LIMIT {
        return mark(form);
    }
    let pairs = form.split('&').map(|pair| match pair.split_once('=') {
        Some((name, raw)) => format!("{}={}", path(name), parameter(name, raw, depth)),
        None => path(pair),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Whether a text is nothing but parameters.
pub(super) fn looks_like_form(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, value)| {
        !name.is_empty()
            && !value.is_empty()
            && !text.contains(char::is_whitespace)
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.%[]*".contains(&b))
    })
}

fn parameter(name: &str, raw: &str, depth: usize) -> String {
    let decoded = decode(raw);
    match names::rule(&decode(name)) {
        Rule::Hide | Rule::Code => mark(&decoded),
        Rule::Signature => text::signed(&decoded),
        Rule::Keep => {
            let clean = value(&decoded, depth + 1);
            if clean == decoded {
                return raw.to_owned();
            }
            encode(&clean)
        }
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Hides the password of `scheme://user:password@host`.
fn user_info(place: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = place.split_once("//") else {
        return Cow::Borrowed(place);
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let Some((info, host)) = authority.rsplit_once('@') else {
        return Cow::Borrowed(place);
    };
    let path = &rest[authority.len()..];
    let info = match info.split_once(':') {
        Some((user, password)) => format!("{user}:{}", mark(&decode(password))),
        None => mark(&decode(info)),
    };
    Cow::Owned(format!("{scheme}//{info}@{host}{path}"))
}

/// Path segments are shown, unless one has the shape of a token.
fn path(path: &str) -> String {
    let clean = text::redact_known_shapes(path);
    let segments = clean.split('/').map(text::redact_random);
    segments.collect::<Vec<_>>().join("/")
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    // Without `&` and `=` the whole text is one name.
    let escaped = text.replace('&', "%26").replace('=', "%3D");
    let decoded = form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned());
    Cow::Owned(decoded.unwrap_or_default())
}

/// Encodes only what would change the meaning of the text around it, so that marks stay readable.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '#' | '%' | '+' | ' ' | '"' | '<' | '>' => {
                encoded.push_str(&format!("%{:02X}", u32::from(character)));
            }
            other if other.is_control() => {
                encoded.push_str(&format!("%{:02X}", u32::from(other)));
            }
            other => encoded.push(other),
        }
    }
    encoded
}
