//! Alerts from the run that is wrong to the channel that is told, through a daemon that is restarted in between.

use std::sync::{Arc, Mutex};

use authcanary::daemon::Settings;
use authcanary::http::{self, Http};
use authcanary::notify::sender;
use authcanary::notify::{Edge, Origin};
use authcanary::taxonomy::Class;
use axum::routing::post;
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
