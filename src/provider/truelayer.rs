//! TrueLayer: bare codes, and a page for a client that is not live.

use super::{Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::ClientDisabled, &["unknown client or client not enabled", "client not enabled"]),
        codes(Class::InvalidClient, &["invalid_client"]),
        codes(Class::ConsentRequired, &["sca_exceeded", "access_denied_consent"]),
        codes(Class::TemporarilyUnavailable, &["provider_error", "provider_timeout", "temporarily_unavailable"]),
        codes(Class::RateLimited, &["provider_too_many_requests", "provider_request_limit_exceeded"]),
        codes(Class::AccountLocked, &["account_temporarily_locked", "account_permanently_locked"]),
        codes(Class::BadUserCredentials, &["wrong_credentials"]),
    ],
    ..Provider::named("truelayer", &[])
};
