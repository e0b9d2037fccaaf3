//! Facebook: an `error` object with `code` and `error_subcode`; the type is nearly always `OAuthException`.

use super::{Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::AccountLocked, &["error_subcode=459", "error_subcode=464", "error_subcode=490"]),
        codes(Class::InvalidToken, &["error_subcode=458", "error_subcode=460", "error_subcode=463",
            "error_subcode=467", "error_subcode=492", "error_subcode=452"]),
        codes(Class::RedirectUriMismatch, &["error_subcode=36008", "error_subcode=1349168"]),
        codes(Class::CodeReused, &["error_subcode=36009"]),
        codes(Class::CodeExpired, &["error_subcode=36007"]),
        codes(Class::RedirectUriMismatch, &["code=191"]),
        codes(Class::InvalidClient, &["code=1", "code=101"]).says(&["client secret", "app id",
            "validating application", "cannot get application"]),
        codes(Class::InvalidClient, &["code=101"]),
        codes(Class::ClientDisabled, &["code=190", "code=200", "code=100", "code=10"])
            .says(&["application has been deleted", "app is disabled", "app has been deleted",
            "api access deactivated", "api access blocked"]),
        codes(Class::RateLimited, &["code=4", "code=17", "code=32", "code=341", "code=613", "code=80000",
            "code=80001", "code=80002", "code=80003", "code=80004", "code=80005", "code=80006", "code=80008",
            "code=80009", "code=80014", "code=9"]),
        codes(Class::PolicyBlocked, &["code=368"]),
        codes(Class::InvalidToken, &["code=102", "code=190", "code=467", "code=2500", "code=104"]),
        codes(Class::InsufficientScope, &["code=3", "code=10", "code=200", "code=294", "code=299", "code=230",
            "code=270"]),
        codes(Class::TemporarilyUnavailable, &["code=2"]),
        codes(Class::ServerError, &["code=1"]).says(&["unknown error", "please reduce"]),
        codes(Class::CodeExpired, &["code=100"]).says(&["code has expired"]),
        codes(Class::CodeReused, &["code=100"]).says(&["code has been used"]),
        codes(Class::RedirectUriMismatch, &["code=100"]).says(&["redirect uri"]),
        codes(Class::InvalidGrant, &["code=100"]).says(&["verification code", "invalid code", "code format"]),
        says(Class::RedirectUriMismatch, &["url blocked", "can't load url", "domain of this url isn't included"]),
        says(Class::InvalidScope, &["invalid scopes"]),
        says(Class::InvalidClient, &["invalid app id", "invalid app"]),
        says(Class::ClientDisabled, &["app not active", "app isn't available", "app not set up",
            "feature unavailable"]),
    ],
    addresses: &["https://www.facebook.com*"],
    ..Provider::named("facebook", &["meta", "instagram", "facebook-login", "threads"])
};
