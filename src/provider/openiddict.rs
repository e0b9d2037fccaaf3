//! OpenIddict: full sentences, with the number of the message in `error_uri`.

use super::{BEARER, Provider, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::CodeReused, &["authorization code has already been redeemed",
            "authorization code has already been used"]),
        says(Class::RefreshTokenReused, &["refresh token has already been redeemed",
            "refresh token has already been used"]),
        says(Class::CodeExpired, &["authorization code is no longer valid"]),
        says(Class::RefreshTokenExpired, &["refresh token is no longer valid"]),
        says(Class::DeviceCodeExpired, &["device code is no longer valid"]),
        says(Class::InvalidToken, &["token is no longer valid", "token has been revoked"]).at(BEARER),
        says(Class::PkceMismatch, &["code verifier", "code challenge"]),
        says(Class::UnauthorizedClient, &["client application is not allowed to use",
            "not allowed to use the specified", "is not allowed to be used by this client"]),
        says(Class::UnsupportedResponseType, &["response type * is not supported",
            "response mode * is not supported"]),
        says(Class::InvalidScope, &["scope * not allowed", "client application is not allowed to use the scope"]),
        says(Class::RedirectUriMismatch, &["redirect uri * is not valid for this client",
            "redirect uri * doesn't match"]),
    ],
    ..Provider::named("openiddict", &[])
};
