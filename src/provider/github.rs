//! GitHub: errors come in a 200, as JSON or as a form; API errors have only a `message`.

use super::{BEARER, Provider, TOKEN, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidGrant, &["bad_verification_code"]),
        codes(Class::InvalidGrant, &["bad_refresh_token"]),
        codes(Class::AccountLocked, &["unverified_user_email"]),
        codes(Class::UnauthorizedClient, &["device_flow_disabled", "unsupported_grant_type_for_app"]),
        codes(Class::InvalidGrant, &["incorrect_device_code"]),
        codes(Class::ClientDisabled, &["application_suspended"]),
        says(Class::PolicyBlocked, &["saml enforcement", "organization has enabled", "oauth app access restrictions",
            "ip allow list", "ip address is not permitted", "enabled or enforced saml"]),
        says(Class::RateLimited, &["secondary rate limit", "api rate limit exceeded", "abuse detection",
            "exceeded a secondary"]),
        says(Class::InsufficientScope, &["resource not accessible by integration",
            "resource not accessible by personal", "must have admin rights",
            "your token has not been granted the required scopes", "requires one of the following scopes"]),
        says(Class::ClientDisabled, &["this installation has been suspended", "integration not found"]),
        says(Class::MfaRequired, &["must specify two factor", "otp"]).at(BEARER),
        says(Class::AccountLocked, &["sorry your account was suspended", "your account is suspended"]),
        says(Class::PolicyBlocked, &["organization * sso", "repository access blocked"]).at(BEARER),
        codes(Class::InvalidClient, &["Not Found"]).at(TOKEN),
    ],
    addresses: &["https://github.com*"],
    ..Provider::named("github", &["github-enterprise"])
};
