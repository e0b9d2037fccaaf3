//! Login with Amazon: names the parameter that holds the bad grant.

use super::{BROWSER, Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::RefreshTokenRevoked, &["user may have unauthorized"]),
        says(Class::InvalidGrant, &["invalid grant parameter"]),
        codes(Class::ServerError, &["ServerError"]),
        codes(Class::InvalidToken, &["invalid_token", "InvalidToken"]),
        codes(Class::RateLimited, &["Throttled", "QuotaExceeded"]),
        codes(Class::InvalidToken, &["Unauthorized"]).says(&["access to requested resource is denied"])
            .status(&[401]),
        codes(Class::InsufficientScope, &["Unauthorized"]).says(&["access to requested resource is denied"]),
        says(Class::RedirectUriMismatch, &["redirect uri you provided has not been whitelisted", "redirect uri"])
            .at(BROWSER),
    ],
    ..Provider::named("amazon-lwa", &["amazon", "login-with-amazon", "lwa"])
};
