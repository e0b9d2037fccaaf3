//! X: `Value passed for …` names what is wrong; problems by `type` and `title` in APIs.

use super::{Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::RedirectUriMismatch, &["value passed for the redirect uri"]),
        says(Class::PkceMismatch, &["value passed for the code verifier", "code verifier"]),
        says(Class::InvalidGrant, &["value passed for the authorization code", "value passed for the token"]),
        says(Class::InvalidClient, &["value passed for the client id", "missing valid authorization header",
            "unauthorized client"]),
        says(Class::RateLimited, &["usage cap exceeded"]),
        codes(Class::ClientDisabled, &["client-not-enrolled", "code=416", "client-forbidden"]).says(&["suspended",
            "disabled"]),
        codes(Class::EntitlementMissing, &["client-not-enrolled", "code=453", "Client Forbidden"]),
        codes(Class::EntitlementMissing, &[]).says(&["attached to a project", "access level", "subset of x api",
            "appropriate level of api access"]),
        codes(Class::TokenConfusion, &["Unsupported Authentication"]),
        says(Class::TokenConfusion, &["authenticating with * is forbidden for this endpoint",
            "unsupported authentication"]),
        codes(Class::InvalidToken, &["code=89", "code=32", "code=215"]),
        codes(Class::RateLimited, &["code=88"]),
        codes(Class::AccountLocked, &["code=64", "code=326", "code=63"]),
        codes(Class::ServerError, &["code=131"]),
        codes(Class::TemporarilyUnavailable, &["code=130"]),
        says(Class::InvalidRequest, &["you weren't able to give access to the app"]),
    ],
    ..Provider::named("x-twitter", &["twitter", "x"])
};
