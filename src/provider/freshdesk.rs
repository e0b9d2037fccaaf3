//! Freshdesk: a spent plan limit is a 429 without `Retry-After`; waiting does not help.

use super::{BEARER, Fact, Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::EntitlementMissing, &[]).status(&[429]).when(Fact::NoHeader("retry-after")),
        codes(Class::InvalidToken, &["invalid_credentials"]),
        codes(Class::InsufficientScope, &["access_denied"]).at(BEARER),
        codes(Class::EntitlementMissing, &["require_feature", "inconsistent_state"]),
        codes(Class::AccountLocked, &["account_suspended", "password_lockout", "password_expired"]),
        codes(Class::HttpClientError, &["ssl_required", "unsupported_accept_header", "unsupported_content_type"]),
    ],
    ..Provider::named("freshdesk", &["freshworks"])
};
