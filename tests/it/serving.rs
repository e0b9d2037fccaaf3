//! The real binary, serving.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use authcanary::run::RunId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;

use crate::common::{get, until};

/// A daemon as its users run it.
pub(crate) struct Serving {
    process: Child,
    pub(crate) base: String,
    client: reqwest::Client,
    log: Lines<BufReader<ChildStderr>>,
    /// The log so far.
    seen: Vec<String>,
}

impl Serving {
    /// With the `authcanary.yaml` of this folder.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, [("", ""); 0])
    }

    /// The same with further variables in its environment.
    pub(crate) fn start_with<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        folder: &Path,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_authcanary"))
            .args(["serve", "-c"])
            .arg(folder.join("authcanary.yaml"))
            .envs(variables)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut serving = Self {
            process,
            base: String::new(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            log,
            seen: Vec::new(),
        };
        let line = serving.log_with("serving on ");
        let address = line.split_once("serving on ").unwrap().1;
        let address = address.split_whitespace().next().unwrap();
        serving.base = address.trim_end_matches('/').to_owned();
        serving
    }

    /// The next line of the log that holds `words`.
    pub(crate) fn log_with(&mut self, words: &str) -> String {
        for line in self.log.by_ref() {
            let line = line.unwrap();
            self.seen.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
        panic!("the log ended without {words:?}: {:#?}", self.seen);
    }

    pub(crate) fn hang_up(&self) {
        kill(self.pid(), Signal::SIGHUP).unwrap();
    }

    /// Gives it no time of the processor until it may go on.
    pub(crate) fn hold(&self) {
        kill(self.pid(), Signal::SIGSTOP).unwrap();
    }

    pub(crate) fn go_on(&self) {
        kill(self.pid(), Signal::SIGCONT).unwrap();
    }

    /// Asks it to stop, and gives how it ended with its whole log.
    pub(crate) fn stop(mut self) -> (ExitStatus, Vec<String>) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let mut log = std::mem::take(&mut self.seen);
        log.extend(self.log.by_ref().map(Result::unwrap));
        (self.process.wait().unwrap(), log)
    }

    /// Runs a probe now and gives the record of the run, once it is there.
    pub(crate) async fn run(&self, probe: &str) -> Json {
        let url = format!("{}/api/v1/probes/{probe}/runs", self.base);
        let answer = self.client.post(url).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let begun: Json = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let url = format!(
            "{}/api/v1/runs/{}",
            self.base,
            begun["id"].as_str().unwrap()
        );
        until(|| async {
            let (status, body) = get(&self.client, &url).await;
            (status == 200).then(|| serde_json::from_str(&body).unwrap())
        })
        .await
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// Ids of all runs, newest first.
    pub(crate) async fn runs(&self) -> Vec<RunId> {
        let url = format!("{}/api/v1/runs?limit=1000", self.base);
        let body: Json = serde_json::from_str(&get(&self.client, &url).await.1).unwrap();
        let runs = body["runs"].as_array().unwrap();
        let ids = runs.iter().map(|run| run["id"].as_str().unwrap());
        ids.map(|id| RunId(id.parse().unwrap())).collect()
    }

    async fn probes(&self) -> Vec<String> {
        let (_, body) = get(&self.client, &format!("{}/api/v1/probes", self.base)).await;
        let body: Json = serde_json::from_str(&body).unwrap();
        let probes = body["probes"].as_array().unwrap();
        let names = probes.iter().map(|probe| probe["id"].as_str().unwrap());
        names.map(str::to_owned).collect()
    }

    pub(crate) async fn probes_become(&self, wanted: &[&str]) {
        until(|| async { (self.probes().await == wanted).then_some(()) }).await;
    }

    pub(crate) async fn json(&self, path: &str) -> Json {
        let (status, body) = get(&self.client, &format!("{}{path}", self.base)).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        get(&self.client, &format!("{}/metrics", self.base)).await.1
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
