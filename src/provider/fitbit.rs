//! Fitbit: a list of `errors` with `errorType`; refresh tokens are used once.

use super::{BEARER, Provider, REFRESH, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::RefreshTokenReused, &["invalid_grant"]).says(&["refresh token invalid"]).at(REFRESH),
        codes(Class::InvalidToken, &["expired_token", "invalid_token"]).at(BEARER),
        codes(Class::InsufficientScope, &["insufficient_scope", "insufficient_permissions"]),
        codes(Class::RateLimited, &["rate_limit_exceeded", "quota"]),
        codes(Class::InvalidClient, &["invalid_client"]),
    ],
    ..Provider::named("fitbit", &[])
};
