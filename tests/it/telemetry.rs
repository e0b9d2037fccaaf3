//! The figures as Prometheus reads them.

use std::collections::BTreeMap;
use std::time::Duration;

use authcanary::clock;
use authcanary::daemon::Runner;
use authcanary::pipeline::new_run_id;
use authcanary::probe::Probe;
use authcanary::run::{Certificate, Evidence, Exchange, Peer, Run, Timings};
use authcanary::taxonomy::{Class, Outcome, Stage};
use authcanary::telemetry::Telemetry;

use crate::common::{probe, quick};

async fn run(runner: &Runner, probe: &Probe) -> Run {
    runner(probe.clone().into(), new_run_id(), None).await
}

fn text(telemetry: &Telemetry) -> String {
    String::from_utf8(telemetry.exposition().unwrap()).unwrap()
}

/// Series and values; the labels come in the order of their names.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

fn labels(more: &str, environment: &str) -> String {
    format!(
        r#"{{environment="{environment}",location="here",{more}probe="acme/{environment}",provider="acme"}}"#
    )
}

#[tokio::test]
async fn names_and_labels_are_the_published_ones() {
    let telemetry = Telemetry::new("here").unwrap();
    let probe = probe("prod");
    telemetry.watch([&probe]);
    telemetry.observe(&run(&quick(None), &probe).await);
    telemetry.observe(&run(&quick(Some(Class::InvalidClient)), &probe).await);
    telemetry.observe_lateness(Duration::from_millis(2));
    telemetry.set_store_bytes(4096);
    telemetry.config_reloaded(true);
    let text = text(&telemetry);
    let series = series(&text);
    let failure = r#"{cause="credential",class="invalid_client",environment="prod",location="here",probe="acme/prod",provider="acme",stage="token_exchange"}"#;
    let expected = [
        (
            format!(
                "authcanary_runs_total{}",
                labels(r#"outcome="ok","#, "prod")
            ),
            1.0,
        ),
        (
            format!(
                "authcanary_runs_total{}",
                labels(r#"outcome="failed","#, "prod")
            ),
            1.0,
        ),
        (
            format!(
                "authcanary_runs_total{}",
                labels(r#"outcome="unknown","#, "prod")
            ),
            0.0,
        ),
        (format!("authcanary_failures_total{failure}"), 1.0),
        (
            format!("authcanary_clock_offset_seconds{}", labels("", "prod")),
            -1.5,
        ),
        ("authcanary_start_lateness_seconds_count".to_owned(), 1.0),
        ("authcanary_store_bytes".to_owned(), 4096.0),
        ("authcanary_store_quarantined".to_owned(), 0.0),
        ("authcanary_browser_sessions".to_owned(), 0.0),
        ("authcanary_config_last_reload_successful".to_owned(), 1.0),
        (
            format!(
                r#"authcanary_build_info{{version="{}"}}"#,
                env!("CARGO_PKG_VERSION")
            ),
            1.0,
        ),
    ];
    for (name, value) in expected {
        assert_eq!(series.get(&name), Some(&value), "{name} in\n{text}");
    }
    for name in [
        "authcanary_run_duration_seconds_bucket",
        "authcanary_step_duration_seconds_bucket",
        "authcanary_last_run_timestamp_seconds",
        "authcanary_last_success_timestamp_seconds",
    ] {
        assert!(
            series
                .keys()
                .any(|key| key.starts_with(&format!("{name}{{"))),
            "{name} in\n{text}"
        );
    }
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap();
        assert!(
            text.contains(&format!("# HELP {name} ")),
            "{name} has no help"
        );
    }
}

#[tokio::test]
async fn series_start_at_zero_and_go_with_their_probe() {
    let telemetry = Telemetry::new("here").unwrap();
    let (prod, staging) = (probe("prod"), probe("staging"));
    telemetry.watch([&prod, &staging]);
    let before = series(&text(&telemetry));
    for outcome in Outcome::all() {
        for environment in ["prod", "staging"] {
            let name = format!(
                "authcanary_runs_total{}",
                labels(&format!("outcome=\"{outcome}\","), environment)
            );
            assert_eq!(before.get(&name), Some(&0.0), "{name}");
        }
    }
    telemetry.observe(&run(&quick(Some(Class::InvalidClient)), &staging).await);
    assert!(text(&telemetry).contains("acme/staging"));
    telemetry.watch([&prod]);
    let after = text(&telemetry);
    assert!(!after.contains("acme/staging"), "{after}");
    assert!(after.contains("acme/prod"));
}

#[tokio::test]
async fn two_thousand_probes_have_all_their_series() {
    let telemetry = Telemetry::new("here").unwrap();
    let probes: Vec<Probe> = (0..2000).map(|n| probe(&format!("e{n}"))).collect();
    telemetry.watch(&probes);
    let text = text(&telemetry);
    assert!(!text.contains("otel_metric_overflow"));
    assert_eq!(
        series(&text)
            .keys()
            .filter(|name| name.starts_with("authcanary_runs_total"))
            .count(),
        8000
    );
}

#[tokio::test]
async fn the_first_certificate_to_end_is_shown() {
    let telemetry = Telemetry::new("here").unwrap();
    let probe = probe("prod");
    telemetry.watch([&probe]);
    let mut run = run(&quick(None), &probe).await;
    let exchange = |not_after: &str| Exchange {
        stage: Stage::Userinfo,
        span_id: None,
        started_at: clock::now(),
        method: "GET".to_owned(),
        url: "https://acme.example/userinfo".to_owned(),
        request_headers: vec![],
        request_body: String::new(),
        protocol: None,
        status: Some(200),
        response_headers: vec![],
        response_body: String::new(),
        response_size_bytes: 0,
        timings: Timings::default(),
        peer: Some(Peer {
            address: None,
            certificates: vec![Certificate {
                subject: "CN=acme.example".to_owned(),
                issuer: "CN=acme".to_owned(),
                not_before: "2026-01-01T00:00:00Z".parse().unwrap(),
                not_after: not_after.parse().unwrap(),
                sha256: String::new(),
            }],
        }),
        error: None,
    };
    let exchanges = vec![
        exchange("2027-01-01T00:00:00Z"),
        exchange("2026-12-01T00:00:00Z"),
    ];
    run.evidence = Some(Evidence {
        exchanges,
        ..Evidence::default()
    });
    telemetry.observe(&run);
    let name = r#"authcanary_expiry_timestamp_seconds{environment="prod",kind="tls_certificate",location="here",probe="acme/prod",provider="acme"}"#;
    assert_eq!(series(&text(&telemetry)).get(name), Some(&1_796_083_200.0));
}
