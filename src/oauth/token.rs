//! The token endpoint's answer (RFC 6749 section 5), read with the looks that real providers give it.

use std::time::Duration;

use serde_json::{Map, Value};

use super::values::{AccessToken, RawIdToken, RefreshToken};
use super::{Reply, form, problem, quoted, refuse, text};
use crate::probe::Rotation;
use crate::run::{Fault, Finding};
use crate::taxonomy::Class;

/// What a token endpoint granted.
#[derive(Debug, PartialEq, Eq)]
pub struct Tokens {
    pub access: AccessToken,
    /// As sent; some providers leave it out.
    pub token_type: Option<String>,
    /// Lifetime of the access token.
    pub expires_in: Option<Duration>,
    pub refresh: Option<RefreshToken>,
    /// Lifetime of the refresh token, where the provider tells it; zero stands for no end.
    pub refresh_expires_in: Option<Duration>,
    pub id_token: Option<RawIdToken>,
    /// As sent; absent means "as asked for" (RFC 6749 section 5.1).
    pub scope: Option<String>,
}

/// No standard has a name for the lifetime of a refresh token; these are in use.
const REFRESH_LIFETIME: [&str; 3] = [
    "refresh_token_expires_in",
    "refresh_expires_in",
    "x_refresh_token_expires_in",
];

/// Tokens that must be in the answer, besides the access token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Due {
    pub id_token: bool,
    pub refresh_token: bool,
}

/// Reads a token answer. An error that hides behind a success status is given to `verdict` like any other.
pub fn read(reply: &Reply<'_>, due: Due) -> Result<Tokens, Fault> {
    if !reply.is_success() {
        return Err(reply.fault());
    }
    let object = members(reply)?;
    if problem::in_object(&object).is_some() {
        return Err(reply.fault());
    }
    let token_type = text(&object, "token_type").map(str::to_owned);
    if let Some(other) = token_type.as_deref().filter(|kind| is_other_kind(kind)) {
        let detail = format!(
            "the access token is of type {}, expected Bearer",
            quoted(other)
        );
        return Err(refuse(Class::TokenConfusion, detail));
    }
    let tokens = Tokens {
        access: AccessToken::new(demand(&object, "access_token")?),
        token_type,
        expires_in: object.get("expires_in").and_then(seconds),
        refresh: text(&object, "refresh_token").map(RefreshToken::new),
        refresh_expires_in: REFRESH_LIFETIME
            .iter()
            .find_map(|&name| object.get(name).and_then(seconds)),
        id_token: text(&object, "id_token").map(RawIdToken::new),
        scope: scope(&object),
    };
    if due.id_token && tokens.id_token.is_none() {
        return Err(missing("id_token"));
    }
    if due.refresh_token && tokens.refresh.is_none() {
        return Err(missing("refresh_token"));
    }
    Ok(tokens)
}

/// The members of a JSON answer, or of a form-encoded one as some older providers send it.
fn members(reply: &Reply<'_>) -> Result<Map<String, Value>, Fault> {
    let fault = match reply.object("the token answer") {
        Ok(object) => return Ok(object),
        Err(fault) => fault,
    };
    let body = str::from_utf8(reply.body).unwrap_or_default().trim();
    let pairs = form::pairs(body);
    let telling = ["access_token", "error"];
    if pairs
        .iter()
        .any(|(name, _)| telling.contains(&name.as_str()))
    {
        let members = pairs.into_iter().map(|(name, value)| (name, value.into()));
        return Ok(members.collect());
    }
    Err(fault)
}

fn demand<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a str, Fault> {
    match object.get(name) {
        Some(Value::String(token)) if !token.is_empty() => Ok(token),
        None | Some(Value::Null | Value::String(_)) => Err(missing(name)),
        Some(other) => {
            let detail = format!("`{name}` in the token answer is {}", super::kind(other));
            Err(refuse(Class::MalformedResponse, detail))
        }
    }
}

fn missing(name: &str) -> Fault {
    let detail = format!("the token answer says success and has no `{name}`");
    refuse(Class::TokenMissing, detail)
}

/// Types whose tokens cannot be sent as bearer tokens. Others (`bearer`, a provider's own word, none) are taken as
/// Bearer: whether they work is seen at the first call.
fn is_other_kind(token_type: &str) -> bool {
    ["mac", "dpop", "pop", "n_a"].contains(&token_type.to_ascii_lowercase().as_str())
}

/// Whole seconds, also where they come as text or with a fraction.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds.trunc()).ok()
}

/// A text, or a list of texts as some providers send it.
fn scope(object: &Map<String, Value>) -> Option<String> {
    match object.get("scope")? {
        Value::String(scope) => Some(scope.clone()),
        Value::Array(_) => Some(super::texts(object, "scope").join(" ")),
        _ => None,
    }
}

/// What a refresh did to the refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// A new one came; the old one is used up.
    New,
    /// None came, or the same one again: the old one stays.
    Kept,
}

