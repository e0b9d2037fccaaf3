//! ServiceNow: `server_error` with `access_denied` in its description for every refused credential.

use super::{BEARER, Provider, REFRESH, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(100),
    rules: &[
        codes(Class::RefreshTokenExpired, &["server_error"]).says(&["access denied"]).at(REFRESH),
        codes(Class::BadUserCredentials, &["server_error"]).says(&["access denied"]).grants(&["password"]),
        codes(Class::InvalidClient, &["server_error"]).says(&["access denied"]).grants(&["client_credentials"]),
        codes(Class::InvalidGrant, &["server_error"]).says(&["access denied"]),
        codes(Class::RefreshTokenExpired, &["access_denied", "server_error"]).at(REFRESH).status(&[401]),
        codes(Class::BadUserCredentials, &["access_denied", "server_error"]).grants(&["password"]).status(&[401]),
        says(Class::InvalidToken, &["user not authenticated", "required to provide auth information"]).at(BEARER),
        says(Class::InsufficientScope, &["insufficient rights", "acl"]).at(BEARER),
        says(Class::TemporarilyUnavailable, &["hibernating", "instance is offline"]),
    ],
    ..Provider::named("servicenow", &["service-now", "snow"])
};
