//! Whatever is sent as a token is taken apart, or refused.
#![no_main]

use authcanary::oauth::id_token::{Claimed, LEEWAY_MS, claims_hold};
use authcanary::oauth::jwt::Unverified;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|token: &str| {
    let Ok(token) = Unverified::parse(token, "the token") else {
        return;
    };
    let _ = claims_hold(
        &token,
        &Claimed {
            issuer: Some("https://op.example"),
            client_id: Some("client"),
            nonce: None,
            access: None,
            now: "2026-01-01T00:00:00Z".parse().ok(),
            leeway_ms: LEEWAY_MS,
        },
    );
});
