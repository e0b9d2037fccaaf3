//! Whether an ID token with a proven signature is meant for this run (OpenID Connect Core section 3.1.3.7).

use aws_lc_rs::digest::{self, Algorithm};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::jwt::{Unverified, Verified};
use super::values::{AccessToken, Nonce};
use super::{quoted, refuse, text};
use crate::run::Fault;
use crate::taxonomy::Class;

/// Clocks may differ by so many milliseconds without a word.
pub const LEEWAY_MS: i64 = 60_000;

/// What an ID token is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// `None` where the probe names none.
    pub issuer: Option<&'a str>,
    pub client_id: &'a str,
    pub binding: Binding<'a>,
    /// The access token that came with it.
    pub access: Option<&'a AccessToken>,
    /// By our clock.
    pub now: Timestamp,
    /// Clock of the provider minus ours, in milliseconds, where it was measured.
    pub clock_offset_ms: Option<i64>,
}

/// What ties an ID token to this run.
#[derive(Debug, Clone, Copy)]
pub enum Binding<'a> {
    /// From the code exchange: the nonce must be there.
    SignIn(&'a Nonce),
    /// From a refresh: the subject must be that of the sign-in; a nonce may be absent (OpenID Connect Core section
    /// 12.2).
    Refresh { nonce: &'a Nonce, subject: &'a str },
}

/// An ID token that holds up.
#[derive(Debug, Clone, PartialEq)]
pub struct IdToken {
    /// `sub`: who signed in.
    pub subject: String,
    /// The algorithm of its signature.
    pub alg: String,
    /// The key of its signature, where it names one.
    pub kid: Option<String>,
    pub expires_at: Timestamp,
    pub claims: Map<String, Value>,
}

/// Checks every claim that ties the token to issuer, client, run and time.
pub fn validate(token: Verified, expected: &Expected<'_>) -> Result<IdToken, Fault> {
    let claims = &token.claims;
    is_an_id_token(token.header.typ.as_deref())?;
    of_issuer(claims, expected.issuer)?;
    for_client(claims, expected.client_id)?;
    let subject = of_subject(claims, expected.binding)?;
    let clock = Clock {
        ours_ms: expected.now.as_millisecond(),
        offset_ms: expected.clock_offset_ms,
        leeway_ms: LEEWAY_MS,
    };
    let expires_at = in_time(claims, &clock)?;
    of_run(claims, expected.binding)?;
    if let Some(access) = expected.access {
        with_access_token(claims, access, &token.header.alg)?;
    }
    Ok(IdToken {
        subject,
        alg: token.header.alg,
        kid: token.header.kid,
        expires_at,
        claims: token.claims,
    })
}

/// What the claims of a recorded token are held against; what is not known is not looked at.
#[derive(Debug, Clone, Copy)]
pub struct Claimed<'a> {
    pub issuer: Option<&'a str>,
    pub client_id: Option<&'a str>,
    pub nonce: Option<&'a Nonce>,
    pub access: Option<&'a AccessToken>,
    pub now: Option<Timestamp>,
    pub leeway_ms: i64,
}

/// Checks the claims of a token whose signature somebody else has looked at. Proves nothing about who made it.
pub fn claims_hold(token: &Unverified, expected: &Claimed<'_>) -> Result<(), Fault> {
    let claims = &token.claims;
    is_an_id_token(token.header.typ.as_deref())?;
    of_issuer(claims, expected.issuer)?;
    if let Some(client_id) = expected.client_id {
        for_client(claims, client_id)?;
    }
    text(claims, "sub").ok_or_else(|| lacks("sub"))?;
    if let Some(now) = expected.now {
        let clock = Clock {
            ours_ms: now.as_millisecond(),
            offset_ms: None,
            leeway_ms: expected.leeway_ms,
        };
        in_time(claims, &clock)?;
    }
    if let Some(nonce) = expected.nonce {
        of_run(claims, Binding::SignIn(nonce))?;
    }
    match expected.access {
        Some(access) => with_access_token(claims, access, &token.header.alg),
        None => Ok(()),
    }
}

/// Types of tokens that are made for other uses (RFC 9068 section 2.1, RFC 8417, OpenID Connect Back-Channel Logout).
fn is_an_id_token(typ: Option<&str>) -> Result<(), Fault> {
    let Some(typ) = typ else { return Ok(()) };
    let short = typ.to_ascii_lowercase();
    let short = short.strip_prefix("application/").unwrap_or(&short);
    if matches!(short, "at+jwt" | "logout+jwt" | "secevent+jwt" | "dpop+jwt") {
        let detail = format!("the ID token is a token of type {}", quoted(typ));
        return Err(refuse(Class::TokenConfusion, detail));
    }
    Ok(())
}

fn of_issuer(claims: &Map<String, Value>, issuer: Option<&str>) -> Result<(), Fault> {
    let Some(found) = text(claims, "iss") else {
        return Err(lacks("iss"));
    };
    match issuer.filter(|&issuer| issuer != found) {
        None => Ok(()),
        Some(issuer) => {
            let detail = format!(
                "the ID token is of issuer {}, expected {}",
                quoted(found),
                quoted(issuer)
            );
            Err(refuse(Class::IssuerMismatch, detail))
        }
    }
}

/// Points 3 to 5: we are in the audience, and where an authorized party is named, we are it.
fn for_client(claims: &Map<String, Value>, client_id: &str) -> Result<(), Fault> {
    let audience = audience(claims).ok_or_else(|| lacks("aud"))?;
    if !audience.iter().any(|entry| entry == client_id) {
        let detail = format!(
            "the ID token is for {}, expected {}",
            quoted(&audience.join(", ")),
            quoted(client_id)
        );
        return Err(refuse(Class::AudienceMismatch, detail));
    }
    match text(claims, "azp").filter(|&party| party != client_id) {
        None => Ok(()),
        Some(party) => {
            let detail = format!(
                "the ID token was issued to {} (azp), expected {}",
                quoted(party),
                quoted(client_id)
            );
            Err(refuse(Class::AudienceMismatch, detail))
        }
    }
}

