//! LinkedIn: `serviceErrorCode` in APIs; one sentence of the token endpoint stands for all that can be wrong with a code.

use super::{Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(365),
    rules: &[
        says(Class::InvalidGrant, &["unable to retrieve access token * does not match authorization code"]),
        says(Class::InvalidClient, &["client secret * missing", "client id * missing",
            "client authentication failed"]),
        codes(Class::AccessDenied, &["user_cancelled_login", "user_cancelled_authorize"]),
        codes(Class::InvalidScope, &["unauthorized_scope_error"]),
        codes(Class::InsufficientScope, &["serviceErrorCode=100"]),
        codes(Class::InvalidToken, &["serviceErrorCode=65600", "serviceErrorCode=65601", "serviceErrorCode=65602",
            "serviceErrorCode=65604", "EXPIRED_ACCESS_TOKEN", "REVOKED_ACCESS_TOKEN", "INVALID_ACCESS_TOKEN",
            "EMPTY_ACCESS_TOKEN"]),
        codes(Class::RateLimited, &["serviceErrorCode=101", "TOO_MANY_REQUESTS"]),
        codes(Class::UnauthorizedClient, &["access_denied", "unauthorized_client"])
            .says(&["not allowed to create application tokens"]),
        says(Class::RedirectUriMismatch, &["redirect uri does not match the registered value"]),
        says(Class::ClientDisabled, &["application is disabled", "app is disabled"]),
    ],
    addresses: &["https://www.linkedin.com*"],
    ..Provider::named("linkedin", &[])
};
