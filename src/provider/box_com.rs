//! Box: `code` names API errors; the JWT grant is strict about clocks.

use super::{Provider, codes, says};
use crate::taxonomy::{Action, Cause, Class};

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(60),
    rules: &[
        codes(Class::AccountLocked, &["password_reset_required", "account_deactivated", "inactive_user"]),
        codes(Class::ConsentRequired, &["terms_of_service_required"]),
        codes(Class::InsufficientScope, &["insufficient_scope", "access_denied_insufficient_permissions",
            "access_denied_item_locked"]),
        codes(Class::PolicyBlocked, &["forbidden_by_policy", "access_denied_location_blocked"]),
        codes(Class::RateLimited, &["rate_limit_exceeded"]),
        says(Class::ClientDisabled, &["not authorized by the enterprise", "app is not authorized",
            "application is disabled"]),
        says(Class::ClockSkew, &["current date time", "exp claim"]),
        says(Class::InvalidClient, &["jti * unique", "jti"]).blame(Cause::Client, Action::FixConfig),
        says(Class::InvalidGrant, &["cannot obtain user token", "cannot obtain token based on the enterprise",
            "auth code doesn't exist or is invalid"]),
        says(Class::CodeExpired, &["auth code has expired"]),
        says(Class::RefreshTokenExpired, &["refresh token has expired"]),
    ],
    ..Provider::named("box", &["box.com"])
};
