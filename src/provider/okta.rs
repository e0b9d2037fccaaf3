//! Okta: sentences in `error_description`, and `E000…` codes in APIs and at sign-in.

use super::{BEARER, Provider, TOKEN, codes, says};
use crate::taxonomy::{Action, Cause, Class};

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    prefix: Some("E0000"),
    rules: &[
        codes(Class::BadUserCredentials, &["E0000004", "E0000068", "E0000014"]),
        codes(Class::InvalidToken, &["E0000005", "E0000011"]).at(BEARER),
        codes(Class::SessionExpired, &["E0000005", "E0000011"]),
        codes(Class::InsufficientScope, &["E0000006"]),
        codes(Class::EntitlementMissing, &["E0000015"]),
        codes(Class::TemporarilyUnavailable, &["E0000010"]),
        codes(Class::ServerError, &["E0000009"]),
        codes(Class::InvalidClient, &["E0000013"]),
        codes(Class::RateLimited, &["E0000047"]),
        codes(Class::AccountLocked, &["E0000064", "E0000069", "E0000119", "E0000062"]),
        codes(Class::PolicyBlocked, &["E0000017", "E0000034", "E0000095"]),
        codes(Class::MfaRequired, &["E0000113"]),
        codes(Class::HttpClientError, &["E0000007", "E0000008", "E0000022", "E0000012"]),
        codes(Class::InvalidRequest, &["E0000001", "E0000002", "E0000003", "E0000021", "E0000028"]),
        says(Class::InvalidClient, &["client assertion token has already been used",
            "client assertion * already been used"]).blame(Cause::Client, Action::FixConfig),
        says(Class::ClockSkew, &["must be issued before the current time", "token is expired",
            "token has an expiration", "exceeds the maximum lifetime", "expiration that is too far"]).at(TOKEN)
            .grants(&["client_credentials", "jwt-bearer"]),
        says(Class::PkceMismatch, &["must use proof key for code exchange", "pkce"]),
        says(Class::ServerError, &["groups claim * too many groups", "matched too many groups", "too many groups"])
            .blame(Cause::Configuration, Action::FixConfig),
        says(Class::ServerError, &["inline hook", "token inline hook"]).blame(Cause::Configuration,
            Action::FixConfig),
        says(Class::UnauthorizedClient, &["requested feature is not enabled"]),
        says(Class::InvalidTarget, &["grant was issued for another authorization server",
            "authorization server * not active"]),
        says(Class::InvalidGrant, &["grant was issued to another client"]).blame(Cause::Client, Action::FixConfig),
        says(Class::LoginRequired, &["specified not to prompt"]),
        says(Class::AccountLocked, &["user's password is expired", "password has expired", "user is not active",
            "user status is", "user is locked"]),
        says(Class::PolicyBlocked, &["permitted network zones", "denied by the policy", "policy evaluation failed",
            "no policy", "access policy"]),
        says(Class::InvalidScope, &["requested for the refresh request were not granted"]),
        says(Class::RedirectUriMismatch, &["redirect uri * must be"]),
        says(Class::MfaRequired, &["with mfa enabled", "mfa"]),
    ],
    addresses: &["https://*.okta.com*", "https://*.oktapreview.com*", "https://*.okta-emea.com*"],
    ..Provider::named("okta", &["okta-cic-workforce", "auth-okta"])
};
