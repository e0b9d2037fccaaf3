//! The figures as Prometheus reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use authcanary::clock;
use authcanary::daemon::{Runner, Settings};
use authcanary::pipeline::new_run_id;
use authcanary::probe::Probe;
use authcanary::run::Run;
use authcanary::taxonomy::{Class, Outcome};
use authcanary::telemetry::otlp::Exporters;
use authcanary::telemetry::{Delivery, Format, Telemetry, figures};
use authcanary::{alert, telemetry};

use jiff::Timestamp;

use crate::common::{Running, probe, quick, settings, start, until};

async fn run(runner: &Runner, probe: &Probe) -> Run {
    runner(probe.clone().into(), new_run_id(), None).await
}

fn text(telemetry: &Telemetry) -> String {
    telemetry.exposition(Format::Text)
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
                r#"authcanary_build_info{{location="here",version="{}"}}"#,
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

/// One of everything, as a busy daemon has it.
async fn busy() -> Telemetry {
    let pages = Some("https://canary.example.com/".to_owned());
    let telemetry = Telemetry::exporting("here", Exporters::default(), pages, 500_000).unwrap();
    let probe = probe("prod");
    telemetry.watch([&probe]);
    telemetry.watch_channels(["oncall"]);
    telemetry.observe(&run(&quick(None), &probe).await);
    telemetry.observe(&run(&quick(Some(Class::InvalidClient)), &probe).await);
    telemetry.set_expiries(&probe, &BTreeMap::from([("client_secret", clock::now())]));
    telemetry.set_failure_ratio(&probe, Some(0.25));
    telemetry.set_baseline_failure_ratio(&probe, Some(0.01));
    telemetry.set_last_deploy(&probe, Some(clock::now()));
    telemetry.set_alerts_firing([(alert::Severity::Page, alert::Kind::FailureRate)]);
    telemetry.observe_notification("oncall", Delivery::Sent);
    telemetry.set_notification_oldest_pending(Some(clock::now()));
    telemetry.observe_lateness(Duration::from_millis(2));
    telemetry.set_browser_sessions(1);
    telemetry.set_store_bytes(4096);
    telemetry.config_reloaded(true);
    telemetry
}

#[tokio::test]
async fn every_figure_of_the_table_is_shown_with_its_labels_and_no_other() {
    let telemetry = busy().await;
    let text = text(&telemetry);
    // Paths of pages are put behind it.
    assert!(
        text.contains(r#"url="https://canary.example.com","#),
        "{text}"
    );
    let mut shown: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let of_histogram = |suffix: &str| name.strip_suffix(suffix);
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| of_histogram(suffix));
        let family = family
            .filter(|family| figures().any(|figure| figure.name == *family))
            .unwrap_or(name);
        let labels = line
            .split_once('{')
            .and_then(|(_, rest)| rest.rsplit_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels).split("\",");
        let labels = labels
            .filter_map(|label| label.split_once('='))
            .map(|(name, _)| name);
        shown
            .entry(family)
            .or_default()
            .extend(labels.filter(|name| *name != "le"));
    }
    let table: BTreeMap<&str, BTreeSet<&str>> = figures()
        .map(|figure| (figure.name, figure.all_labels().into_iter().collect()))
        .collect();
    assert_eq!(shown, table, "{text}");
}

