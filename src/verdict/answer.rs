//! The class of an answer: an HTTP answer of the provider, or error parameters at the redirect URI.
//!
//! Rules are asked in order, and the first that has something to say wins. Rules of one provider will stand in front
//! of these.

use crate::run::Raw;
use crate::taxonomy::{Class, Family, Stage};

/// An answer, and the step that it stopped.
struct Seen<'a> {
    stage: Stage,
    raw: &'a Raw,
}

type Rule = fn(&Seen<'_>) -> Option<Class>;

const RULES: [Rule; 3] = [by_error, by_hidden_error, by_refused_credentials];

/// Names the class.
pub(super) fn class(stage: Stage, raw: &Raw) -> Class {
    let seen = Seen { stage, raw };
    RULES
        .iter()
        .find_map(|rule| rule(&seen))
        .unwrap_or_else(|| by_status(&seen))
}

/// The first header of this (lower-case) name.
pub(super) fn header<'a>(raw: &'a Raw, name: &str) -> Option<&'a str> {
    let found = raw.headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

/// `error` says it. Most codes of the specifications are classes by the same name: RFC 6749 sections 4.1.2.1 and 5.2,
/// RFC 6750 section 3.1, RFC 7009 section 2.2.1, RFC 8707 section 2, RFC 9449 section 5, OpenID Connect Core section
/// 3.1.2.6.
fn by_error(seen: &Seen<'_>) -> Option<Class> {
    let code = seen.raw.error.as_deref()?.trim().to_ascii_lowercase();
    let code = code.replace(['-', ' '], "_");
    let named: Option<Class> = code.parse().ok();
    if let Some(class) = named.filter(|class| class.family() == Family::Protocol) {
        return Some(class);
    }
    Some(match code.as_str() {
        // OpenID Connect Core section 3.1.2.6, RFC 9101 section 7
        "invalid_request_uri"
        | "invalid_request_object"
        | "request_not_supported"
        | "request_uri_not_supported"
        | "registration_not_supported" => Class::InvalidRequest,
        "account_selection_required" => Class::InteractionRequired,
        // OpenID Connect Core Unmet Authentication Requirements, RFC 9470 section 3
        "unmet_authentication_requirements" | "insufficient_user_authentication" => {
            Class::MfaRequired
        }
        // OAuth 2.0 Multiple Response Types
        "unsupported_response_mode" => Class::UnsupportedResponseType,
        // RFC 9449 section 8
        "use_dpop_nonce" => Class::InvalidDpopProof,
        // RFC 8628 section 3.5
        "slow_down" => Class::RateLimited,
        "expired_token" if is_bearer_call(seen.stage) => Class::InvalidToken,
        "expired_token" => Class::DeviceCodeExpired,
        _ => return None,
    })
}

/// A success status with an error that no rule knows, or with nothing that the step could use.
fn by_hidden_error(seen: &Seen<'_>) -> Option<Class> {
    match seen.raw.status {
        Some(200..300) if seen.raw.error.is_some() => Some(Class::ErrorHiddenInSuccess),
        Some(200..300) => Some(Class::MalformedResponse),
        _ => None,
    }
}

/// 401 without a word: at a call with the access token it is the token (RFC 6750 section 3), at an endpoint that the
/// client signs in to it is the client (RFC 6749 section 5.2, RFC 7662 section 2.3).
fn by_refused_credentials(seen: &Seen<'_>) -> Option<Class> {
    if seen.raw.status != Some(401) {
        return None;
    }
    match seen.stage {
        stage if is_bearer_call(stage) => Some(Class::InvalidToken),
        Stage::Par
        | Stage::DeviceAuthorization
        | Stage::TokenExchange
        | Stage::Refresh
        | Stage::Introspection
        | Stage::Revocation => Some(Class::InvalidClient),
        _ => None,
    }
}

fn is_bearer_call(stage: Stage) -> bool {
    matches!(stage, Stage::Userinfo | Stage::Resource)
}

/// What is left says only what HTTP says.
fn by_status(seen: &Seen<'_>) -> Class {
    let promises_return = header(seen.raw, "retry-after").is_some();
    match seen.raw.status {
        Some(407) => Class::ProxyError,
        Some(408) => Class::RequestTimeout,
        // RFC 9126 section 2.3
        Some(413) if seen.stage == Stage::Par => Class::InvalidRequest,
        Some(429) => Class::RateLimited,
        Some(400..500) => Class::HttpClientError,
        // A server that names the time of its return is in maintenance; one that does not is broken.
        Some(503) if promises_return => Class::TemporarilyUnavailable,
        Some(500..) => Class::HttpServerError,
        // A redirect or an informational answer where neither belongs.
        Some(_) => Class::MalformedResponse,
        // Parameters at the redirect URI have no status. An error of a name that nobody knows is the server's.
        None if seen.raw.error.is_some() => Class::ServerError,
        None => Class::MalformedResponse,
    }
}
