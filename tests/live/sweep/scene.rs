//! The provider, everything around it, and the files of a daemon that uses all of it, with secrets that can be told again.

use authcanary::loopback::{self, Account, Config, Fault, Loopback};
use authcanary::secret::Secret;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::needles::Needles;
use super::tap::{Echo, Tap};
use crate::canary::Canary;
use crate::mail::{self, Pki};
use crate::support::{Site, Visit};
use crate::telemetry::receiver::{Protocol, Receiver};

/// Each with letters that some encoding writes differently.
const CLIENT_SECRET: &str = "Zaunk\u{f6}nig:\"29\"&<client>/s+ecret'";
const POST_SECRET: &str = "Rotkehlchen-29/client+secret=";
pub(super) const PASSWORD: &str = "p\u{e4}\"ss & <w\u{f6}rd>/of+the'canary\\41=";
const USERNAME: &str = "goldhaehnchen.4711@example.com";
const OTHER_USERNAME: &str = "wintergoldhaehnchen.0815@example.com";
const TOTP: &str = "KRUGKIDROVUWG2ZAMJZG653OEBTG66BA";
pub(super) const API_TOKEN: &str = "api-token-of-Heckenbraunelle-83\"&+/";
const WEBHOOK_SECRET: &str = "webhook-hmac-Gartenrotschwanz+/&\"61";
pub(super) const SLACK_PATH: &str = "Txx0Sommergoldh4ehnchenXq9Zz2Kk1";
const COLLECTOR_KEY: &str = "collector-key-Mauersegler\"&<77>";
const MAILBOX: &str = "p4ssw0rd-of-the-mailbox";

/// Receivers of notices. Slack's refuses, and says what it was sent to.
fn notified(visit: &Visit, _: &str) -> Response {
    if visit.uri.path().contains(SLACK_PATH) {
        return (
            StatusCode::FORBIDDEN,
            format!("no such hook: {}", visit.uri),
        )
            .into_response();
    }
    "thank you".into_response()
}

/// Everything that takes part.
pub(super) struct Scene {
    pub(super) provider: Loopback,
    pub(super) tap: Tap,
    pub(super) collector: Receiver,
    pub(super) site: Site,
    pub(super) mail: mail::Server,
    pub(super) canary: Canary,
    _pki: Pki,
}

impl Scene {
    pub(super) async fn start() -> Self {
        let provider = loopback::start(config()).await.unwrap();
        let tap = Tap::start().await;
        let collector = Receiver::start(Protocol::Http).await;
        let site = Site::start(notified).await;
        let pki = Pki::new("localhost");
        let mail = mail::Server::with_password("implicit", &pki).await;
        let daemon = daemon_file(&tap, &collector, &site, &mail, &pki);
        let canary = Canary::with_daemon(&probe_file(provider.issuer()), &daemon)
            .variable("SWEEP_PASSWORD", PASSWORD)
            .variable("SWEEP_CLIENT_SECRET", CLIENT_SECRET)
            .variable("SWEEP_COLLECTOR_KEY", COLLECTOR_KEY)
            .variable("AUTHCANARY_TOKEN", API_TOKEN)
            .variable("OTEL_BSP_SCHEDULE_DELAY", "50")
            .variable("OTEL_BLRP_SCHEDULE_DELAY", "50")
            .variable("OTEL_METRIC_EXPORT_INTERVAL", "2000");
        let slack = format!("http://{}/services/T1/B2/{SLACK_PATH}", site.address);
        for (name, secret) in [
            ("post", POST_SECRET),
            ("totp", TOTP),
            ("webhook", WEBHOOK_SECRET),
            ("slack", &slack),
        ] {
            canary.write(&format!("secret-{name}"), secret);
        }
        Self {
            provider,
            tap,
            collector,
            site,
            mail,
            canary,
            _pki: pki,
        }
    }

    /// Answers of the provider that are wrong from now on, in one way or the other.
    pub(super) fn spoil(&self, how: &Spoiled) {
        self.provider.faults().clear();
        self.tap.echo(None);
        match how {
            Spoiled::Not => (),
            Spoiled::Echo(echo) => {
                self.tap.echo(Some(*echo));
            }
            Spoiled::Fault(endpoint, fault) => {
                let fault: Fault =
                    serde_json::from_value(json!({"endpoint": endpoint, "fault": fault})).unwrap();
                self.provider.faults().put(fault).unwrap();
            }
        }
    }

