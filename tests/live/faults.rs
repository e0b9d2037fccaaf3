//! Every fault of the built-in provider lands on its stage and class.

use authcanary::loopback::{self, Config, Fault};
use serde_json::{Value, json};

use crate::canary::Canary;

fn probe(issuer: &str, client: &str) -> String {
    let secret = match client {
        "demo-public" => "auth: none".to_owned(),
        "demo-post" => "auth: client_secret_post, secret: {env: CLIENT_SECRET}".to_owned(),
        _ => "auth: client_secret_basic, secret: {env: CLIENT_SECRET}".to_owned(),
    };
    format!(
        r#"version: 1
provider: generic
flow: authorization_code
every: 5m
timeout: 120s
step_timeout: STEP
scopes: [openid, profile, offline_access]
environments:
  demo:
    issuer: {issuer}
    client: {{id: {client}, {secret}}}
    redirect_uri: https://app.example.com/callback
    account: {{username: demo@example.com, password: {{env: PASSWORD}}}}
login: auto
steps:
  - userinfo: {{}}
  - resource: {{get: "{issuer}/resource"}}
  - introspect: {{}}
  - refresh: {{rotation: required}}
  - revoke: {{verify: true}}
  - logout: {{}}
"#
    )
}

/// A fault that only shows by time passing is given little of it; the others get what a busy machine needs.
fn patience(expected: &str) -> &'static str {
    let waits = [
        "timeout",
        "element_not_found",
        "unexpected_page",
        "callback_not_reached",
    ];
    if waits.iter().any(|class| expected.ends_with(class)) {
        "8s"
    } else {
        "40s"
    }
}

