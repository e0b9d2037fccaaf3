//! The daemon on a free port, with runners that need no network.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use authcanary::daemon::Runner;
use authcanary::store::Store;
use authcanary::taxonomy::Class;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::common::{every, probe, quick, settings, start, until};

/// A runner that ends only when told, and counts how many of its runs go on at once.
fn held(release: &Arc<Notify>, at_once: &Arc<AtomicUsize>, most: &Arc<AtomicUsize>) -> Runner {
    let (release, at_once, most) = (Arc::clone(release), Arc::clone(at_once), Arc::clone(most));
    let done = quick(None);
    Arc::new(move |probe, id, due| {
        let (release, at_once, most) = (
            Arc::clone(&release),
            Arc::clone(&at_once),
            Arc::clone(&most),
        );
        let done = Arc::clone(&done);
        Box::pin(async move {
            most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            release.notified().await;
            at_once.fetch_sub(1, Ordering::SeqCst);
            done(probe, id, due).await
        })
    })
}

fn never() -> Runner {
    Arc::new(|_, _, _| Box::pin(std::future::pending()))
}

#[tokio::test]
async fn every_start_that_comes_due_ends_in_one_record() {
    let folder = TempDir::new().unwrap();
    let daemon = start(
        settings(folder.path(), vec![every(1, "prod"), every(1, "staging")]),
        quick(None),
    )
    .await;
    let runs = daemon
        .runs_until("/api/v1/runs", |runs| runs.len() >= 6)
        .await;
    daemon.stop().await;
    for environment in ["prod", "staging"] {
        let due: Vec<&str> = runs
            .iter()
            .filter(|run| run["environment"] == environment)
            .map(|run| run["scheduled_at"].as_str().unwrap())
            .collect();
        let mut once = due.clone();
        once.dedup();
        assert_eq!(due, once);
        for (later, earlier) in due.iter().zip(&due[1..]) {
            let later: jiff::Timestamp = later.parse().unwrap();
            let between = later.duration_since(earlier.parse().unwrap());
            assert_eq!(between, jiff::SignedDuration::from_secs(1));
        }
    }
}