/// Sees whether the refresh token was rotated (RFC 6749 section 6, RFC 9700 section 4.14), and whether it should have
/// been.
pub fn rotation(old: &RefreshToken, answer: &Tokens, wanted: Rotation) -> Result<Rotated, Fault> {
    let rotated = match &answer.refresh {
        Some(new) if new != old => Rotated::New,
        Some(_) | None => Rotated::Kept,
    };
    match (wanted, rotated) {
        (Rotation::Required, Rotated::Kept) => Err(Fault::Check(Finding::new(
            Class::TokenMissing,
            "no new refresh token came, and the probe requires rotation",
        ))),
        (Rotation::Forbidden, Rotated::New) => Err(Fault::Check(Finding::new(
            Class::TokenConfusion,
            "a new refresh token came, and the probe forbids rotation",
        ))),
        (Rotation::Any, _)
        | (Rotation::Required, Rotated::New)
        | (Rotation::Forbidden, Rotated::Kept) => Ok(rotated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{class_of, reply};

    fn read_here(status: u16, body: &str) -> Result<Tokens, Fault> {
        read(&reply(status, &[], body), Due::default())
    }

    #[test]
    fn good_answers_with_odd_looks_are_good() {
        let check = |body: &str, expires_in: Option<u64>, scope: Option<&str>| {
            let tokens = read_here(200, body).unwrap();
            assert_eq!(tokens.access.expose(), "at", "{body}");
            assert_eq!(
                tokens.expires_in,
                expires_in.map(Duration::from_secs),
                "{body}"
            );
            assert_eq!(tokens.scope.as_deref(), scope, "{body}");
        };
        check(r#"{"access_token":"at","token_type":"bearer"}"#, None, None);
        check(r#"{"access_token":"at"}"#, None, None);
        check(r#"{"access_token":"at","expires_in":60}"#, Some(60), None);
        check(r#"{"access_token":"at","expires_in":"60"}"#, Some(60), None);
        check(r#"{"access_token":"at","expires_in":60.9}"#, Some(60), None);
        check(r#"{"access_token":"at","expires_in":-1}"#, None, None);
        check(r#"{"access_token":"at","expires_in":1e300}"#, None, None);
        check(
            r#"{"access_token":"at","scope":["a","b"]}"#,
            None,
            Some("a b"),
        );
        check(
            r#"{"access_token":"at","error":null,"scope":"a,b"}"#,
            None,
            Some("a,b"),
        );
        check(
            "access_token=at&scope=a%2Cb&expires_in=9",
            Some(9),
            Some("a,b"),
        );
    }

    #[test]
    fn an_answer_that_does_not_hold_up_is_named() {
        let check = |status: u16, body: &str, expected: Class| {
            let fault = read_here(status, body).unwrap_err();
            assert_eq!(class_of(&fault), Some(expected), "{body} {fault:?}");
        };
        check(200, "", Class::MalformedResponse);
        check(204, "", Class::MalformedResponse);
        check(200, "<html>", Class::MalformedResponse);
        check(200, "\"at\"", Class::MalformedResponse);
        check(200, "{", Class::MalformedResponse);
        check(200, r#"{"access_token":{"a":1}}"#, Class::MalformedResponse);
        check(200, "{}", Class::TokenMissing);
        check(200, r#"{"access_token":null}"#, Class::TokenMissing);
        check(200, r#"{"access_token":""}"#, Class::TokenMissing);
        check(
            200,
            r#"{"access_token":"a","token_type":"MAC"}"#,
            Class::TokenConfusion,
        );
    }

    #[test]
    fn an_error_is_left_to_the_verdict_whatever_its_status() {
        let check = |status: u16, body: &str, error: Option<&str>| {
            let Err(Fault::Answer(raw)) = read_here(status, body) else {
                panic!("not an answer fault: {body}");
            };
            assert_eq!((raw.status, raw.error.as_deref()), (Some(status), error));
        };
        check(400, r#"{"error":"invalid_grant"}"#, Some("invalid_grant"));
        check(200, r#"{"error":"invalid_grant"}"#, Some("invalid_grant"));
        check(200, r#"{"error":"x","access_token":"at"}"#, Some("x"));
        check(
            200,
            "error=bad_verification_code&error_description=d",
            Some("bad_verification_code"),
        );
        check(502, "<html>", None);
    }

    #[test]
    fn tokens_that_are_due_are_missed() {
        let check = |body: &str, due: Due, complete: bool| {
            let found = read(&reply(200, &[], body), due);
            assert_eq!(found.is_ok(), complete, "{body}");
            if let Err(fault) = found {
                assert_eq!(class_of(&fault), Some(Class::TokenMissing));
            }
        };
        let both = Due {
            id_token: true,
            refresh_token: true,
        };
        check(r#"{"access_token":"a"}"#, Due::default(), true);
        check(r#"{"access_token":"a"}"#, both, false);
        check(r#"{"access_token":"a","id_token":"i"}"#, both, false);
        check(
            r#"{"access_token":"a","id_token":"","refresh_token":"r"}"#,
            both,
            false,
        );
        check(
            r#"{"access_token":"a","id_token":"i","refresh_token":"r"}"#,
            both,
            true,
        );
    }

    #[test]
    fn rotation_is_seen_and_held_against_the_probe() {
        let check = |refresh: &str, wanted: Rotation, expected: Result<Rotated, Class>| {
            let body = format!(r#"{{"access_token":"a","refresh_token":"{refresh}"}}"#);
            let answer = read_here(200, &body).unwrap();
            let found = rotation(&RefreshToken::new("old"), &answer, wanted);
            assert_eq!(found.map_err(|fault| class_of(&fault).unwrap()), expected);
        };
        check("", Rotation::Any, Ok(Rotated::Kept));
        check("old", Rotation::Any, Ok(Rotated::Kept));
        check("new", Rotation::Any, Ok(Rotated::New));
        check("new", Rotation::Required, Ok(Rotated::New));
        check("old", Rotation::Required, Err(Class::TokenMissing));
        check("new", Rotation::Forbidden, Err(Class::TokenConfusion));
        check("", Rotation::Forbidden, Ok(Rotated::Kept));
    }
}
