//! Kakao: `KOE` numbers in `error_code`.

use super::{Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    prefix: Some("KOE"),
    refresh_token_days: Some(60),
    rules: &[
        codes(Class::RedirectUriMismatch, &["KOE006", "KOE303"]),
        codes(Class::InvalidClient, &["KOE101", "KOE010", "KOE002", "KOE008"]),
        codes(Class::ClientDisabled, &["KOE003", "KOE004", "KOE005"]),
        codes(Class::UnauthorizedClient, &["KOE009", "KOE007"]),
        codes(Class::InvalidScope, &["KOE205", "KOE203"]),
        codes(Class::InvalidGrant, &["KOE320", "KOE319"]),
        codes(Class::RefreshTokenExpired, &["KOE322"]),
        codes(Class::UnsupportedGrantType, &["KOE201001"]),
        codes(Class::RateLimited, &["KOE237", "KOE236"]),
        codes(Class::TemporarilyUnavailable, &["KOE9798", "KOE800"]),
    ],
    ..Provider::named("kakao", &[])
};
