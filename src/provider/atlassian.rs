//! Atlassian: dead refresh tokens are called `unauthorized_client`.

use super::{Fact, Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(90),
    rules: &[
        codes(Class::InvalidGrant, &["unauthorized_client", "invalid_grant"]).says(&["refresh token is invalid",
            "unknown or invalid refresh token"]),
        says(Class::RedirectUriMismatch, &["callback url mismatch"]),
        says(Class::InsufficientScope, &["scope does not match"]),
        says(Class::InvalidTarget, &["site temporarily unavailable", "no accessible resources"])
            .when(Fact::NoHeader("retry-after")),
        says(Class::PolicyBlocked, &["ip allowlist", "ip allow list", "blocked by your admin",
            "site admin must authorize"]),
    ],
    ..Provider::named("atlassian", &["jira", "confluence", "atlassian-cloud", "bitbucket"])
};
