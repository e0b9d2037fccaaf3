//! HubSpot: `status` holds the code of an OAuth error, `category` that of an API error.

use super::{Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidGrant, &["BAD_REFRESH_TOKEN"]),
        codes(Class::InvalidGrant, &["BAD_AUTH_CODE", "UNKNOWN_AUTH_CODE"]),
        codes(Class::CodeExpired, &["EXPIRED_AUTH_CODE"]),
        codes(Class::CodeReused, &["AUTH_CODE_ALREADY_USED"]),
        codes(Class::InvalidClient, &["BAD_CLIENT_ID", "BAD_CLIENT_SECRET", "CLIENT_ID_MISMATCH"]),
        codes(Class::RedirectUriMismatch, &["BAD_REDIRECT_URI", "REDIRECT_URI_MISMATCH"]),
        codes(Class::UnsupportedGrantType, &["BAD_GRANT_TYPE"]),
        codes(Class::ClientDisabled, &["BAD_HUB", "HUB_NOT_FOUND", "APP_UNINSTALLED"]),
        codes(Class::InvalidToken, &["EXPIRED_AUTHENTICATION", "INVALID_AUTHENTICATION"]),
        codes(Class::InsufficientScope, &["MISSING_SCOPES", "MISSING_PERMISSIONS"]),
        codes(Class::RateLimited, &["RATE_LIMITS", "RATE_LIMIT", "TEN_SECONDLY_ROLLING", "DAILY"]),
        codes(Class::EntitlementMissing, &["HUB_NOT_ENTITLED", "PORTAL_DOES_NOT_HAVE_ACCESS", "LIMIT_EXCEEDED"]),
        says(Class::RedirectUriMismatch, &["redirect url * doesn't match", "redirect url * does not match"]),
        says(Class::InvalidScope, &["scope mismatch",
            "authorization failed because there is a mismatch between the scopes"]),
    ],
    ..Provider::named("hubspot", &[])
};
