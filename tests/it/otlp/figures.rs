//! Figures as a collector gets them: those that `/metrics` shows, in the form that was asked for.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{StatusCode, Uri};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, HistogramDataPoint, Metric};
use tokio::net::TcpListener;

use super::away::lost;
use super::receiver::{Kept, Protocol, Receiver, attribute, hex};
use super::{QUICK, Scene, id, kept_until, section};
use crate::common::until;
use crate::serving::Serving;

const GOOD: [(&str, &str); 2] = [("probe", "loopback/good"), ("outcome", "ok")];

/// The last round that came.
fn last(kept: &Kept) -> Kept {
    Kept {
        metrics: kept.metrics.last().cloned().into_iter().collect(),
        ..Kept::default()
    }
}

fn says(kept: &Kept, words: &str) -> bool {
    format!("{:?}", kept.metrics).contains(words)
}

async fn figures_go_with_their_probe(protocol: Protocol) {
    let receiver = Receiver::start(protocol).await;
    let more = format!(", protocol: {}", protocol.name());
    let scene = Scene::new(&section(&receiver.url(), &more)).await;
    let daemon = scene.serve();
    let good = daemon.run("loopback/good").await;
    daemon.run("loopback/bad").await;
    kept_until(&receiver, |kept| {
        let last = last(kept);
        let bad = [("probe", "loopback/bad"), ("outcome", "failed")];
        last.figure("authcanary_runs_total", &bad) == Some(1.0)
            && last.figure("authcanary_runs_total", &GOOD) == Some(1.0)
    })
    .await;

    let file = scene.path().join("probe.yaml");
    let both = fs::read_to_string(&file).unwrap();
    let (one, _) = both.split_once("  bad: ").unwrap();
    fs::write(&file, one).unwrap();
    daemon.hang_up();
    daemon.probes_become(&["loopback/good"]).await;
    let kept = kept_until(&receiver, |kept| !says(&last(kept), "loopback/bad")).await;
    let kept = last(&kept);
    assert_eq!(kept.figure("authcanary_runs_total", &GOOD), Some(1.0));
    assert!(kept.figure("authcanary_store_bytes", &[]).is_some());

    // The run is named in the bucket that it is in.
    let point = durations(&kept);
    let [named] = point.exemplars.as_slice() else {
        panic!("one run: {point:#?}");
    };
    assert_eq!(hex(&named.trace_id), id(&good).replace('-', ""));
    assert_eq!(named.span_id.len(), 8);
    let run_id = attribute(&named.filtered_attributes, "authcanary.run.id");
    assert_eq!(run_id.as_deref(), Some(id(&good)));

    // A probe that comes back has figures again.
    fs::write(&file, both).unwrap();
    daemon.hang_up();
    kept_until(&receiver, |kept| says(&last(kept), "loopback/bad")).await;
    daemon.stop();
    scene.provider.stop().await;
}

/// How long the good runs took.
fn durations(kept: &Kept) -> HistogramDataPoint {
    let metrics = kept.all_metrics();
    let points = metrics
        .iter()
        .filter(|metric| metric.name == "authcanary_run_duration_seconds")
        .flat_map(|metric| match &metric.data {
            Some(Data::Histogram(histogram)) => histogram.data_points.clone(),
            other => panic!("{other:?}"),
        });
    let mut of_good = points.filter(|point| {
        GOOD.iter()
            .all(|(key, value)| attribute(&point.attributes, key).as_deref() == Some(value))
    });
    of_good.next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_a_probe_that_was_taken_out_are_not_sent_over_http() {
    figures_go_with_their_probe(Protocol::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_a_probe_that_was_taken_out_are_not_sent_over_grpc() {
    figures_go_with_their_probe(Protocol::Grpc).await;
}

/// Counts of the good runs, in each round that had any.
fn counts(kept: &Kept) -> Vec<f64> {
    let rounds = kept.metrics.iter().map(|round| Kept {
        metrics: vec![round.clone()],
        ..Kept::default()
    });
    let counts = rounds.filter_map(|round| round.figure("authcanary_runs_total", &GOOD));
    counts.filter(|count| *count > 0.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_round_can_say_what_came_since_the_last() {
    let receiver = Receiver::start(Protocol::Http).await;
    let scene = Scene::new(&section(&receiver.url(), "")).await;
    let delta = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta");
    let daemon = Serving::start_with(scene.path(), QUICK.into_iter().chain([delta]));
    for runs in 1..=2 {
        daemon.run("loopback/good").await;
        kept_until(&receiver, |kept| {
            counts(kept).iter().sum::<f64>() == f64::from(runs)
        })
        .await;
    }
    let kept = kept_until(&receiver, |kept| counts(kept).len() == 2).await;
    let is_delta = |metric: &Metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.aggregation_temporality() == AggregationTemporality::Delta,
        _ => true,
    };
    assert!(kept.all_metrics().iter().all(is_delta));
    daemon.stop();
    scene.provider.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_found_nobody_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let router = Router::new().fallback(move |uri: Uri| async move {
        let is_first = uri.path() == "/v1/metrics" && counter.fetch_add(1, Ordering::AcqRel) == 0;
        match is_first {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::OK,
        }
    });
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let scene = Scene::new(&section(&format!("http://{address}"), "")).await;
    let daemon = scene.serve();
    until(|| async { (asked.load(Ordering::Acquire) > 2).then_some(()) }).await;
    assert_eq!(lost(&daemon, "metrics", "not_taken").await, 0.0);
    daemon.stop();
    task.abort();
    scene.provider.stop().await;
}
