//! Telemetry by way of a collector that nobody here wrote: it takes what the daemon sends, over each protocol, and passes
//! it on to where it can be looked at.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use authcanary::loopback::{self, Config};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::canary::Canary;
use super::service::Service;
use super::support::deadline;
use super::telemetry::receiver::{Kept, Protocol, Receiver, attribute, hex, text};

/// The collector, until it is dropped.
struct Collector {
    /// Where it takes gRPC and HTTP.
    grpc: SocketAddr,
    http: SocketAddr,
    _child: Child,
    _folder: TempDir,
}

/// Its program.
fn program() -> PathBuf {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/lib");
    let pythons = fs::read_dir(&lib).into_iter().flatten().flatten();
    let mut programs = pythons.map(|python| python.path().join("site-packages/rotel/rotel-agent"));
    let found = programs.find(|path| path.exists());
    found.unwrap_or_else(|| panic!("no collector under {}: run `make setup`", lib.display()))
}

impl Collector {
    /// One that passes on what it takes.
    async fn start(to: &Receiver, protocol: Protocol) -> Self {
        let folder = TempDir::new().unwrap();
        let protocol = match protocol {
            Protocol::Grpc => "grpc",
            Protocol::Http => "http",
        };
        // Two addresses, so that the ports that the system gives can be told apart.
        let child = Command::new(program())
            .args(["start", "--environment", "test"])
            .args(["--otlp-grpc-endpoint", "127.0.0.1:0"])
            .args(["--otlp-http-endpoint", "127.0.0.2:0"])
            .args(["--otlp-exporter-endpoint", &to.url()])
            .args(["--otlp-exporter-protocol", protocol])
            .arg("--pid-file")
            .arg(folder.path().join("pid"))
            .arg("--log-file")
            .arg(folder.path().join("log"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let pid = child.id().unwrap();
        let [grpc, http] = until("the collector listens", || async {
            let listening = listening(pid);
            let at = |address: &str| {
                let mut found = listening.iter();
                found.find(|it| it.ip().to_string() == address).copied()
            };
            Some([at("127.0.0.1")?, at("127.0.0.2")?])
        })
        .await;
        Self {
            grpc,
            http,
            _child: child,
            _folder: folder,
        }
    }
}

/// Addresses that a process listens at.
fn listening(pid: u32) -> Vec<SocketAddr> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let sockets: Vec<String> = files
        .flatten()
        .filter_map(|file| {
            let link = fs::read_link(file.path()).ok()?;
            let inode = link.to_str()?.strip_prefix("socket:[")?;
            inode.strip_suffix(']').map(str::to_owned)
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            let (ip, port) = address.split_once(':')?;
            // 0A is a socket that listens; the address is as the machine has it in memory.
            let ours = *state == "0A" && sockets.iter().any(|socket| socket == inode);
            let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
            let port = u16::from_str_radix(port, 16).ok()?;
            ours.then(|| SocketAddr::from((ip, port)))
        })
        .collect()
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = deadline();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "waited in vain: {what}");
        sleep(std::time::Duration::from_millis(50)).await;
    }
}

