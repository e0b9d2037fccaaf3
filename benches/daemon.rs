//! What the daemon itself costs, as a user runs it: memory with 500 idle probes, and how late 2,000 one-minute probes
//! start that need no browser and ask the built-in provider for a token. `cargo bench --bench daemon`
#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use authcanary::loopback::{self, Config};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Two starts of each probe, and some time to begin.
const LOAD: Duration = Duration::from_secs(125);

#[tokio::main]
async fn main() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    idle(provider.issuer()).await;
    load(provider.issuer()).await;
    provider.stop().await;
}

async fn idle(issuer: &str) {
    let daemon = Daemon::start(issuer, 500, "30d").await;
    for path in ["/readyz", "/api/v1/probes", "/metrics"] {
        daemon.get(path).await;
    }
    let many = daemon.pss_kib();
    // The two must not share pages, or each would count for half.
    drop(daemon);
    let one = Daemon::start(issuer, 1, "30d").await;
    one.get("/metrics").await;
    let one = one.pss_kib();
    println!("500 idle probes: {many} KiB (proportional set size)");
    println!("  one idle probe: {one} KiB, ratio {:.2}", ratio(many, one));
}

async fn load(issuer: &str) {
    let daemon = Daemon::start(issuer, 2000, "1m").await;
    tokio::time::sleep(LOAD).await;
    let metrics = daemon.get("/metrics").await;
    let sum = |name: &str| -> f64 {
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with(name) && !line.starts_with('#'));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    let runs = sum("authcanary_runs_total");
    println!(
        "2,000 one-minute probes over {LOAD:?}: {runs} runs, {} KiB",
        daemon.pss_kib()
    );
    println!("  not ok: {}", sum("authcanary_failures_total"));
    println!(
        "  mean lateness: {:.1} ms",
        1000.0 * sum("authcanary_start_lateness_seconds_sum") / runs
    );
    println!("  starts at most so many seconds late:");
    for line in metrics
        .lines()
        .filter(|line| line.starts_with("authcanary_start_lateness_seconds_bucket"))
    {
        println!("    {line}");
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of sizes")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

/// The real binary on files of its own; killed when dropped.
struct Daemon {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Daemon {
    async fn start(issuer: &str, probes: usize, every: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let mut probe = format!(
            "version: 1\nprovider: loopback\nflow: client_credentials\nevery: {every}\ntimeout: 30s\nenvironments:\n"
        );
        for n in 0..probes {
            let client = "{id: demo-basic, auth: client_secret_basic, secret: {env: BENCH_SECRET}}";
            let _ = writeln!(probe, "  e{n}: {{issuer: \"{issuer}\", client: {client}}}");
        }
        fs::write(folder.path().join("probe.yaml"), probe).unwrap();
        let daemon = format!(
            "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {{path: {}}}\n",
            folder.path().join("store").display()
        );
        fs::write(folder.path().join("authcanary.yaml"), daemon).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_authcanary"))
            .arg("-c")
            .arg(folder.path().join("authcanary.yaml"))
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
        Self {
            process,
            address,
            _folder: folder,
        }
    }

    async fn get(&self, path: &str) -> String {
        reqwest::get(format!("{}{path}", self.address))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    fn pss_kib(&self) -> u64 {
        let pid = self.process.id().unwrap();
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))
            .unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }
}
