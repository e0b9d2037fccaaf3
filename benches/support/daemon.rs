//! A daemon as a user runs it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The real binary on files of its own; killed when dropped.
pub(crate) struct Daemon {
    process: Child,
    address: String,
}

impl Daemon {
    /// With this probe file and a store, both in `folder`. Runs are kept for so long.
    pub(crate) async fn start(folder: &Path, probe_file: &str, keep: &str) -> Self {
        fs::write(folder.join("probe.yaml"), probe_file).unwrap();
        let daemon = format!(
            "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {{path: {}, keep: {{runs: {keep}}}}}\n",
            folder.join("store").display()
        );
        fs::write(folder.join("authcanary.yaml"), daemon).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_authcanary"))
            .arg("-c")
            .arg(folder.join("authcanary.yaml"))
            .arg("serve")
            .env("BENCH_SECRET", "demo-basic-secret")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = loop {
            let line = log
                .next_line()
                .await
                .unwrap()
                .expect("the daemon says where it serves");
            if let Some((_, rest)) = line.split_once("serving on ") {
                let address = rest.split_whitespace().next().unwrap();
                break address.trim_end_matches('/').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { process, address }
    }

    /// What it answers.
    pub(crate) async fn get(&self, path: &str) -> String {
        reqwest::get(format!("{}{path}", self.address))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    /// Ends it as a service manager does.
    pub(crate) async fn stop(mut self) {
        let pid = i32::try_from(self.process.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
        assert!(self.process.wait().await.unwrap().success());
    }

    /// Its memory.
    pub(crate) fn pss_kib(&self) -> u64 {
        pss_kib(self.process.id().unwrap())
    }
}

/// Memory of a process, pages shared with others by their share.
pub(crate) fn pss_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
