//! Whose fault it was: real faults of the network on our side, and real ones of a provider, through the commands.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authcanary::egress;
use authcanary::journey::Tools;
use authcanary::loopback::{self, Loopback};
use authcanary::pipeline::{Control, new_run_id};
use authcanary::probe::Probe;
use authcanary::run::Run;
use authcanary::taxonomy::Class;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::common::{probe, quick, until};

const PATIENCE: Duration = Duration::from_secs(240);

/// An address of this machine where nobody listens, and that nobody else can take meanwhile.
fn dead() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

/// A daemon file with a probe without a browser for each issuer, named `one/prod`, `two/prod` and so on.
fn files(issuers: &[&str], more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    for (index, (issuer, name)) in issuers.iter().zip(["one", "two", "three"]).enumerate() {
        write(
            &format!("probe-{index}.yaml"),
            format!(
                r#"version: 1
provider: {name}
flow: client_credentials
cron: "0 0 29 2 *"
environments:
  prod:
    issuer: {issuer}
    client: {{id: demo-basic, secret: {{file: secret}}}}
"#
            ),
        );
    }
    write("secret", "demo-basic-secret".to_owned());
    let daemon = format!(
        "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe-*.yaml]\nstore: {{path: store}}\n{more}"
    );
    write("authcanary.yaml", daemon);
    folder
}

fn command(folder: &TempDir, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authcanary"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
        .arg("-c")
        .arg(folder.path().join("authcanary.yaml"))
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs by provider, and the exit code.
async fn check(folder: &TempDir, variables: &[(&str, &str)]) -> (Vec<Json>, Option<i32>) {
    let output = command(folder, variables, &["check", "--format", "json"]).output();
    let output = timeout(PATIENCE, output).await.unwrap().unwrap();
    let report: Json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&output.stderr)));
    let runs = report["runs"].as_array().unwrap().clone();
    (runs, output.status.code())
}

fn words(run: &Json) -> String {
    let word = |value: &Json| value.as_str().unwrap_or("-").to_owned();
    let verdict = &run["verdict"];
    [
        &run["outcome"],
        &verdict["stage"],
        &verdict["class"],
        &verdict["cause"],
    ]
    .map(word)
    .join(" ")
}

fn detail(run: &Json) -> &str {
    run["verdict"]["detail"].as_str().unwrap()
}

fn control(run: &Json) -> &str {
    run["evidence"]["facts"]["control"].as_str().unwrap_or("-")
}

const OURS: &str = "unknown monitor internal monitor";
const REFUSED: &str = "failed connect connect_refused network";

async fn provider() -> Loopback {
    loopback::start(loopback::Config::demo()).await.unwrap()
}

#[tokio::test]
async fn a_dead_proxy_is_not_the_providers_fault() {
    let (_held, proxy) = dead();
    let folder = files(
        &["https://login.one.example", "https://login.two.example"],
        "",
    );
    let variables = [("HTTPS_PROXY", format!("http://{proxy}"))];
    let variables = [
        (variables[0].0, variables[0].1.as_str()),
        ("NO_PROXY", ""),
        ("no_proxy", ""),
    ];
    let (runs, code) = check(&folder, &variables).await;
    assert_eq!(runs.len(), 2);
    for run in &runs {
        assert_eq!(words(run), OURS, "{run}");
        let said = detail(run);
        assert!(
            said.starts_with(&format!("the proxy {proxy} cannot be reached")),
            "{said}"
        );
        assert!(said.contains("seen first: connect proxy_error: "), "{said}");
        assert_eq!(
            run["evidence"]["facts"]["first_verdict"],
            "connect proxy_error"
        );
        assert_eq!(run["steps"][0]["outcome"], "unknown");
    }
    assert_eq!(code, Some(2));
}

