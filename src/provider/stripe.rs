//! Stripe Connect: OAuth errors with clear sentences; API errors by `type` and `code`.

use super::{BEARER, Provider, TOKEN, codes, says};
use crate::taxonomy::{Action, Cause, Class};

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::InvalidGrant, &["live mode * test mode", "test mode * live mode", "created in live mode",
            "created in test mode"]).blame(Cause::Configuration, Action::FixConfig),
        says(Class::ClientDisabled, &["application is not set up", "platform has not been approved",
            "not been activated"]),
        codes(Class::InvalidToken, &["api_key_expired", "invalid_api_key", "platform_api_key_expired"]).at(BEARER),
        codes(Class::InvalidClient, &["api_key_expired", "platform_api_key_expired"]).at(TOKEN),
        codes(Class::InvalidClient, &["invalid_client"]),
        codes(Class::RateLimited, &["rate_limit", "lock_timeout"]),
        codes(Class::InsufficientScope, &["account_invalid", "more_permissions_required", "oauth_not_supported"])
            .at(BEARER),
        codes(Class::AccountLocked, &["account_closed", "account_error"]),
    ],
    ..Provider::named("stripe", &["stripe-connect"])
};
