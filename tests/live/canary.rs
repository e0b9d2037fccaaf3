//! The command as a user types it, on files in a folder of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

/// Long enough for a busy machine, short enough to fail a hung test.
const PATIENCE: Duration = Duration::from_secs(600);

/// A folder with a daemon file, a probe file and the secrets that both refer to.
pub(crate) struct Canary {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The only run of `check --format json`.
    pub(crate) fn run(&self) -> Value {
        self.runs().remove(0)
    }

    pub(crate) fn runs(&self) -> Vec<Value> {
        let report: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON on stdout: {error}\n{self:?}"));
        report["runs"].as_array().expect("a list of runs").clone()
    }

    /// `outcome stage class` of the only run.
    pub(crate) fn verdict(&self) -> String {
        let run = self.run();
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let verdict = &run["verdict"];
        format!(
            "{} {} {}",
            word(&run["outcome"]),
            word(&verdict["stage"]),
            word(&verdict["class"])
        )
    }

    /// Stages of the only run, in order.
    pub(crate) fn stages(&self) -> Vec<String> {
        let run = self.run();
        let steps = run["steps"].as_array().expect("a list of steps");
        steps
            .iter()
            .map(|step| step["stage"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

impl Canary {
    /// A daemon file that fits this machine, and `probe` as the only probe file.
    pub(crate) fn new(probe: &str) -> Self {
        Self::with_daemon(probe, "")
    }

    /// The same with more lines in the daemon file; a `browser:` section among them replaces the usual one.
    pub(crate) fn with_daemon(probe: &str, more: &str) -> Self {
        let canary = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            variables: Vec::new(),
        };
        fs::create_dir(canary.tmp()).expect("a folder in a temporary folder");
        let tmp = canary.tmp().display().to_string();
        let canary = canary.variable("TMPDIR", &tmp);
        let browser = if more.contains("browser:") {
            String::new()
        } else {
            browser_section()
        };
        let store = canary.path("store");
        let daemon = format!(
            "version: 1\nlocation: here\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {{path: {}}}\n{browser}{more}",
            store.display()
        );
        canary.write("authcanary.yaml", &daemon);
        canary.write("probe.yaml", probe);
        canary
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the command makes its temporary files and its browsers their profiles.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.path("tmp")
    }

    /// Processes that were started by the command, or by those it started.
    pub(crate) fn processes(&self) -> BTreeMap<i32, String> {
        let mark = self.tmp().display().to_string();
        let text = |pid: i32, file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let entries = fs::read_dir("/proc").expect("a list of processes");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mine = pids.filter(|&pid: &i32| text(pid, "environ").contains(&mark));
        mine.map(|pid| (pid, text(pid, "cmdline").replace('\0', " ")))
            .collect()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file in a temporary folder");
    }

    /// Sets a variable of the command's environment; where secrets come from in tests.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A command of the binary under test, with the daemon file named and nothing started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_authcanary"));
        command
            .arg("-c")
            .arg(self.path("authcanary.yaml"))
            .args(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        self.run_for(PATIENCE, arguments).await
    }

    /// Runs one that may take longer than others.
    pub(crate) async fn run_for(&self, patience: Duration, arguments: &[&str]) -> Ended {
        let output = timeout(patience, self.command(arguments).output());
        let output = output
            .await
            .expect("the command ends in time")
            .expect("the command starts");
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) async fn check(&self) -> Ended {
        self.run(&["check", "--format", "json"]).await
    }
}

/// A test that failed, or a command that was killed, leaves no browser running.
impl Drop for Canary {
    fn drop(&mut self) {
        for &pid in self.processes().keys() {
            // It may have ended by itself in the meantime.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Chromium in a container, kept from looking up anything but loopback.
pub(crate) fn browser_section() -> String {
    r#"browser: {args: ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]}
"#
    .to_owned()
}
