//! Kong: its OAuth plugin says `invalid_request` for bad grants; other plugins answer with `message`.

use super::{GRANT, Provider, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::PkceMismatch, &["code verifier", "pkce"]),
        says(Class::InvalidGrant, &["invalid code", "invalid refresh token"]).at(GRANT),
        says(Class::BlockedByGateway, &["no api key found", "your ip address is not allowed",
            "ip address not allowed", "you cannot consume this service"]),
        says(Class::HttpClientError, &["no route matched"]),
        says(Class::RateLimited, &["api rate limit exceeded"]),
        says(Class::InvalidClient, &["invalid client authentication"]),
        says(Class::InvalidRequest, &["you must use https"]),
        says(Class::HttpServerError, &["upstream server is timing out",
            "invalid response was received from the upstream", "failure to get a peer", "name resolution failed",
            "an unexpected error occurred"]),
    ],
    ..Provider::named("kong", &["kong-gateway"])
};
