//! The whole journey against the certified provider and the built-in one, as `authcanary check` walks it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::canary::{Canary, Ended};
use crate::certified::{Certified, PASSWORD, SECRET, USERNAME};

const ALL_STEPS: &str = "steps: [userinfo: {expect: \"body.sub != ''\"}, introspect: {}, refresh: {}, revoke: {verify: true}, logout: {}]";

/// How the client of a journey authenticates.
const CLIENTS: [(&str, &str); 3] = [
    (
        "canary-basic",
        "auth: client_secret_basic, secret: {env: CLIENT_SECRET}",
    ),
    (
        "canary-post",
        "auth: client_secret_post, secret: {env: CLIENT_SECRET}",
    ),
    ("canary-public", "auth: none"),
];

/// Our own pages of the certified provider, step by step.
const SCRIPT: &str = r##"login:
  - {fill: "#username", with: account.username}
  - {fill: "#password", with: account.password}
  - {click: "#sign-in"}
  - {wait: "#allow"}
  - {click: "text=Allow"}
"##;

fn certified_probe(issuer: &str, client: &str, login: &str, steps: &str) -> String {
    format!(
        r#"version: 1
provider: oidc-provider
flow: authorization_code
every: 5m
timeout: 90s
scopes: [openid, email, offline_access]
environments:
  test:
    issuer: {issuer}
    client: {{{client}}}
    redirect_uri: https://app.example.com/callback
    account: {{username: {USERNAME}, password: {{env: PASSWORD}}}}
{login}
{steps}
"#
    )
}

fn certified_canary(issuer: &str, client: &str, login: &str, steps: &str) -> Canary {
    Canary::new(&certified_probe(issuer, client, login, steps))
        .variable("CLIENT_SECRET", SECRET)
        .variable("PASSWORD", PASSWORD)
}

#[track_caller]
fn expect(ended: &Ended, code: i32, verdict: &str) {
    assert_eq!(ended.verdict(), verdict, "{ended:#?}");
    assert_eq!(ended.code, Some(code), "{ended:#?}");
}

#[tokio::test]
async fn every_client_kind_walks_the_certified_provider_by_login_auto() {
    let provider = Certified::usual().await;
    for (id, auth) in CLIENTS {
        let client = format!("id: {id}, {auth}");
        let canary = certified_canary(&provider.issuer, &client, "login: auto", ALL_STEPS);
        let ended = canary.check().await;
        expect(&ended, 0, "ok - -");
        let stages = [
            "discovery",
            "jwks",
            "authorize",
            "login",
            "consent",
            "callback",
            "token_exchange",
            "id_token",
            "userinfo",
            "introspection",
            "refresh",
            "revocation",
            "logout",
        ];
        assert_eq!(ended.stages(), stages, "{id}");
    }
}

#[tokio::test]
async fn every_client_kind_walks_the_certified_provider_by_script() {
    let provider = Certified::usual().await;
    for (id, auth) in CLIENTS {
        let client = format!("id: {id}, {auth}");
        let canary = certified_canary(&provider.issuer, &client, SCRIPT, ALL_STEPS);
        expect(&canary.check().await, 0, "ok - -");
    }
}

#[tokio::test]
async fn login_auto_passes_pages_of_many_kinds() {
    let client = "id: canary-basic, auth: client_secret_basic, secret: {env: CLIENT_SECRET}";
    let kinds = [
        json!({"markup": "bare"}),
        json!({"inside": "iframe"}),
        json!({"inside": "shadow"}),
        json!({"inside": "app"}),
        json!({"identifier_first": true}),
        json!({"picker": true}),
        json!({"stay": true}),
        json!({"decoys": true}),
        json!({"lang": "de", "identifier_first": true, "stay": true, "decoys": true}),
        json!({"lang": "ja"}),
    ];
    for pages in kinds {
        let provider = Certified::start(&json!({ "pages": pages })).await;
        let canary = certified_canary(
            &provider.issuer,
            client,
            "login: auto",
            "steps: [userinfo: {}]",
        );
        let ended = canary.check().await;
        assert_eq!(ended.verdict(), "ok - -", "{pages}: {ended:#?}");
    }
}

