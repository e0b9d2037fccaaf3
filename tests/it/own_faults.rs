//! Alerts of this monitor about itself, through the real binary: notices that do not arrive, and starts that come late.

use std::fs;
use std::path::Path;
use std::time::Duration;

use authcanary::clock;
use authcanary::notify::outbox::{self, Thread};
use authcanary::notify::{Event, News, sample};
use authcanary::store::Store;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::common::until;
use crate::notify::receiver::{Answer, Call, Receiver};
use crate::serving::Serving;

/// Probes of a provider that nobody listens for, with this cadence.
fn write(folder: &Path, cadence: &str, channels: &str) {
    let daemon = format!(
        "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {{path: store}}\n{channels}"
    );
    fs::write(folder.join("authcanary.yaml"), daemon).unwrap();
    let mut probe = format!(
        "version: 1\nprovider: generic\nflow: client_credentials\n{cadence}\nscopes: [a]\nenvironments:\n"
    );
    for name in ["a", "b", "c"] {
        probe.push_str(&format!(
            "  {name}: {{issuer: \"http://127.0.0.1:9\", client: {{id: a, auth: client_secret_basic, secret: {{env: SECRET}}}}}}\n"
        ));
    }
    fs::write(folder.join("probe.yaml"), probe).unwrap();
}

/// A notice for a channel that an earlier process did not get rid of.
async fn leave_notice(store: &Path, channel: &str, at: Timestamp) {
    let news = News {
        alert: sample::alert(),
        event: Event::Fired,
        at,
        note: String::new(),
        is_test: false,
    };
    let thread: Thread = outbox::tell(None, &news, [channel.to_owned()]).unwrap();
    let store = Store::open(store).unwrap().store;
    store.put(&thread.fingerprint.0, &thread).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_that_do_not_arrive_are_told_through_a_channel_that_works() {
    let folder = TempDir::new().unwrap();
    let (refusing, working) = (Receiver::start().await, Receiver::start().await);
    refusing.always(Some(Answer::status(503)));
    let channels = format!(
        "channels:\n  refusing: {{webhook: {{url: \"{}\"}}}}\n  working: {{webhook: {{url: \"{}\"}}}}\n",
        refusing.url("/"),
        working.url("/"),
    );
    write(folder.path(), "cron: 0 0 29 2 *", &channels);
    let since = clock::now() - SignedDuration::from_mins(11);
    leave_notice(&folder.path().join("store"), "refusing", since).await;

    let daemon = Serving::start(folder.path());
    let is_told = |call: &Call| {
        let data = &call.json()["data"];
        let summary = data["alert"]["summary"].as_str().unwrap();
        data["event"] == "fired" && summary.contains("notices of this monitor do not arrive")
    };
    let calls = working.until(|calls| calls.iter().any(is_told)).await;
    let told = calls.iter().find(|call| is_told(call)).unwrap();
    let alert = &told.json()["data"]["alert"];
    assert_eq!(
        (&alert["kind"], &alert["severity"]),
        (&"monitor".into(), &"page".into())
    );
    let metrics = daemon.metrics().await;
    let age = metrics
        .lines()
        .find_map(|line| line.strip_prefix("authcanary_notification_oldest_pending_seconds"))
        .unwrap();
    let age: f64 = age.split(' ').next_back().unwrap().parse().unwrap();
    assert!(age > 600.0, "{age}");
    assert!(!refusing.calls().is_empty(), "it was tried");
    drop(daemon);
    refusing.stop().await;
    working.stop().await;
}

/// The alert comes in this time, unless the machine was too busy for starts that are late by the right amount.
const ALERT_COMES: Duration = Duration::from_secs(40);

async fn alert_of_late_starts(daemon: &Serving) -> Option<Json> {
    let alerts = daemon.json("/api/v1/alerts").await;
    let is_it = |alert: &&Json| alert["summary"].as_str().unwrap().contains("begin late");
    let alerts = alerts["alerts"].as_array().unwrap();
    alerts.iter().find(is_it).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_that_come_late_are_an_alert() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "every: 15s", "");
    let daemon = Serving::start(folder.path());
    daemon
        .probes_become(&["generic/a", "generic/b", "generic/c"])
        .await;
    let alert: Json = until(|| async {
        // As where the machine does something else for a while. Where it really does, a start may come so late that it is
        // left out: once more, then.
        daemon.hold();
        // Every probe has come due, ten seconds ago or more, and none so long ago that it is left out.
        let late = clock::now() + SignedDuration::from_secs(26);
        until(|| async { (clock::now() > late).then_some(()) }).await;
        daemon.go_on();
        let told = until(|| alert_of_late_starts(&daemon));
        tokio::time::timeout(ALERT_COMES, told).await.ok()
    })
    .await;
    assert_eq!(
        (&alert["kind"], &alert["severity"]),
        (&"monitor".into(), &"ticket".into())
    );
    assert_eq!(alert["verdict"]["class"], "overloaded");
    let reason = alert["reason"].as_str().unwrap();
    assert!(
        reason.contains("starts in the last 10 min came 10 s or more after their time"),
        "{reason}"
    );
}
