//! The real daemon, when there is no more room to write: it goes on in memory, says so, and makes up for it.
//!
//! The room is taken and given by a limit on the size of files, which needs no rights and no file system of its own.

use std::path::Path;
use std::process::Stdio;

use authcanary::loopback::{self, Config, Endpoint, Fault, Kind};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::common::until;
use crate::notify::receiver::{Call, Receiver};

#[tokio::test]
async fn with_no_room_left_probing_goes_on_and_nothing_is_lost() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let folder = TempDir::new().unwrap();
    write(folder.path(), provider.issuer(), "");
    let daemon = Daemon::start(folder.path()).await;
    let mut asked = vec![daemon.run().await.unwrap()];
    until(|| async { (daemon.figure("authcanary_runs_total").await >= 1.0).then_some(()) }).await;

    asked.extend(daemon.fill_up(folder.path()).await);
    let before = daemon.figure("authcanary_runs_total").await;
    until(|| async {
        daemon.run().await;
        (daemon.figure("authcanary_runs_total").await >= before + 3.0).then_some(())
    })
    .await;

    daemon.give_room().await;
    // Ready again with the next record.
    asked.extend(daemon.run().await);
    until(|| async { (daemon.get("/readyz").await.0 == 200).then_some(()) }).await;
    let counted = async || daemon.figure("authcanary_runs_total").await;
    until(|| async {
        let list = daemon.get("/api/v1/runs?limit=1000").await.1;
        let list: Json = serde_json::from_str(&list).unwrap();
        let runs = list["runs"].as_array().unwrap();
        let shown = |id: &String| runs.iter().any(|run| run["id"] == id.as_str());
        // A run that goes on is neither counted nor listed yet.
        (runs.len() as f64 == counted().await && asked.iter().all(shown)).then_some(())
    })
    .await;
    provider.stop().await;
}

#[tokio::test]
async fn with_no_room_left_a_page_is_sent_and_is_not_forgotten() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let receiver = Receiver::start().await;
    let folder = TempDir::new().unwrap();
    let url = receiver.url("/hook");
    let channels =
        format!("channels: {{hook: {{webhook: {{url: \"{url}\"}}}}}}\nroutes: [{{to: [hook]}}]\n");
    write(folder.path(), provider.issuer(), &channels);
    let daemon = Daemon::start(folder.path()).await;
    daemon.run_to_its_end().await;
    daemon.fill_up(folder.path()).await;

    // Pages at the first time.
    let fault = Fault::new(Endpoint::Discovery, Kind::WrongIss);
    provider.faults().put(fault).unwrap();
    daemon.run_to_its_end().await;
    receiver.until(|calls| !told(calls).is_empty()).await;
    let waiting = daemon.figure("authcanary_store_waiting_changes").await;
    assert!(waiting > 0.0, "nothing could be written meanwhile");
    assert_eq!(daemon.get("/readyz").await.0, 503);

    daemon.give_room().await;
    // Killed: what is known afterwards was on disk.
    daemon.kill().await;
    provider.faults().clear();
    let daemon = Daemon::start(folder.path()).await;
    let alerts = daemon.get("/api/v1/alerts?state=firing").await.1;
    let alerts: Json = serde_json::from_str(&alerts).unwrap();
    let alerts = alerts["alerts"].as_array().unwrap();
    let is_it = |alert: &Json| alert["verdict"]["class"] == "issuer_mismatch";
    assert!(alerts.iter().any(is_it), "{alerts:#?}");
    while told(&receiver.calls()).len() < 2 {
        daemon.run_to_its_end().await;
    }
    let told = told(&receiver.calls());
    assert_eq!(told, ["fired", "resolved"], "told once each");
    provider.stop().await;
    receiver.stop().await;
}

/// What was told of the wrong issuer.
fn told(calls: &[Call]) -> Vec<String> {
    let of_it = calls.iter().map(|call| &call.json()["data"]);
    let of_it = of_it.filter(|data| data["alert"]["verdict"]["class"] == "issuer_mismatch");
    let events = of_it.map(|data| data["event"].as_str().unwrap());
    events.map(str::to_owned).collect()
}

