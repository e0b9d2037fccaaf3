//! The daemon of the sweep: as its users run it, with everything logged that it would ever log.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;
use serde_json::Value;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use super::scene::{API_TOKEN, Scene};

const PATIENCE: Duration = Duration::from_secs(240);

/// The daemon, its outputs in files.
pub(super) struct Daemon {
    process: Child,
    pub(super) base: String,
    client: reqwest::Client,
}

impl Daemon {
    pub(super) async fn start(scene: &Scene) -> Self {
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

    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        self.ask(self.client.get(format!("{}{path}", self.base)))
            .await
    }

    pub(super) async fn json(&self, path: &str) -> Value {
        let (_, text) = self.get(path).await;
        serde_json::from_str(text.split_once('\n').unwrap().1).unwrap_or_default()
    }

    /// Runs a probe and gives the record.
    pub(super) async fn run(&self, environment: &str) -> Value {
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

    pub(super) async fn end(mut self) {
        kill(
            Pid::from_raw(self.process.id().unwrap().cast_signed()),
            Signal::SIGTERM,
        )
        .unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        assert!(ended.expect("the daemon ends").unwrap().success());
    }
}

pub(super) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(30)).await;
    }
}
