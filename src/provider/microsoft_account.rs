//! Microsoft accounts of consumers: pages of login.live.com and codes with a text after a colon.

use super::{Provider, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    refresh_token_days: Some(90),
    rules: &[
        says(Class::ClientDisabled, &["client does not exist or is not enabled for consumers"]),
        says(Class::RedirectUriMismatch, &["redirect uri * is not valid",
            "redirect uri * matches a redirect uri registered"]),
        says(Class::InvalidScope, &["parameter scope * not valid", "scope * does not exist"]),
        says(Class::BadUserCredentials, &["your account or password is incorrect",
            "that microsoft account doesn't exist"]),
        says(Class::AccountLocked, &["your account has been locked", "account is temporarily blocked"]),
        says(Class::MfaRequired, &["help us protect your account", "approve sign in request"]),
        says(Class::RateLimited, &["you've tried to sign in too many times"]),
        says(Class::UnsupportedResponseType, &["response type * not supported"]),
    ],
    ..Provider::named("microsoft-account", &["msa", "live", "outlook-personal", "microsoft-consumer"])
};
