//! `doctor` where something is wrong: no browser, no secret, nobody there. A machine where all is well is in `tests/live`.

use std::fs;
use std::process::{Output, Stdio};

use authcanary::loopback;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;

/// In an empty folder, so that no configuration is found that was not named.
async fn doctor(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authcanary"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
        .arg("doctor")
        .args(arguments)
        .current_dir(folder.path())
        // Nothing is installed there.
        .env("PATH", folder.path())
        .env_remove("AUTHCANARY_CONFIG")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.output().await.unwrap()
}

fn checks(output: &Output) -> Vec<Json> {
    let report: Json = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&output.stderr)));
    report["checks"].as_array().unwrap().clone()
}

/// The only check of this name whose finding has these words.
fn found<'a>(checks: &'a [Json], name: &str, words: &str) -> &'a Json {
    let fits =
        |check: &&Json| check["check"] == name && check["found"].as_str().unwrap().contains(words);
    let all: Vec<&Json> = checks.iter().filter(fits).collect();
    assert_eq!(all.len(), 1, "{name}: {words}: {checks:#?}");
    all[0]
}

#[tokio::test]
async fn a_machine_without_a_browser_is_told_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let output = doctor(&folder, &[]).await;
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("chromedriver was not found"), "{text}");
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    if release.contains("ID=debian") {
        assert!(
            text.contains("-> apt-get install chromium chromium-driver\n"),
            "{text}"
        );
    }
    assert!(
        text.contains("1 to mend") || text.contains(" to mend"),
        "{text}"
    );
    assert!(text.contains("-c FILE"), "{text}");
}

#[tokio::test]
async fn a_wrong_configuration_outweighs_all() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("authcanary.yaml"),
        "version: 1\nlisen: x\n",
    )
    .unwrap();
    let output = doctor(&folder, &["--format", "json"]).await;
    assert_eq!(output.status.code(), Some(78));
    let report: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["config"], "authcanary.yaml");
    assert_eq!(report["faults"].as_array().unwrap().len(), 1);
    assert_eq!(
        found(report["checks"].as_array().unwrap(), "driver", "")["level"],
        "fault"
    );
}

#[tokio::test]
async fn each_thing_of_the_configuration_is_looked_at() {
    let provider = loopback::start(loopback::Config::demo()).await.unwrap();
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let gone_at = gone.local_addr().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("good", "secret-hunter2".to_owned());
    write(
        "authcanary.yaml",
        format!(
            r#"version: 1
listen: {taken}
probes: [probe.yaml]
store: {{path: authcanary.yaml/store}}
browser: {{driver: /nowhere/chromedriver, binary: /nowhere/chromium}}
egress: {{names: [localhost]}}
channels:
  hook: {{webhook: {{url: "http://{gone_at}/x", secret: {{env: DOCTOR_HOOK}}}}}}
  mail: {{email: {{smtp: "smtp://{taken}", from: a@example.com, to: [b@example.com]}}}}
routes: [{{to: [hook, mail]}}]
"#
        ),
    );
    write(
        "probe.yaml",
        format!(
            r#"version: 1
provider: generic
flow: client_credentials
environments:
  up: {{issuer: {}, client: {{id: a, secret: {{file: good}}}}}}
  gone: {{issuer: "http://{gone_at}", client: {{id: a, secret: {{file: missing}}}}}}
  nowhere: {{issuer: "https://login.invalid", client: {{id: a, secret: {{file: good}}}}}}
"#,
            provider.issuer()
        ),
    );
    let output = doctor(&folder, &["--format", "json"]).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let checks = checks(&output);
    let check = |name: &str, words: &str, level: &str, mend: &str| {
        let check = found(&checks, name, words);
        assert_eq!(check["level"], level, "{check}");
        assert!(
            check["mend"].as_str().unwrap_or_default().contains(mend),
            "{check}"
        );
    };
    check("driver", "/nowhere/chromedriver was not found", "fault", "");
    check(
        "browser",
        "/nowhere/chromium is not there",
        "fault",
        "browser.binary",
    );
    check("store", "is no folder", "fault", "store.path");
    check(
        "secrets",
        "missing cannot be read",
        "fault",
        "write the secret",
    );
    check(
        "secrets",
        "DOCTOR_HOOK is not set, which channel hook needs",
        "fault",
        "Environment",
    );
    check("secrets", "1 of 3", "skipped", "");
    check(
        "listen",
        "taken by another program",
        "fault",
        &format!("sport = :{}", taken.port()),
    );
    check("name", "localhost resolves", "ok", "");
    check(
        "provider",
        &format!("{} answers", provider.issuer()),
        "ok",
        "",
    );
    check(
        "provider",
        &format!("http://{gone_at}: "),
        "elsewhere",
        "explain connect_refused",
    );
    check(
        "provider",
        "https://login.invalid: ",
        "elsewhere",
        "explain dns_failure",
    );
    check("clock", "the only server", "ok", "");
    check("channel", "hook: ", "fault", "explain connect_refused");
    check("channel", "mail: ", "ok", "");
    provider.stop().await;
}
