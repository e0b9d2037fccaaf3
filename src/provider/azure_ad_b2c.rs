//! Azure AD B2C: `AADB2C` codes in `error_description` and in pages.

use super::{Provider, REFRESH, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    prefix: Some("AADB2C"),
    rules: &[
        codes(Class::RedirectUriMismatch, &["AADB2C90006", "AADB2C90007", "AADB2C90304"]),
        codes(Class::InvalidClient, &["AADB2C90008", "AADB2C90067", "AADB2C90081", "AADB2C90251", "AADB2C90084",
            "AADB2C90079", "AADB2C90068", "AADB2C90302"]),
        codes(Class::UnauthorizedClient, &["AADB2C90057", "AADB2C90205", "AADB2C90058", "AADB2C90073", "AADB2C90224",
            "AADB2C90248", "AADB2C90056"]),
        codes(Class::InvalidScope, &["AADB2C90010", "AADB2C90011", "AADB2C90012", "AADB2C90117", "AADB2C90055",
            "AADB2C90146", "AADB2C90148"]),
        codes(Class::UnsupportedResponseType, &["AADB2C90013", "AADB2C90014"]),
        codes(Class::InvalidTarget, &["AADB2C90128", "AADB2C90017", "AADB2C90018", "AADB2C90019", "AADB2C90020",
            "AADB2C90021", "AADB2C90022"]),
        codes(Class::PkceMismatch, &["AADB2C90183", "AADB2C90182", "AADB2C99059", "AADB2C90181"]),
        codes(Class::RefreshTokenExpired, &["AADB2C90080"]).at(REFRESH),
        codes(Class::CodeExpired, &["AADB2C90080"]),
        codes(Class::RefreshTokenRevoked, &["AADB2C90129"]).at(REFRESH),
        codes(Class::RefreshTokenRevoked, &["AADB2C90129"]),
        codes(Class::InvalidGrant, &["AADB2C90088", "AADB2C90087", "AADB2C90090", "AADB2C90250"]),
        codes(Class::UnsupportedGrantType, &["AADB2C90086"]),
        codes(Class::InvalidRequest, &["AADB2C90083", "AADB2C90082", "AADB2C90001", "AADB2C90002", "AADB2C90009",
            "AADB2C90016", "AADB2C90048", "AADB2C90052", "AADB2C90053", "AADB2C90054", "AADB2C90065", "AADB2C90101",
            "AADB2C90210", "AADB2C90277"]),
        codes(Class::SessionExpired, &["AADB2C90046", "AADB2C90040", "AADB2C90078", "AADB2C90043", "AADB2C90044"]),
        codes(Class::LoginRequired, &["AADB2C90077", "AADB2C90041", "AADB2C90042"]),
        codes(Class::TemporarilyUnavailable, &["AADB2C90035"]),
        codes(Class::RateLimited, &["AADB2C90229"]),
        codes(Class::AccessDenied, &["AADB2C90273"]).says(&["access denied", "user cancel"]),
        codes(Class::ServerError, &["AADB2C90027", "AADB2C90028", "AADB2C90031", "AADB2C90036", "AADB2C90037",
            "AADB2C90039", "AADB2C90047", "AADB2C90075", "AADB2C90085", "AADB2C90161", "AADB2C90165", "AADB2C90168",
            "AADB2C90192", "AADB2C90209", "AADB2C90232", "AADB2C90233", "AADB2C90234", "AADB2C90235", "AADB2C90237",
            "AADB2C90238", "AADB2C90239", "AADB2C90240", "AADB2C90243", "AADB2C90244", "AADB2C90247", "AADB2C90249",
            "AADB2C90261", "AADB2C90272", "AADB2C90273", "AADB2C90274", "AADB2C90276", "AADB2C90279", "AADB2C90281",
            "AADB2C90285", "AADB2C90287", "AADB2C90289", "AADB2C90294", "AADB2C90296", "AADB2C90299", "AADB2C99002",
            "AADB2C99011", "AADB2C99012", "AADB2C99013", "AADB2C99015", "AADB2C90059", "AADB2C90030", "AADB2C90169"]),
        codes(Class::AccessDenied, &["AADB2C90091", "AADB2C90220", "AADB2C90223", "AADB2C99001"]),
        // The page of "forgot your password", when it comes back as an error.
        codes(Class::AccessDenied, &["AADB2C90118"]),
        codes(Class::AccountLocked, &["AADB2C90114", "AADB2C90115", "AADB2C90221"]).says(&["lock", "disabled",
            "block"]),
        codes(Class::AccountLocked, &["AADB2C90114", "AADB2C90264"]),
        codes(Class::BadUserCredentials, &["AADB2C90225"]),
        codes(Class::MfaRequired, &["AADB2C90151", "AADB2C90157", "AADB2C90115", "AADB2C90120"]),
        codes(Class::InteractionRequired, &["AADB2C90120", "AADB2C90121", "AADB2C90122"]),
        says(Class::BadUserCredentials, &["we can't seem to find your account", "your password is incorrect"]),
    ],
    addresses: &["https://*.b2clogin.com/*", "https://*.ciamlogin.com/*"],
    ..Provider::named("azure-ad-b2c", &["entra-b2c", "b2c", "azure-b2c", "entra-external-id", "microsoft-entra-b2c"])
};
