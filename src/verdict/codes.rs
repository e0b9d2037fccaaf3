//! Error codes that are the same at many providers: those of the specifications, and those that many have made up alike.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::meaning::Call;
use super::members::squash;
use crate::taxonomy::Class;

/// Classes by code. Letter case and separators do not matter.
#[rustfmt::skip]
const TABLE: &[(Class, &[&str])] = &[
    // RFC 6749, OpenID Connect Core 3.1.2.6, RFC 9101, RFC 9126
    (Class::InvalidRequest, &["invalid_request", "invalid_request_uri", "invalid_request_object",
        "request_not_supported", "request_uri_not_supported", "registration_not_supported", "missing_parameter",
        "missing_parameters", "missing_required_parameter", "invalid_parameter", "parameter_missing",
        "parameter_absent", "parameter_rejected", "bad_parameter", "invalid_params", "invalid_arguments",
        "validation_error", "invalid_authorization_details", "invalid_state", "malformed_request",
        "missing_authorization_code", "invalid_argument", "invalid_input", "version_rejected"]),
    (Class::RedirectUriMismatch, &["redirect_uri_mismatch", "invalid_redirect_uri", "bad_redirect_uri",
        "redirect_mismatch", "redirect_uri_invalid", "invalid_redirect_url", "mismatching_redirect_uri",
        "invalid_redirect", "redirect_uri_not_allowed", "unregistered_redirect_uri", "mismatched_redirect_uri",
        "callback_url_mismatch", "invalid_callback", "redirect_url_mismatch", "bad_redirect",
            "invalid_callback_url"]),
    (Class::InvalidClient, &["invalid_client", "invalid_client_id", "incorrect_client_credentials",
        "bad_client_secret", "bad_client_id", "invalid_client_secret", "invalid_client_credentials", "unknown_client",
        "client_not_found", "invalid_app_id", "invalid_application", "invalid_api_key",
        "invalid_consumer", "invalid_client_key", "client_authentication_failed", "bad_client",
        "app_not_found", "invalid_consumer_key", "consumer_key_unknown", "invalid_app_secret", "unknown_application",
        "client_authentication_required", "invalid_client_assertion", "use_attestation_challenge",
        "missing_client_secret", "no_such_client"]),
    (Class::ClientSecretExpired, &["client_secret_expired", "expired_client_secret", "secret_expired",
        "expired_secret", "client_certificate_expired"]),
    (Class::ClientDisabled, &["client_disabled", "deleted_client", "disabled_client", "application_suspended",
        "application_disabled", "app_disabled", "app_suspended", "client_suspended", "app_not_installed",
        "inactive_client", "service_disabled", "client_inactive", "app_not_active", "consumer_key_rejected",
        "app_uninstalled", "client_not_active", "invalid_installation", "app_not_approved"]),
    (Class::UnauthorizedClient, &["unauthorized_client", "unauthorised_client", "grant_type_not_allowed",
        "client_not_authorized", "device_flow_disabled", "unauthorized_grant_type", "app_not_authorized",
        "not_authorized_client", "org_internal", "flow_disabled"]),
    (Class::UnsupportedGrantType, &["unsupported_grant_type", "invalid_grant_type", "bad_grant_type",
        "grant_type_not_supported", "unknown_grant_type"]),
    (Class::UnsupportedResponseType, &["unsupported_response_type", "unsupported_response_mode",
        "invalid_response_type", "invalid_response_mode", "response_type_not_supported"]),
    (Class::InvalidScope, &["invalid_scope", "invalid_scopes", "bad_scope", "unknown_scope", "scope_not_allowed",
        "unauthorized_scope", "unapproved_scope", "invalid_scope_requested", "scope_mismatch", "disallowed_scope",
        "unsupported_scope", "empty_scope", "scope_not_authorized"]),
    (Class::InvalidTarget, &["invalid_target", "invalid_resource", "invalid_audience", "invalid_tenant",
        "unknown_tenant", "tenant_not_found", "realm_not_found", "unknown_audience", "organization_not_found",
        "tenant_does_not_exist", "invalid_team", "team_not_found"]),
    (Class::InvalidGrant, &["invalid_grant", "invalid_code", "bad_verification_code", "invalid_authorization_code",
        "bad_authorization_code", "bad_auth_code", "invalid_auth_code", "invalid_refresh_token", "bad_refresh_token",
        "malformed_auth_code", "bad_code", "code_invalid", "invalid_verification_code", "refresh_token_not_found",
        "unknown_refresh_token", "invalid_oauth_code", "code_not_found",
        "invalid_assertion"]),
    (Class::CodeExpired, &["code_expired", "expired_code", "authorization_code_expired", "auth_code_expired",
        "expired_authorization_code"]),
    (Class::CodeReused, &["code_already_used", "code_used", "used_authorization_code",
        "authorization_code_already_used", "code_reused", "auth_code_used", "code_already_redeemed", "duplicate_code",
        "code_replay"]),
    (Class::PkceMismatch, &["pkce_mismatch", "invalid_code_verifier", "invalid_pkce", "pkce_required",
        "bad_code_verifier", "missing_code_verifier", "invalid_code_challenge", "missing_code_challenge",
        "invalid_code_challenge_method", "code_verifier_mismatch", "invalid_verifier", "bad_client_code_verifier",
        "pkce_verification_failed", "code_challenge_required"]),
    (Class::RefreshTokenExpired, &["refresh_token_expired", "expired_refresh_token", "bad_refresh_token_expired"]),
    (Class::RefreshTokenRevoked, &["refresh_token_revoked", "revoked_refresh_token", "grant_revoked",
        "authorization_revoked", "bad_refresh_token_revoked", "consent_revoked"]),
    (Class::RefreshTokenReused, &["refresh_token_reused", "reused_refresh_token", "refresh_token_already_used",
        "refresh_token_used", "token_reuse_detected"]),
    (Class::AccessDenied, &["access_denied", "user_denied", "user_cancelled", "user_canceled", "user_cancelled_login",
        "user_cancelled_authorize", "user_canceled_login", "authorization_denied", "authorization_declined",
        "cancelled", "canceled", "user_cancel", "consent_denied", "declined",
        "user_refused", "user_rejected", "cancel", "consumer_denied", "operation_cancelled_by_user", "app_denied"]),
    (Class::LoginRequired, &["login_required", "org_login_required", "authentication_required", "no_session",
        "not_logged_in", "reauthentication_required", "session_required", "user_login_required"]),
    (Class::ConsentRequired, &["consent_required", "admin_consent_required", "terms_of_service_required",
        "approval_required", "user_consent_required", "additional_authorization_required", "terms_not_accepted",
        "consent_missing", "permission_unknown"]),
    (Class::InteractionRequired, &["interaction_required", "account_selection_required",
        "user_authentication_required", "rapt_required", "reauth_required", "insufficient_claims",
        "native_sso_required", "redirect_to_web"]),
    (Class::MfaRequired, &["mfa_required", "unmet_authentication_requirements", "insufficient_user_authentication",
        "otp_required", "two_factor_required", "two_factor_setup_required", "multi_factor_required", "2fa_required",
        "mfa_enrollment_required", "totp_required", "association_required", "2sv_required", "step_up_required",
            "second_factor_required", "requires_2fa"]),
    (Class::PolicyBlocked, &["policy_blocked", "ip_restricted", "ip_not_allowed", "ip_address_not_allowed",
        "access_blocked", "policy_violation", "disallowed_useragent", "restricted_client", "admin_policy_enforced",
        "policy_enforced", "protection_policy_required", "blocked_by_policy", "org_blocked", "ekm_access_denied",
        "country_blocked", "ip_blocked", "restricted_ip", "not_allowed_ip", "device_not_compliant",
            "enterprise_is_restricted", "team_access_not_granted", "login_hours_restricted",
            "security_policy_violation"]),
    (Class::EntitlementMissing, &["entitlement_missing", "plan_limit", "plan_limit_reached", "subscription_required",
        "upgrade_required",
        "payment_required", "paid_only", "plan_upgrade_required", "feature_not_enabled", "feature_not_available",
        "not_entitled", "license_required", "subscription_expired", "no_license", "paid_teams_only", "trial_expired",
        "billing_not_enabled", "client_not_enrolled", "require_premium", "premium_required",
        "account_upgrade_required", "api_disabled_for_org", "api_currently_disabled", "functionality_not_enabled"]),
    (Class::AccountLocked, &["account_locked", "user_locked", "user_disabled", "account_disabled",
        "account_suspended", "password_expired", "user_inactive", "inactive_user", "user_blocked", "account_blocked",
        "user_is_blocked", "password_reset_required", "password_change_required", "must_change_password",
        "user_suspended", "locked_out", "blocked_user", "account_inactive", "user_not_confirmed",
        "user_not_confirmed_exception", "password_reset_required_exception", "expired_password",
        "account_deactivated", "user_deactivated", "checkpoint_required", "unverified_email",
        "account_not_active", "user_account_disabled", "account_temporarily_locked", "password_leaked",
        "account_expired"]),
    (Class::BadUserCredentials, &["invalid_user_credentials", "invalid_credentials", "bad_credentials",
        "wrong_password", "invalid_password", "invalid_login", "user_not_found", "invalid_user",
        "user_not_found_exception", "invalid_username_or_password", "incorrect_password", "invalid_user_password",
        "wrong_email_or_password", "invalid_username", "bad_login", "wrong_credentials", "login_failed",
        "invalid_email", "account_not_found", "invalid_email_or_password"]),
    (Class::InvalidToken, &["invalid_token", "token_expired", "access_token_expired", "expired_access_token",
        "invalid_access_token", "invalid_auth", "token_revoked", "not_authed", "invalid_authentication_token",
        "expired_authentication", "token_inactive", "inactive_token", "invalid_session_id",
        "session_expired_or_invalid", "invalid_auth_token", "unauthenticated", "token_invalid",
        "authentication_token_expired", "bad_token", "bad_access_token", "oauth_token_expired", "expired_credentials",
        "invalid_authentication_credentials", "auth_token_expired", "expired_jwt",
        "invalid_jwt", "missing_token", "no_auth", "missing_auth", "token_rejected", "token_used",
        "invalid_bearer_token", "auth_error", "invalid_oauth_token", "auth_token_invalid", "invalid_oauth",
        "credentials_missing", "access_token_invalid", "unauthenticated_request"]),
    (Class::InsufficientScope, &["insufficient_scope", "missing_scope", "missing_scopes", "insufficient_permissions",
        "insufficient_permission", "access_token_scope_insufficient", "no_permission", "not_enough_permissions",
        "insufficient_privileges", "authorization_request_denied", "missing_permission", "insufficient_access",
        "insufficient_access_rights", "scope_insufficient", "invalid_access_scope", "permission_denied",
        "not_allowed_token_type", "insufficient_scopes", "erroraccessdenied", "oauth_scope_missing",
        "forbidden_scope", "not_enough_scopes", "insufficient_access_or_readonly", "not_authorized"]),
    (Class::UnsupportedTokenType, &["unsupported_token_type"]),
    (Class::InvalidDpopProof, &["invalid_dpop_proof", "use_dpop_nonce", "dpop_required", "invalid_dpop",
        "missing_dpop_proof", "dpop_nonce_required"]),
    (Class::DeviceCodeExpired, &["device_code_expired", "expired_device_code"]),
    (Class::SessionExpired, &["session_expired", "authentication_expired", "session_timeout", "session_timed_out",
        "interaction_expired", "flow_expired", "login_timeout", "csrf_mismatch", "invalid_session",
        "session_not_found", "expired_session", "login_session_expired", "invalid_csrf_token",
        "security_csrf_violation", "state_cookie_missing", "self_service_flow_expired", "cookie_not_found",
        "session_inactive"]),
    (Class::ServerError, &["server_error", "internal_failure", "internal_error", "internal_server_error",
        "unexpected_error", "fatal_error", "backend_error", "unknown_error", "service_error", "internal_exception",
        "unknown_exception", "unhandled_exception", "general_error", "system_error", "temporary_server_error",
        "unknown_server_error", "api_error", "internal_error_exception", "internal", "serverexception"]),
    (Class::TemporarilyUnavailable, &["temporarily_unavailable", "service_unavailable", "unavailable",
        "temporary_unavailable", "backend_unavailable", "maintenance", "server_busy",
        "service_temporarily_unavailable", "system_unavailable", "overloaded", "overloaded_error", "temporarily_down",
        "temporary_error", "service_unavailable_exception", "server_unavailable", "try_again_later", "system_busy",
        "maintenance_mode", "team_added_to_org"]),
    (Class::RateLimited, &["rate_limited", "slow_down", "too_many_requests", "rate_limit_exceeded",
        "user_rate_limit_exceeded", "quota_exceeded", "rate_limit_reached", "throttled", "rate_limit",
        "limit_exceeded", "limit_exceeded_exception", "too_many_requests_exception", "throttling_exception",
        "throttling", "request_limit_exceeded", "over_query_limit", "usage_cap_exceeded", "rate_limit_error",
        "daily_limit_exceeded", "resource_exhausted", "too_many_calls", "app_rate_limited", "request_throttled",
        "throttled_request", "rate_exceeded", "quota_exceeded_exception", "ten_secondly_rolling",
        "activity_limit_reached", "over_limit", "concurrent_request_limit", "requests_limit_exceeded",
            "api_limit_exceeded", "quota_limit_exceeded", "too_many_write_operations",
        "throttle_limit_exceeded"]),
    (Class::BotChallenge, &["captcha_required", "requires_verification", "captcha_needed", "invalid_captcha",
        "bot_detected", "need_captcha", "recaptcha_required", "captcha_invalid"]),
    (Class::ClockSkew, &["timestamp_refused", "invalid_timestamp", "clock_skew", "request_time_too_skewed",
        "request_timestamp_expired", "skew_detected"]),
    (Class::TokenConfusion, &["invalid_token_type", "wrong_token_type"]),
    (Class::AudienceMismatch, &["audience_mismatch", "aud_mismatch"]),
];

