//! The daemon's own figures. Every figure is recorded once, in an OpenTelemetry instrument; `/metrics` shows them to
//! Prometheus under the very names of the table in [`instruments`]. Labels come from the taxonomy and the configuration
//! only, so that no provider can make series.

mod instruments;
mod logs;
pub mod otlp;
mod resource;
mod traces;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::{Encoder, Registry, TextEncoder};

use crate::probe::Probe;
use crate::run::Run;
use crate::taxonomy::Outcome;

use instruments::Instruments;
pub use logs::{LogLayer, within};
use otlp::{Exporters, Queues};

/// Series that one instrument may have; the SDK's own limit of 2,000 would be reached by 500 probes.
const SERIES: usize = 100_000;

/// What telemetry could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot set up the exporter")]
    Exporter(#[from] opentelemetry_sdk::error::OTelSdkError),
    #[error("cannot print the figures")]
    Print(#[from] prometheus::Error),
}

/// All instruments, and the way out for Prometheus.
pub struct Telemetry {
    instruments: Instruments,
    registry: Registry,
    /// Holds the instruments' pipeline.
    provider: SdkMeterProvider,
    /// The way to a collector.
    queues: Queues,
    /// Address of the daemon's pages, for links to runs.
    pages: Option<String>,
    location: Arc<str>,
    /// Probes of the running configuration; series of others are not shown.
    known: RwLock<BTreeSet<String>>,
}

impl Telemetry {
    /// Sets up the instruments of a daemon at `location`.
    pub fn new(location: &str) -> Result<Self, Error> {
        Self::exporting(location, Exporters::default(), None)
    }

    /// The same, sending by `exporters` as well. `pages` is the address of the daemon's pages, for links to runs.
    pub fn exporting(
        location: &str,
        mut exporters: Exporters,
        pages: Option<String>,
    ) -> Result<Self, Error> {
        let resource = resource::resource(location);
        let (reader, losses) = exporters.take_reader();
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_units()
            .without_counter_suffixes()
            .without_target_info()
            .scope_info_enabled(false)
            .build()?;
        let mut provider = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_reader(exporter)
            .with_view(|_: &Instrument| {
                Stream::builder()
                    .with_cardinality_limit(SERIES)
                    .build()
                    .ok()
            });
        if let Some(reader) = reader {
            provider = provider.with_reader(reader);
        }
        let provider = provider.build();
        let instruments = Instruments::new(&provider.meter("authcanary"));
        instruments
            .build_info
            .record(1, &[KeyValue::new("version", env!("CARGO_PKG_VERSION"))]);
        instruments.browser_sessions.record(0, &[]);
        instruments.store_quarantined.record(0, &[]);
        losses.count_in(&instruments.otlp_lost);
        let queues = exporters.start(&resource);
        if let Some(logs) = queues.logs() {
            logs::send_by(logs);
        }
        Ok(Self {
            instruments,
            registry,
            provider,
            queues,
            pages,
            location: location.into(),
            known: RwLock::default(),
        })
    }

    /// Takes over the probes of a configuration: their series start at zero, those of probes that are gone vanish.
    pub fn watch<'a>(&self, probes: impl IntoIterator<Item = &'a Probe>) {
        let mut known = BTreeSet::new();
        for probe in probes {
            let labels = self.labels(&probe.provider, &probe.environment, probe.id.as_str());
            for outcome in Outcome::all() {
                self.instruments
                    .runs
                    .add(0, &with(&labels, [("outcome", outcome.as_str())]));
            }
            known.insert(probe.id.to_string());
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Sends a finished run as a trace, where that is asked for. Never waits.
    pub fn send_trace(&self, run: &Run) {
        if self.queues.wants(traces::trace_id(run.id)) {
            self.queues.send(traces::spans(run, self.pages.as_deref()));
        }
    }

    /// Sends what still waits, as far as that is possible within `limit`, and says whether traces and log got through;
    /// then nothing is sent any more. Blocks.
    pub fn shutdown(&self, limit: Duration) -> bool {
        std::thread::scope(|scope| {
            // A collector that takes nothing has been told of already.
            scope.spawn(|| self.provider.shutdown_with_timeout(limit));
            self.queues.shutdown(limit)
        })
    }

    /// Counts a finished run.
    pub fn observe(&self, run: &Run) {
        self.send_trace(run);
        let labels = self.labels(&run.provider, &run.environment, run.probe.as_str());
        let to = &self.instruments;
        let outcome = [("outcome", run.outcome.as_str())];
        to.runs.add(1, &with(&labels, outcome));
        to.run_duration
            .record(seconds(run.duration_ms), &with(&labels, outcome));
        for step in &run.steps {
            let stage = [("stage", step.stage.as_str())];
            to.step_duration
                .record(seconds(step.duration_ms), &with(&labels, stage));
        }
        if let Some(verdict) = &run.verdict {
            let failure = [
                ("stage", verdict.stage.as_str()),
                ("class", verdict.class.as_str()),
                ("cause", verdict.cause.as_str()),
            ];
            to.failures.add(1, &with(&labels, failure));
        }
        self.observe_time(run.outcome, run.started_at, run.duration_ms, &labels);
        self.observe_evidence(run, &labels);
    }

    /// Takes over when a run of an earlier process ended. It is not counted again.
    pub fn remember(
        &self,
        probe: &Probe,
        outcome: Outcome,
        started_at: Timestamp,
        duration_ms: u64,
    ) {
        let labels = self.labels(&probe.provider, &probe.environment, probe.id.as_str());
        self.observe_time(outcome, started_at, duration_ms, &labels);
    }

    fn observe_time(
        &self,
        outcome: Outcome,
        started_at: Timestamp,
        duration_ms: u64,
        labels: &[KeyValue],
    ) {
        let ended = epoch_seconds(started_at) + seconds(duration_ms);
        self.instruments.last_run.record(ended, labels);
        if matches!(outcome, Outcome::Ok | Outcome::Degraded) {
            self.instruments.last_success.record(ended, labels);
        }
    }

    fn observe_evidence(&self, run: &Run, labels: &[KeyValue]) {
        let Some(evidence) = &run.evidence else {
            return;
        };
        if let Some(offset_ms) = evidence.clock_offset_ms {
            self.instruments
                .clock_offset
                .record(offset_ms as f64 / 1e3, labels);
        }
        let peers = evidence
            .exchanges
            .iter()
            .filter_map(|exchange| exchange.peer.as_ref());
        let certificates = peers.filter_map(|peer| peer.certificates.first());
        if let Some(first_to_end) = certificates.map(|certificate| certificate.not_after).min() {
            let kind = [("kind", "tls_certificate")];
            self.instruments
                .expiry
                .record(epoch_seconds(first_to_end), &with(labels, kind));
        }
    }

    /// Notes by how much a scheduled run started too late.
    pub fn observe_lateness(&self, lateness: Duration) {
        self.instruments
            .start_lateness
            .record(lateness.as_secs_f64(), &[]);
    }

    /// Browser sessions in use.
    pub fn set_browser_sessions(&self, sessions: usize) {
        self.instruments
            .browser_sessions
            .record(sessions as u64, &[]);
    }

    /// Size of the store.
    pub fn set_store_bytes(&self, bytes: u64) {
        self.instruments.store_bytes.record(bytes, &[]);
    }

    /// The store could not be read at the start, and an empty one took its place.
    pub fn store_was_quarantined(&self) {
        self.instruments.store_quarantined.record(1, &[]);
    }

    /// A configuration was taken over, or refused and the old one kept.
    pub fn config_reloaded(&self, successful: bool) {
        self.instruments
            .config_last_reload_successful
            .record(u64::from(successful), &[]);
    }

    /// Everything in the text format of Prometheus.
    pub fn exposition(&self) -> Result<Vec<u8>, Error> {
        let mut families = self.registry.gather();
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            for family in &mut families {
                let mut metrics = family.take_metric();
                metrics.retain(|metric| {
                    let probe = metric
                        .get_label()
                        .iter()
                        .find(|label| label.name() == "probe");
                    probe.is_none_or(|label| known.contains(label.value()))
                });
                family.set_metric(metrics);
            }
        }
        families.retain(|family| !family.get_metric().is_empty());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    fn labels(&self, provider: &str, environment: &str, probe: &str) -> Vec<KeyValue> {
        vec![
            KeyValue::new("provider", provider.to_owned()),
            KeyValue::new("environment", environment.to_owned()),
            KeyValue::new("probe", probe.to_owned()),
            KeyValue::new("location", StringValue::from(Arc::clone(&self.location))),
        ]
    }
}

fn with<const N: usize>(
    labels: &[KeyValue],
    more: [(&'static str, &'static str); N],
) -> Vec<KeyValue> {
    let more = more
        .into_iter()
        .map(|(key, value)| KeyValue::new(key, value));
    labels.iter().cloned().chain(more).collect()
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn epoch_seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}
