//! Withings: a `status` of its own in a 200.

use super::{Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidClient, &["status=503"]).says(&["invalid client", "client id secret"]),
        codes(Class::InvalidGrant, &["status=503"]).says(&["invalid code", "invalid refresh"]),
        codes(Class::RateLimited, &["status=601"]),
        codes(Class::InvalidToken, &["status=401", "status=100", "status=101", "status=102", "status=200"]),
        codes(Class::InsufficientScope, &["status=214", "status=277"]),
        codes(Class::InvalidRequest, &["status=503", "status=293", "status=294"]),
        codes(Class::TemporarilyUnavailable, &["status=522", "status=524"]),
        codes(Class::ServerError, &["status=518", "status=2554", "status=2555"]),
    ],
    ..Provider::named("withings", &[])
};
