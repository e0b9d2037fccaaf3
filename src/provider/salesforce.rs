//! Salesforce: `invalid_grant` with a few words that say what it is; APIs answer with `errorCode`.

use super::{BEARER, Provider, REFRESH, TOKEN, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        says(Class::BadUserCredentials, &["authentication failure", "invalid login", "invalid username"]).at(TOKEN),
        says(Class::AccountLocked, &["inactive user", "user is locked", "password lockout", "account locked",
            "password expired", "user account is not active", "inactive org", "org is locked"]),
        says(Class::PolicyBlocked, &["ip restricted", "ip not allowed", "invalid login hours", "restricted domain",
            "oauth app access", "oauth approval required by admin", "blocked by admin", "device activation"]),
        says(Class::ConsentRequired, &["user hasn't approved this consumer", "hasn't approved",
            "user is not admin approved", "not admin approved to access"]),
        says(Class::RateLimited, &["login rate exceeded", "rate exceeded"]),
        says(Class::RateLimited, &["totalrequests limit exceeded", "concurrent requests limit"]),
        says(Class::InvalidGrant, &["activation secret invalid"]),
        says(Class::RefreshTokenExpired, &["expired access refresh token"]).at(REFRESH),
        says(Class::RefreshTokenRevoked, &["token has been revoked", "revoked"]).at(REFRESH),
        says(Class::CodeExpired, &["expired authorization code"]),
        says(Class::ClockSkew, &["assertion is expired", "assertion expired", "expired assertion",
            "assertion is not yet valid"]),
        says(Class::InvalidTarget, &["audience is invalid", "unknown org", "org not found"]),
        says(Class::UnauthorizedClient, &["no client credentials user enabled",
            "no valid user for client credentials", "unsupported grant type for this app",
            "request not supported on this domain"]),
        says(Class::EntitlementMissing, &["api is disabled for this org", "api is not enabled for this organization",
            "api disabled"]),
        codes(Class::EntitlementMissing, &["API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED",
            "FUNCTIONALITY_NOT_ENABLED"]),
        codes(Class::ClientDisabled, &["OAUTH_EC_APP_NOT_FOUND", "app_not_found", "inactive_org"]),
        codes(Class::PolicyBlocked, &["OAUTH_APP_ACCESS_DENIED", "OAUTH_APP_BLOCKED",
            "OAUTH_APPROVAL_ERROR_BLOCKED"]),
        codes(Class::ServerError, &["OAUTH_APPROVAL_ERROR_GENERIC", "UNKNOWN_EXCEPTION"]),
        codes(Class::RateLimited, &["REQUEST_LIMIT_EXCEEDED", "login_rate_exceeded"]),
        codes(Class::InvalidToken, &["INVALID_SESSION_ID", "INVALID_AUTH_HEADER", "Bad_OAuth_Token",
            "Missing_OAuth_Token"]),
        codes(Class::TokenConfusion, &["Wrong_Org"]),
        codes(Class::AccountLocked, &["inactive_user", "PASSWORD_LOCKOUT", "INVALID_LOGIN_LOCKED", "Bad_OAuth_User"]),
        codes(Class::InsufficientScope, &["INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY", "FORBIDDEN"])
            .at(BEARER),
        codes(Class::TemporarilyUnavailable, &["SERVER_UNAVAILABLE", "DATABASE_MAINTENANCE"]),
        codes(Class::InvalidClient, &["invalid_client_id", "invalid_client_credentials", "invalid_app_access"]),
    ],
    addresses: &["https://*.salesforce.com*", "https://*/services/oauth2/authorize"],
    ..Provider::named("salesforce", &["sfdc", "force"])
};
