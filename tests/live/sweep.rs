//! Nothing secret leaves memory. A daemon and the commands run with everything switched on, against a provider that fails
//! and that shows in its errors whatever it was sent; then every byte that came out anywhere is searched for every secret
//! that was on the wire or in a vault.

mod needles;
mod tap;
mod watch;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use authcanary::loopback::{self, Account, Config, Fault, Loopback};
use authcanary::secret::Secret;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;
use serde_json::{Value, json};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use crate::canary::Canary;
use crate::mail::{self, Pki};
use crate::support::{Site, Visit};
use crate::telemetry::receiver::{Protocol, Receiver};

use needles::{Needles, Search, written};
use tap::{Echo, Tap};
use watch::Watch;

const PATIENCE: Duration = Duration::from_secs(240);

/// Each with letters that some encoding writes differently.
const CLIENT_SECRET: &str = "Zaunk\u{f6}nig:\"29\"&<client>/s+ecret'";
const POST_SECRET: &str = "Rotkehlchen-29/client+secret=";
const PASSWORD: &str = "p\u{e4}\"ss & <w\u{f6}rd>/of+the'canary\\41=";
const USERNAME: &str = "goldhaehnchen.4711@example.com";
const OTHER_USERNAME: &str = "wintergoldhaehnchen.0815@example.com";
const TOTP: &str = "KRUGKIDROVUWG2ZAMJZG653OEBTG66BA";
const API_TOKEN: &str = "api-token-of-Heckenbraunelle-83\"&+/";
const WEBHOOK_SECRET: &str = "webhook-hmac-Gartenrotschwanz+/&\"61";
const SLACK_PATH: &str = "Txx0Sommergoldh4ehnchenXq9Zz2Kk1";
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
struct Scene {
    provider: Loopback,
    tap: Tap,
    collector: Receiver,
    site: Site,
    mail: mail::Server,
    canary: Canary,
    _pki: Pki,
}

impl Scene {
    async fn start() -> Self {
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
    fn spoil(&self, how: &Spoiled) {
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
    fn needles(&self) -> Needles {
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
enum Spoiled {
    Not,
    Echo(Echo),
    Fault(&'static str, Value),
}

/// Probe, what is wrong, and the verdict of the run.
fn runs() -> Vec<(&'static str, Spoiled, &'static str)> {
    use Spoiled::{Fault, Not};
    let echo = Spoiled::Echo;
    vec![
        ("basic", Not, "ok"),
        ("post", Not, "ok"),
        ("machine", Not, "ok"),
        ("basic", echo(Echo::TokenJson), ""),
        ("post", echo(Echo::TokenPage), ""),
        ("basic", echo(Echo::TokenText), ""),
        ("post", echo(Echo::TokenCut), ""),
        ("machine", echo(Echo::TokenJson), ""),
        ("basic", echo(Echo::RefreshJson), ""),
        ("post", echo(Echo::Userinfo), ""),
        ("basic", echo(Echo::Revocation), ""),
        ("basic", echo(Echo::LoginPage), ""),
        ("factor", echo(Echo::MfaRedirect), ""),
        ("basic", echo(Echo::CallbackError), ""),
        ("basic", echo(Echo::CallbackState), ""),
        (
            "basic",
            Fault("token", json!("wrong_signature")),
            "signature_invalid",
        ),
        (
            "post",
            Fault("token", json!("truncated")),
            "malformed_response",
        ),
        ("basic", Fault("login", json!("captcha")), "bot_challenge"),
        (
            "factor",
            Fault("mfa", json!("refused_credentials")),
            "bad_user_credentials",
        ),
        (
            "basic",
            Fault("login", json!("refused_credentials")),
            "bad_user_credentials",
        ),
        (
            "basic",
            Fault("login", json!("refused_credentials")),
            "bad_user_credentials",
        ),
        (
            "machine",
            Fault("token", json!("expired_secret")),
            "client_secret_expired",
        ),
        (
            "machine",
            Fault("token", json!("expired_secret")),
            "client_secret_expired",
        ),
    ]
}

/// The daemon, its outputs in files.
struct Daemon {
    process: Child,
    base: String,
    client: reqwest::Client,
}

impl Daemon {
    async fn start(scene: &Scene) -> Self {
        let log = scene.canary.path("out-daemon.log");
        let mut command = scene.canary.command(&["--log", "trace", "serve"]);
        command.stderr(Stdio::from(fs::File::create(&log).unwrap()));
        command.stdout(Stdio::from(
            fs::File::create(scene.canary.path("out-daemon.stdout")).unwrap(),
        ));
        let process = command.spawn().unwrap();
        let serving = Regex::new(r"serving on (http://[0-9.:]+)/").unwrap();
        let base = until("the daemon to serve", async || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            assert!(!log.contains("1 fault"), "{log}");
            Some(serving.captures(&log)?[1].to_owned())
        });
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            process,
            base: base.await,
            client,
        }
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        let answer = request.bearer_auth(API_TOKEN).send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = format!("{:?}", answer.headers());
        let body = answer.bytes().await.unwrap();
        (
            status,
            format!("{headers}\n{}", String::from_utf8_lossy(&body)),
        )
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.ask(self.client.get(format!("{}{path}", self.base)))
            .await
    }

    async fn json(&self, path: &str) -> Value {
        let (_, text) = self.get(path).await;
        serde_json::from_str(text.split_once('\n').unwrap().1).unwrap_or_default()
    }

    /// Runs a probe and gives the record.
    async fn run(&self, environment: &str) -> Value {
        let url = format!("{}/api/v1/probes/generic/{environment}/runs", self.base);
        let (status, begun) = self.ask(self.client.post(url)).await;
        assert_eq!(status, 202, "{begun}");
        let begun: Value = serde_json::from_str(begun.split_once('\n').unwrap().1).unwrap();
        let path = format!("/api/v1/runs/{}", begun["id"].as_str().unwrap());
        until("a run to end", async || {
            let run = self.json(&path).await;
            run["outcome"].is_string().then_some(run)
        })
        .await
    }

    async fn end(mut self) {
        kill(
            Pid::from_raw(self.process.id().unwrap().cast_signed()),
            Signal::SIGTERM,
        )
        .unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        assert!(ended.expect("the daemon ends").unwrap().success());
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(30)).await;
    }
}

/// Places and what stands there.
type Hay = Vec<(String, Vec<u8>)>;

fn files(hay: &mut Hay, folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(hay, &path);
        } else {
            hay.push((
                path.display().to_string(),
                fs::read(&path).unwrap_or_default(),
            ));
        }
    }
}