async fn everything_passes(protocol: Protocol) {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let receiver = Receiver::start(protocol).await;
    let collector = Collector::start(&receiver, protocol).await;
    let issuer = provider.issuer();
    let probe = format!(
        r#"version: 1
provider: loopback
flow: client_credentials
cron: "0 0 29 2 *"
timeout: 60s
environments:
  good: {{issuer: "{issuer}", client: {{id: demo-basic, auth: client_secret_basic, secret: {{env: GOOD}}}}}}
  bad: {{issuer: "{issuer}", client: {{id: demo-basic, auth: client_secret_basic, secret: {{env: BAD}}}}}}
"#
    );
    let endpoint = match protocol {
        Protocol::Grpc => collector.grpc,
        Protocol::Http => collector.http,
    };
    let canary = Canary::new(&probe)
        .variable("GOOD", "demo-basic-secret")
        .variable("BAD", "wrong-secret-0815")
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{endpoint}"))
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.name())
        .variable("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .variable("OTEL_BSP_SCHEDULE_DELAY", "50")
        .variable("OTEL_BLRP_SCHEDULE_DELAY", "50")
        .variable("OTEL_METRIC_EXPORT_INTERVAL", "200");
    let service = Service::start(&canary).await;
    let good = service.run("loopback/good").await;
    let bad = service.run("loopback/bad").await;
    assert_eq!(
        (&good["outcome"], &bad["outcome"]),
        (&"ok".into(), &"failed".into())
    );

    let ids = [&good, &bad].map(|run| run["id"].as_str().unwrap().to_owned());
    let ended = |kept: &Kept, id: &str| {
        let trace = id.replace('-', "");
        let is_end = |body: Option<String>| body.as_deref() == Some("run ended");
        kept.log()
            .iter()
            .any(|it| hex(&it.trace_id) == trace && is_end(text(it.body.as_ref())))
    };
    let counted = |kept: &Kept, name: &str, probe: &str, key: &str, value: &str| {
        kept.figure(name, &[("probe", probe), (key, value)]) == Some(1.0)
    };
    let kept = until("all of it comes through the collector", || async {
        let kept = receiver.kept();
        let enough = ids
            .iter()
            .all(|id| !kept.spans(id).is_empty() && ended(&kept, id))
            && counted(
                &kept,
                "authcanary_runs_total",
                "loopback/good",
                "outcome",
                "ok",
            )
            && counted(
                &kept,
                "authcanary_failures_total",
                "loopback/bad",
                "class",
                "invalid_client",
            );
        enough.then_some(kept)
    })
    .await;

    for run in [&good, &bad] {
        let spans = kept.spans(run["id"].as_str().unwrap());
        is_the_run(&spans, run);
    }
    for resource in kept.resources() {
        assert_eq!(
            attribute(&resource, "service.name").as_deref(),
            Some("authcanary")
        );
        assert_eq!(
            attribute(&resource, "authcanary.location").as_deref(),
            Some("here")
        );
    }
    let names: Vec<String> = kept.all_metrics().into_iter().map(|it| it.name).collect();
    for histogram in [
        "authcanary_run_duration_seconds",
        "authcanary_step_duration_seconds",
    ] {
        assert!(names.iter().any(|name| name == histogram), "{names:?}");
    }
    // What the collector did not take would be counted.
    let metrics = service.text("/metrics").await;
    let mut lost = metrics
        .lines()
        .filter(|line| line.starts_with("authcanary_otlp_lost_total{"));
    assert!(lost.all(|line| line.ends_with(" 0")), "{metrics}");
    service.stop().await;
    provider.stop().await;
}

/// Run, steps and requests, each under its parent, and the failure where it happened.
fn is_the_run(spans: &[Span], run: &Json) {
    let root = spans
        .iter()
        .find(|span| span.parent_span_id.is_empty())
        .unwrap();
    assert_eq!(root.name, format!("run {}", run["probe"].as_str().unwrap()));
    let of = |parent: &Span| -> Vec<&Span> {
        let children = spans.iter();
        children
            .filter(|span| span.parent_span_id == parent.span_id)
            .collect()
    };
    let steps = of(root);
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    let stages = run["steps"].as_array().unwrap().iter();
    let stages: Vec<&str> = stages.map(|step| step["stage"].as_str().unwrap()).collect();
    assert_eq!(names, stages);
    let exchange = steps
        .iter()
        .find(|step| step.name == "token_exchange")
        .unwrap();
    let request = of(exchange)[0];
    assert_eq!(request.name, "POST");
    let failed = run["outcome"] == "failed";
    let status = attribute(&request.attributes, "http.response.status_code");
    assert_eq!(status.as_deref(), Some(if failed { "401" } else { "200" }));
    let code = exchange.status.clone().unwrap_or_default().code();
    assert_eq!(code == StatusCode::Error, failed);
    let exceptions = exchange
        .events
        .iter()
        .filter(|event| event.name == "exception");
    assert_eq!(exceptions.count(), usize::from(failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_collector_takes_all_signals_over_grpc() {
    everything_passes(Protocol::Grpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_collector_takes_all_signals_over_http() {
    everything_passes(Protocol::Http).await;
}
