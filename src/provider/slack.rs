//! Slack: every error is a string in a 200 with `ok: false`.

use super::{BEARER, Provider, REFRESH, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidToken, &["invalid_auth", "not_authed", "account_inactive", "token_revoked",
            "token_expired", "missing_token"]).at(BEARER),
        codes(Class::InvalidGrant, &["invalid_refresh_token"]).at(REFRESH),
        codes(Class::RefreshTokenRevoked, &["token_revoked"]),
        codes(Class::RefreshTokenExpired, &["token_expired"]).at(REFRESH),
        codes(Class::InvalidGrant, &["invalid_code"]),
        codes(Class::CodeReused, &["code_already_used"]),
        codes(Class::CodeExpired, &["code_expired", "oauth_code_expired"]),
        codes(Class::RedirectUriMismatch, &["bad_redirect_uri"]),
        codes(Class::InvalidClient, &["invalid_client_id", "bad_client_secret", "invalid_app_id"]),
        codes(Class::PkceMismatch, &["invalid_code_verifier", "pkce_not_allowed", "pkce_required"]),
        codes(Class::UnsupportedGrantType, &["invalid_grant_type"]),
        codes(Class::UnauthorizedClient, &["invalid_team_for_non_distributed_app", "oauth_authorization_url_mismatch",
            "preview_feature_not_available", "cannot_install_an_org_installed_app", "no_scopes",
            "token_rotation_not_enabled"]),
        codes(Class::InsufficientScope, &["missing_scope", "no_permission"]),
        codes(Class::TokenConfusion, &["not_allowed_token_type"]),
        codes(Class::PolicyBlocked, &["access_denied", "ekm_access_denied", "team_access_not_granted",
            "enterprise_is_restricted", "accesslimited", "access_limited"]).at(BEARER),
        codes(Class::MfaRequired, &["two_factor_setup_required"]),
        codes(Class::TemporarilyUnavailable, &["org_login_required", "team_added_to_org", "service_unavailable",
            "request_timeout"]),
        codes(Class::RateLimited, &["ratelimited", "rate_limited"]),
        codes(Class::ServerError, &["fatal_error", "internal_error"]),
        codes(Class::EntitlementMissing, &["paid_teams_only", "feature_not_enabled", "free_team_not_allowed",
            "team_quota_exceeded"]),
        codes(Class::ClientDisabled, &["app_not_installed", "app_management_app_disabled", "team_not_found_for_app",
            "is_inactive"]),
        codes(Class::InvalidTarget, &["team_not_found", "invalid_team"]),
        codes(Class::InvalidRequest, &["invalid_arguments", "invalid_arg_name", "invalid_array_arg",
            "invalid_charset", "invalid_form_data", "invalid_post_type", "missing_post_type", "deprecated_endpoint",
            "method_deprecated"]),
    ],
    addresses: &["https://slack.com*"],
    ..Provider::named("slack", &[])
};