#[tokio::test]
async fn a_wrong_client_secret_fails_at_the_token_endpoint() {
    let provider = Certified::usual().await;
    let client = "id: canary-basic, auth: client_secret_basic, secret: {env: CLIENT_SECRET}";
    let canary = certified_canary(&provider.issuer, client, "login: auto", ALL_STEPS)
        .variable("CLIENT_SECRET", "wrong");
    let ended = canary.check().await;
    expect(&ended, 1, "failed token_exchange invalid_client");
    let verdict = &ended.run()["verdict"];
    assert_eq!(
        (&verdict["cause"], &verdict["action"]),
        (&json!("credential"), &json!("rotate_credentials"))
    );
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_named() {
    let provider = Certified::usual().await;
    let client = "id: canary-public, auth: none";
    let canary =
        certified_canary(&provider.issuer, client, "login: auto", "").variable("PASSWORD", "wrong");
    expect(
        &canary.check().await,
        1,
        "failed login bad_user_credentials",
    );
}

#[tokio::test]
async fn a_missing_driver_is_our_own_fault() {
    let provider = Certified::usual().await;
    let probe = certified_probe(
        &provider.issuer,
        "id: canary-public, auth: none",
        "login: auto",
        "",
    );
    let canary = Canary::with_daemon(&probe, "browser: {driver: /nowhere/chromedriver}\n")
        .variable("PASSWORD", PASSWORD);
    expect(
        &canary.check().await,
        2,
        "unknown monitor webdriver_unavailable",
    );
}

#[tokio::test]
async fn a_missing_secret_is_our_own_fault() {
    let provider = Certified::usual().await;
    let client = "id: canary-basic, auth: client_secret_basic, secret: {env: NOT_SET_ANYWHERE}";
    let canary = certified_canary(&provider.issuer, client, "login: auto", "");
    expect(
        &canary.check().await,
        2,
        "unknown monitor secret_unavailable",
    );
}

#[tokio::test]
async fn every_response_mode_and_kind_of_redirect_uri_is_caught() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listened = format!("http://{}/callback", listener.local_addr().unwrap());
    let redirects = [
        "https://app.example.com/callback",
        "http://127.0.0.1:1/callback",
        &listened,
    ];
    let provider = Certified::start(&json!({ "redirect_uris": redirects })).await;
    for redirect in redirects {
        for mode in ["query", "fragment", "form_post"] {
            let probe = certified_probe(
                &provider.issuer,
                "id: canary-public, auth: none",
                "login: auto",
                "",
            )
            .replace("https://app.example.com/callback", redirect)
            .replace("flow:", &format!("response_mode: {mode}\nflow:"));
            let ended = Canary::new(&probe)
                .variable("PASSWORD", PASSWORD)
                .check()
                .await;
            assert_eq!(ended.verdict(), "ok - -", "{redirect} {mode}: {ended:#?}");
        }
    }
    // Browsers open connections ahead of time; by now all of them are closed, and none may have carried a byte.
    while let Ok(connection) = timeout(Duration::ZERO, listener.accept()).await {
        let mut heard = Vec::new();
        // A reset ends a connection as well as a close does.
        let _ = connection.unwrap().0.read_to_end(&mut heard).await;
        assert!(
            heard.is_empty(),
            "the application at the redirect URI was asked for something"
        );
    }
}

#[tokio::test]
async fn no_secret_value_is_in_the_report_of_a_failed_run() {
    let provider = Certified::usual().await;
    let client = "id: canary-basic, auth: client_secret_basic, secret: {env: CLIENT_SECRET}";
    let canary = certified_canary(
        &provider.issuer,
        client,
        "login: auto",
        "steps: [userinfo: {expect: \"false\"}]",
    );
    let ended = canary.check().await;
    assert_eq!(ended.code, Some(1));
    let saved = ended.run()["evidence"]["saved"]
        .as_str()
        .map(str::to_owned)
        .expect("a folder of evidence");
    let kept = std::fs::read_to_string(format!("{saved}/run.json")).unwrap();
    for text in [&ended.stdout, &ended.stderr, &kept] {
        assert!(!text.contains(PASSWORD) && !text.contains(SECRET), "{text}");
    }
    let _: Value = serde_json::from_str(&kept).unwrap();
}
