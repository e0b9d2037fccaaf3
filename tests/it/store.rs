//! The store as those meet it who run a daemon: two of them on one folder, and limits that are changed meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;

use authcanary::probe::ProbeId;
use authcanary::run::{RUN_VERSION, Run, RunId};
use authcanary::store::{Batch, Store};
use authcanary::taxonomy::Outcome;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::common::until;
use crate::serving::Serving;

fn write(folder: &Path, keep: &str) {
    let probe = "version: 1\nprovider: generic\nflow: client_credentials\ncron: 0 0 29 2 *\nenvironments:\n  \
                 prod: {issuer: \"http://127.0.0.1:9\", client: {id: a, auth: client_secret_basic, secret: {env: SECRET}}}\n";
    fs::write(folder.join("probe.yaml"), probe).unwrap();
    let daemon = format!(
        "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {{path: store, keep: {{{keep}}}}}\n"
    );
    fs::write(folder.join("authcanary.yaml"), daemon).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_store_is_refused_in_words() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "");
    let daemon = Serving::start(folder.path());
    let second = Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .args(["serve", "-c"])
        .arg(folder.path().join("authcanary.yaml"))
        .output()
        .unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8(second.stderr).unwrap();
    let words = "is in use by another process: stop it, or give this one a path of its own";
    assert!(said.contains(words), "{said}");
    daemon.probes_become(&["generic/prod"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_are_changed_take_effect_at_once() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "runs: 30d");
    let now = authcanary::clock::now();
    let [young, old] = [2, 20].map(|days| run(now - SignedDuration::from_hours(24 * days)));
    let store = Store::open(&folder.path().join("store")).unwrap().store;
    let mut batch = Batch::new();
    batch.append(&young).append(&old);
    store.commit(batch).await.unwrap();
    store.close().await;

    let mut daemon = Serving::start(folder.path());
    assert_eq!(daemon.runs().await, [young.id, old.id]);
    write(folder.path(), "runs: 10d");
    daemon.log_with("read again and is in force");
    until(|| async { (daemon.runs().await == [young.id]).then_some(()) }).await;
}

/// A good run that began at this moment.
fn run(at: Timestamp) -> Run {
    let ms = at.as_millisecond().cast_unsigned();
    let id = uuid::Builder::from_unix_timestamp_millis(ms, &[7; 10]);
    Run {
        version: RUN_VERSION,
        id: RunId(id.into_uuid()),
        probe: ProbeId::new("generic", "prod", None),
        provider: "generic".to_owned(),
        environment: "prod".to_owned(),
        location: "here".to_owned(),
        scheduled_at: None,
        started_at: at,
        duration_ms: 30,
        outcome: Outcome::Ok,
        verdict: None,
        steps: vec![],
        warnings: vec![],
        evidence: None,
    }
}