/// One provider, one canary, and a table of `(endpoint, fault, outcome stage class)`.
async fn check(cases: &[(&str, Value, &str)]) {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let canary = Canary::new("")
        .variable("CLIENT_SECRET", "demo-basic-secret")
        .variable("PASSWORD", "demo-password");
    let mut wrong = Vec::new();
    for (endpoint, fault, expected) in cases {
        let fault: Fault =
            serde_json::from_value(json!({ "endpoint": endpoint, "fault": fault })).unwrap();
        provider.faults().clear();
        provider.faults().put(fault.clone()).unwrap();
        let file = probe(provider.issuer(), "demo-basic");
        canary.write("probe.yaml", &file.replace("STEP", patience(expected)));
        let ended = canary.check().await;
        let got = ended.verdict();
        if got != *expected {
            let detail = &ended.run()["verdict"]["detail"];
            wrong.push(format!(
                "{endpoint} {:?}: {got}, expected {expected}; {detail}",
                fault.fault
            ));
        }
    }
    provider.stop().await;
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[tokio::test]
async fn wrong_answers_of_the_endpoints() {
    check(&[
        (
            "discovery",
            json!({"status": 503}),
            "failed discovery http_server_error",
        ),
        (
            "discovery",
            json!({"status": 500}),
            "failed discovery http_server_error",
        ),
        (
            "discovery",
            json!({"status": 404}),
            "failed discovery http_client_error",
        ),
        (
            "discovery",
            json!("wrong_iss"),
            "failed discovery issuer_mismatch",
        ),
        (
            "discovery",
            json!("broken"),
            "failed discovery metadata_invalid",
        ),
        (
            "discovery",
            json!("garbage"),
            "failed discovery metadata_invalid",
        ),
        (
            "discovery",
            json!("redirect_loop"),
            "failed discovery redirect_loop",
        ),
        ("jwks", json!("broken"), "failed jwks metadata_invalid"),
        (
            "jwks",
            json!({"status": 500}),
            "failed jwks http_server_error",
        ),
        (
            "token",
            json!({"status": 502}),
            "failed token_exchange http_server_error",
        ),
        (
            "token",
            json!({"error": "server_error"}),
            "failed token_exchange server_error",
        ),
        (
            "token",
            json!({"error": "invalid_grant"}),
            "failed token_exchange invalid_grant",
        ),
        (
            "token",
            json!({"error_in_success": "invalid_client"}),
            "failed token_exchange invalid_client",
        ),
        (
            "token",
            json!({"rate_limited": 7}),
            "failed token_exchange rate_limited",
        ),
        (
            "token",
            json!("blocked_by_gateway"),
            "failed token_exchange blocked_by_gateway",
        ),
        (
            "token",
            json!("expired_secret"),
            "failed token_exchange client_secret_expired",
        ),
        (
            "token",
            json!("garbage"),
            "failed token_exchange malformed_response",
        ),
        (
            "token",
            json!("truncated"),
            "failed token_exchange malformed_response",
        ),
        (
            "token",
            json!({"missing_token": "access_token"}),
            "failed token_exchange token_missing",
        ),
        (
            "token",
            json!({"missing_token": "id_token"}),
            "failed token_exchange token_missing",
        ),
        ("token", json!("odd_looks"), "ok - -"),
        (
            "userinfo",
            json!("wrong_sub"),
            "failed userinfo token_confusion",
        ),
        (
            "userinfo",
            json!({"status": 401}),
            "failed userinfo invalid_token",
        ),
        (
            "resource",
            json!({"status": 403}),
            "failed resource http_client_error",
        ),
        (
            "introspection",
            json!("inactive"),
            "failed introspection invalid_token",
        ),
        (
            "refresh",
            json!({"error": "invalid_grant"}),
            "failed refresh invalid_grant",
        ),
        (
            "refresh",
            json!("no_rotation"),
            "failed refresh token_missing",
        ),
        (
            "revocation",
            json!("revokes_nothing"),
            "failed revocation accepted_revoked_token",
        ),
        (
            "revocation",
            json!({"status": 503}),
            "failed revocation http_server_error",
        ),
        (
            "logout",
            json!({"status": 500}),
            "failed logout http_server_error",
        ),
    ])
    .await;
}

#[tokio::test]
async fn tokens_that_do_not_hold_up() {
    check(&[
        (
            "token",
            json!("wrong_signature"),
            "failed id_token signature_invalid",
        ),
        (
            "token",
            json!("alg_none"),
            "failed id_token algorithm_mismatch",
        ),
        (
            "token",
            json!("wrong_alg"),
            "failed id_token algorithm_mismatch",
        ),
        (
            "token",
            json!("unknown_kid"),
            "failed id_token signing_key_unknown",
        ),
        ("token", json!("rotated_key"), "ok - -"),
        (
            "token",
            json!("wrong_iss"),
            "failed id_token issuer_mismatch",
        ),
        (
            "token",
            json!("wrong_aud"),
            "failed id_token audience_mismatch",
        ),
        (
            "token",
            json!("wrong_azp"),
            "failed id_token audience_mismatch",
        ),
        (
            "token",
            json!("wrong_nonce"),
            "failed id_token nonce_mismatch",
        ),
        (
            "token",
            json!("missing_nonce"),
            "failed id_token nonce_mismatch",
        ),
        (
            "token",
            json!("wrong_at_hash"),
            "failed id_token token_confusion",
        ),
        ("token", json!("expired"), "failed id_token token_expired"),
        (
            "token",
            json!("issued_in_future"),
            "failed id_token token_not_yet_valid",
        ),
        (
            "token",
            json!("not_yet_valid"),
            "failed id_token token_not_yet_valid",
        ),
        ("token", json!("scope_downgraded"), "degraded - -"),
    ])
    .await;
}

#[tokio::test]
async fn connections_that_break() {
    check(&[
        (
            "discovery",
            json!("close"),
            "failed discovery connection_reset",
        ),
        (
            "discovery",
            json!("never"),
            "failed discovery request_timeout",
        ),
        ("jwks", json!({"drip": 50}), "failed jwks request_timeout"),
        (
            "token",
            json!("close"),
            "failed token_exchange connection_reset",
        ),
        (
            "token",
            json!("reset"),
            "failed token_exchange connection_reset",
        ),
        (
            "token",
            json!("never"),
            "failed token_exchange request_timeout",
        ),
        (
            "token",
            json!({"drip": 50}),
            "failed token_exchange request_timeout",
        ),
        (
            "token",
            json!("noise"),
            "failed token_exchange malformed_response",
        ),
        (
            "token",
            json!("endless_headers"),
            "failed token_exchange response_too_large",
        ),
        (
            "token",
            json!("huge_body"),
            "failed token_exchange response_too_large",
        ),
        (
            "token",
            json!("cut"),
            "failed token_exchange connection_reset",
        ),
        (
            "userinfo",
            json!({"latency": 60000}),
            "failed userinfo request_timeout",
        ),
        ("refresh", json!("reset"), "failed refresh connection_reset"),
    ])
    .await;
}

#[tokio::test]
async fn pages_that_went_wrong() {
    check(&[
        (
            "authorize",
            json!({"error": "invalid_scope"}),
            "failed callback invalid_scope",
        ),
        (
            "authorize",
            json!("error_page"),
            "failed authorize server_error",
        ),
        (
            "authorize",
            json!({"status": 502}),
            "failed authorize http_server_error",
        ),
        (
            "authorize",
            json!("blocked_by_gateway"),
            "failed authorize blocked_by_gateway",
        ),
        (
            "authorize",
            json!("redirect_loop"),
            "failed authorize redirect_loop",
        ),
        (
            "authorize",
            json!("never"),
            "failed authorize navigation_timeout",
        ),
        (
            "authorize",
            json!("close"),
            "failed authorize connection_reset",
        ),
        ("login", json!("moved_button"), "ok - -"),
        ("login", json!({"late_form": 1500}), "ok - -"),
        (
            "login",
            json!("missing_button"),
            "failed login element_not_found",
        ),
        ("login", json!("captcha"), "failed login bot_challenge"),
        (
            "login",
            json!("unknown_page"),
            "failed login unexpected_page",
        ),
        (
            "login",
            json!("refused_credentials"),
            "failed login bad_user_credentials",
        ),
        (
            "login",
            json!("locked_account"),
            "failed login account_locked",
        ),
        (
            "login",
            json!("password_expired"),
            "failed login account_locked",
        ),
        (
            "login",
            json!("session_expired"),
            "failed login session_expired",
        ),
        ("consent", json!("moved_button"), "ok - -"),
        (
            "consent",
            json!("consent_denied"),
            "failed callback access_denied",
        ),
        (
            "consent",
            json!("session_expired"),
            "failed consent session_expired",
        ),
        (
            "callback",
            json!("wrong_state"),
            "failed callback state_mismatch",
        ),
        (
            "callback",
            json!("missing_state"),
            "failed callback state_mismatch",
        ),
        (
            "callback",
            json!("missing_iss"),
            "failed callback issuer_mismatch",
        ),
        (
            "callback",
            json!("wrong_iss"),
            "failed callback issuer_mismatch",
        ),
        (
            "callback",
            json!("missing_code"),
            "failed callback malformed_response",
        ),
        (
            "callback",
            json!("not_reached"),
            "failed callback callback_not_reached",
        ),
    ])
    .await;
}

#[tokio::test]
async fn each_demo_client_signs_in_also_with_a_second_factor() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    for client in ["demo-basic", "demo-post", "demo-public"] {
        // A public client cannot prove that it may ask about tokens (RFC 7662 section 2.1).
        let mut file = probe(provider.issuer(), client).replace("STEP", "40s");
        if client == "demo-public" {
            file = file.replace("  - introspect: {}\n", "");
        }
        let ended = Canary::new(&file)
            .variable("CLIENT_SECRET", &format!("{client}-secret"))
            .variable("PASSWORD", "demo-password")
            .check()
            .await;
        assert_eq!(ended.verdict(), "ok - -", "{client}: {ended:#?}");
    }
    let second_factor = probe(provider.issuer(), "demo-basic")
        .replace("STEP", "40s")
        .replace("demo@example.com", "totp@example.com")
        .replace("{env: PASSWORD}", "{env: PASSWORD}, totp: {env: TOTP}");
    let ended = Canary::new(&second_factor)
        .variable("CLIENT_SECRET", "demo-basic-secret")
        .variable("PASSWORD", "demo-password")
        .variable("TOTP", loopback::DEMO_TOTP)
        .check()
        .await;
    assert_eq!(ended.verdict(), "ok - -", "{ended:#?}");
    assert!(ended.stages().contains(&"mfa".to_owned()), "{ended:#?}");
    provider.stop().await;
}
