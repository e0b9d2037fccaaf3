//! Zoom: `reason` beside `error` at the token endpoint, numeric `code` in APIs.

use super::{BEARER, Provider, REFRESH, TOKEN, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(90),
    rules: &[
        codes(Class::InvalidToken, &["code=124"]).says(&["expired", "invalid access token"]),
        codes(Class::InsufficientScope, &["code=4711", "code=104", "code=4700"]),
        codes(Class::InvalidToken, &["code=124"]),
        codes(Class::EntitlementMissing, &["code=200", "code=201"]),
        codes(Class::RateLimited, &["code=429"]),
        codes(Class::AccountLocked, &["code=1001", "code=1010"]).says(&["locked", "deactivated", "disabled"]),
        codes(Class::HttpClientError, &["code=1001", "code=3001", "code=300"]).at(BEARER),
        says(Class::ClientDisabled, &["account does not exist", "app has been disabled",
            "the application is disabled", "app has been removed"]).at(TOKEN),
        says(Class::InvalidGrant, &["invalid token"]).at(REFRESH),
        says(Class::InvalidGrant, &["invalid authorization code"]),
        says(Class::UnsupportedGrantType, &["unsupported grant type"]),
        codes(Class::RedirectUriMismatch, &["code=4700", "4700"]).says(&["redirect"]),
    ],
    ..Provider::named("zoom", &[])
};