/// A probe that is never due by itself, and a daemon for it.
fn write(folder: &Path, issuer: &str, more: &str) {
    let probe = format!(
        "version: 1\nprovider: loopback\nflow: client_credentials\ncron: 0 0 29 2 *\nenvironments:\n  e: {{issuer: \"{issuer}\", client: \
         {{id: demo-basic, auth: client_secret_basic, secret: {{env: FULL_SECRET}}}}}}\n"
    );
    std::fs::write(folder.join("probe.yaml"), probe).unwrap();
    let file = format!(
        "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {{path: {}}}\n{more}",
        folder.join("store").display()
    );
    std::fs::write(folder.join("authcanary.yaml"), file).unwrap();
}

/// The real binary; killed when dropped.
struct Daemon {
    process: Child,
    base: String,
    client: reqwest::Client,
}

impl Daemon {
    async fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_authcanary"))
            .arg("-c")
            .arg(folder.join("authcanary.yaml"))
            .arg("serve")
            .env("FULL_SECRET", "demo-basic-secret")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let base = loop {
            let line = log
                .next_line()
                .await
                .unwrap()
                .expect("it says where it serves");
            if let Some((_, rest)) = line.split_once("serving on ") {
                let base = rest.split_whitespace().next().unwrap();
                break base.trim_end_matches('/').to_owned();
            }
        };
        tokio::spawn(async move {
            while let Ok(Some(line)) = log.next_line().await {
                println!("{line}");
            }
        });
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            process,
            base,
            client,
        }
    }

    async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Lets no file grow any more, and waits until the store has met that. Gives the runs that were asked for.
    async fn fill_up(&self, folder: &Path) -> Option<String> {
        let database = folder.join("store/db/db");
        self.limit_files_to(&std::fs::metadata(&database).unwrap().len().to_string())
            .await;
        // The end of what is there already comes sooner or later.
        until(|| async {
            let accepted = self.run().await;
            let waiting = self.figure("authcanary_store_waiting_changes").await > 0.0;
            let (status, reasons) = self.get("/readyz").await;
            let says_so = status == 503 && reasons.contains("store_failed");
            Some(accepted).filter(|_| waiting && says_so)
        })
        .await
    }

    /// Files may grow again; waits until nothing waits any more.
    async fn give_room(&self) {
        self.limit_files_to("unlimited").await;
        until(|| async {
            let waiting = self.figure("authcanary_store_waiting_changes").await;
            (waiting == 0.0).then_some(())
        })
        .await;
    }

    async fn limit_files_to(&self, bytes: &str) {
        let done = Command::new("prlimit")
            .arg(format!("--fsize={bytes}:unlimited"))
            .arg(format!("--pid={}", self.process.id().unwrap()))
            .status()
            .await
            .expect("util-linux has prlimit");
        assert!(done.success());
    }

    async fn get(&self, path: &str) -> (u16, String) {
        crate::common::get(&self.client, &format!("{}{path}", self.base)).await
    }

    /// The sum of a figure over its labels.
    async fn figure(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.1;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Asks for a run; `None` while one is under way.
    async fn run(&self) -> Option<String> {
        let url = format!("{}/api/v1/probes/loopback/e/runs", self.base);
        let answer = self.client.post(url).send().await.unwrap();
        let accepted = answer.status() == 202;
        let body: Json = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        accepted.then(|| body["id"].as_str().unwrap().to_owned())
    }

    /// The same, once none is under way, and waits until it was counted.
    async fn run_to_its_end(&self) {
        let before = self.figure("authcanary_runs_total").await;
        until(|| async { self.run().await }).await;
        until(|| async {
            let now = self.figure("authcanary_runs_total").await;
            (now > before).then_some(())
        })
        .await;
    }
}