    /// All secrets: those of files and variables, and those that were on the wire.
    pub(super) fn needles(&self) -> Needles {
        let mut needles = Needles::default();
        for (what, secret) in [
            ("client secret", CLIENT_SECRET),
            ("client secret by post", POST_SECRET),
            ("password", PASSWORD),
            ("TOTP seed", TOTP),
            ("API token", API_TOKEN),
            ("webhook secret", WEBHOOK_SECRET),
            ("Slack address", SLACK_PATH),
            ("collector key", COLLECTOR_KEY),
            ("mail password", MAILBOX),
        ] {
            needles.add(what, secret);
        }
        let address = self.provider.address();
        for exchange in self.tap.seen() {
            if exchange.url.port() == Some(address.port()) {
                needles.learn(&exchange);
            }
        }
        needles
    }
}

/// The demo provider, with secrets of this test.
fn config() -> Config {
    let mut config = Config::demo();
    for client in &mut config.clients {
        client.secret = match client.id.as_str() {
            "demo-basic" => Some(Secret::new(CLIENT_SECRET)),
            "demo-post" => Some(Secret::new(POST_SECRET)),
            _ => None,
        };
    }
    let account = |username: &str, totp: Option<&str>| Account {
        username: username.to_owned(),
        password: Secret::new(PASSWORD),
        totp: totp.map(Secret::new),
    };
    config.accounts = vec![account(USERNAME, None), account(OTHER_USERNAME, Some(TOTP))];
    config.lock_after = 1000;
    config
}

/// One account has a second factor: a code is good for one sign-in, and the next one has to wait for the next.
fn probe_file(issuer: &str) -> String {
    let password = "password: {env: SWEEP_PASSWORD}";
    format!(
        r#"version: 1
provider: generic
cron: "0 0 29 2 *"
timeout: 120s
step_timeout: 30s
scopes: [openid, profile, email, offline_access]
traceparent: true
budget: {{logins_per_minute: 600, stop_after_refused_credentials: 100}}
guards: [foreign_redirect_uri, reused_code, bad_pkce]
steps:
  - userinfo: {{expect: "body.email == account.username"}}
  - resource: {{get: "{issuer}/resource"}}
  - introspect: {{}}
  - refresh: {{rotation: required}}
  - revoke: {{verify: true}}
  - logout: {{}}
environments:
  basic:
    issuer: {issuer}
    client: {{id: demo-basic, auth: client_secret_basic, secret: {{env: SWEEP_CLIENT_SECRET}}}}
    redirect_uri: https://app.example.com/callback
    account: {{username: {USERNAME}, {password}}}
  factor:
    issuer: {issuer}
    client: {{id: demo-basic, auth: client_secret_basic, secret: {{env: SWEEP_CLIENT_SECRET}}}}
    redirect_uri: https://app.example.com/callback
    account: {{username: {OTHER_USERNAME}, {password}, totp: {{file: secret-totp}}}}
  post:
    issuer: {issuer}
    client: {{id: demo-post, auth: client_secret_post, secret: {{file: secret-post}}}}
    redirect_uri: https://app.example.com/callback
    response_mode: form_post
    account: {{username: {USERNAME}, {password}}}
  machine:
    flow: client_credentials
    issuer: {issuer}
    scopes: [api]
    steps: [{{resource: {{get: "{issuer}/resource"}}}}, {{introspect: {{}}}}]
    guards: []
    client: {{id: demo-post, auth: client_secret_post, secret: {{file: secret-post}}}}
"#
    )
}

fn daemon_file(
    tap: &Tap,
    collector: &Receiver,
    site: &Site,
    mail: &mail::Server,
    pki: &Pki,
) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, API_TOKEN.as_bytes());
    let hash: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (collector, proxy) = (collector.url(), tap.address);
    format!(
        r#"browser: {{args: ["--no-sandbox", "--disable-gpu", "--proxy-server=http://{proxy}", "--proxy-bypass-list=<-loopback>"]}}
http: {{proxy: "http://{proxy}", ca_file: {ca}}}
telemetry: {{otlp: {{endpoint: "{collector}", headers: {{x-key: {{env: SWEEP_COLLECTOR_KEY}}}}}}}}
api: {{tokens: [{{name: ci, hash: "sha256:{hash}", may: [read, run, admin]}}]}}
channels:
  hook: {{webhook: {{url: "http://{site}/hook", secret: {{file: secret-webhook}}}}}}
  chat: {{slack: {{url: {{file: secret-slack}}}}}}
  mail: {{email: {{smtp: "smtps://localhost:{port}", username: canary, password: {{file: {password}}}, from: canary@example.com, to: [sre@example.com]}}}}
  program: {{exec: {{command: [sh, -c, "cat >> \"$TMPDIR/notice.json\"; env >> \"$TMPDIR/notice.env\""]}}}}
"#,
        ca = pki.path("ca.pem").display(),
        site = site.address,
        port = mail.port,
        password = pki.path("password").display(),
    )
}

/// What is wrong with the provider in a run.
pub(super) enum Spoiled {
    Not,
    Echo(Echo),
    Fault(&'static str, Value),
}
