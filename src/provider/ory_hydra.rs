//! Ory Hydra: each description begins with the long sentence of the specification; what follows it is what counts.

use super::{BROWSER, Provider, REFRESH, TOKEN, codes, says};
use crate::taxonomy::{Action, Cause, Class};

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::InvalidTarget, &["requested audience"]),
        says(Class::UnauthorizedClient, &["marked as public and is thus not allowed",
            "is not allowed to use authorization grant", "is not allowed to use response type",
            "not allowed to perform device"]),
        says(Class::InvalidGrant, &[            "does not match the id during the initial token issuance",
            "client id from this request does not match"])
            .blame(Cause::Client, Action::FixConfig),
        says(Class::PkceMismatch, &["pkce", "code verifier", "code challenge",
            "clients must include a code challenge"]),
        says(Class::RedirectUriMismatch, &["redirect uri * does not match",
            "redirect uri from this request does not match", "redirect url is", "redirect uri"]).at(TOKEN),
        says(Class::RedirectUriMismatch, &["redirect uri * does not match", "redirect uri * must", "redirect url"])
            .at(BROWSER),
        says(Class::InvalidClient, &["requested oauth 2 0 client does not exist"]),
        says(Class::InvalidClient, &["client supports client authentication method", "no client authentication",
            "client secret"]),
        codes(Class::RefreshTokenReused, &["token_inactive"]).at(REFRESH),
        codes(Class::RefreshTokenRevoked, &["request_unauthorized"]).at(REFRESH),
        codes(Class::InvalidToken, &["token_inactive", "request_unauthorized", "token_claim", "invalid_token_format",
            "token_signature_mismatch"]),
        codes(Class::RefreshTokenExpired, &["token_expired"]).at(REFRESH),
        codes(Class::InvalidRequest, &["invalid_state"]),
        codes(Class::ServerError, &["error", "server_error"]).status(&[409, 429])
            .says(&["competing for the same resource"]).blame(Cause::Provider, Action::Retry),
        codes(Class::ServerError, &["misconfiguration"]),
        codes(Class::RefreshTokenReused, &["invalid_grant"]).says(&["refresh token was already used",
            "already been used"]).at(REFRESH),
        codes(Class::CodeReused, &["invalid_grant"]).says(&["authorization code has already been used"]),
        says(Class::SessionExpired, &["login request has expired", "consent request has expired",
            "request has expired", "no csrf value available", "csrf value from the token does not match",
            "csrf session cookie could not be found", "verifier has already been used",
            "challenge has already been used"]),
        says(Class::LoginRequired, &["prompt is set to none", "prompt * none"]),
    ],
    addresses: &["https://*.oryapis.com*"],
    ..Provider::named("ory-hydra", &["hydra", "ory", "fosite", "ory-network"])
};
