//! A browser that cannot get out, on a machine that can: the provider is not blamed.

use authcanary::loopback::{self, Config};
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::canary::{Canary, Ended};

const NOWHERE: &str = "--host-resolver-rules=MAP * ~NOTFOUND";

fn browser(args: &[&str]) -> String {
    let args: Vec<String> = ["--no-sandbox", "--disable-gpu"]
        .iter()
        .chain(args)
        .map(|arg| format!("\"{arg}\""))
        .collect();
    format!("browser: {{args: [{}]}}\n", args.join(", "))
}

/// A probe whose pages are at `authorization`, and all else at `issuer`.
fn probe(issuer: &str, authorization: &str) -> String {
    format!(
        r#"version: 1
provider: loopback
timeout: 50s
environments:
  demo:
    issuer: {issuer}
    endpoints: {{authorization: "{authorization}"}}
    client: {{id: demo-public, auth: none}}
    redirect_uri: https://app.example.com/callback
    account: {{username: demo@example.com, password: {{env: PASSWORD}}}}
"#
    )
}

async fn check(probe: &str, browser: &str) -> Ended {
    let canary = Canary::with_daemon(probe, browser).variable("PASSWORD", "demo-password");
    canary.check().await
}

fn assert_ours(ended: &Ended, reason: &str, first: &str) {
    assert_eq!(ended.verdict(), "unknown monitor internal", "{ended:?}");
    assert_eq!(ended.code, Some(2));
    let run: Value = ended.run();
    let detail = run["verdict"]["detail"].as_str().unwrap();
    assert!(detail.starts_with(reason), "{detail}");
    assert!(
        detail.contains(&format!("; seen first: {first}: ")),
        "{detail}"
    );
    assert_eq!(run["evidence"]["facts"]["first_verdict"], first);
}

#[tokio::test]
async fn a_browser_that_finds_no_name_fails_at_the_built_in_provider_too() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let pages = format!("{}/authorize", provider.issuer());
    let ended = check(&probe(provider.issuer(), &pages), &browser(&[NOWHERE])).await;
    assert_ours(
        &ended,
        "signing in at the built-in provider on this machine fails too: dns dns_failure",
        "dns dns_failure",
    );
    provider.stop().await;
}

#[tokio::test]
async fn a_dead_proxy_of_the_browser_alone_is_ours() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    // Held, so that nobody else listens there meanwhile.
    let dead = TcpSocket::new_v4().unwrap();
    dead.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = dead.local_addr().unwrap();
    let argument = format!("--proxy-server={proxy}");
    let args = [
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        &argument,
    ];
    let probe = probe(provider.issuer(), "https://login.acme.example/authorize");
    let ended = check(&probe, &browser(&args)).await;
    let reason = format!("the proxy {proxy} cannot be reached");
    assert_ours(&ended, &reason, "connect proxy_error");
    provider.stop().await;
}