static CODES: LazyLock<HashMap<String, Class>> = LazyLock::new(|| {
    let mut codes = HashMap::new();
    for (class, names) in TABLE {
        for name in *names {
            codes.insert(squash(name), *class);
        }
    }
    codes
});

/// The class of a code, in the light of what was asked.
pub(super) fn class_of(code: &str, call: Call) -> Option<Class> {
    let code = squash(code);
    let code = code.strip_prefix("oauth").unwrap_or(&code);
    if code == "expiredtoken" || code == "tokenexpired" {
        return Some(match call {
            Call::Refresh => Class::RefreshTokenExpired,
            Call::Bearer | Call::OnToken => Class::InvalidToken,
            Call::Code if code == "tokenexpired" => Class::CodeExpired,
            _ => Class::DeviceCodeExpired,
        });
    }
    let short = code
        .strip_suffix("exception")
        .or_else(|| code.strip_suffix("error"));
    let found = CODES
        .get(code)
        .or_else(|| short.and_then(|short| CODES.get(short)))
        .copied()?;
    Some(match (found, call) {
        (Class::InvalidToken | Class::SessionExpired, Call::Refresh) => Class::InvalidGrant,
        (Class::InvalidToken, Call::Code | Call::Assertion) => Class::InvalidGrant,
        (Class::InvalidToken, Call::ClientCredentials) => Class::InvalidClient,
        (Class::BadUserCredentials, Call::Bearer | Call::OnToken) => Class::InvalidToken,
        // Nobody typed a password: whom the assertion is for is unknown here.
        (Class::BadUserCredentials, Call::Assertion) if code.contains("notfound") => {
            Class::AccessDenied
        }
        (Class::BadUserCredentials, Call::ClientCredentials | Call::Code | Call::Refresh)
            if code.contains("credential") =>
        {
            Class::InvalidClient
        }
        (Class::InsufficientScope, Call::Browser) => Class::AccessDenied,
        (Class::SessionExpired, Call::Bearer) => Class::InvalidToken,
        (Class::CodeExpired, Call::Device) => Class::DeviceCodeExpired,
        (Class::AccountLocked, Call::Bearer) if code == "accountinactive" => Class::InvalidToken,
        (class, _) => class,
    })
}

/// Codes that say only roughly what is wrong: a text beside them that says more is believed.
pub(super) fn is_rough(class: Class) -> bool {
    matches!(
        class,
        Class::InvalidRequest
            | Class::InvalidGrant
            | Class::InvalidClient
            | Class::UnauthorizedClient
            | Class::AccessDenied
            | Class::ServerError
            | Class::TemporarilyUnavailable
            | Class::InteractionRequired
            | Class::InvalidToken
            | Class::InsufficientScope
            | Class::RateLimited
            | Class::InvalidTarget
            | Class::BadUserCredentials
    )
}

/// The bluntest of them: any other code beside them says more.
pub(super) fn is_blunt(class: Class) -> bool {
    matches!(
        class,
        Class::InvalidRequest
            | Class::InvalidGrant
            | Class::AccessDenied
            | Class::ServerError
            | Class::TemporarilyUnavailable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_has_two_classes() {
        let mut seen = HashMap::new();
        for (class, names) in TABLE {
            for name in *names {
                assert!(seen.insert(squash(name), *class).is_none(), "{name}");
            }
        }
    }
}