#[tokio::test]
async fn figures_of_alerts_and_notices_come_and_go() {
    let telemetry = busy().await;
    let value = |name: &str| series(&text(&telemetry)).get(name).copied();
    let of_probe = |name: &str| format!("{name}{}", labels("", "prod"));
    let ratio = of_probe("authcanary_failure_ratio");
    let baseline = of_probe("authcanary_baseline_failure_ratio");
    assert_eq!((value(&ratio), value(&baseline)), (Some(0.25), Some(0.01)));
    let firing = |severity: &str| {
        format!(r#"authcanary_alerts_firing{{kind="failure_rate",severity="{severity}"}}"#)
    };
    assert_eq!(value(&firing("page")), Some(1.0));
    assert_eq!(value(&firing("ticket")), Some(0.0));
    let notices = |channel: &str, result: &str| {
        format!(r#"authcanary_notifications_total{{channel="{channel}",result="{result}"}}"#)
    };
    assert_eq!(value(&notices("oncall", "sent")), Some(1.0));
    assert_eq!(value(&notices("oncall", "retried")), Some(0.0));
    assert_eq!(value(&notices("oncall", "failed")), Some(0.0));
    let pending = "authcanary_notification_oldest_pending_seconds";
    assert!(value(pending).is_some_and(|age| age >= 0.0));
    let since = clock::now().checked_sub(Duration::from_secs(3600)).unwrap();
    telemetry.set_notification_oldest_pending(Some(since));
    assert!(value(pending).is_some_and(|age| age >= 3600.0));

    let probe = probe("prod");
    telemetry.set_failure_ratio(&probe, None);
    telemetry.set_expiries(&probe, &BTreeMap::new());
    telemetry.set_alerts_firing([]);
    telemetry.set_notification_oldest_pending(None);
    telemetry.watch_channels(["mail"]);
    telemetry.observe_notification("oncall", Delivery::Sent);
    assert_eq!((value(&ratio), value(&baseline)), (None, Some(0.01)));
    assert!(!text(&telemetry).contains("authcanary_expiry_timestamp_seconds"));
    assert_eq!(value(&firing("page")), Some(0.0));
    assert_eq!(value(pending), Some(0.0));
    assert_eq!(value(&notices("oncall", "sent")), None);
    assert_eq!(value(&notices("mail", "sent")), Some(0.0));
}

#[tokio::test]
async fn a_restart_knows_what_failed_before_and_counts_it_anew() {
    let telemetry = Telemetry::new("here").unwrap();
    let probe = probe("prod");
    telemetry.watch([&probe]);
    let before = run(&quick(Some(Class::InvalidClient)), &probe).await;
    let verdict = before.verdict.as_ref();
    telemetry.remember(&probe, before.outcome, before.started_at, 34, verdict);
    let failures = r#"authcanary_failures_total{cause="credential",class="invalid_client",environment="prod",location="here",probe="acme/prod",provider="acme",stage="token_exchange"}"#;
    assert_eq!(series(&text(&telemetry)).get(failures), Some(&0.0));
    let last = |name: &str| series(&text(&telemetry))[&format!("{name}{}", labels("", "prod"))];
    assert!(last("authcanary_last_run_timestamp_seconds") > 0.0);
    assert_eq!(last("authcanary_last_success_timestamp_seconds"), 0.0);
    // A configuration that is read again changes none of it.
    telemetry.watch([&probe]);
    assert!(last("authcanary_last_run_timestamp_seconds") > 0.0);
}

#[tokio::test]
async fn beyond_the_limit_values_are_counted_and_left_out() {
    let telemetry = Telemetry::exporting("here", Exporters::default(), None, 14).unwrap();
    let (prod, staging) = (probe("prod"), probe("staging"));
    telemetry.watch([&prod, &staging]);
    let overflow = || series(&text(&telemetry))["authcanary_series_overflow_total"];
    // Ten each: runs and the last outcome by outcome, and two times.
    assert_eq!(overflow(), 6.0);
    telemetry.observe(&run(&quick(None), &prod).await);
    let shown = text(&telemetry);
    assert!(
        !shown.contains("authcanary_run_duration_seconds"),
        "{shown}"
    );
    assert_eq!(
        series(&shown)[&format!(
            "authcanary_runs_total{}",
            labels(r#"outcome="ok","#, "prod")
        )],
        1.0
    );
    assert!(overflow() > 6.0);
    // A probe that goes makes room.
    telemetry.watch([&staging]);
    telemetry.observe(&run(&quick(None), &staging).await);
    let last = format!(
        "authcanary_last_run_timestamp_seconds{}",
        labels("", "staging")
    );
    assert!(series(&text(&telemetry))[&last] > 0.0);
}

#[tokio::test]
async fn open_metrics_holds_the_same_series_and_names_a_run_for_each_bucket() {
    let telemetry = Telemetry::new("here").unwrap();
    let probe = probe("prod");
    telemetry.watch([&probe]);
    let newest = {
        telemetry.observe(&run(&quick(None), &probe).await);
        let newest = run(&quick(None), &probe).await;
        telemetry.observe(&newest);
        newest
    };
    let open = telemetry.exposition(Format::OpenMetrics);
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    assert!(open.contains("# TYPE authcanary_runs counter\n"));
    assert!(open.contains("# UNIT authcanary_run_duration_seconds seconds\n"));
    let exemplars: Vec<&str> = open
        .lines()
        .filter(|line| line.contains(" # "))
        .filter(|line| !line.starts_with('#'))
        .collect();
    let trace_id = newest.id.0.simple().to_string();
    // One for the run, one for each of its two steps.
    assert_eq!(exemplars.len(), 3, "{exemplars:#?}");
    for line in &exemplars {
        let (sample, exemplar) = line.split_once(" # ").unwrap();
        assert!(sample.contains("_bucket{"), "{line}");
        assert!(
            exemplar.starts_with(&format!(
                "{{trace_id=\"{trace_id}\",run_id=\"{}\"}} 0.0",
                newest.id
            )),
            "{line}"
        );
    }
    assert!(
        exemplars.iter().any(|line| line
            .contains(r#"outcome="ok",probe="acme/prod",provider="acme",le="0.1"} 2 # "#)),
        "{exemplars:#?}"
    );
    // Without the exemplars, what is left are the samples of the text format.
    let samples = |text: &str| -> BTreeSet<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| line.split(" # ").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(samples(&open), samples(&text(&telemetry)));
}

/// Names and labels of the figures, as the document about them says.
#[test]
fn the_document_names_every_figure_as_it_is() {
    let document = std::fs::read_to_string("docs/metrics.md").unwrap();
    for figure in figures() {
        let kind: &str = figure.kind.into();
        let unit = match figure.unit {
            "s" => "seconds",
            "By" => "bytes",
            "1" => "",
            counted => counted.trim_matches(['{', '}']),
        };
        let own = figure.labels.iter().map(|label| format!("`{label}`"));
        let probe = figure.of_probe.then(|| "*probe*".to_owned());
        let labels: Vec<String> = probe.into_iter().chain(own).collect();
        let row = format!(
            "| `{}` | {kind} | {unit} | {} | ",
            figure.name,
            labels.join(", ")
        );
        assert!(
            document.contains(&row),
            "docs/metrics.md lacks the row {row}"
        );
    }
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| `authcanary_"));
    assert_eq!(
        rows.count(),
        figures().count(),
        "docs/metrics.md names figures that are not there"
    );
    assert!(document.contains(&telemetry::MAX_SERIES.to_string()));
}

#[tokio::test]
async fn a_daemon_shows_what_expires_in_every_place_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let declared: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
    let mut prod = probe("prod");
    prod.expires.client_secret = Some(declared);
    let secret = async |daemon: &Running| {
        let probe = daemon.json("/api/v1/probes/acme/prod").await;
        let first = probe["expires"][0].clone();
        assert_eq!(first["kind"], "client_secret", "{probe:#}");
        first["at"].as_str().unwrap().parse::<Timestamp>().unwrap()
    };
    let figure = async |daemon: &Running| {
        let (_, text) = daemon.get("/metrics").await;
        let name = "authcanary_expiry_timestamp_seconds";
        let kind = r#"kind="client_secret","#;
        let line = format!(
            r#"{name}{{environment="prod",{kind}location="here",probe="acme/prod",provider="acme"}}"#
        );
        series(&text)[&line]
    };
    let expired = quick(Some(Class::ClientSecretExpired));
    let daemon = start(settings(folder.path(), vec![prod.clone()]), expired).await;
    assert_eq!(secret(&daemon).await, declared);
    assert_eq!(figure(&daemon).await, 4_070_908_800.0);
    let (_, page) = daemon.get("/probes/acme/prod").await;
    assert!(page.contains("What expires next") && page.contains("2099-01-01 00:00:00 UTC"));

    // The provider says that it is over already.
    daemon.run_now("acme/prod").await;
    let over = until(|| async {
        let at = secret(&daemon).await;
        (at < declared).then_some(at)
    })
    .await;
    assert!(figure(&daemon).await < 4_070_908_800.0);
    daemon.stop().await;

    let daemon = start(settings(folder.path(), vec![prod]), quick(None)).await;
    assert_eq!(secret(&daemon).await, over);
    daemon.run_now("acme/prod").await;
    until(|| async { (secret(&daemon).await == declared).then_some(()) }).await;
    daemon.stop().await;
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(settings(folder.path(), vec![probe("prod")]), quick(None)).await;
    let ask = async |accept: &str| {
        let request = daemon.client.get(format!("{}/metrics", daemon.base));
        let answer = request.header("accept", accept).send().await.unwrap();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (kind, answer.text().await.unwrap().ends_with("# EOF\n"))
    };
    let text = "text/plain; version=0.0.4; charset=utf-8".to_owned();
    assert_eq!(ask("*/*").await, (text, false));
    let open = "application/openmetrics-text; version=1.0.0; charset=utf-8".to_owned();
    let wanted = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    assert_eq!(ask(wanted).await, (open, true));
    let request = daemon.client.get(format!("{}/metrics", daemon.base));
    let pressed = request.header("accept-encoding", "gzip").send().await;
    let pressed = pressed.unwrap().bytes().await.unwrap();
    let mut text = String::new();
    let mut reader = flate2::read::GzDecoder::new(&pressed[..]);
    std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert!(text.contains("authcanary_build_info") && text.len() > 4 * pressed.len());
    daemon.stop().await;

    let closed = Telemetry::new("here").unwrap().without_prometheus();
    let settings = Settings {
        telemetry: Some(Arc::new(closed)),
        ..settings(folder.path(), vec![])
    };
    let daemon = start(settings, quick(None)).await;
    assert_eq!(daemon.get("/metrics").await.0, 404);
    daemon.stop().await;
}
