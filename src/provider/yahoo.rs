//! Yahoo: codes in capitals; one page for most faults of a request, with a line for developers.

use super::{BROWSER, Provider, REFRESH, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::InvalidClient, &["specify a valid client", "invalid client", "invalid consumer"]).at(BROWSER),
        says(Class::RedirectUriMismatch, &["specify a valid request", "specify a valid redirect"]).at(BROWSER),
        codes(Class::InvalidGrant, &["INVALID_REFRESH_TOKEN", "INVALID_AUTHORIZATION_CODE"]),
        codes(Class::RefreshTokenExpired, &["TOKEN_EXPIRED"]).at(REFRESH),
        codes(Class::RefreshTokenRevoked, &["TOKEN_REVOKED", "ACCOUNT_NOT_AUTHORIZED"]).at(REFRESH),
        codes(Class::RedirectUriMismatch, &["INVALID_REDIRECT_URI", "INVALID_CALLBACK"]),
        codes(Class::InvalidClient, &["INVALID_CLIENT", "INVALID_CLIENT_SECRET", "UNAUTHORIZED_CLIENT"]),
    ],
    addresses: &["https://api.login.yahoo.com*"],
    ..Provider::named("yahoo", &["yahoo-japan"])
};
