//! What a failed run leaves for others: a HAR that a validator of the format opens, commands that fail the same way when a
//! shell runs them, and a page with the names by which the provider finds the requests.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use authcanary::loopback::{self, Config, Fault, Loopback};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::canary::{Canary, Ended};

const SECRET: &str = "demo-basic-secret";
const PASSWORD: &str = "demo-password";

async fn provider(endpoint: &str, fault: Value) -> Loopback {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let fault: Fault =
        serde_json::from_value(json!({"endpoint": endpoint, "fault": fault})).unwrap();
    provider.faults().put(fault).unwrap();
    provider
}

fn canary(provider: &Loopback) -> Canary {
    let issuer = provider.issuer();
    let probe = format!(
        r#"version: 1
provider: generic
every: 5m
timeout: 120s
step_timeout: 40s
scopes: [openid, profile, offline_access]
traceparent: true
environments:
  demo:
    issuer: {issuer}
    client: {{id: demo-basic, secret: {{env: CLIENT_SECRET}}}}
    redirect_uri: https://app.example.com/callback
    account: {{username: demo@example.com, password: {{env: PASSWORD}}}}
"#
    );
    Canary::new(&probe)
        .variable("CLIENT_SECRET", SECRET)
        .variable("PASSWORD", PASSWORD)
}

/// Everything in the folder that the run names, by file name.
fn saved(ended: &Ended) -> BTreeMap<String, Vec<u8>> {
    let run = ended.run();
    let folder = run["evidence"]["saved"]
        .as_str()
        .expect("a folder of evidence");
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, fs::read(file.path()).unwrap())
        })
        .collect()
}

fn text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(files[name].clone()).unwrap()
}

/// The lines that the validator prints of an archive that it takes.
async fn opened(canary: &Canary, har: &[u8]) -> Vec<String> {
    let file = canary.path("run.har");
    fs::write(&file, har).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/har/open.mjs");
    let ran = Command::new("node").arg(script).arg(file).output();
    let ran = ran.await.expect("node is installed");
    assert!(ran.status.success(), "{ran:?}");
    let lines = String::from_utf8(ran.stdout).unwrap();
    lines.lines().map(str::to_owned).collect()
}

async fn pasted(script: &str, variables: &[(&str, &str)]) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).envs(variables.iter().copied());
    shell.output().await.expect("a shell")
}

#[tokio::test]
async fn a_refused_token_request_is_handed_on_whole_and_can_be_asked_again() {
    let provider = provider("token", json!("expired_secret")).await;
    let canary = canary(&provider);
    let ended = canary.check().await;
    assert_eq!(
        ended.verdict(),
        "failed token_exchange client_secret_expired"
    );
    let run = ended.run();
    let files = saved(&ended);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["evidence.curl", "evidence.har", "evidence.md", "run.json"]
    );
    for (name, bytes) in &files {
        let kept = String::from_utf8_lossy(bytes);
        assert!(!kept.contains(SECRET) && !kept.contains(PASSWORD), "{name}");
    }

    let entries = opened(&canary, &files["evidence.har"]).await;
    assert!(entries.contains(&"browser GET /authorize 303".to_owned()));
    assert!(entries.contains(&"token_exchange POST /token 401".to_owned()));

    let script = text(&files, "evidence.curl");
    let variables = [
        ("CLIENT_SECRET", SECRET),
        ("CODE", "any&thing"),
        ("CODE_VERIFIER", "at all"),
    ];
    let again = pasted(&script, &variables).await;
    assert!(again.status.success(), "{again:?}\n{script}");
    let answer = String::from_utf8(again.stdout).unwrap();
    let seen = run["verdict"]["raw"]["body"].as_str().unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.ends_with(seen), "{answer}");
    assert!(!pasted(&script, &[]).await.status.success());

    let page = text(&files, "evidence.md");
    let trace = run["id"].as_str().unwrap().replace('-', "");
    let ids = run["evidence"]["correlation"].as_array().unwrap();
    let of_token = |name: &str| {
        let found = ids.iter().find(|id| {
            id["stage"] == "token_exchange" && id["exchange"].is_u64() && id["name"] == name
        });
        let found = found.unwrap_or_else(|| panic!("no {name} in {ids:#?}"));
        found["value"].as_str().unwrap().to_owned()
    };
    assert!(page.contains(&of_token("x-request-id")), "{page}");
    // The provider got the trace, and says so.
    assert!(of_token("traceresponse").contains(&trace));
    let rule = run["verdict"]["rule"].as_str().unwrap();
    for part in [&trace, "traceparent, as sent", rule, &script] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    provider.stop().await;
}

#[tokio::test]
async fn a_page_that_stops_a_run_is_handed_on_with_its_picture() {
    let provider = provider("login", json!("captcha")).await;
    let canary = canary(&provider);
    let ended = canary.check().await;
    assert_eq!(ended.verdict(), "failed login bot_challenge");
    let run = ended.run();
    let files = saved(&ended);
    assert!(files["screenshot.png"].starts_with(b"\x89PNG"));
    let entries = opened(&canary, &files["evidence.har"]).await;
    assert!(entries.contains(&"browser GET /authorize 303".to_owned()));

    let again = pasted(&text(&files, "evidence.curl"), &[]).await;
    let answer = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(answer.starts_with("HTTP/1.1 303"), "{again:?}");
    let title = run["evidence"]["page"]["title"].as_str().unwrap();
    assert!(
        answer.contains(&format!("<title>{title}</title>")),
        "{answer}"
    );
    let page = text(&files, "evidence.md");
    assert!(page.contains("## The page at which it stopped"), "{page}");
    let ids = run["evidence"]["correlation"].as_array().unwrap();
    assert!(ids.iter().any(|id| id["hop"] == 0), "{ids:#?}");
    provider.stop().await;
}
