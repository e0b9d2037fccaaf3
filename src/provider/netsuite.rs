//! NetSuite: refresh tokens live seven days; problems with `o:errorCode` in APIs.

use super::{Fact, Provider, REFRESH, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(7),
    rules: &[
        codes(Class::RefreshTokenExpired, &["invalid_grant"]).at(REFRESH).when(Fact::RefreshTokenDays(7)),
        codes(Class::InvalidToken, &["INVALID_LOGIN", "INVALID_LOGIN_ATTEMPT"]),
        codes(Class::InsufficientScope, &["INSUFFICIENT_PERMISSION"]),
        codes(Class::RateLimited, &["CONCURRENCY_LIMIT_EXCEEDED", "SSS_REQUEST_LIMIT_EXCEEDED",
            "REQUEST_LIMIT_EXCEEDED"]),
        codes(Class::MfaRequired, &["TWO_FA_REQD"]),
        codes(Class::EntitlementMissing, &["FEATURE_DISABLED", "FEATURE_UNAVAILABLE"]),
    ],
    ..Provider::named("netsuite", &["oracle-netsuite"])
};