#[tokio::test]
async fn a_probe_never_overlaps_itself_and_the_start_it_could_not_take_is_on_record() {
    let folder = TempDir::new().unwrap();
    let (release, at_once, most) = <(Arc<Notify>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let runner = held(&release, &at_once, &most);
    let daemon = start(settings(folder.path(), vec![every(1, "prod")]), runner).await;
    let runs = daemon
        .runs_until("/api/v1/runs", |runs| runs.len() >= 2)
        .await;
    for run in &runs {
        assert_eq!(run["outcome"], "unknown");
        assert_eq!(run["verdict"]["class"], "overloaded");
        assert!(run["scheduled_at"].is_string());
    }
    release.notify_one();
    daemon
        .runs_until("/api/v1/runs?outcome=ok", |runs| runs.len() == 1)
        .await;
    until(|| async { (at_once.load(Ordering::SeqCst) == 1).then_some(()) }).await;
    release.notify_one();
    assert_eq!(most.load(Ordering::SeqCst), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn stopping_lets_a_run_end_within_the_grace_period() {
    let folder = TempDir::new().unwrap();
    let (release, at_once, most) = <(Arc<Notify>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let daemon = start(
        settings(folder.path(), vec![probe("prod")]),
        held(&release, &at_once, &most),
    )
    .await;
    let id = daemon.run_now("acme/prod").await;
    until(|| async { (at_once.load(Ordering::SeqCst) == 1).then_some(()) }).await;
    let stopping = tokio::spawn(daemon.stop());
    release.notify_one();
    stopping.await.unwrap();
    let opened = Store::open(folder.path()).unwrap();
    assert!(opened.cut_off.is_empty());
    let run = opened
        .store
        .get(serde_json::from_value(id.into()).unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(run.outcome.as_str(), "ok");
}

#[tokio::test]
async fn stopping_closes_a_run_that_outlasts_the_grace_period() {
    let folder = TempDir::new().unwrap();
    let settings = authcanary::daemon::Settings {
        grace: Duration::from_millis(10),
        ..settings(folder.path(), vec![probe("prod")])
    };
    let daemon = start(settings, never()).await;
    let id = daemon.run_now("acme/prod").await;
    daemon.stop().await;
    let opened = Store::open(folder.path()).unwrap();
    assert!(opened.cut_off.is_empty(), "closed by the daemon itself");
    let run = opened
        .store
        .get(serde_json::from_value(id.into()).unwrap())
        .await
        .unwrap()
        .unwrap();
    let verdict = run.verdict.unwrap();
    assert_eq!(
        (run.outcome.as_str(), verdict.class),
        ("unknown", Class::Internal)
    );
    assert!(verdict.detail.contains("stopped"), "{}", verdict.detail);
}

#[tokio::test]
async fn the_time_of_the_last_run_outlives_a_restart() {
    let folder = TempDir::new().unwrap();
    let daemon = start(settings(folder.path(), vec![probe("prod")]), quick(None)).await;
    daemon.run_now("acme/prod").await;
    daemon
        .runs_until("/api/v1/runs", |runs| runs.len() == 1)
        .await;
    daemon.stop().await;
    let daemon = start(settings(folder.path(), vec![probe("prod")]), quick(None)).await;
    let metrics = daemon.get("/metrics").await.1;
    for name in ["last_run", "last_success"] {
        assert!(
            metrics.contains(&format!("\nauthcanary_{name}_timestamp_seconds{{")),
            "{metrics}"
        );
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_run_that_panics_is_unknown_and_the_daemon_goes_on() {
    let folder = TempDir::new().unwrap();
    let runner: Runner = Arc::new(|_, _, _| Box::pin(async { panic!("on purpose") }));
    let daemon = start(settings(folder.path(), vec![probe("prod")]), runner).await;
    for expected in 1..=2 {
        daemon.run_now("acme/prod").await;
        let runs = daemon
            .runs_until("/api/v1/runs", |runs| runs.len() == expected)
            .await;
        assert_eq!(runs[0]["verdict"]["class"], "internal");
        until(|| async {
            daemon.json("/api/v1/probes/acme/prod").await["running"]
                .is_null()
                .then_some(())
        })
        .await;
    }
    daemon.stop().await;
}

/// What the process that is killed does: runs for ever. Does nothing where the test below has not started it.
#[tokio::test]
async fn process_to_be_killed() {
    let Some(store) = std::env::var_os("AUTHCANARY_TEST_STORE") else {
        return;
    };
    let daemon = start(settings(store.as_ref(), vec![probe("prod")]), never()).await;
    println!("listening at {}", daemon.base);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_run_cut_off_by_a_kill_is_closed_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["daemon::process_to_be_killed", "--exact", "--nocapture"])
        .env("AUTHCANARY_TEST_STORE", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let base = lines.find_map(|line| {
        line.unwrap()
            .split_once("listening at ")
            .map(|(_, base)| base.to_owned())
    });
    let base = base.unwrap();
    let client = reqwest_client();
    let answer = until(|| async {
        let answer = client
            .post(format!("{base}/api/v1/probes/acme/prod/runs"))
            .send()
            .await
            .ok()?;
        (answer.status() == 202).then_some(answer)
    })
    .await;
    let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let id = body["id"].as_str().unwrap().to_owned();
    assert!(
        Store::open(folder.path()).is_err(),
        "the store has two owners"
    );
    child.kill().unwrap();
    child.wait().unwrap();

    let daemon = start(settings(folder.path(), vec![probe("prod")]), quick(None)).await;
    let run = daemon.json(&format!("/api/v1/runs/{id}")).await;
    assert_eq!(run["outcome"], "unknown");
    assert_eq!(run["verdict"]["class"], "internal");
    let metrics = daemon.get("/metrics").await.1;
    assert!(metrics.contains(r#"authcanary_runs_total{environment="prod",location="here",outcome="unknown",probe="acme/prod",provider="acme"} 1"#));
    assert_eq!(
        daemon.json("/api/v1/runs").await["runs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    daemon.stop().await;
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn a_store_in_use_is_told_in_words() {
    let folder = TempDir::new().unwrap();
    let _first = Store::open(folder.path()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = authcanary::daemon::serve(
        settings(folder.path(), vec![]),
        listener,
        quick(None),
        std::future::pending(),
    )
    .await;
    let words = format!("{:#}", refused.unwrap_err());
    assert!(words.contains("in use by another process"), "{words}");
}
