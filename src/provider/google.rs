//! Google: the `error` names are its own, `invalid_grant` hides many things; APIs answer with `reason` and `status`.

use super::{Fact, Provider, REFRESH, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::RefreshTokenExpired, &["invalid_grant"]).at(REFRESH).when(Fact::Published("testing")),
        codes(Class::InteractionRequired, &["rapt_required", "invalid_rapt"]),
        codes(Class::PolicyBlocked, &["admin_policy_enforced", "org_internal", "disallowed_useragent",
            "restricted_client"]),
        codes(Class::ClientDisabled, &["deleted_client", "disabled_client", "SERVICE_DISABLED", "accessNotConfigured",
            "CONSUMER_SUSPENDED"]),
        codes(Class::ClientDisabled, &["invalid_grant", "PERMISSION_DENIED", "FORBIDDEN"])
            .says(&["has not been used in project", "it is disabled", "project has been deleted"]),
        codes(Class::AccountLocked, &["invalid_grant"]).says(&["account has been deleted", "account deleted",
            "user has been suspended", "account has been disabled", "account is disabled"]),
        codes(Class::ClockSkew, &["invalid_grant", "invalid_client"]).says(&["must be a short lived token",
            "token expired", "iat and exp", "reasonable timeframe", "too early", "too late"]).grants(&["jwt-bearer"]),
        codes(Class::InvalidClient, &["invalid_grant"]).says(&["invalid jwt signature", "no valid verifier",
            "invalid jwt", "account not found"]),
        codes(Class::InvalidGrant, &["invalid_grant"]).says(&["invalid email or user id", "not a valid email"]),
        codes(Class::UnauthorizedClient, &["unauthorized_client"]),
        codes(Class::AccessDenied, &["access_denied"]).says(&["being tested", "developer approved testers",
            "verification process", "only available to users within"]),
        codes(Class::PolicyBlocked, &["access_denied", "invalid_request"]).says(&["doesn't comply with google",
            "does not comply with google", "policy", "org internal"]),
        codes(Class::RateLimited, &["rateLimitExceeded", "userRateLimitExceeded", "dailyLimitExceeded",
            "quotaExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "rate_limit_exceeded",
            "concurrentLimitExceeded"]),
        codes(Class::PolicyBlocked, &["domainPolicy", "IP_ADDRESS_BLOCKED", "API_KEY_IP_ADDRESS_BLOCKED",
            "VPC_SERVICE_CONTROLS", "SECURITY_POLICY_VIOLATED", "ORG_RESTRICTION_VIOLATION",
            "LOCATION_POLICY_VIOLATED"]),
        codes(Class::EntitlementMissing, &["BILLING_DISABLED", "failedPrecondition", "notACalendarUser",
            "youtubeSignupRequired", "accountNotEnabled"]).status(&[403, 400]),
        codes(Class::InsufficientScope, &["ACCESS_TOKEN_SCOPE_INSUFFICIENT", "insufficientPermissions",
            "insufficientAuthenticationScopes"]),
        codes(Class::InvalidToken, &["authError", "ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_TYPE_UNSUPPORTED",
            "CREDENTIALS_MISSING", "SESSION_COOKIE_INVALID", "USER_PROJECT_DENIED", "ACCOUNT_STATE_INVALID",
            "UNAUTHENTICATED"]),
        codes(Class::ServerError, &["internal_failure", "backendError", "internalError"]),
        codes(Class::InvalidRequest, &["invalid_request"]).says(&["parameter not allowed for this message type"]),
        says(Class::PolicyBlocked, &["this browser or app may not be secure"]),
        says(Class::MfaRequired, &["verify it's you", "2 step verification", "check your phone"]),
        says(Class::BotChallenge, &["confirm you're not a robot", "type the text you hear or see"]),
        says(Class::BadUserCredentials, &["wrong password", "couldn't find your google account"]),
        says(Class::AccountLocked, &["account disabled", "account has been disabled"]),
    ],
    addresses: &["https://accounts.google.com*"],
    ..Provider::named("google", &["gcp", "google-cloud", "google-workspace", "gmail"])
};
