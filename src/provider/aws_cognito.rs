//! Amazon Cognito: bare OAuth errors at the token endpoint, exceptions by `__type` at the sign-in API.

use super::{Provider, codes};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::AccountLocked, &["NotAuthorizedException"]).says(&["password attempts exceeded",
            "user is disabled", "temporary password has expired", "user is not confirmed", "user account is"]),
        codes(Class::RefreshTokenExpired, &["NotAuthorizedException"]).says(&["refresh token has expired"]),
        codes(Class::RefreshTokenRevoked, &["NotAuthorizedException"]).says(&["refresh token has been revoked"]),
        codes(Class::InvalidGrant, &["NotAuthorizedException"]).says(&["invalid refresh token"]),
        codes(Class::InvalidClient, &["NotAuthorizedException"]).says(&["secret hash", "client secret"]),
        codes(Class::SessionExpired, &["NotAuthorizedException"]).says(&["invalid session", "session is expired"]),
        codes(Class::InvalidToken, &["NotAuthorizedException"]).says(&["access token has", "invalid access token",
            "token"]),
        codes(Class::BadUserCredentials, &["NotAuthorizedException"]).says(&["incorrect username or password"]),
        codes(Class::BadUserCredentials, &["UserNotFoundException", "CodeMismatchException"]),
        codes(Class::AccountLocked, &["UserNotConfirmedException", "PasswordResetRequiredException"]),
        codes(Class::InvalidClient, &["ResourceNotFoundException"]).says(&["client"]),
        codes(Class::InvalidTarget, &["ResourceNotFoundException"]),
        codes(Class::RateLimited, &["TooManyRequestsException", "LimitExceededException",
            "TooManyFailedAttemptsException", "ThrottlingException"]),
        codes(Class::ServerError, &["InternalErrorException", "UnexpectedLambdaException",
            "UserLambdaValidationException", "InvalidLambdaResponseException"]),
        codes(Class::PolicyBlocked, &["ForbiddenException", "UnsupportedOperationException"]).says(&["waf",
            "blocked"]),
        codes(Class::UnauthorizedClient, &["InvalidParameterException"]).says(&["flow not enabled"]),
        codes(Class::InvalidRequest, &["InvalidParameterException"]),
        codes(Class::MfaRequired, &["MFAMethodNotFoundException", "SOFTWARE_TOKEN_MFA", "SMS_MFA", "MFA_SETUP"]),
        codes(Class::AccountLocked, &["NEW_PASSWORD_REQUIRED"]),
        codes(Class::RedirectUriMismatch, &["redirect_mismatch"]),
        codes(Class::InvalidScope, &["invalid_scope"]),
        codes(Class::UnauthorizedClient, &["unauthorized_client"]),
    ],
    addresses: &["https://cognito-idp.*.amazonaws.com/*"],
    ..Provider::named("aws-cognito", &["cognito", "amazon-cognito"])
};
