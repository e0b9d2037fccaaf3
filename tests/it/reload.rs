//! The configuration changes under a daemon that serves: the real binary, real files.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::common::{get, until};

struct Serving {
    process: Child,
    base: String,
    client: reqwest::Client,
    log: Lines<BufReader<ChildStderr>>,
}

impl Serving {
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_authcanary"))
            .args(["serve", "-c"])
            .arg(folder.join("authcanary.yaml"))
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
        };
        let line = serving.log_with("serving on ");
        let address = line.split_once("serving on ").unwrap().1;
        let address = address.split_whitespace().next().unwrap();
        serving.base = address.trim_end_matches('/').to_owned();
        serving
    }

    /// The next line of the log that holds `words`.
    fn log_with(&mut self, words: &str) -> String {
        let mut lines = self.log.by_ref().map(Result::unwrap);
        lines
            .find(|line| line.contains(words))
            .unwrap_or_else(|| panic!("the log ended without {words:?}"))
    }

    fn hang_up(&self) {
        kill(self.pid(), Signal::SIGHUP).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    async fn probes(&self) -> Vec<String> {
        let (_, body) = get(&self.client, &format!("{}/api/v1/probes", self.base)).await;
        let body: Json = serde_json::from_str(&body).unwrap();
        let probes = body["probes"].as_array().unwrap();
        let names = probes.iter().map(|probe| probe["id"].as_str().unwrap());
        names.map(str::to_owned).collect()
    }

    async fn probes_become(&self, wanted: &[&str]) {
        until(|| async { (self.probes().await == wanted).then_some(()) }).await;
    }

    async fn metrics(&self) -> String {
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

const SUCCESSFUL: &str = "\nauthcanary_config_last_reload_successful";

fn write(folder: &Path, environments: &[&str]) {
    let mut probe = "version: 1\nprovider: generic\nflow: client_credentials\ncron: 0 0 29 2 *\n\
                     scopes: [a]\nenvironments:\n"
        .to_owned();
    for name in environments {
        probe.push_str(&format!(
            "  {name}: {{issuer: \"http://127.0.0.1:9\", client: {{id: a, auth: client_secret_basic, secret: {{env: SECRET}}}}}}\n"
        ));
    }
    fs::write(folder.join("probe.yaml"), probe).unwrap();
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("authcanary.yaml"),
        "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {path: store}\n",
    )
    .unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_takes_over_and_a_bad_one_changes_nothing() {
    let folder = folder();
    write(folder.path(), &["prod", "staging"]);
    let mut daemon = Serving::start(folder.path());
    daemon
        .probes_become(&["generic/prod", "generic/staging"])
        .await;

    write(folder.path(), &["prod", "test"]);
    daemon
        .probes_become(&["generic/prod", "generic/test"])
        .await;
    let metrics = daemon.metrics().await;
    assert!(metrics.contains("generic/test") && !metrics.contains("generic/staging"));

    fs::write(folder.path().join("probe.yaml"), "version: 1\nprovder: x\n").unwrap();
    daemon.log_with("the one before stays in force");
    let fault = daemon.log_with("probe.yaml:");
    assert!(fault.contains("probe.yaml:"), "{fault}");
    let metrics = daemon.metrics().await;
    assert!(metrics.contains(&format!("{SUCCESSFUL} 0")), "{metrics}");
    daemon
        .probes_become(&["generic/prod", "generic/test"])
        .await;

    write(folder.path(), &["prod"]);
    daemon.probes_become(&["generic/prod"]).await;
    let metrics = daemon.metrics().await;
    assert!(metrics.contains(&format!("{SUCCESSFUL} 1")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_files_again_and_ends_nothing() {
    let folder = folder();
    write(folder.path(), &["prod"]);
    let mut daemon = Serving::start(folder.path());
    let main = folder.path().join("authcanary.yaml");
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, format!("{text}location: elsewhere\n")).unwrap();
    daemon.hang_up();
    daemon.log_with("it takes effect at the next start");
    daemon.log_with("read again and is in force");
    daemon.probes_become(&["generic/prod"]).await;
}
