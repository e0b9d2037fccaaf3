//! authentik: the sentences of the specification, so the code counts.

use super::{BROWSER, Provider, codes, says};
use crate::taxonomy::Class;

#[rustfmt::skip]
pub(super) static PROVIDER: Provider = Provider {
    rules: &[
        codes(Class::DeviceCodeExpired, &["expired_token"]),
        says(Class::RedirectUriMismatch, &["redirect uri error", "mismatching redirection uri",
            "redirect uri * missing"]),
        codes(Class::InvalidClient, &["client_id_error"]),
        says(Class::AccessDenied, &["permission denied", "request has been denied"]).at(BROWSER),
        says(Class::PolicyBlocked, &["policy * denied", "denied by policy"]),
    ],
    addresses: &["https://*/application/o/*"],
    ..Provider::named("authentik", &["goauthentik"])
};
