//! Auth0: refuses with 403 and 401 where others say 400; attack protection answers with 429.

use super::{BROWSER, Provider, TOKEN, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::AccountLocked, &["too_many_attempts", "too_many_logins"]).says(&["your account has been blocked",
            "account has been blocked", "multiple consecutive login"]),
        codes(Class::PolicyBlocked, &["too_many_attempts", "too_many_logins"]),
        codes(Class::AccountLocked, &["password_leaked", "unauthorized", "blocked_user"]).says(&["user is blocked",
            "has been blocked", "leaked", "email * verified"]),
        codes(Class::AccountLocked, &["password_leaked", "blocked_user"]),
        codes(Class::BotChallenge, &["requires_verification", "invalid_captcha", "captcha_required"]),
        codes(Class::MfaRequired, &["mfa_required", "unsupported_challenge_type", "association_required",
            "mfa_registration_required", "mfa_invalid_code"]),
        codes(Class::BadUserCredentials, &["invalid_user_password", "access_denied", "invalid_grant"])
            .says(&["wrong email or password", "wrong username or password", "wrong email or verification code",
            "wrong phone number or verification code"]),
        codes(Class::UnauthorizedClient, &["access_denied"]).says(&["client is not authorized to access",
            "client has not been granted", "grant type * not allowed for the client"]),
        codes(Class::UnauthorizedClient, &["unauthorized_client"]).says(&["grant type"]),
        codes(Class::InvalidTarget, &["access_denied", "invalid_request"]).says(&["service not found",
            "service not enabled within domain", "no default audience"]),
        codes(Class::ConsentRequired, &["consent_required"]),
        codes(Class::PolicyBlocked, &["extensibility_error"]),
        codes(Class::InvalidTarget, &["invalid_organization"]),
        codes(Class::AccessDenied, &["unauthorized", "access_denied", "rule_error"]).at(BROWSER),
        codes(Class::RateLimited, &["too_many_requests"]),
        codes(Class::EntitlementMissing, &["feature_not_enabled", "operation_not_supported"]),
        codes(Class::InvalidGrant, &["invalid_grant"]).says(&["invalid authorization code",
            "unknown or invalid refresh token"]),
        codes(Class::InvalidClient, &["access_denied"]).says(&["unauthorized"]).at(TOKEN)
            .grants(&["client_credentials", "authorization_code"]),
    ],
    addresses: &["https://*.auth0.com*"],
    ..Provider::named("auth0", &["okta-cic", "okta-customer-identity"])
};
