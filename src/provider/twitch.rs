//! Twitch: `status` and `message`; `error` holds only the words of HTTP.

use super::{BEARER, Provider, TOKEN, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::TokenConfusion, &["client id and oauth token do not match"]),
        says(Class::InvalidGrant, &["invalid authorization code", "invalid refresh token"]),
        says(Class::InvalidClient, &["invalid client", "missing client id", "missing client secret"]).at(TOKEN),
        codes(Class::RedirectUriMismatch, &["redirect_mismatch"]),
        says(Class::InsufficientScope, &["missing scope", "user access token requires"]),
        says(Class::TokenConfusion, &["must match the user id", "user access token required", "app access token"])
            .at(BEARER),
    ],
    addresses: &["https://id.twitch.tv/*"],
    ..Provider::named("twitch", &[])
};
