//! AD FS: `MSIS` numbers at the beginning of a text.

use super::{Provider, REFRESH, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    prefix: Some("MSIS"),
    rules: &[
        codes(Class::RedirectUriMismatch, &["MSIS9224", "MSIS9605", "MSIS9311"]).says(&["redirect"]),
        codes(Class::RedirectUriMismatch, &["MSIS9224"]),
        codes(Class::InvalidClient, &["MSIS9622", "MSIS9607", "MSIS9223", "MSIS9267", "MSIS9321"]),
        codes(Class::ClockSkew, &["MSIS9420", "MSIS9446"]),
        codes(Class::UnauthorizedClient, &["MSIS9603", "MSIS9321001", "MSIS9649"]),
        codes(Class::InvalidTarget, &["MSIS9602", "MSIS9604", "MSIS7007", "MSIS3020", "MSIS9614"]),
        codes(Class::CodeReused, &["MSIS9612"]).says(&["already", "redeemed", "used"]),
        codes(Class::CodeExpired, &["MSIS9612"]).says(&["expired"]),
        codes(Class::RefreshTokenExpired, &["MSIS9615", "MSIS9640"]).at(REFRESH),
        codes(Class::InvalidGrant, &["MSIS9609", "MSIS9612", "MSIS9615"]),
        codes(Class::AccountLocked, &["MSIS7066001", "MSIS6018"]),
        codes(Class::BadUserCredentials, &["MSIS7068", "MSIS3127", "MSIS8022"]),
        codes(Class::PolicyBlocked, &["MSIS5007", "MSIS7012001"]),
        codes(Class::InvalidScope, &["MSIS9661", "MSIS9447"]),
    ],
    addresses: &["https://*/adfs", "https://*/adfs/*"],
    ..Provider::named("adfs", &["ad-fs"])
};
