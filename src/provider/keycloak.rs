//! Keycloak: short sentences in `error_description`, `error` at times a rough one; pages of its own for faults before the redirect.

use super::{BROWSER, Fact, Provider, REFRESH, TOKEN, codes, says};
use crate::taxonomy::{Action, Cause, Class};

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::SessionExpired, &["temporarily_unavailable"]).says(&["authentication expired"]),
        codes(Class::SessionExpired, &["authentication_expired", "expired_code", "session_expired"]).at(BROWSER),
        says(Class::InvalidClient, &["invalid client or invalid client credentials", "invalid client credentials",
            "invalid client secret", "public client not allowed", "client secret not provided"]),
        says(Class::UnauthorizedClient, &["client not enabled to retrieve service account",
            "client not allowed to exchange code", "client not allowed for direct access grants",
            "standard flow is disabled", "implicit flow is disabled", "direct access grants", "client not allowed",
            "bearer only", "client is not allowed to", "not allowed oauth 2 0 device", "not enabled to",
            "standard token exchange is not enabled", "client does not have", "public clients"]),
        says(Class::ConsentRequired, &["no longer has requested consent", "consent required"]),
        says(Class::ClientDisabled, &["client disabled", "client not enabled", "login requester not enabled",
            "client is disabled"]),
        says(Class::AccountLocked, &["account disabled", "user disabled", "account is not fully set up",
            "account is disabled", "account temporarily disabled", "user temporarily disabled"]),
        says(Class::BadUserCredentials, &["invalid user credentials", "invalid username or password"]),
        says(Class::RefreshTokenReused, &["maximum allowed refresh token reuse exceeded"]),
        says(Class::RefreshTokenRevoked, &["stale token"]).at(REFRESH),
        says(Class::RefreshTokenExpired, &["session not active", "token is not active",
            "offline user session not found", "offline session not active", "session doesn't have required client",
            "refresh token expired", "session expired"]).at(REFRESH),
        says(Class::InvalidGrant, &["invalid refresh token", "user session not found"]).at(REFRESH),
        says(Class::TokenConfusion, &["token type mismatch", "incorrect token type"]),
        says(Class::InvalidGrant, &["auth code is issued to another client", "invalid token issuer",
            "client session not active", "token client and authorized client don't match", "unmatching clients"])
            .blame(Cause::Client, Action::FixConfig),
        says(Class::SessionExpired, &["user session not found", "session not active", "code not found in session"])
            .at(TOKEN),
        says(Class::CodeReused, &["code already used", "code was used already"]),
        says(Class::InvalidGrant, &["code not valid", "incorrect redirect"]).when(Fact::NoHeader("location"))
            .at(TOKEN).says(&["code not valid"]),
        says(Class::RedirectUriMismatch, &["incorrect redirect uri", "invalid parameter redirect uri",
            "invalid redirect uri"]),
        says(Class::PkceMismatch, &["pkce", "code verifier", "code challenge"]),
        says(Class::InvalidTarget, &["realm does not exist", "realm not enabled", "realm not found",
            "audience not found", "requested audience not available", "client not allowed to exchange * audience"]),
        says(Class::InvalidRequest, &["missing parameter", "missing form parameter", "duplicated parameter"]),
        says(Class::InvalidScope, &["invalid scopes"]),
        says(Class::PolicyBlocked, &["https required"]),
        says(Class::SessionExpired, &["restart login cookie not found", "cookie not found", "page has expired",
            "you took too long to login", "action expired", "login attempt timed out", "you are already logged in",
            "already authenticated"]),
        says(Class::AccountLocked, &["update password", "you need to change your password", "verify your email",
            "you need to verify your email", "account is disabled contact"]).at(BROWSER),
        says(Class::MfaRequired, &["configure otp", "mobile authenticator setup", "one time code"]).at(BROWSER),
        says(Class::ServerError, &["unexpected error when handling authentication request", "internal server error",
            "identity provider"]).at(BROWSER),
    ],
    addresses: &["*/realms/*/protocol/openid-connect/*"],
    ..Provider::named("keycloak", &["rh-sso", "red-hat-sso", "rhbk"])
};
