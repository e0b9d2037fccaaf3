//! Strava: `errors` of resource, field and code.

use super::{BEARER, GRANT, Provider, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::InsufficientScope, &["* permission missing"]),
        says(Class::InvalidToken, &["access token invalid"]).at(BEARER),
        says(Class::InvalidGrant, &["refresh token invalid", "code invalid"]).at(GRANT),
        says(Class::CodeExpired, &["code expired"]),
        says(Class::RedirectUriMismatch, &["redirect uri invalid"]),
        says(Class::InvalidClient, &["client id invalid", "client secret invalid", "application invalid"]),
        says(Class::RateLimited, &["rate limit exceeded"]),
        says(Class::RateLimited, &["limit of connected athletes exceeded"]),
    ],
    ..Provider::named("strava", &[])
};
