//! TikTok: errors in a 200, with `log_id`.

use super::{BEARER, Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(365),
    rules: &[
        codes(Class::InvalidToken, &["access_token_invalid", "access_token_expired"]).at(BEARER),
        codes(Class::InsufficientScope, &["scope_not_authorized", "scope_permission_missed"]),
        codes(Class::RateLimited, &["rate_limit_exceeded", "spam_risk_too_many_posts"]),
        codes(Class::ServerError, &["internal_error"]),
        codes(Class::RateLimited, &["error_code=10010"]),
        codes(Class::InvalidClient, &["error_code=10003", "error_code=10013", "invalid_client_key"]),
        codes(Class::CodeExpired, &["error_code=10007"]),
    ],
    ..Provider::named("tiktok", &[])
};
