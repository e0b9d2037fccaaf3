//! Name, help, kind, unit and labels of every figure, in one table. `docs/metrics.md`, the dashboards and the rules are
//! held against it by tests.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use crate::taxonomy::{Outcome, Stage};

/// Seconds; a browser journey takes one to a few, a run may last minutes.
const RUN_BUCKETS: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0, 120.0,
];
/// Seconds; from a request within a data centre to a login page that hangs.
const STEP_BUCKETS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0,
];
/// Seconds.
const LATENESS_BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

/// Labels of every figure of a probe.
pub const PROBE_LABELS: [&str; 4] = ["provider", "environment", "probe", "location"];

/// What is published under one name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    pub name: &'static str,
    pub kind: Kind,
    /// In the words of UCUM: `s`, `By`, `1`, or a thing counted, in braces.
    pub unit: &'static str,
    /// Whether it carries [`PROBE_LABELS`].
    pub of_probe: bool,
    /// Labels besides those.
    pub labels: &'static [&'static str],
    pub help: &'static str,
    /// Upper bounds of the buckets; empty but for histograms.
    pub buckets: &'static [f64],
}

/// How the values of a figure are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Only grows, but for restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Figure {
    /// All labels.
    pub fn all_labels(&self) -> Vec<&'static str> {
        let of_probe: &[&str] = if self.of_probe { &PROBE_LABELS } else { &[] };
        [of_probe, self.labels].concat()
    }

    /// How many series a probe or a channel may well have of it, of all that its labels allow; `None` where it belongs to
    /// neither.
    pub(super) fn spread(&self) -> Option<usize> {
        if !self.of_probe && !self.labels.contains(&"channel") {
            return None;
        }
        Some(match self.labels {
            [] => 1,
            ["outcome"] => Outcome::all().count(),
            // A probe that fails, fails in a few ways.
            ["stage", ..] => Stage::all().count(),
            _ => 8,
        })
    }

    /// How many lines of `/metrics` one set of labels takes.
    pub(super) fn weight(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            // One more bucket has no bound; then there are sum and count.
            Kind::Histogram => self.buckets.len() + 3,
        }
    }
}

/// An instrument and what is published of it.
pub(super) struct Recorder<T> {
    pub(super) figure: &'static Figure,
    pub(super) to: T,
}

macro_rules! instruments {
    ($($field:ident: $type:ty = $make:ident $kind:ident $name:literal, $unit:literal,
        $of_probe:ident $labels:expr, $help:literal $(, $buckets:expr)?;)*) => {
        /// Every figure that is recorded when something happens.
        const RECORDED: &[Figure] = &[$(Figure {
            name: $name,
            kind: Kind::$kind,
            unit: $unit,
            of_probe: $of_probe,
            labels: &$labels,
            help: $help,
            buckets: instruments!(@ $($buckets)?),
        },)*];

        /// One of each.
        pub(super) struct Instruments {
            $(pub(super) $field: Recorder<$type>,)*
        }

        impl Instruments {
            pub(super) fn new(meter: &Meter) -> Self {
                Self {
                    $($field: Recorder {
                        figure: figure($name),
                        to: meter.$make($name).with_description($help).with_unit($unit)
                            $(.with_boundaries($buckets.to_vec()))?
                            .build(),
                    },)*
                }
            }
        }
    };
    (@) => { &[] };
    (@ $buckets:expr) => { &$buckets };
}

const PROBE: bool = true;
const OWN: bool = false;

