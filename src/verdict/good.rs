//! Answers without an error, held against what the probe expects. Reading is the protocol's business; here it is only
//! told what was expected.

use serde_json::Value;

use super::case::Answer;
use super::meaning::Call;
use super::seen::{Body, Seen};
use crate::oauth::jwt::Unverified;
use crate::oauth::token::{self, Due};
use crate::oauth::values::{AccessToken, Nonce, State};
use crate::oauth::{Kept, Reply, callback, id_token, introspection, jwks, scope};
use crate::run::Fault;
use crate::taxonomy::{Class, Stage};

/// The first thing that does not hold up, if any.
pub(super) fn check(seen: &Seen<'_>) -> Option<Class> {
    let body = match &seen.case.answer {
        Answer::Body(body) => body.as_str(),
        Answer::Callback(parameters) => return came_back(seen, parameters),
        Answer::Page(_) => return None,
    };
    let reply = Reply {
        status: seen.case.status.unwrap_or(200),
        headers: &seen.case.headers,
        body: body.as_bytes(),
        kept: Kept {
            headers: &seen.case.headers,
            body,
        },
    };
    match seen.case.stage {
        Stage::TokenExchange | Stage::Refresh | Stage::IdToken => tokens(seen, &reply),
        Stage::Discovery => metadata(seen),
        Stage::Jwks => class_of(jwks::read(&reply)),
        // RFC 9701
        Stage::Introspection if is_jwt(seen) => None,
        Stage::Introspection => {
            let context = &seen.case.context;
            let active = context.flag("expected_active");
            let active = active.unwrap_or(!context.knows("token_revoked_at"));
            class_of(introspection::read(&reply, active))
        }
        Stage::Userinfo => claims(seen),
        Stage::Resource => of_type(seen),
        Stage::Par => has(seen, &["request_uri"]),
        Stage::DeviceAuthorization => has(seen, &["device_code", "user_code"]),
        Stage::Revocation
        | Stage::Logout
        | Stage::Authorize
        | Stage::Login
        | Stage::Mfa
        | Stage::Consent
        | Stage::Callback
        | Stage::Browser
        | Stage::Config
        | Stage::Dns
        | Stage::Connect
        | Stage::Tls
        | Stage::Monitor => None,
    }
}

/// Whether a callback is that of another run or of another issuer; asked before its error is believed.
pub(super) fn is_foreign(seen: &Seen<'_>) -> Option<Class> {
    match &seen.case.answer {
        Answer::Callback(parameters) => {
            let class = came_back(seen, parameters)?;
            let foreign = [
                Class::StateMismatch,
                Class::IssuerMismatch,
                Class::MalformedResponse,
            ];
            foreign.contains(&class).then_some(class)
        }
        Answer::Body(_) | Answer::Page(_) => None,
    }
}

fn came_back(seen: &Seen<'_>, parameters: &str) -> Option<Class> {
    let context = &seen.case.context;
    let parameters = parameters.trim_start_matches(['?', '#']);
    let parameters = parameters.split('#').next().unwrap_or_default();
    let found = match &seen.body {
        Body::Form(pairs) => pairs.iter().find(|(name, _)| name == "state"),
        _ => None,
    };
    // A probe that does not say what state it sent expects the one that came.
    let own = context
        .text("expected_state")
        .map(str::to_owned)
        .or_else(|| found.map(|(_, value)| value.clone()));
    let named = |wanted: &[&str]| match &seen.body {
        Body::Form(pairs) => pairs
            .iter()
            .any(|(name, value)| wanted.contains(&name.as_str()) && !value.is_empty()),
        _ => false,
    };
    // Of other flows than that of the probe: OpenID Connect Core section 3.2.2.5, JARM.
    let elsewhere = named(&["access_token", "id_token", "response"]);
    let Some(own) = own else {
        let something = elsewhere || named(&["code", "error"]);
        return (!something).then_some(Class::MalformedResponse);
    };
    let promised = context.flag("authorization_response_iss_parameter_supported");
    let expected = callback::Expected {
        state: &State::new(own),
        issuer: context.text("expected_issuer"),
        iss_promised: promised.unwrap_or(false),
    };
    class_of(callback::read(parameters, parameters, &expected))
        .filter(|class| *class != Class::MalformedResponse || !elsewhere)
}

fn tokens(seen: &Seen<'_>, reply: &Reply<'_>) -> Option<Class> {
    let context = &seen.case.context;
    let wanted = context.words("expected_tokens");
    let wants = |name: &str| wanted.iter().any(|one| one == name);
    let due = Due {
        id_token: wants("id_token") || seen.case.stage == Stage::IdToken,
        refresh_token: wants("refresh_token"),
    };
    let tokens = match token::read(reply, due) {
        Ok(tokens) => tokens,
        Err(fault) => return class_of::<()>(Err(fault)),
    };
    let kind = tokens.token_type.as_deref();
    if kind.is_none() && context.flag("require_token_type") == Some(true) {
        return Some(Class::MalformedResponse);
    }
    let other = kind
        .zip(context.text("expected_token_type"))
        .is_some_and(|(kind, expected)| !kind.eq_ignore_ascii_case(expected));
    if other {
        return Some(Class::TokenConfusion);
    }
    let mut asked = context.words("requested_scope");
    if let Some(separator) = context.text("scope_separator") {
        asked = asked
            .iter()
            .flat_map(|scope| scope.split(separator))
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect();
    }
    if !scope::missing(&asked, &tokens).is_empty() {
        return Some(Class::ScopeDowngraded);
    }
    let jwt = tokens.id_token.as_ref()?;
    let judged = seen.case.stage == Stage::IdToken || context.knows("expected_nonce");
    judged
        .then(|| id_token(seen, jwt.expose(), Some(&tokens.access)))
        .flatten()
}

