//! ArcGIS: errors in a 200, by numbers of its own.

use super::{BEARER, Provider, REFRESH, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(14),
    rules: &[
        codes(Class::RefreshTokenExpired, &["code=498"]).at(REFRESH),
        codes(Class::InvalidToken, &["code=498", "code=499"]),
        codes(Class::InsufficientScope, &["code=403"]).at(BEARER),
        codes(Class::InvalidClient, &["code=400"]).says(&["invalid client id", "client secret"]),
        codes(Class::RedirectUriMismatch, &["code=400"]).says(&["redirect uri"]),
        codes(Class::BadUserCredentials, &["code=400"]).says(&["invalid username or password",
            "unable to generate token"]),
        codes(Class::AccountLocked, &["code=400"]).says(&["too many invalid", "account is locked",
            "account is disabled"]),
    ],
    ..Provider::named("arcgis", &["esri"])
};
