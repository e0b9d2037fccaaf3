//! Dex: `invalid_request` for most things, and plain pages before the redirect.

use super::{BROWSER, Provider, REFRESH, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::InvalidTarget, &["cross client trust", "cross client"]),
        says(Class::InvalidRequest, &["password connector does not"]),
        says(Class::PkceMismatch, &["pkce", "code verifier", "code challenge"]),
        says(Class::SessionExpired, &["user session error", "requested resource does not exist", "login session"])
            .at(BROWSER),
        says(Class::RedirectUriMismatch, &["unregistered redirect uri", "invalid redirect uri"]),
        says(Class::InvalidClient, &["invalid client id", "invalid client credentials"]),
        says(Class::RefreshTokenReused, &["refresh token is invalid or has already been claimed",
            "already been claimed by another client"]).at(REFRESH),
        says(Class::InvalidScope, &["unauthorized scope", "unrecognized scope"]),
        says(Class::ServerError, &["failed to authenticate failed to", "internal server error", "login error",
            "failed to get"]),
        says(Class::AccessDenied, &["not in any of the required", "user not a member", "not in the required"]),
    ],
    ..Provider::named("dex", &["dexidp"])
};
