//! What a collector that is away costs the daemon: memory and time per run with no collector at all, and with one that
//! refuses connections, one that takes them and never says a word, and one that is slow. `cargo bench --bench collector`
//!
//! The four run beside each other, so that whatever else the machine does meets all of them. Each asks the built-in
//! provider for tokens, and sends whatever the defaults say, figures more often than that.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/tokens.rs"]
mod tokens;

use std::net::SocketAddr;
use std::time::Duration;

use authcanary::loopback::{self, Config};
use axum::Router;
use axum::http::StatusCode;
use tempfile::TempDir;
use tokio::net::TcpListener;

use daemon::Daemon;
use tokens::{sum, token_probes};

/// Five runs a second for each daemon.
const PROBES: usize = 150;
const EVERY: &str = "30s";

/// The queues are full when the first of them is over: a run has some seven spans, and 2,048 may wait. What memory grows by
/// later is not what waits for a collector.
const PARTS: [Duration; 3] = [Duration::from_secs(60); 3];

/// How long the slow collector thinks, within the ten seconds that it is given.
const THOUGHT: Duration = Duration::from_secs(5);

/// A daemon and what stands where its collector should.
struct Case {
    name: &'static str,
    daemon: Daemon,
    _folder: TempDir,
}

/// What is seen of a daemon at a time.
struct Seen {
    memory_kib: u64,
    runs: f64,
    run_seconds: f64,
    late_seconds: f64,
    lost: f64,
}

#[tokio::main]
async fn main() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let refusing = {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        closed.local_addr().unwrap()
    };
    // The system accepts connections for it; nobody ever reads them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collectors = [
        ("none", None),
        ("refusing", Some(refusing)),
        ("silent", Some(silent.local_addr().unwrap())),
        ("slow", Some(slow().await)),
    ];
    let mut cases = Vec::new();
    for (name, collector) in collectors {
        cases.push(Case::start(name, collector, provider.issuer()).await);
    }
    let mut before = Vec::new();
    for part in PARTS {
        tokio::time::sleep(part).await;
        let mut now = Vec::new();
        for case in &cases {
            now.push(case.look().await);
        }
        before.push(now);
    }
    for (place, case) in cases.iter().enumerate() {
        let seen: Vec<&Seen> = before.iter().map(|now| &now[place]).collect();
        case.tell(&seen, before.last().and_then(|now| now.first()).unwrap());
    }
    for case in cases {
        case.daemon.stop().await;
    }
    provider.stop().await;
}

impl Case {
    async fn start(name: &'static str, collector: Option<SocketAddr>, issuer: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let probes = token_probes(issuer, PROBES, EVERY);
        let endpoint = collector.map(|address| format!("http://{address}"));
        let variables = endpoint.as_deref().map(|endpoint| {
            [
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                ("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            ]
        });
        let variables = variables.as_ref().map_or(&[][..], |them| &them[..]);
        let daemon = Daemon::start(folder.path(), &probes, "30d", variables).await;
        Self {
            name,
            daemon,
            _folder: folder,
        }
    }

    async fn look(&self) -> Seen {
        let metrics = self.daemon.get("/metrics").await;
        let sum = |name: &str| sum(&metrics, name, "");
        Seen {
            memory_kib: self.daemon.pss_kib(),
            runs: sum("authcanary_runs_total"),
            run_seconds: sum("authcanary_run_duration_seconds_sum"),
            late_seconds: sum("authcanary_start_lateness_seconds_sum"),
            lost: sum("authcanary_otlp_lost_total"),
        }
    }

    /// `seen` over time, against `base` at the end: the daemon without a collector.
    fn tell(&self, seen: &[&Seen], base: &Seen) {
        let end = seen.last().unwrap();
        println!(
            "collector {}: {} runs of {:.1} ms, {:.1} ms late, {} things lost",
            self.name,
            end.runs,
            1e3 * end.run_seconds / end.runs,
            1e3 * end.late_seconds / end.runs,
            end.lost,
        );
        let memory: Vec<String> = seen.iter().map(|it| it.memory_kib.to_string()).collect();
        println!(
            "  proportional set size by the minute: {} KiB",
            memory.join(", ")
        );
        println!(
            "  against no collector: memory {:.2}, time per run {:.2}, runs {:.2}",
            ratio(end.memory_kib, base.memory_kib),
            end.run_seconds / end.runs / (base.run_seconds / base.runs),
            end.runs / base.runs,
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio of sizes")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

/// A collector that takes everything, in its own time.
async fn slow() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(|| async {
        tokio::time::sleep(THOUGHT).await;
        StatusCode::OK
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}
