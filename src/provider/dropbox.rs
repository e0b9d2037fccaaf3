//! Dropbox: API errors have a summary and a tag.

use super::{Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidToken, &["expired_access_token", "invalid_access_token", "select_user", "select_admin"]),
        codes(Class::InsufficientScope, &["missing_scope", "route_access_denied"]),
        codes(Class::RateLimited, &["too_many_requests", "too_many_write_operations"]),
        codes(Class::AccountLocked, &["user_suspended"]),
        codes(Class::EntitlementMissing, &["paper_access_denied", "feature_not_enabled", "team_license_limit"]),
        says(Class::CodeReused, &["code has already been used"]),
        says(Class::CodeExpired, &["code * has expired"]),
        says(Class::RefreshTokenRevoked, &["refresh token is invalid or revoked", "refresh token * revoked"]),
        says(Class::ClientDisabled, &["app is disabled", "app has been disabled", "reached its user limit"]),
        says(Class::PkceMismatch, &["invalid code verifier", "code verifier"]),
    ],
    ..Provider::named("dropbox", &[])
};