/// In the order of OpenID Connect Core section 3.1.3.7: form, algorithm, key, signature, claims.
fn id_token(seen: &Seen<'_>, jwt: &str, access: Option<&AccessToken>) -> Option<Class> {
    let context = &seen.case.context;
    let token = match Unverified::parse(jwt, "the ID token") {
        Ok(token) => token,
        Err(fault) => return class_of::<()>(Err(fault)),
    };
    let header = token.header();
    let agreed = context.words("expected_alg");
    let agreed = agreed.is_empty() || agreed.contains(&header.alg);
    if !agreed || header.alg.eq_ignore_ascii_case("none") {
        return Some(Class::AlgorithmMismatch);
    }
    let kids = context.words("jwks_kids");
    let unknown = header.kid.as_ref().is_some_and(|kid| !kids.contains(kid));
    if unknown && !kids.is_empty() {
        return Some(Class::SigningKeyUnknown);
    }
    if context.flag("signature_verifies") == Some(false) {
        return Some(Class::SignatureInvalid);
    }
    let nonce = context.text("expected_nonce").map(Nonce::new);
    let expected = id_token::Claimed {
        issuer: context.text("expected_issuer"),
        client_id: context.text("expected_audience"),
        nonce: nonce.as_ref(),
        access,
        now: context.moment("now"),
        leeway_ms: context
            .number("clock_skew_s")
            .map_or(id_token::LEEWAY_MS, |seconds| (seconds * 1000.0) as i64),
    };
    class_of(id_token::claims_hold(&token, &expected))
}

/// OpenID Connect Discovery section 4.3; the endpoints that every sign-in needs must be there.
fn metadata(seen: &Seen<'_>) -> Option<Class> {
    let Some(document) = seen.object() else {
        return Some(match seen.body {
            Body::Json(_) => Class::MetadataInvalid,
            _ => Class::MalformedResponse,
        });
    };
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let (found, expected) = (text("issuer"), seen.case.context.text("expected_issuer"));
    match (found, expected) {
        (Some(found), Some(expected)) if found != expected => return Some(Class::IssuerMismatch),
        (None, _) => return Some(Class::MetadataInvalid),
        _ => {}
    }
    let needed = ["authorization_endpoint", "token_endpoint", "jwks_uri"];
    let whole = needed.iter().all(|name| {
        text(name).is_some_and(|address| url::Url::parse(address).is_ok_and(|url| url.has_host()))
    });
    let step_down = expected.is_some_and(|issuer| issuer.starts_with("https://"))
        && needed
            .iter()
            .any(|name| text(name).is_some_and(|address| address.starts_with("http://")));
    (!whole || step_down).then_some(Class::MetadataInvalid)
}

/// UserInfo (OpenID Connect Core section 5.3.2): an object with a subject, or a JWT.
fn claims(seen: &Seen<'_>) -> Option<Class> {
    if is_jwt(seen) {
        return None;
    }
    let Some(claims) = seen.object() else {
        return Some(Class::MalformedResponse);
    };
    let names_somebody = [
        "sub", "id", "user_id", "login", "email", "username", "data", "user",
    ];
    if !names_somebody.iter().any(|name| claims.contains_key(*name)) {
        return Some(Class::MalformedResponse);
    }
    let expected = seen.case.context.text("expected_subject");
    let found = claims.get("sub").and_then(Value::as_str);
    (expected.is_some() && expected != found).then_some(Class::TokenConfusion)
}

fn is_jwt(seen: &Seen<'_>) -> bool {
    seen.header("content-type")
        .is_some_and(|kind| kind.contains("jwt"))
}

/// A resource may be of any form, unless the probe asked for one.
fn of_type(seen: &Seen<'_>) -> Option<Class> {
    let context = &seen.case.context;
    let wanted = context
        .text("expected_media_type")
        .or_else(|| context.text("accept"));
    let wants_json = wanted.is_some_and(|wanted| wanted.contains("json"));
    let is_json = matches!(seen.body, Body::Json(_));
    (wants_json && !is_json).then_some(Class::MalformedResponse)
}

fn has(seen: &Seen<'_>, needed: &[&str]) -> Option<Class> {
    let Some(object) = seen.object() else {
        return Some(Class::MalformedResponse);
    };
    let whole = needed.iter().all(|name| {
        object
            .get(*name)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    });
    (!whole).then_some(Class::MalformedResponse)
}

fn class_of<T>(read: Result<T, Fault>) -> Option<Class> {
    match read.err()? {
        Fault::Check(finding) => Some(finding.class),
        _ => None,
    }
}

/// The class of a success answer to something that must be refused.
pub(super) fn accepted(check: &str, call: Call) -> Class {
    let says = |words: &[&str]| words.iter().any(|word| check.contains(word));
    if says(&["redirect"]) {
        Class::AcceptedForeignRedirectUri
    } else if says(&["verifier", "pkce", "challenge"]) {
        Class::AcceptedBadPkce
    } else if says(&["unsigned", "signature", "alg_none", "request_object"]) {
        Class::AcceptedUnsignedRequest
    } else if says(&["secret", "client_auth", "credentials"]) {
        Class::AcceptedWrongClientSecret
    } else if says(&["revoked"]) {
        Class::AcceptedRevokedToken
    } else if says(&["refresh"]) || call == Call::Refresh {
        Class::AcceptedReusedRefreshToken
    } else if call == Call::Bearer || call == Call::OnToken {
        Class::AcceptedRevokedToken
    } else {
        Class::AcceptedReusedCode
    }
}
