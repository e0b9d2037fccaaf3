//! What the daemon itself costs: memory with 500 idle probes, and how late 2,000 one-minute probes start.
//!
//! The runs do nothing, so that the figures are the daemon's own: timer, store, figures. Each figure is taken in a
//! process of its own. `cargo bench --bench daemon`
#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/it/common.rs"]
mod common;

use common::{every, quick, settings, start};

/// Two starts of each probe, and some time to begin.
const LOAD: Duration = Duration::from_secs(125);
const A_YEAR_S: u64 = 365 * 86_400;

#[tokio::main]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("idle") => idle().await,
        Some("load") => load().await,
        _ => {
            for part in ["idle", "load"] {
                let own = std::env::current_exe().unwrap();
                assert!(
                    Command::new(own).arg(part).status().unwrap().success(),
                    "{part}"
                );
            }
        }
    }
}

/// Proportional set size of this process, and how much of it came with 500 probes.
async fn idle() {
    let folder = TempDir::new().unwrap();
    let before = pss_kib();
    let probes = (0..500)
        .map(|n| every(A_YEAR_S, &format!("env-{n}")))
        .collect();
    let daemon = start(settings(folder.path(), probes), quick(None)).await;
    daemon.json("/readyz").await;
    daemon.json("/api/v1/probes").await;
    let after = pss_kib();
    println!(
        "500 idle probes: {after} KiB in all, {} KiB more than before the daemon",
        after - before
    );
    daemon.stop().await;
}

async fn load() {
    let folder = TempDir::new().unwrap();
    let probes = (0..2000).map(|n| every(60, &format!("env-{n}"))).collect();
    let daemon = start(settings(folder.path(), probes), quick(None)).await;
    tokio::time::sleep(LOAD).await;
    let metrics = daemon.get("/metrics").await.1;
    println!(
        "2000 one-minute probes over {LOAD:?}: runs that started at most so many seconds late"
    );
    for line in metrics
        .lines()
        .filter(|line| line.starts_with("authcanary_start_lateness_seconds"))
    {
        println!("  {line}");
    }
    println!("  {} KiB", pss_kib());
    daemon.stop().await;
}

fn pss_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}
