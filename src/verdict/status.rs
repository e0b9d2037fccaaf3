//! What is left to say where only the status of HTTP speaks.

use super::meaning::Call;
use super::seen::{Body, Seen};
use crate::taxonomy::{Class, Stage};

/// The class of a status that nothing explains.
pub(super) fn class(seen: &Seen<'_>, call: Call) -> Class {
    let Some(status) = seen.case.status else {
        return without_status(seen);
    };
    let promises_return = seen.header("retry-after").is_some();
    match status {
        200..300 if seen.refused => Class::ErrorHiddenInSuccess,
        401 if call == Call::Bearer => Class::InvalidToken,
        401 if is_signed_in_to(seen.case.stage) => Class::InvalidClient,
        402 => Class::EntitlementMissing,
        407 => Class::ProxyError,
        408 => Class::RequestTimeout,
        // RFC 9126 section 2.3
        413 if seen.case.stage == Stage::Par => Class::InvalidRequest,
        429 => Class::RateLimited,
        498 if call == Call::Bearer => Class::InvalidToken,
        498 | 499 => Class::InvalidClient,
        400..500 => Class::HttpClientError,
        // A server that names the time of its return is in maintenance; one that does not is broken.
        503 if promises_return => Class::TemporarilyUnavailable,
        500.. => Class::HttpServerError,
        // A redirect or an informational answer where neither belongs.
        _ => Class::MalformedResponse,
    }
}

/// Parameters at the redirect URI have no status. An error of a name that nobody knows is the server's.
fn without_status(seen: &Seen<'_>) -> Class {
    match seen.body {
        _ if seen.refused => Class::ServerError,
        Body::Markup { .. } => Class::UnexpectedPage,
        _ => Class::MalformedResponse,
    }
}

/// Endpoints at which the client authenticates (RFC 6749 section 5.2, RFC 7662 section 2.3, RFC 9126 section 2).
fn is_signed_in_to(stage: Stage) -> bool {
    matches!(
        stage,
        Stage::Par
            | Stage::DeviceAuthorization
            | Stage::TokenExchange
            | Stage::Refresh
            | Stage::Introspection
            | Stage::Revocation
    )
}

/// Reason phrases of HTTP (RFC 9110 section 15) stand in many bodies, and say no more than the status does.
pub(super) fn is_reason(text: &str) -> bool {
    const REASONS: [&str; 20] = [
        "badrequest",
        "unauthorized",
        "forbidden",
        "notfound",
        "methodnotallowed",
        "notacceptable",
        "conflict",
        "gone",
        "unsupportedmediatype",
        "unprocessableentity",
        "internalservererror",
        "notimplemented",
        "badgateway",
        "serviceunavailable",
        "gatewaytimeout",
        "error",
        "unprocessablecontent",
        "paymentrequired",
        "contenttoolarge",
        "payloadtoolarge",
    ];
    let squashed = super::members::squash(text);
    let squashed = squashed.trim_start_matches(|c: char| c.is_ascii_digit());
    REASONS.contains(&squashed)
}
