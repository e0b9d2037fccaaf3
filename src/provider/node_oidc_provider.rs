//! oidc-provider: `grant request is invalid` for all that is wrong with a grant; the log of the server has the reason.

use super::{Provider, TOKEN, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::UnauthorizedClient, &["grant type is not allowed for this client",
            "response type not allowed for this client", "is not allowed for this client"]).at(TOKEN),
        says(Class::UnauthorizedClient, &["response type not allowed for this client"]),
        says(Class::InvalidClient, &["no client authentication mechanism provided",
            "client authentication must only be provided using one mechanism", "client is invalid"]),
        says(Class::InvalidScope, &["requested scope is not allowed"]),
        says(Class::InvalidGrant, &["grant request is invalid", "refresh token not found", "grant not found"]),
        says(Class::PkceMismatch, &["requires pkce", "pkce"]),
        says(Class::SessionExpired, &["request uri is invalid expired or was already used",
            "authorization request has expired", "interaction session", "session not found",
            "interaction session id cookie not found"]),
        codes(Class::SessionExpired, &["SessionNotFound"]),
        says(Class::InvalidDpopProof, &["dpop"]),
        says(Class::LoginRequired, &["end user authentication is required"]),
        says(Class::ConsentRequired, &["not granted", "requested scopes not granted",
            "requested claims not granted"]),
        says(Class::MfaRequired, &["none of the requested acrs could be obtained",
            "requested acr could not be obtained"]),
        says(Class::InvalidRequest, &["content type bodies are supported", "only application x www form urlencoded"]),
    ],
    ..Provider::named("node-oidc-provider", &["oidc-provider", "panva"])
};
