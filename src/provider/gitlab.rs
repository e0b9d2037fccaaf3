//! GitLab: Doorkeeper underneath, so one sentence stands for many faults of a grant.

use super::{Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidGrant, &["invalid_grant"]).says(&["is invalid expired revoked"]),
        codes(Class::AccountLocked, &["invalid_grant", "forbidden"]).says(&["your account has been blocked",
            "deactivated", "pending approval"]),
        says(Class::RateLimited, &["retry later", "this endpoint has been requested too many times"]),
        says(Class::ConsentRequired, &["must accept the terms of service"]),
        says(Class::MfaRequired, &["two factor authentication"]),
        codes(Class::InsufficientScope, &["insufficient_granular_scope", "insufficient_scope"]),
        codes(Class::InvalidToken, &["impersonation_disabled", "dpop_error"]),
    ],
    addresses: &["https://gitlab.com*"],
    ..Provider::named("gitlab", &[])
};
