//! Apigee: a `fault` with dotted codes, statuses of all kinds.

use super::{Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::InvalidToken, &["keymanagement.service.invalid_access_token",
            "keymanagement.service.access_token_expired",
            "keymanagement.service.InvalidAPICallAsNoApiProductMatchFound", "oauth.v2.InvalidAccessToken",
            "oauth.v2.AccessTokenExpired", "keymanagement.service.access_token_not_approved",
            "steps.oauth.v2.access_token_expired", "steps.oauth.v2.invalid_access_token"]),
        codes(Class::RateLimited, &["policies.ratelimit.SpikeArrestViolation", "policies.ratelimit.QuotaViolation",
            "policies.concurrentratelimit.ConcurrentRatelimtViolation"]),
        codes(Class::BlockedByGateway, &["oauth.v2.FailedToResolveAPIKey", "oauth.v2.InvalidApiKey",
            "steps.oauth.v2.FailedToResolveAPIKey", "accesscontrol.IPDeniedAccess",
            "steps.regularexpressionprotection.ThreatDetected", "steps.jsonthreatprotection.ExecutionFailed"]),
        codes(Class::InsufficientScope, &["steps.oauth.v2.InsufficientScope", "oauth.v2.InsufficientScope",
            "keymanagement.service.insufficient_scope"]),
        codes(Class::InvalidGrant, &["keymanagement.service.invalid_request-authorization_code_invalid",
            "steps.oauth.v2.invalid_request-authorization_code_invalid",
            "keymanagement.service.invalid_refresh_token"]),
        codes(Class::RefreshTokenExpired, &["keymanagement.service.refresh_token_expired",
            "steps.oauth.v2.refresh_token_expired"]),
        codes(Class::InvalidClient, &["keymanagement.service.invalid_client-invalid_client_id",
            "oauth.v2.InvalidClientIdentifier", "steps.oauth.v2.InvalidClientIdentifier",
            "invalid_client-invalid_client_id", "InvalidClientIdentifier"]),
        codes(Class::ClientDisabled, &["keymanagement.service.invalid_client-app_not_approved",
            "keymanagement.service.app_not_approved", "keymanagement.service.company_not_active",
            "keymanagement.service.DeveloperStatusNotActive", "keymanagement.service.consumer_key_not_approved"]),
        codes(Class::HttpServerError, &["messaging.adaptors.http.flow.GatewayTimeout",
            "messaging.adaptors.http.flow.ServiceUnavailable", "messaging.adaptors.http.UnexpectedEOFAtTarget",
            "messaging.adaptors.http.flow.ErrorResponseCode", "protocol.http.BadGateway"]),
        codes(Class::HttpClientError, &["messaging.adaptors.http.flow.ApplicationNotFound",
            "CLASSIFICATION_FAILURE"]),
    ],
    ..Provider::named("apigee", &["google-apigee"])
};
