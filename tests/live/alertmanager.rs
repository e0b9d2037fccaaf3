//! A real Alertmanager, read back with its own tool.

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use authcanary::clock;
use authcanary::http::{Http, Settings};
use authcanary::notify::sender::{self, Outbox};
use authcanary::notify::{Channel, Edge, Event, News, Origin, sample};
use authcanary::store::{Batch, Store};
use authcanary::telemetry::Telemetry;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout_at};

use super::support::deadline;

struct Alertmanager {
    port: u16,
    _child: Child,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("alertmanager.yml");
        std::fs::write(
            &config,
            "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n",
        )
        .unwrap();
        // Another process may take the port that was free a moment ago: then one more is tried.
        loop {
            let port = free_port();
            let mut child = Self::spawn(folder.path(), &config, port);
            let is_up = async {
                while amtool(port, &["config", "show"]).await.is_none() {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::select! {
                up = timeout_at(deadline(), is_up) => up.expect("Alertmanager starts"),
                ended = child.wait() => {
                    eprintln!("Alertmanager ended at once: {ended:?}");
                    continue;
                }
            }
            return Self {
                port,
                _child: child,
                _folder: folder,
            };
        }
    }

    fn spawn(folder: &Path, config: &Path, port: u16) -> Child {
        Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            // No cluster, and so no second port.
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus-alertmanager is installed: run `make setup`")
    }

    /// Alerts that it holds to be firing, as its tool gives them.
    async fn firing(&self) -> Vec<Value> {
        amtool(self.port, &["alert", "query", "-o", "json"])
            .await
            .unwrap_or_default()
    }

    async fn until(&self, is_enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let wait = async {
            loop {
                let alerts = self.firing().await;
                if is_enough(&alerts) {
                    return alerts;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout_at(deadline(), wait)
            .await
            .expect("the alert gets there")
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// What it prints, when it ends well.
async fn amtool(port: u16, arguments: &[&str]) -> Option<Vec<Value>> {
    let output = Command::new("amtool")
        .arg(format!("--alertmanager.url=http://127.0.0.1:{port}"))
        .args(arguments)
        .output()
        .await
        .expect("amtool is installed: run `make setup`");
    let is_json = serde_json::from_slice(&output.stdout);
    output.status.success().then(|| is_json.unwrap_or_default())
}

fn news(event: Event) -> News {
    let mut alert = sample::alert();
    let now = clock::now();
    // Now, as Alertmanager forgets what ended long ago.
    alert.started_at = now - jiff::SignedDuration::from_mins(5);
    if event == Event::Resolved {
        alert.resolved_at = Some(now);
    }
    News {
        alert,
        event,
        at: now,
        note: String::new(),
        is_test: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanager_holds_an_alert_until_its_end() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let alertmanager = Alertmanager::start().await;
    let url = format!("http://127.0.0.1:{}", alertmanager.port);
    let channel: Channel =
        serde_json::from_value(json!({"alertmanager": {"urls": [url]}})).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap().store;
    let http = Http::new(&Settings::default()).unwrap();
    let settings = sender::Settings {
        channels: [("am".to_owned(), channel)].into(),
        routes: Vec::new(),
        origin: Origin {
            location: "fra1".to_owned(),
            public_url: Some("https://canary.example.com".parse().unwrap()),
            trace_url: None,
        },
        edge: Edge::new(&http, None).unwrap(),
    };
    let (outbox, worker) = Outbox::open(
        store.clone(),
        std::sync::Arc::new(Telemetry::new("fra1").unwrap()),
        settings,
    )
    .await
    .unwrap();
    let work = tokio::spawn(worker.run());
    outbox
        .tell(vec![news(Event::Fired)], Batch::new())
        .await
        .unwrap();

    let alerts = alertmanager.until(|alerts| !alerts.is_empty()).await;
    let [alert] = alerts.as_slice() else {
        panic!("{alerts:#?}");
    };
    let labels = &alert["labels"];
    assert_eq!(labels["alertname"], "AuthcanaryFailureRate");
    assert_eq!(
        (&labels["severity"], &labels["team"]),
        (&json!("page"), &json!("identity"))
    );
    let runbook = "https://canary.example.com/runbooks/client_secret_expired";
    assert_eq!(alert["annotations"]["runbook_url"], runbook);
    assert_eq!(
        alert["generatorURL"],
        "https://canary.example.com/alerts/4f2c91d07a3be658"
    );
    let ends_at: jiff::Timestamp = alert["endsAt"].as_str().unwrap().parse().unwrap();
    assert!(ends_at > clock::now(), "{alert:#}");

    // It grows: its labels are others now, and it is still one.
    let mut wider = news(Event::Updated);
    wider.alert.scope.environment.push("staging".to_owned());
    outbox.tell(vec![wider], Batch::new()).await.unwrap();
    let is_wider =
        |alerts: &[Value]| alerts.len() == 1 && alerts[0]["labels"].get("environment").is_none();
    alertmanager.until(is_wider).await;

    outbox
        .tell(vec![news(Event::Resolved)], Batch::new())
        .await
        .unwrap();
    alertmanager.until(<[Value]>::is_empty).await;
    drop(outbox);
    work.await.unwrap();
    store.close().await;
}
