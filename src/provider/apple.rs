//! Apple: bare codes; the client secret is a JWT that lives six months at most.

use super::{Provider, REFRESH, TOKEN, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::RedirectUriMismatch, &["invalid client id or web redirect url", "invalid web redirect url",
            "invalid redirect uri"]),
        says(Class::RefreshTokenRevoked, &["expired or has been revoked", "token has been revoked"]).at(REFRESH),
        says(Class::CodeReused, &["code has already been used", "code has been used"]),
        says(Class::CodeExpired, &["code has expired"]).at(TOKEN),
        codes(Class::AccessDenied, &["user_cancelled_authorize"]),
    ],
    addresses: &["https://appleid.apple.com*"],
    ..Provider::named("apple", &["sign-in-with-apple", "siwa"])
};