instruments! {
    runs: Counter<u64> = u64_counter Counter "authcanary_runs_total", "{run}",
        PROBE ["outcome"], "Finished runs by outcome.";
    failures: Counter<u64> = u64_counter Counter "authcanary_failures_total", "{run}",
        PROBE ["stage", "class", "cause"],
        "Runs that failed or could not be judged, by the verdict's stage, class and cause.";
    run_duration: Histogram<f64> = f64_histogram Histogram "authcanary_run_duration_seconds", "s",
        PROBE ["outcome"], "Duration of whole runs.", RUN_BUCKETS;
    step_duration: Histogram<f64> = f64_histogram Histogram "authcanary_step_duration_seconds", "s",
        PROBE ["stage"], "Duration of the steps of runs.", STEP_BUCKETS;
    last_run: Gauge<f64> = f64_gauge Gauge "authcanary_last_run_timestamp_seconds", "s",
        PROBE [], "When the last run ended; 0 before the first.";
    last_success: Gauge<f64> = f64_gauge Gauge "authcanary_last_success_timestamp_seconds", "s",
        PROBE [], "When the last run ended that passed, with or without warnings; 0 before the first.";
    last_outcome: Gauge<u64> = u64_gauge Gauge "authcanary_last_outcome", "1",
        PROBE ["outcome"], "1 for the outcome of the last run, 0 for the others.";
    last_deploy: Gauge<f64> = f64_gauge Gauge "authcanary_last_deploy_timestamp_seconds", "s",
        PROBE [], "When something was deployed last that the probe goes through, by the markers that were posted.";
    failure_ratio: Gauge<f64> = f64_gauge Gauge "authcanary_failure_ratio", "1",
        PROBE [], "Share of the recent runs that failed, as the alerts weigh it; runs that could not be judged do not count.";
    baseline_failure_ratio: Gauge<f64> = f64_gauge Gauge "authcanary_baseline_failure_ratio", "1",
        PROBE [], "Share of runs that is known to fail in quiet times, against which alerts weigh the recent ones.";
    expiry: Gauge<f64> = f64_gauge Gauge "authcanary_expiry_timestamp_seconds", "s",
        PROBE ["kind"], "When something that the sign-in depends on expires; of several of a kind, the first.";
    clock_offset: Gauge<f64> = f64_gauge Gauge "authcanary_clock_offset_seconds", "s",
        PROBE [], "Clock of the provider minus ours, as last seen.";
    alerts_firing: Gauge<u64> = u64_gauge Gauge "authcanary_alerts_firing", "{alert}",
        OWN ["severity", "kind"], "Alerts that people have been told of and that are not over.";
    notifications: Counter<u64> = u64_counter Counter "authcanary_notifications_total", "{notification}",
        OWN ["channel", "result"], "Attempts to hand a notice to a channel, by what came of them.";
    start_lateness: Histogram<f64> = f64_histogram Histogram "authcanary_start_lateness_seconds", "s",
        OWN [], "Delay between the time a run was due and its start.", LATENESS_BUCKETS;
    browser_sessions: Gauge<u64> = u64_gauge Gauge "authcanary_browser_sessions", "{session}",
        OWN [], "Browser sessions in use.";
    store_bytes: Gauge<u64> = u64_gauge Gauge "authcanary_store_bytes", "By",
        OWN [], "Size of the store on disk.";
    store_waiting: Gauge<u64> = u64_gauge Gauge "authcanary_store_waiting_changes", "{change}",
        OWN [], "Changes that wait in memory because the store cannot be written to.";
    store_quarantined: Gauge<u64> = u64_gauge Gauge "authcanary_store_quarantined", "1",
        OWN [], "Whether the store could not be read at the start and an empty one took its place.";
    config_last_reload_successful: Gauge<u64> = u64_gauge Gauge "authcanary_config_last_reload_successful", "1",
        OWN [], "Whether the last configuration was taken over.";
    series_overflow: Counter<u64> = u64_counter Counter "authcanary_series_overflow_total", "{value}",
        OWN [], "Values left out because the limit on series was reached.";
    otlp_lost: Counter<u64> = u64_counter Counter "authcanary_otlp_lost_total", "1",
        OWN ["signal", "reason"], "Spans, log records and rounds of figures that did not reach the collector.";
    build_info: Gauge<u64> = u64_gauge Gauge "authcanary_build_info", "1",
        OWN ["version", "location", "url"],
        "Version of this program, where it runs, and the address of its pages; the value is always 1.";
}

/// Asked for whenever the figures are read, because it grows while nothing happens.
pub(super) const OLDEST_PENDING: Figure = Figure {
    name: "authcanary_notification_oldest_pending_seconds",
    kind: Kind::Gauge,
    unit: "s",
    of_probe: OWN,
    labels: &[],
    help: "Age of the oldest notice that no channel has taken yet; 0 when there is none.",
    buckets: &[],
};

/// Every figure.
pub fn figures() -> impl Iterator<Item = &'static Figure> {
    RECORDED.iter().chain([&OLDEST_PENDING])
}

pub(super) fn figure(name: &str) -> &'static Figure {
    figures()
        .find(|figure| figure.name == name)
        .expect("an instrument stands in the table that it is made from")
}