#[tokio::test]
async fn names_that_do_not_resolve_together_with_all_others_are_our_fault() {
    let (one, two, three) = (
        "https://one.invalid",
        "https://two.invalid",
        "https://three.invalid",
    );
    // A name that the configuration vouches for, or two other providers.
    let vouched = files(&[one], "egress: {names: [www.invalid]}\n");
    let (runs, code) = check(&vouched, &[]).await;
    assert_eq!(words(&runs[0]), OURS, "{}", runs[0]);
    assert!(detail(&runs[0]).contains("www.invalid"), "{}", runs[0]);
    assert_eq!(code, Some(2));
    let (runs, _) = check(&files(&[one, two, three], ""), &[]).await;
    assert_eq!(runs.len(), 3);
    for run in &runs {
        assert_eq!(words(run), OURS, "{run}");
        assert!(detail(run).contains("(dns_failure)"), "{run}");
    }
    // While another one resolves, it is the zone's.
    let good = files(&[one], "egress: {names: [localhost]}\n");
    let (runs, code) = check(&good, &[]).await;
    assert_eq!(
        words(&runs[0]),
        "failed dns dns_failure network",
        "{}",
        runs[0]
    );
    assert_eq!(control(&runs[0]), "theirs: localhost resolves");
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn one_provider_that_refuses_has_failed() {
    let (_held, down) = dead();
    let up = provider().await;
    let folder = files(&[&format!("http://{down}"), up.issuer()], "");
    let (runs, code) = check(&folder, &[]).await;
    assert_eq!(words(&runs[0]), REFUSED, "{}", runs[0]);
    assert!(!control(&runs[0]).starts_with("ours"), "{}", runs[0]);
    assert_eq!(words(&runs[1]), "ok - - -", "{}", runs[1]);
    // Nothing was looked into for the one that passed.
    assert_eq!(control(&runs[1]), "-");
    assert_eq!(code, Some(1));
    up.stop().await;
}

#[tokio::test]
async fn two_providers_that_are_down_at_once_have_failed() {
    let (_held, one) = dead();
    let (_held_too, two) = dead();
    let folder = files(&[&format!("http://{one}"), &format!("http://{two}")], "");
    let (runs, code) = check(&folder, &[]).await;
    for run in &runs {
        assert_eq!(words(run), REFUSED, "{run}");
        let said = control(run);
        assert!(said.starts_with("undecided: "), "{said}");
    }
    assert_eq!(code, Some(1));
}

#[tokio::test]
async fn a_place_that_the_configuration_names_decides() {
    let (_held, down) = dead();
    let (_held_too, place) = dead();
    let issuer = format!("http://{down}");
    let (runs, _) = check(
        &files(
            &[&issuer],
            &format!("egress: {{targets: ['tcp://{place}']}}\n"),
        ),
        &[],
    )
    .await;
    assert_eq!(words(&runs[0]), OURS, "{}", runs[0]);
    assert!(
        detail(&runs[0]).contains(&format!("{place} (connect_refused)")),
        "{}",
        runs[0]
    );
    let off = format!("egress: {{control: false, targets: ['tcp://{place}']}}\n");
    let (runs, _) = check(&files(&[&issuer], &off), &[]).await;
    assert_eq!(words(&runs[0]), REFUSED, "{}", runs[0]);
    assert_eq!(control(&runs[0]), "-");
}

/// A daemon under test, its address read from its log.
struct Service {
    process: Child,
    address: String,
}

impl Service {
    async fn start(folder: &TempDir, variables: &[(&str, &str)]) -> Self {
        let mut process = command(folder, variables, &["serve"]).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = timeout(PATIENCE, async {
            loop {
                let line = log
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the daemon says where it serves");
                if let Some((_, rest)) = line.split_once("serving on ") {
                    let address = rest.split_whitespace().next().unwrap();
                    return address.trim_end_matches('/').to_owned();
                }
            }
        });
        let address = address.await.expect("the daemon serves in time");
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { process, address }
    }

    async fn stop(mut self) {
        let pid = self.process.id().unwrap().cast_signed();
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let ended = timeout(PATIENCE, self.process.wait()).await;
        assert!(ended.expect("the daemon ends").unwrap().success());
    }
}

#[tokio::test]
async fn the_daemon_stores_what_the_look_found() {
    let (_held, proxy) = dead();
    let (_held_too, down) = dead();
    let refusing = format!("http://{down}");
    let folder = files(
        &[
            "https://login.one.example",
            "https://login.two.example",
            &refusing,
        ],
        "",
    );
    let proxy = format!("http://{proxy}");
    let variables = [
        ("HTTPS_PROXY", proxy.as_str()),
        ("NO_PROXY", ""),
        ("no_proxy", ""),
    ];
    let service = Service::start(&folder, &variables).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for provider in ["one", "two", "three"] {
        let url = format!("{}/api/v1/probes/{provider}/prod/runs", service.address);
        assert_eq!(client.post(url).send().await.unwrap().status(), 202);
    }
    for (provider, expected) in [("one", OURS), ("two", OURS), ("three", REFUSED)] {
        let url = format!("{}/api/v1/probes/{provider}/prod/runs", service.address);
        let runs = until(|| async {
            let answer = client.get(&url).send().await.ok()?.text().await.ok()?;
            let list: Json = serde_json::from_str(&answer).unwrap();
            let runs = list["runs"].as_array().unwrap().clone();
            (!runs.is_empty()).then_some(runs)
        })
        .await;
        assert_eq!(words(&runs[0]), expected, "{}", runs[0]);
    }
    service.stop().await;
    assert!(Path::new(&folder.path().join("store/db")).exists());
}

/// A place that counts who comes.
async fn counting() -> (Arc<AtomicUsize>, String) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let router = axum::Router::new().fallback(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async { "here" }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (count, url)
}

fn control_with(target: &str, probes: &[Probe]) -> Control {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let browser = authcanary::browser::Settings::default();
    let tools = Tools::new(&Default::default(), browser, Arc::new(|_, _| ())).unwrap();
    let settings = egress::Settings {
        targets: vec![target.parse().unwrap()],
        ..egress::Settings::default()
    };
    Control::new(&tools, settings, probes)
}

async fn run_of(probe: &Probe, class: Option<Class>) -> Run {
    quick(class)(Arc::new(probe.clone()), new_run_id(), None).await
}

#[tokio::test]
async fn failures_that_arrive_together_share_one_look_and_good_runs_cause_none() {
    let (count, url) = counting().await;
    let probe = probe("prod");
    let control = control_with(&url, &[]);
    for class in [None, Some(Class::InvalidClient)] {
        let run = control.review(&probe, run_of(&probe, class).await).await;
        assert_eq!(run.verdict.map(|verdict| verdict.class), class);
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let failed = run_of(&probe, Some(Class::ConnectTimeout)).await;
    let reviews = (0..10).map(|_| control.review(&probe, failed.clone()));
    for run in futures::future::join_all(reviews).await {
        let facts = run.evidence.unwrap().facts;
        assert!(facts.contains_key("control"), "{facts:?}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn the_providers_of_the_probes_stand_in_for_targets() {
    let at = |provider: &str, environment: &str, issuer: &str| {
        let mut probe = probe(environment);
        probe.provider = provider.to_owned();
        probe.server.issuer = Some(issuer.to_owned());
        probe
    };
    let mut endpoints = at("acme", "bare", "");
    endpoints.server.issuer = None;
    endpoints.server.endpoints.token =
        Some("https://token.bare.example/oauth/token".parse().unwrap());
    let mut probes = vec![
        at("acme", "prod", "https://login.acme.example/realms/a/"),
        at("acme", "test", "https://test.acme.example"),
        at("partner", "prod", "https://sso.acme.example"),
        endpoints,
    ];
    let settings = egress::Settings {
        targets: vec!["tcp://ns.example.net:853".parse().unwrap()],
        ..egress::Settings::default()
    };
    let found = egress::targets(&settings, &probes);
    let words: Vec<String> = found
        .iter()
        .map(|target| format!("{} {}", target.url, target.providers.join("+")))
        .collect();
    assert_eq!(
        words,
        [
            "tcp://ns.example.net:853 ",
            "https://login.acme.example/realms/a/.well-known/openid-configuration acme+partner",
            "https://token.bare.example/ acme",
        ]
    );
    probes.extend((0..50).map(|n| at("other", "prod", &format!("https://login.other{n}.example"))));
    assert_eq!(
        egress::targets(&settings, &probes).len(),
        7,
        "the rest is left in peace"
    );
}
