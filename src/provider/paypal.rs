//! PayPal: `name` holds the code of API errors.

use super::{Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidToken, &["AUTHENTICATION_FAILURE", "INVALID_TOKEN", "TOKEN_EXPIRED",
            "AUTHENTICATION_ERROR"]),
        codes(Class::InsufficientScope, &["NOT_AUTHORIZED", "PERMISSION_DENIED", "CONSENT_NEEDED",
            "REQUIRED_SCOPE_MISSING"]),
        codes(Class::RateLimited, &["RATE_LIMIT_REACHED"]),
        codes(Class::ServerError, &["INTERNAL_SERVER_ERROR", "INTERNAL_SERVICE_ERROR"]),
        codes(Class::TemporarilyUnavailable, &["SERVICE_UNAVAILABLE"]),
        codes(Class::AccountLocked, &["PAYEE_ACCOUNT_LOCKED_OR_CLOSED", "PAYEE_ACCOUNT_RESTRICTED",
            "ACCOUNT_RESTRICTED"]),
        codes(Class::InvalidRequest, &["INVALID_REQUEST", "VALIDATION_ERROR", "MALFORMED_REQUEST",
            "MISSING_REQUIRED_PARAMETER"]),
        codes(Class::InvalidClient, &["unauthorized_client", "invalid_client"]).says(&["authentication failed",
            "client authentication failed"]),
    ],
    addresses: &["https://www.paypal.com*", "https://www.sandbox.paypal.com*"],
    ..Provider::named("paypal", &[])
};
