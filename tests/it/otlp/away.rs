//! Collectors that are away: they refuse, say nothing, or take their time. Probes and their records go on.

use authcanary::run::RunId;
use tokio::net::TcpListener;

use super::gate::Gate;
use super::receiver::{Protocol, Receiver};
use super::{QUICK, Scene, id, section};
use crate::common::until;
use crate::serving::Serving;

/// Value of a series of `/metrics`, by its whole name.
async fn value(daemon: &Serving, series: &str) -> f64 {
    let metrics = daemon.metrics().await;
    let values = metrics.lines().filter_map(|line| line.strip_prefix(series));
    let value = values.filter_map(|rest| rest.trim().parse().ok()).next();
    value.unwrap_or_else(|| panic!("no {series} in {metrics}"))
}

pub(super) async fn lost(daemon: &Serving, signal: &str, reason: &str) -> f64 {
    let series = format!("authcanary_otlp_lost_total{{reason=\"{reason}\",signal=\"{signal}\"}}");
    value(daemon, &series).await
}

/// Runs a probe a few times, and gives the ids, newest first.
async fn some_runs(daemon: &Serving) -> Vec<RunId> {
    let mut ids = Vec::new();
    for _ in 0..3 {
        let run = daemon.run("loopback/good").await;
        assert_eq!(run["outcome"], "ok");
        ids.insert(0, RunId(id(&run).parse().unwrap()));
    }
    ids
}

/// All of these runs are counted, and nothing else.
async fn are_counted(daemon: &Serving, runs: &[RunId]) {
    let ok = r#"authcanary_runs_total{environment="good",location="here",outcome="ok",probe="loopback/good",provider="loopback"}"#;
    assert_eq!(value(daemon, ok).await, runs.len() as f64);
    assert_eq!(daemon.runs().await, runs);
}

/// A daemon that comes later, without a collector, finds the same history.
async fn are_kept(scene: &Scene, runs: &[RunId]) {
    let off = [("OTEL_SDK_DISABLED", "true")];
    let daemon = Serving::start_with(scene.path(), off);
    assert_eq!(daemon.runs().await, runs);
    daemon.stop();
}

/// Runs go on, are stored and can be read; what was lost is counted; stopping does not hang.
async fn life_goes_on_without(endpoint: &str, protocol: Protocol) {
    let more = format!(", protocol: {}, timeout: 300ms", protocol.name());
    let scene = Scene::new(&section(endpoint, &more)).await;
    let daemon = scene.serve();
    let runs = some_runs(&daemon).await;
    for signal in ["traces", "metrics", "logs"] {
        until(|| async { (lost(&daemon, signal, "not_taken").await > 0.0).then_some(()) }).await;
    }
    are_counted(&daemon, &runs).await;
    let (status, log) = daemon.stop();
    assert!(status.success(), "{status}");
    let told = log
        .iter()
        .filter(|line| line.contains("takes no telemetry"))
        .count();
    assert_eq!(told, 3, "once for each signal: {log:#?}");
    are_kept(&scene, &runs).await;
    scene.provider.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_connections_holds_nothing_up() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    life_goes_on_without(&format!("http://{address}"), Protocol::Http).await;
    life_goes_on_without(&format!("http://{address}"), Protocol::Grpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_holds_nothing_up() {
    // The system accepts connections for it; nobody ever reads them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    life_goes_on_without(&format!("http://{address}"), Protocol::Http).await;
    life_goes_on_without(&format!("http://{address}"), Protocol::Grpc).await;
    // Here it is the handshake that never ends.
    life_goes_on_without(&format!("https://{address}"), Protocol::Grpc).await;
}

/// A daemon with small queues before a collector that has begun to think, and will for longer than the test takes.
async fn before_a_thinking_collector(gate: &mut Gate) -> (Scene, Serving, Vec<RunId>) {
    let section = section(&format!("http://{}", gate.address), ", timeout: 2m");
    let scene = Scene::new(&section).await;
    // Room for one trace, or two.
    let small = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "2"),
    ];
    let daemon = Serving::start_with(scene.path(), QUICK.into_iter().chain(small));
    gate.is_asked().await;
    let runs = some_runs(&daemon).await;
    for signal in ["traces", "logs"] {
        until(|| async { (lost(&daemon, signal, "queue_full").await > 0.0).then_some(()) }).await;
    }
    are_counted(&daemon, &runs).await;
    (scene, daemon, runs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_collector_holds_nothing_up_and_gets_what_had_room() {
    let mut gate = Gate::start().await;
    let (scene, daemon, runs) = before_a_thinking_collector(&mut gate).await;
    gate.open();
    // There is room again, and nothing that had room was lost.
    let more = daemon.run("loopback/good").await;
    let runs = [&[RunId(id(&more).parse().unwrap())], runs.as_slice()].concat();
    are_counted(&daemon, &runs).await;
    for signal in ["traces", "metrics", "logs"] {
        assert_eq!(lost(&daemon, signal, "not_taken").await, 0.0, "{signal}");
    }
    let (status, _) = daemon.stop();
    assert!(status.success(), "{status}");
    are_kept(&scene, &runs).await;
    scene.provider.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_ends_while_its_collector_thinks() {
    let mut gate = Gate::start().await;
    let (scene, daemon, runs) = before_a_thinking_collector(&mut gate).await;
    let (status, log) = daemon.stop();
    assert!(status.success(), "{status}");
    assert!(log.iter().any(|line| line.contains("stopped")), "{log:#?}");
    are_kept(&scene, &runs).await;
    scene.provider.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_has_no_room_is_lost_whole_and_counted() {
    let receiver = Receiver::start(Protocol::Http).await;
    let scene = Scene::new(&section(&receiver.url(), "")).await;
    let small = [("OTEL_BSP_MAX_QUEUE_SIZE", "2")];
    let daemon = Serving::start_with(scene.path(), QUICK.into_iter().chain(small));
    let run = daemon.run("loopback/good").await;
    let steps = run["steps"].as_array().unwrap().len();
    let count = until(|| async {
        let count = lost(&daemon, "traces", "queue_full").await;
        (count > 0.0).then_some(count)
    })
    .await;
    // The run, its steps, and a request for each of them.
    assert_eq!(count, (1 + 2 * steps) as f64);
    let (status, _) = daemon.stop();
    assert!(status.success(), "{status}");
    assert!(receiver.kept().traces.is_empty());
    scene.provider.stop().await;
}
