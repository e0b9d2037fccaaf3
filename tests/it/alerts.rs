//! Alerts from the run that is wrong to the channel that is told, through a daemon that is restarted in between.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use authcanary::api::Access;
use authcanary::clock;
use authcanary::daemon::{Change, Plan, Runner, Settings};
use authcanary::http::{self, Http};
use authcanary::notify::sender;
use authcanary::notify::{Edge, Origin};
use authcanary::probe::Probe;
use authcanary::run::Run;
use authcanary::taxonomy::Class;
use axum::routing::post;
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::common::{Running, probe, quick, settings, start, until};

/// A webhook that keeps what it gets.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Vec<Json>>>);

impl Receiver {
    pub(crate) async fn start(&self) -> String {
        let kept = self.clone();
        let take = async move |body: String| {
            let notice = serde_json::from_str(&body).unwrap();
            kept.0.lock().unwrap().push(notice);
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/hook", post(take));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// What happened to the alert, by each notice so far.
    pub(crate) fn states(&self) -> Vec<String> {
        let notices = self.0.lock().unwrap();
        let states = notices
            .iter()
            .map(|notice| notice["data"]["event"].as_str());
        states
            .map(|state| state.unwrap_or("?").to_owned())
            .collect()
    }

    pub(crate) async fn become_states(&self, wanted: &[&str]) {
        until(|| async { (self.states() == wanted).then_some(()) }).await;
    }
}

pub(crate) fn telling(settings: Settings, url: &str) -> Settings {
    let channel = json!({"webhook": {"url": url}});
    let notify = sender::Settings {
        channels: [("hook".to_owned(), serde_json::from_value(channel).unwrap())].into(),
        routes: Vec::new(),
        origin: Origin::default(),
        edge: Edge::new(&Http::new(&http::Settings::default()).unwrap(), None).unwrap(),
    };
    Settings {
        notify: Some(notify),
        ..settings
    }
}

/// Runs the probe now, and waits until the daemon is done with it.
pub(crate) async fn run(daemon: &Running) {
    let id = daemon.run_now("acme/prod").await;
    until(|| async {
        let run = daemon.json(&format!("/api/v1/runs/{id}")).await;
        let probe = daemon.json("/api/v1/probes/acme/prod").await;
        (run["state"] != "running" && probe["running"].is_null()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_told_once_over_a_restart_and_its_end_as_well() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = TempDir::new().unwrap();
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let with = |runner| {
        let settings = telling(settings(folder.path(), vec![probe("prod")]), &url);
        start(settings, runner)
    };

    let daemon = with(quick(Some(Class::SignatureInvalid))).await;
    run(&daemon).await;
    receiver.become_states(&["fired"]).await;
    run(&daemon).await;
    let alerts = daemon.json("/api/v1/alerts?state=firing").await;
    let alert = &alerts["alerts"][0];
    assert_eq!(alert["kind"], "security", "{alert:#}");
    assert_eq!(alert["severity"], "page");
    assert_eq!(alert["verdict"]["class"], "signature_invalid");
    assert_eq!(alert["scope"]["probe"], json!(["acme/prod"]));
    let fingerprint = alert["fingerprint"].as_str().unwrap().to_owned();
    let page = daemon.get(&format!("/alerts/{fingerprint}")).await;
    assert_eq!(page.0, 200);
    assert!(
        page.1.contains("signature invalid") && page.1.contains("hook"),
        "{}",
        page.1
    );
    let metrics = daemon.get("/metrics").await.1;
    assert!(
        metrics.contains("authcanary_notifications_total{channel=\"hook\""),
        "{metrics}"
    );
    daemon.stop().await;

    let daemon = with(quick(None)).await;
    let after = daemon.json(&format!("/api/v1/alerts/{fingerprint}")).await;
    assert_eq!(after["state"], "firing");
    for _ in 0..3 {
        run(&daemon).await;
    }
    receiver.become_states(&["fired", "resolved"]).await;
    let after = daemon.json(&format!("/api/v1/alerts/{fingerprint}")).await;
    assert_eq!(after["state"], "resolved");
    daemon.stop().await;
}

async fn post_json(daemon: &Running, path: &str, body: Json) -> (u16, Json) {
    let url = format!("{}{path}", daemon.base);
    let request = daemon
        .client
        .post(url)
        .header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn people_silence_take_on_and_mark_deploys() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = TempDir::new().unwrap();
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let settings = telling(settings(folder.path(), vec![probe("prod")]), &url);
    let daemon = start(settings, quick(Some(Class::SignatureInvalid))).await;

    let silence = json!({"match": {"probe": "acme/prod"}, "ends_at": "2100-01-01T00:00:00Z",
        "author": "ann", "reason": "drill"});
    let (status, silence) = post_json(&daemon, "/api/v1/silences", silence).await;
    assert_eq!(status, 201, "{silence}");
    let deploy = json!({"id": "v7", "by": "ci"});
    assert_eq!(post_json(&daemon, "/api/v1/deploys", deploy).await.0, 201);
    let figure = "authcanary_last_deploy_timestamp_seconds{";
    until(|| async {
        daemon
            .get("/metrics")
            .await
            .1
            .contains(figure)
            .then_some(())
    })
    .await;
    run(&daemon).await;
    let alerts = daemon.json("/api/v1/alerts").await;
    assert_eq!(alerts["alerts"][0]["state"], "pending", "{alerts:#}");
    assert_eq!(alerts["alerts"][0]["deploys"][0]["id"], "v7");
    assert_eq!(receiver.states(), [""; 0]);

    let id = silence["id"].as_str().unwrap();
    let gone = format!("{}/api/v1/silences/{id}", daemon.base);
    assert_eq!(
        daemon.client.delete(gone).send().await.unwrap().status(),
        204
    );
    receiver.become_states(&["fired"]).await;
    let fingerprint = alerts["alerts"][0]["fingerprint"].as_str().unwrap();
    let path = format!("/api/v1/alerts/{fingerprint}/acknowledge");
    let (status, taken) = post_json(&daemon, &path, json!({"by": "bob"})).await;
    assert_eq!((status, &taken["acknowledged"]["by"]), (200, &json!("bob")));
    receiver.become_states(&["fired", "acknowledged"]).await;
    for (path, body, wanted) in [
        (
            "/api/v1/alerts/nobody/acknowledge",
            json!({"by": "bob"}),
            404,
        ),
        (
            "/api/v1/silences",
            json!({"match": {}, "ends_at": "2100-01-01T00:00:00Z", "author": "a", "reason": "b"}),
            400,
        ),
        (
            "/api/v1/silences",
            json!({"match": {"probe": "x"}, "ends_at": "2000-01-01T00:00:00Z", "author": "a", "reason": "b"}),
            400,
        ),
        ("/api/v1/deploys", json!({"id": " ", "by": "ci"}), 400),
    ] {
        assert_eq!(post_json(&daemon, path, body).await.0, wanted, "{path}");
    }
    daemon.stop().await;
}

/// A runner whose runs ended long ago, a minute after each other: what a run asks for after a minute is due at once. The
/// first so many fail.
fn minutes_ago(bad: usize) -> (Runner, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let begin = clock::now() - SignedDuration::from_hours(1);
    let runner: Runner = Arc::new(move |probe, id, scheduled_at| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let class = (number < bad).then_some(Class::RequestTimeout);
        let done = quick(class)(probe, id, scheduled_at);
        let minutes = i64::try_from(number).unwrap();
        Box::pin(async move {
            let started_at = begin + SignedDuration::from_mins(minutes);
            Run {
                started_at,
                ..done.await
            }
        })
    });
    (runner, count)
}

/// A probe that is known to pass almost always.
fn reliable() -> Probe {
    let mut probe = probe("prod");
    probe.alerts.failure_rate.objective = Some(99.9);
    probe
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_bad_run_is_confirmed_until_somebody_is_told() {
    let folder = TempDir::new().unwrap();
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let settings = telling(settings(folder.path(), vec![reliable()]), &url);
    let (runner, count) = minutes_ago(usize::MAX);
    let daemon = start(settings, runner).await;
    daemon.run_now("acme/prod").await;
    receiver.become_states(&["fired"]).await;
    // The first, and four confirmations at most: nothing else starts this probe.
    assert!((3..=5).contains(&count.load(Ordering::SeqCst)));
    let alerts = daemon.json("/api/v1/alerts?state=firing").await;
    let alert = &alerts["alerts"][0];
    assert_eq!(alert["kind"], "failure_rate");
    let runs = daemon.json("/api/v1/runs").await["runs"].clone();
    let runs = runs.as_array().unwrap();
    assert_eq!(runs.len(), count.load(Ordering::SeqCst), "all are stored");
    assert!(runs.iter().all(|run| run["scheduled_at"].is_null()));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_passes_is_cleared_by_its_confirmation() {
    let folder = TempDir::new().unwrap();
    let (runner, count) = minutes_ago(1);
    let daemon = start(settings(folder.path(), vec![reliable()]), runner).await;
    daemon.run_now("acme/prod").await;
    let runs = daemon
        .runs_until("/api/v1/runs", |runs| runs.len() == 2)
        .await;
    assert_eq!(runs[0]["outcome"], "ok");
    assert_eq!(daemon.json("/api/v1/alerts").await["alerts"], json!([]));
    // A further one would have been asked for by the time that a run which was wished for is over.
    run(&daemon).await;
    assert_eq!(count.load(Ordering::SeqCst), 3);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_does_not_pass_by_itself_is_not_asked_for_again() {
    let folder = TempDir::new().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let (counted, wrong) = (Arc::clone(&count), quick(Some(Class::InvalidScope)));
    let runner: Runner = Arc::new(move |probe, id, due| {
        counted.fetch_add(1, Ordering::SeqCst);
        let done = wrong(probe, id, due);
        Box::pin(async move {
            let started_at = clock::now() - SignedDuration::from_hours(1);
            Run {
                started_at,
                ..done.await
            }
        })
    });
    let daemon = start(settings(folder.path(), vec![reliable()]), runner).await;
    run(&daemon).await;
    run(&daemon).await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_ends_soon_is_told_before_it_does() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::default());
    let url = receiver.start().await;
    let mut ending = probe("prod");
    ending.expires.client_secret = Some(clock::now() + SignedDuration::from_hours(60));
    let daemon = start(
        telling(settings(folder.path(), vec![ending]), &url),
        quick(None),
    )
    .await;
    receiver.become_states(&["fired"]).await;
    let alerts = daemon.json("/api/v1/alerts?state=firing").await;
    let alert = &alerts["alerts"][0];
    assert_eq!(alert["kind"], "expiry");
    assert_eq!(alert["scope"]["probe"], json!(["acme/prod"]));
    let summary = alert["summary"].as_str().unwrap();
    assert!(summary.contains("secret of client canary"), "{summary}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_put_aside_is_told() {
    let (folder, receiver) = (TempDir::new().unwrap(), Receiver::default());
    let url = receiver.start().await;
    let here = || settings(folder.path(), vec![probe("prod")]);
    let daemon = start(here(), quick(None)).await;
    run(&daemon).await;
    daemon.stop().await;
    std::fs::write(folder.path().join("db/db"), [0x5a; 70_000]).unwrap();

    let daemon = start(telling(here(), &url), quick(None)).await;
    receiver.become_states(&["fired"]).await;
    let alerts = daemon.json("/api/v1/alerts?state=firing").await;
    let alert = &alerts["alerts"][0];
    assert_eq!(alert["kind"], "monitor");
    let reason = alert["reason"].as_str().unwrap();
    assert!(reason.contains("quarantine-"), "{reason}");
    // It goes on with an empty one.
    assert_eq!(daemon.json("/api/v1/runs").await["runs"], json!([]));
    run(&daemon).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_goes_to_every_channel_that_got_the_page_whatever_the_routes_say_now() {
    let folder = TempDir::new().unwrap();
    let (one, other) = (Receiver::default(), Receiver::default());
    let (one_url, other_url) = (one.start().await, other.start().await);
    let with = |routes: Json, runner| {
        let mut settings = telling(settings(folder.path(), vec![probe("prod")]), &one_url);
        let notify = settings.notify.as_mut().unwrap();
        let channel = json!({"webhook": {"url": other_url}});
        let channel = serde_json::from_value(channel).unwrap();
        notify.channels.insert("other".to_owned(), channel);
        notify.routes = serde_json::from_value(routes).unwrap();
        start(settings, runner)
    };
    let daemon = with(json!([]), quick(Some(Class::SignatureInvalid))).await;
    run(&daemon).await;
    one.become_states(&["fired"]).await;
    other.become_states(&["fired"]).await;
    daemon.stop().await;

    let daemon = with(json!([{"to": ["other"]}]), quick(None)).await;
    for _ in 0..3 {
        run(&daemon).await;
    }
    one.become_states(&["fired", "resolved"]).await;
    other.become_states(&["fired", "resolved"]).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_refused_is_a_ticket_until_one_is_taken() {
    let folder = TempDir::new().unwrap();
    let receiver = Receiver::default();
    let url = receiver.start().await;
    let mut settings = telling(settings(folder.path(), vec![probe("prod")]), &url);
    let (change, changes) = futures::channel::mpsc::unbounded();
    settings.changes = Box::pin(changes);
    let daemon = start(settings, quick(None)).await;
    let faults = "probes/acme.yaml:3:1: unknown key `provder`\nand more".to_owned();
    change.unbounded_send(Change::Refused(faults)).unwrap();
    receiver.become_states(&["fired"]).await;
    let alerts = daemon.json("/api/v1/alerts?state=firing").await;
    let alert = &alerts["alerts"][0];
    assert_eq!(
        (&alert["kind"], &alert["severity"]),
        (&json!("monitor"), &json!("ticket"))
    );
    let reason = alert["reason"].as_str().unwrap();
    assert!(reason.ends_with("unknown key `provder`"), "{reason}");
    let plan = Plan {
        probes: vec![probe("prod")],
        access: Access::default(),
        notify: None,
        limits: authcanary::store::Limits::default(),
    };
    change
        .unbounded_send(Change::Taken(Box::new(plan)))
        .unwrap();
    receiver.become_states(&["fired", "resolved"]).await;
    daemon.stop().await;
}
