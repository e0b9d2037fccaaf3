//! What the daemon itself costs, as a user runs it: memory with 500 idle probes, and how late 2,000 one-minute probes
//! start that need no browser and ask the built-in provider for a token. `cargo bench --bench daemon`
#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/tokens.rs"]
mod tokens;

use std::time::Duration;

use authcanary::loopback::{self, Config};
use tempfile::TempDir;

use daemon::Daemon;
use tokens::{sum, token_probes};

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
    let folder = TempDir::new().unwrap();
    let daemon = Daemon::start(folder.path(), &token_probes(issuer, 500, "30d"), "30d", &[]).await;
    for path in ["/readyz", "/api/v1/probes", "/metrics"] {
        daemon.get(path).await;
    }
    let many = daemon.pss_kib();
    // The two must not share pages, or each would count for half.
    daemon.stop().await;
    let folder = TempDir::new().unwrap();
    let one = Daemon::start(folder.path(), &token_probes(issuer, 1, "30d"), "30d", &[]).await;
    one.get("/metrics").await;
    let one = one.pss_kib();
    println!("500 idle probes: {many} KiB (proportional set size)");
    println!("  one idle probe: {one} KiB, ratio {:.2}", ratio(many, one));
}

async fn load(issuer: &str) {
    let folder = TempDir::new().unwrap();
    let daemon = Daemon::start(folder.path(), &token_probes(issuer, 2000, "1m"), "30d", &[]).await;
    tokio::time::sleep(LOAD).await;
    let metrics = daemon.get("/metrics").await;
    let sum = |name: &str| sum(&metrics, name, "");
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