/// A text or a list of texts; `None` when it is neither, or empty.
pub(super) fn audience(claims: &Map<String, Value>) -> Option<Vec<String>> {
    match claims.get("aud")? {
        Value::String(one) if !one.is_empty() => Some(vec![one.clone()]),
        Value::Array(_) => Some(super::texts(claims, "aud")).filter(|list| !list.is_empty()),
        _ => None,
    }
}

fn of_subject(claims: &Map<String, Value>, binding: Binding<'_>) -> Result<String, Fault> {
    let subject = text(claims, "sub").ok_or_else(|| lacks("sub"))?;
    match binding {
        Binding::Refresh { subject: first, .. } if subject != first => Err(refuse(
            Class::TokenConfusion,
            "the ID token of the refresh is about another subject than the one of the sign-in",
        )),
        Binding::Refresh { .. } | Binding::SignIn(_) => Ok(subject.to_owned()),
    }
}

/// Points 9 and 10, and `nbf` of RFC 7519 section 4.1.5.
fn in_time(claims: &Map<String, Value>, clock: &Clock) -> Result<Timestamp, Fault> {
    let expires_at = moment(claims, "exp")?.ok_or_else(|| lacks("exp"))?;
    let issued_at = moment(claims, "iat")?.ok_or_else(|| lacks("iat"))?;
    let not_before = moment(claims, "nbf")?;
    clock.check(Class::TokenExpired, "has expired", |now_ms| {
        now_ms.saturating_sub(expires_at.as_millisecond())
    })?;
    for start in [Some(issued_at), not_before].into_iter().flatten() {
        clock.check(Class::TokenNotYetValid, "is not valid yet", |now_ms| {
            start.as_millisecond().saturating_sub(now_ms)
        })?;
    }
    Ok(expires_at)
}

/// Our clock, and how far the provider's is ahead of it.
struct Clock {
    ours_ms: i64,
    offset_ms: Option<i64>,
    leeway_ms: i64,
}

impl Clock {
    /// Refuses what a clock is beyond, in milliseconds. A token that is in time by the provider's clock and not by
    /// ours is no fault of the token.
    fn check(&self, class: Class, what: &str, beyond_ms: impl Fn(i64) -> i64) -> Result<(), Fault> {
        let beyond = beyond_ms(self.ours_ms);
        if beyond <= self.leeway_ms {
            return Ok(());
        }
        let detail = format!("the ID token {what} by our clock, by {} s", beyond / 1000);
        match self.offset_ms {
            Some(offset) if beyond_ms(self.ours_ms.saturating_add(offset)) <= self.leeway_ms => {
                let offset = offset / 1000;
                let detail = format!(
                    "{detail}; the provider's clock differs by {offset} s, and by that it is in time"
                );
                Err(refuse(Class::ClockSkew, detail))
            }
            Some(_) | None => Err(refuse(class, detail)),
        }
    }
}

/// A NumericDate (RFC 7519 section 2), fractions allowed.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, Fault> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e11);
    let moment =
        seconds.and_then(|seconds| Timestamp::from_millisecond((seconds * 1000.0) as i64).ok());
    match moment {
        Some(moment) => Ok(Some(moment)),
        None => {
            let detail = format!("`{name}` in the ID token is not a point in time");
            Err(refuse(Class::MalformedResponse, detail))
        }
    }
}

/// Point 11.
fn of_run(claims: &Map<String, Value>, binding: Binding<'_>) -> Result<(), Fault> {
    let (nonce, must) = match binding {
        Binding::SignIn(nonce) => (nonce, true),
        Binding::Refresh { nonce, .. } => (nonce, false),
    };
    let complaint = match text(claims, "nonce") {
        Some(found) if found == nonce.expose() => return Ok(()),
        None if !must => return Ok(()),
        Some(_) => "the ID token carries another `nonce` than was sent",
        None => "the ID token carries no `nonce`",
    };
    Err(refuse(Class::NonceMismatch, complaint))
}

/// `at_hash`, where it is there: the left half of the access token's hash (OpenID Connect Core section 3.1.3.6).
fn with_access_token(
    claims: &Map<String, Value>,
    access: &AccessToken,
    alg: &str,
) -> Result<(), Fault> {
    let Some(found) = text(claims, "at_hash") else {
        return Ok(());
    };
    let hash = digest::digest(hash_of(alg), access.expose().as_bytes());
    let half = &hash.as_ref()[..hash.as_ref().len() / 2];
    if BASE64_URL_SAFE_NO_PAD.encode(half) == found.trim_end_matches('=') {
        return Ok(());
    }
    let detail = "`at_hash` in the ID token is not that of the access token that came with it";
    Err(refuse(Class::TokenConfusion, detail))
}

/// The hash of a signature algorithm; Ed25519 is built on SHA-512.
fn hash_of(alg: &str) -> &'static Algorithm {
    match alg.get(2..) {
        Some("384") => &digest::SHA384,
        Some("512") => &digest::SHA512,
        _ if alg.starts_with("Ed") => &digest::SHA512,
        _ => &digest::SHA256,
    }
}

fn lacks(name: &str) -> Fault {
    refuse(
        Class::MalformedResponse,
        format!("the ID token has no usable `{name}`"),
    )
}

#[cfg(test)]
mod tests;