/// Every address that the API has for a GET, with every id that there is.
async fn pages(daemon: &Daemon, hay: &mut Hay) {
    let listed = async |path: &str, list: &str, id: &str| {
        let found = daemon.json(path).await;
        let items = found[list].as_array().cloned().unwrap_or_default();
        items
            .iter()
            .map(|item| item[id].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let runs = listed("/api/v1/runs?limit=1000", "runs", "id").await;
    let alerts = listed("/api/v1/alerts", "alerts", "fingerprint").await;
    assert!(!alerts.is_empty(), "there is no alert to look at");
    let mut probes = vec!["generic/basic".to_owned()];
    probes.push("generic/basic/runs".to_owned());
    probes.push("generic/post/stats".to_owned());
    let place = Regex::new(r"\{[^}]+\}").unwrap();
    let route = Regex::new(r#"route\(\s*"([^"]+)""#).unwrap();
    for route in route.captures_iter(include_str!("../../src/api.rs")) {
        let pattern = &route[1];
        let ids = match () {
            () if pattern.contains("{class}") => vec!["invalid_grant".to_owned()],
            () if pattern.contains("{fingerprint}") => alerts.clone(),
            () if pattern.contains("{*") => probes.clone(),
            () if pattern.contains("{id}") => runs.clone(),
            () => vec![String::new()],
        };
        for id in ids {
            let path = place.replace(pattern, id.as_str());
            let (_, text) = daemon.get(&path).await;
            hay.push((path.into_owned(), text.into_bytes()));
        }
    }
    let (_, text) = daemon.get("/api/v1/export?format=csv").await;
    hay.push(("export as CSV".to_owned(), text.into_bytes()));
    // Who puts a token where it does not belong is refused, and does not find it in the log.
    let (_, text) = daemon
        .get(&format!("/api/v1/nothing?access_token={API_TOKEN}"))
        .await;
    hay.push(("an address that is not there".to_owned(), text.into_bytes()));
}

/// What the commands print, those that run a probe by themselves and those that ask the daemon.
async fn commands(scene: &Scene, daemon: &Daemon, runs: &[Value], hay: &mut Hay) {
    let failed = runs.iter().find(|run| run["outcome"] == "failed").unwrap();
    let id = failed["id"].as_str().unwrap();
    let asking: &[&[&str]] = &[
        &["runs", "--url", &daemon.base],
        &["show", id, "--url", &daemon.base],
        &["show", id, "--format", "json", "--url", &daemon.base],
        &["export", "--url", &daemon.base],
        &["validate"],
    ];
    for arguments in asking {
        let ended = scene.canary.run(arguments).await;
        assert!(!ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
        hay.push((
            format!("{arguments:?}"),
            format!("{}{}", ended.stdout, ended.stderr).into_bytes(),
        ));
    }
    for (echo, format) in [
        (Echo::TokenJson, "json"),
        (Echo::LoginPage, "pretty"),
        (Echo::CallbackError, "junit"),
    ] {
        scene.spoil(&Spoiled::Echo(echo));
        let arguments = [
            "--log",
            "trace",
            "--log-format",
            "json",
            "check",
            "generic/basic",
            "--format",
            format,
        ];
        let ended = scene.canary.run(&arguments).await;
        assert_eq!(ended.code, Some(1), "{:.2000}", ended.stdout);
        hay.push((
            format!("stdout of check --format {format}"),
            ended.stdout.into_bytes(),
        ));
        hay.push((
            format!("stderr of check --format {format}"),
            ended.stderr.into_bytes(),
        ));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_in_anything_that_leaves_memory() {
    let mut scene = Scene::start().await;
    let watch = Watch::start(&scene.canary);
    let daemon = Daemon::start(&scene).await;
    let (mut done, mut wrong) = (Vec::new(), Vec::new());
    for (environment, spoiled, expected) in runs() {
        scene.spoil(&spoiled);
        let run = daemon.run(environment).await;
        let got = run["verdict"]["class"].as_str().or(run["outcome"].as_str());
        // What an answer means that quotes half a conversation is nothing to hold on to.
        let is_wrong = match spoiled {
            Spoiled::Echo(_) => run["outcome"] != "failed",
            Spoiled::Not | Spoiled::Fault(..) => got != Some(expected),
        };
        if is_wrong {
            let (got, detail) = (got.unwrap_or_default(), &run["verdict"]["detail"]);
            wrong.push(format!(
                "{environment}: {got} instead of {expected}; {detail:.600}"
            ));
        }
        if matches!(spoiled, Spoiled::Echo(_)) && scene.tap.echo(None) == 0 {
            wrong.push(format!("{environment} {expected}: nothing was shown"));
        }
        done.push(run);
    }
    let mut hay = Hay::new();
    let notice = scene.mail.line().await;
    let letter = mail::parsed(notice["mail"].as_str().unwrap()).await;
    hay.push(("a mail".to_owned(), letter.to_string().into_bytes()));
    until("a webhook and a message", async || {
        let chat = scene.site.visits(&format!("/services/T1/B2/{SLACK_PATH}"));
        let program = scene.canary.tmp().join("notice.json").exists();
        (program && !chat.is_empty() && !scene.site.visits("/hook").is_empty()).then_some(())
    })
    .await;
    for exchange in scene.tap.seen() {
        if exchange.url.port() == Some(scene.site.address.port()) {
            hay.push((
                format!(
                    "a notice to {:.40}",
                    exchange.url.path().replace(SLACK_PATH, "")
                ),
                exchange.asked.clone(),
            ));
        }
    }
    pages(&daemon, &mut hay).await;
    commands(&scene, &daemon, &done, &mut hay).await;
    daemon.end().await;

    files(&mut hay, &scene.canary.path(""));
    // Where the secrets and the account come from.
    let given = |place: &String| place.contains("/secret-") || place.ends_with("/probe.yaml");
    hay.retain(|(place, _)| !given(place));
    let kept = scene.collector.kept();
    assert!(!kept.traces.is_empty() && !kept.metrics.is_empty() && !kept.logs.is_empty());
    hay.push((
        "what the collector got".to_owned(),
        kept.text().into_bytes(),
    ));
    hay.extend(watch.end());
    search(&scene, &hay);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn search(scene: &Scene, hay: &Hay) {
    let needles = scene.needles();
    let search = Search::new(&needles);
    check_search(scene, &needles, &search);
    let mut leaks: Vec<String> = Vec::new();
    for (place, bytes) in hay {
        let mut kinds = BTreeSet::new();
        for found in search.found(bytes) {
            let kind = found.split(" (").next().unwrap_or_default().to_owned();
            if kinds.insert(kind) {
                leaks.push(format!("{place:.60}: {found:.300}"));
            }
        }
    }
    let size: usize = hay.iter().map(|(_, bytes)| bytes.len()).sum();
    println!(
        "{} secrets, {} places, {} MB",
        needles.values().count(),
        hay.len(),
        size >> 20
    );
    assert!(
        leaks.is_empty(),
        "{} leaks:\n{}",
        leaks.len(),
        leaks.join("\n")
    );
}

/// The search finds what it should: in what was really sent, and wherever it is planted in any form.
fn check_search(scene: &Scene, needles: &Needles, search: &Search) {
    let kinds = needles.kinds();
    for kind in [
        "cookie",
        "code",
        "state",
        "form field code",
        "form field code_verifier",
        "access_token",
        "refresh_token",
        "signature of id_token",
        "authorization header",
    ] {
        let there = kinds.contains(&kind);
        assert!(there, "no {kind} was seen among {kinds:?}");
    }
    let wire: Vec<u8> = scene
        .tap
        .seen()
        .iter()
        .flat_map(|exchange| exchange.asked.clone())
        .collect();
    let wire = search.found(&wire).join("\n");
    for sent in [
        "client secret by post",
        "password",
        "form field code_verifier",
    ] {
        assert!(wire.contains(sent), "no {sent} was sent");
    }
    for value in needles.values() {
        for (form, bytes) in written(value) {
            if value.len() < 8 && form != "plain" {
                continue;
            }
            let planted = [b"before \"", bytes.as_slice(), b"\" after"].concat();
            assert!(
                !search.found(&planted).is_empty(),
                "{form} of {value} is not found"
            );
        }
    }
    let packed = zstd::stream::encode_all(PASSWORD.as_bytes(), 0).unwrap();
    assert!(
        !search.found(&packed).is_empty(),
        "nothing compressed is found"
    );
}
