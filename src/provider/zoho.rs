//! Zoho: short codes in a 200.

use super::{Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidGrant, &["invalid_code", "invalid_refresh_token"]),
        codes(Class::RedirectUriMismatch, &["invalid_redirect_uri"]),
        codes(Class::InvalidClient, &["invalid_client", "invalid_client_secret"]),
        codes(Class::InvalidToken, &["INVALID_TOKEN", "INVALID_OAUTHTOKEN", "AUTHENTICATION_FAILURE",
            "oauthtoken_invalid"]),
        codes(Class::InsufficientScope, &["OAUTH_SCOPE_MISMATCH", "NO_PERMISSION", "INVALID_OAUTHSCOPE"]),
        codes(Class::EntitlementMissing, &["LICENSE_NOT_FOUND", "FEATURE_NOT_SUPPORTED", "PLAN_LIMIT"]),
        codes(Class::RateLimited, &["access_denied", "Access Denied"]).says(&["too many requests"]),
        codes(Class::RateLimited, &["TOO_MANY_REQUESTS"]),
        codes(Class::ServerError, &["general_error", "INTERNAL_ERROR"]),
    ],
    ..Provider::named("zoho", &[])
};
