//! The daemon with a real browser: what it leaves behind when it is asked to stop, killed, or run for long.

use std::fs;
use std::path::Path;
use std::time::Duration;

use authcanary::loopback::{self, Config, Fault, Loopback};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::canary::Canary;

const PATIENCE: Duration = Duration::from_secs(600);

/// A daemon under test, its address read from its log.
pub(crate) struct Service {
    process: Child,
    pub(crate) address: String,
}

impl Service {
    pub(crate) async fn start(canary: &Canary) -> Self {
        let mut process = canary.command(&["serve"]).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = timeout(PATIENCE, async {
            loop {
                let line = log
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the daemon says where it serves");
                if let Some((_, rest)) = line.split_once("serving on ") {
                    return rest
                        .split_whitespace()
                        .next()
                        .unwrap()
                        .trim_end_matches('/')
                        .to_owned();
                }
            }
        });
        let address = address.await.expect("the daemon serves in time");
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { process, address }
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.address))
            .await
            .unwrap();
        answer.text().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// Runs a probe now and gives the record of the run.
    pub(crate) async fn run(&self, probe: &str) -> Value {
        let url = format!("{}/api/v1/probes/{probe}/runs", self.address);
        let answer = reqwest::Client::new().post(url).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let begun: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let is_it = |run: &Value| run["id"] == begun["id"];
        self.wait("the end of a run", async |service| {
            service.runs().await.into_iter().find(is_it)
        })
        .await
    }

    async fn runs(&self) -> Vec<Value> {
        self.get("/api/v1/runs?limit=1000").await["runs"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// The first value that `look` gives.
    pub(crate) async fn wait<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            assert!(Instant::now() < end, "waited in vain for {what}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().expect("the daemon runs").cast_signed())
    }

    /// Has a probe run, and waits for a run that is good. One may come due by its schedule meanwhile, and then one of both
    /// gives way to the other.
    pub(crate) async fn wait_for_good_run(&self, probe: &str) {
        let url = format!("{}/api/v1/probes/{probe}/runs", self.address);
        reqwest::Client::new().post(url).send().await.unwrap();
        let good = async |service: &Self| {
            let runs = service.runs().await;
            let is_good = |run: &Value| run["probe"] == probe && run["outcome"] == "ok";
            runs.iter().any(is_good).then_some(())
        };
        self.wait("a good run", good).await;
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        assert_eq!(self.end(Signal::SIGTERM).await, Some(0));
    }

    pub(crate) async fn end(mut self, signal: Signal) -> Option<i32> {
        kill(self.pid(), signal).unwrap();
        timeout(PATIENCE, self.process.wait())
            .await
            .expect("the daemon ends")
            .unwrap()
            .code()
    }
}

async fn provider() -> Loopback {
    loopback::start(Config::demo()).await.unwrap()
}

/// A probe that no clock starts while a test lasts: it runs when it is asked for.
fn canary(provider: &Loopback, steps: &str) -> Canary {
    let issuer = provider.issuer();
    let probe = format!(
        r#"version: 1
provider: loopback
flow: authorization_code
cron: "0 0 29 2 *"
timeout: 60s
scopes: [openid, profile, offline_access]
budget: {{logins_per_minute: 600}}
environments:
  demo:
    issuer: {issuer}
    client: {{id: demo-public, auth: none}}
    redirect_uri: https://app.example.com/callback
    account: {{username: demo@example.com, password: {{env: PASSWORD}}}}
login: auto
steps: {steps}
"#
    );
    Canary::new(&probe).variable("PASSWORD", "demo-password")
}

fn files_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect()
}

#[track_caller]
fn assert_nothing_left(canary: &Canary) {
    let processes = canary.processes();
    assert!(processes.is_empty(), "left running: {processes:#?}");
    let files = files_in(&canary.tmp());
    assert!(files.is_empty(), "left behind: {files:#?}");
}

/// A fault that keeps the browser waiting at the login page.
fn hold(provider: &Loopback) {
    let fault: Fault =
        serde_json::from_value(json!({"endpoint": "login", "fault": "never"})).unwrap();
    provider.faults().put(fault).unwrap();
}

async fn under_way(service: &Service) -> Option<String> {
    let probes = service.get("/api/v1/probes").await;
    probes["probes"][0]["running"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_daemon_that_is_asked_to_stop_leaves_nothing_behind() {
    let provider = provider().await;
    let canary = canary(&provider, "[userinfo: {}]");
    let service = Service::start(&canary).await;
    let answer = reqwest::Client::new().post(format!(
        "{}/api/v1/probes/loopback/demo/runs",
        service.address
    ));
    assert_eq!(answer.send().await.unwrap().status(), 202);
    let run = service
        .wait("a run", async |service| service.runs().await.pop())
        .await;
    assert_eq!(run["outcome"], "ok", "{run:#}");
    assert_eq!(service.end(Signal::SIGTERM).await, Some(0));
    assert_nothing_left(&canary);
    let again = Service::start(&canary).await;
    assert!(again.runs().await.contains(&run), "the run is still there");
    assert_eq!(again.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn a_run_that_is_cut_off_by_a_kill_is_closed_as_unknown() {
    let provider = provider().await;
    hold(&provider);
    let canary = canary(&provider, "[userinfo: {}]");
    let service = Service::start(&canary).await;
    let answer = reqwest::Client::new().post(format!(
        "{}/api/v1/probes/loopback/demo/runs",
        service.address
    ));
    assert_eq!(answer.send().await.unwrap().status(), 202);
    let id = service.wait("a run under way", under_way).await;
    let browser = async |_: &Service| {
        canary
            .processes()
            .values()
            .any(|line| line.contains("chromium"))
            .then_some(())
    };
    service.wait("a browser", browser).await;
    service.end(Signal::SIGKILL).await;

    provider.faults().clear();
    let again = Service::start(&canary).await;
    let runs = again.runs().await;
    let cut: Vec<&Value> = runs.iter().filter(|run| run["id"] == id.as_str()).collect();
    assert_eq!(cut.len(), 1, "{runs:#?}");
    assert_eq!(
        (&cut[0]["outcome"], &cut[0]["verdict"]["class"]),
        (&json!("unknown"), &json!("internal"))
    );
    // What the dead process left goes when the first browser is started, or before.
    let answer = reqwest::Client::new().post(format!(
        "{}/api/v1/probes/loopback/demo/runs",
        again.address
    ));
    assert_eq!(answer.send().await.unwrap().status(), 202);
    let good = async |service: &Service| {
        service
            .runs()
            .await
            .into_iter()
            .find(|run| run["outcome"] == "ok")
    };
    again.wait("a good run", good).await;
    assert_eq!(again.end(Signal::SIGTERM).await, Some(0));
    assert_nothing_left(&canary);
}

#[tokio::test]
async fn two_hundred_runs_in_a_row_leave_no_process_and_no_folder() {
    let provider = provider().await;
    let canary = canary(&provider, "[]");
    let ended = canary
        .run(&["check", "--repeat", "200", "--format", "json"])
        .await;
    let runs = ended.runs();
    let good = runs.iter().filter(|run| run["outcome"] == "ok").count();
    assert_eq!(
        good,
        200,
        "{:#?}",
        runs.iter().find(|run| run["outcome"] != "ok")
    );
    println!(
        "200 runs: {} processes, {} folders left",
        canary.processes().len(),
        files_in(&canary.tmp()).len()
    );
    assert_nothing_left(&canary);
}
