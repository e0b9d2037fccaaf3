//! The daemon's own figures. Every figure is recorded once, in an OpenTelemetry instrument; `/metrics` shows them to
//! Prometheus under the very names of the table in [`figures`]. Labels come from the taxonomy and the configuration
//! only, so that no provider can make series, and there is a limit on how many there may be.

mod exposition;
mod instruments;
mod logs;
pub mod otlp;
mod resource;
mod series;
mod traces;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use opentelemetry::metrics::{Gauge, Histogram, MeterProvider};
use opentelemetry::{KeyValue, StringValue};
use opentelemetry_sdk::metrics::{Instrument, SdkMeterProvider, Stream};
use prometheus::Registry;
use strum::IntoEnumIterator;

pub use exposition::Format;
pub use instruments::{Figure, Kind, PROBE_LABELS, figures};

use crate::alert;
use crate::clock;
use crate::probe::Probe;
use crate::run::{Run, Verdict};
use crate::taxonomy::Outcome;

use exposition::Printer;
use instruments::{Instruments, OLDEST_PENDING, Recorder};
pub use logs::{LogLayer, within};
use otlp::{Exporters, Queues};
use series::{Admission, Exemplar, Owner, Series, detail, held};

/// Lines that `/metrics` may have, unless the configuration says otherwise. A probe of a whole journey takes some 200.
pub const MAX_SERIES: usize = 500_000;

/// What telemetry could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot set up the exporter")]
    Exporter(#[from] opentelemetry_sdk::error::OTelSdkError),
}

/// What came of an attempt to hand a notice to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumIter, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Delivery {
    /// The channel took it.
    Sent,
    /// It did not, and will be asked again.
    Retried,
    /// It did not, and will not be asked again.
    Failed,
}

/// All instruments, and the way out for Prometheus.
pub struct Telemetry {
    instruments: Instruments,
    series: Arc<Series>,
    registry: Registry,
    /// Holds the instruments' pipeline.
    provider: SdkMeterProvider,
    /// The way to a collector.
    queues: Queues,
    /// Address of the daemon's pages, for links to runs.
    pages: Option<String>,
    location: Arc<str>,
    is_exposed: bool,
    /// When the notice was made that waits the longest.
    oldest_pending: Arc<Mutex<Option<Timestamp>>>,
}

impl Telemetry {
    /// Sets up the instruments of a daemon at `location`.
    pub fn new(location: &str) -> Result<Self, Error> {
        Self::exporting(location, Exporters::default(), None, MAX_SERIES)
    }

    /// The same, sending by `exporters` as well. `pages` is the address of the daemon's pages, for links to runs, and
    /// `max_series` the limit on the lines of `/metrics` that belong to probes and channels.
    pub fn exporting(
        location: &str,
        mut exporters: Exporters,
        pages: Option<String>,
        max_series: usize,
    ) -> Result<Self, Error> {
        let resource = resource::resource(location);
        let series = Arc::new(Series::new(max_series));
        let (reader, losses) = exporters.take_reader(&series);
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
            .with_view(move |instrument: &Instrument| {
                let figure = figures().find(|figure| figure.name == instrument.name())?;
                let stream = Stream::builder().with_cardinality_limit(held(figure, max_series)?);
                stream.build().ok()
            });
        if let Some(reader) = reader {
            provider = provider.with_reader(reader);
        }
        let provider = provider.build();
        let meter = provider.meter("authcanary");
        let oldest_pending = Arc::new(Mutex::new(None));
        let since = Arc::clone(&oldest_pending);
        meter
            .f64_observable_gauge(OLDEST_PENDING.name)
            .with_description(OLDEST_PENDING.help)
            .with_unit(OLDEST_PENDING.unit)
            .with_callback(move |observer| observer.observe(age(*lock(&since)), &[]))
            .build();
        let instruments = Instruments::new(&meter);
        losses.count_in(&instruments.otlp_lost.to);
        let queues = exporters.start(&resource);
        if let Some(logs) = queues.logs() {
            logs::send_by(logs);
        }
        let telemetry = Self {
            instruments,
            series,
            registry,
            provider,
            queues,
            pages,
            location: location.into(),
            is_exposed: true,
            oldest_pending,
        };
        telemetry.start_at_zero();
        Ok(telemetry)
    }

    /// The same without a way out for Prometheus.
    #[must_use]
    pub fn without_prometheus(mut self) -> Self {
        self.is_exposed = false;
        self
    }

    /// Whether `/metrics` is to be served.
    pub fn is_exposed(&self) -> bool {
        self.is_exposed
    }

    fn start_at_zero(&self) {
        let to = &self.instruments;
        let mut build = vec![
            KeyValue::new("version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("location", StringValue::from(Arc::clone(&self.location))),
        ];
        // Dashboards and rules put the paths of pages behind it.
        let url = self.pages.as_deref().map(|url| url.trim_end_matches('/'));
        build.extend(url.map(|url| KeyValue::new("url", url.to_owned())));
        to.build_info.to.record(1, &build);
        to.browser_sessions.to.record(0, &[]);
        to.store_quarantined.to.record(0, &[]);
        to.store_waiting.to.record(0, &[]);
        to.series_overflow.to.add(0, &[]);
        self.set_alerts_firing([]);
    }

    /// Takes over the probes of a configuration: their series start at zero, those of probes that are gone vanish.
    pub fn watch<'a>(&self, probes: impl IntoIterator<Item = &'a Probe>) {
        let probes: Vec<&Probe> = probes.into_iter().collect();
        let names = probes.iter().map(|probe| probe.id.to_string()).collect();
        self.series.watch_probes(&names);
        let to = &self.instruments;
        for probe in probes {
            let labels = self.labels_of(probe);
            for outcome in Outcome::all() {
                let outcome = [("outcome", outcome.as_str())];
                self.of_probe(&to.runs, &labels, &outcome, |to, all| to.add(0, all));
            }
            if !self
                .series
                .has(Owner::Probe(&labels.probe), to.last_run.figure, "")
            {
                self.set_last_outcome(&labels, None);
            }
            for last in [&to.last_run, &to.last_success] {
                // A probe that stays keeps its times.
                if !self
                    .series
                    .has(Owner::Probe(&labels.probe), last.figure, "")
                {
                    self.of_probe(last, &labels, &[], |to, all| to.record(0.0, all));
                }
            }
        }
    }

    /// Takes over the channels of a configuration, like [`Self::watch`].
    pub fn watch_channels<'a>(&self, channels: impl IntoIterator<Item = &'a str>) {
        let channels: Vec<&str> = channels.into_iter().collect();
        let names = channels.iter().map(|&name| name.to_owned()).collect();
        self.series.watch_channels(&names);
        for channel in channels {
            for result in Delivery::iter() {
                self.add_notifications(channel, result, 0);
            }
        }
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
        self.of_probe(&to.runs, &labels, &outcome, |to, all| to.add(1, all));
        self.observe_duration(&to.run_duration, run, &labels, &outcome, run.duration_ms);
        for step in &run.steps {
            let stage = [("stage", step.stage.as_str())];
            self.observe_duration(&to.step_duration, run, &labels, &stage, step.duration_ms);
        }
        if let Some(verdict) = &run.verdict {
            self.add_failures(&labels, verdict, 1);
        }
        self.observe_time(run.outcome, run.started_at, run.duration_ms, &labels);
        let evidence = run.evidence.as_ref();
        if let Some(offset_ms) = evidence.and_then(|evidence| evidence.clock_offset_ms) {
            self.of_probe(&to.clock_offset, &labels, &[], |to, all| {
                to.record(offset_ms as f64 / 1e3, all);
            });
        }
    }

    /// Takes over when a run of an earlier process ended, and makes the series of its verdict. It is not counted again.
    pub fn remember(
        &self,
        probe: &Probe,
        outcome: Outcome,
        started_at: Timestamp,
        duration_ms: u64,
        verdict: Option<&Verdict>,
    ) {
        let labels = self.labels_of(probe);
        self.observe_time(outcome, started_at, duration_ms, &labels);
        if let Some(verdict) = verdict {
            self.add_failures(&labels, verdict, 0);
        }
    }

    fn observe_time(
        &self,
        outcome: Outcome,
        started_at: Timestamp,
        duration_ms: u64,
        labels: &Labels,
    ) {
        let ended = epoch_seconds(started_at) + seconds(duration_ms);
        let to = &self.instruments;
        self.of_probe(&to.last_run, labels, &[], |to, all| to.record(ended, all));
        self.set_last_outcome(labels, Some(outcome));
        if matches!(outcome, Outcome::Ok | Outcome::Degraded) {
            self.of_probe(&to.last_success, labels, &[], |to, all| {
                to.record(ended, all);
            });
        }
    }

    fn set_last_outcome(&self, labels: &Labels, last: Option<Outcome>) {
        for outcome in Outcome::all() {
            let is_last = u64::from(last == Some(outcome));
            let outcome = [("outcome", outcome.as_str())];
            let to = &self.instruments.last_outcome;
            self.of_probe(to, labels, &outcome, |to, all| to.record(is_last, all));
        }
    }

    fn observe_duration(
        &self,
        recorder: &Recorder<Histogram<f64>>,
        run: &Run,
        labels: &Labels,
        extra: &[(&'static str, &'static str)],
        duration_ms: u64,
    ) {
        let value = seconds(duration_ms);
        self.of_probe(recorder, labels, extra, |to, all| to.record(value, all));
        let ended = run
            .started_at
            .checked_add(Duration::from_millis(run.duration_ms));
        let exemplar = Exemplar {
            run: run.id,
            value,
            at: ended.unwrap_or(run.started_at),
        };
        let owner = Owner::Probe(&labels.probe);
        self.series
            .note(owner, recorder.figure, &detail(extra), exemplar);
    }

    fn add_failures(&self, labels: &Labels, verdict: &Verdict, runs: u64) {
        let verdict = [
            ("stage", verdict.stage.as_str()),
            ("class", verdict.class.as_str()),
            ("cause", verdict.cause.as_str()),
        ];
        let failures = &self.instruments.failures;
        self.of_probe(failures, labels, &verdict, |to, all| to.add(runs, all));
    }

    /// What expires next at a probe, per kind of thing, in seconds since the epoch. Kinds that are not named vanish.
    pub fn set_expiries(&self, probe: &Probe, next: &BTreeMap<&'static str, Timestamp>) {
        let expiry = &self.instruments.expiry;
        let kinds: Vec<&str> = next.keys().copied().collect();
        let labels = self.labels_of(probe);
        self.series
            .retain(Owner::Probe(&labels.probe), expiry.figure, &kinds);
        for (&kind, &at) in next {
            self.of_probe(expiry, &labels, &[("kind", kind)], |to, all| {
                to.record(epoch_seconds(at), all);
            });
        }
    }

    /// Share of the recent runs of a probe that failed, 0 to 1, as the alerts weigh it; `None` while there are too few.
    pub fn set_failure_ratio(&self, probe: &Probe, ratio: Option<f64>) {
        self.set_value(&self.instruments.failure_ratio, probe, ratio);
    }

    /// Share of runs of a probe that fail in quiet times, 0 to 1; `None` while it is not known.
    pub fn set_baseline_failure_ratio(&self, probe: &Probe, ratio: Option<f64>) {
        self.set_value(&self.instruments.baseline_failure_ratio, probe, ratio);
    }

    /// When something was deployed last that a probe goes through; `None` when no marker is known.
    pub fn set_last_deploy(&self, probe: &Probe, at: Option<Timestamp>) {
        let at = at.map(epoch_seconds);
        self.set_value(&self.instruments.last_deploy, probe, at);
    }

    fn set_value(&self, gauge: &Recorder<Gauge<f64>>, probe: &Probe, value: Option<f64>) {
        let labels = self.labels_of(probe);
        match value {
            Some(value) => self.of_probe(gauge, &labels, &[], |to, all| to.record(value, all)),
            None => self
                .series
                .retain(Owner::Probe(&labels.probe), gauge.figure, &[]),
        }
    }

    /// All alerts that are firing now, each with its severity and kind. Those that are not named are over.
    pub fn set_alerts_firing(
        &self,
        firing: impl IntoIterator<Item = (alert::Severity, alert::Kind)>,
    ) {
        let firing: Vec<_> = firing.into_iter().collect();
        for severity in alert::Severity::iter() {
            for kind in alert::Kind::iter() {
                let count = firing
                    .iter()
                    .filter(|&&one| one == (severity, kind))
                    .count();
                let labels = [
                    KeyValue::new("severity", <&'static str>::from(severity)),
                    KeyValue::new("kind", <&'static str>::from(kind)),
                ];
                self.instruments
                    .alerts_firing
                    .to
                    .record(count as u64, &labels);
            }
        }
    }

    /// Counts an attempt to hand a notice to a channel, by the name that the channel has in the configuration.
    pub fn observe_notification(&self, channel: &str, result: Delivery) {
        self.add_notifications(channel, result, 1);
    }

    fn add_notifications(&self, channel: &str, result: Delivery, attempts: u64) {
        let notifications = &self.instruments.notifications;
        let result: &'static str = result.into();
        let owner = Owner::Channel(channel);
        if self.admitted(owner, notifications.figure, result) {
            let labels = [
                KeyValue::new("channel", channel.to_owned()),
                KeyValue::new("result", result),
            ];
            notifications.to.add(attempts, &labels);
        }
    }

    /// When the notice was made that waits the longest for a channel to take it; `None` when none waits.
    pub fn set_notification_oldest_pending(&self, since: Option<Timestamp>) {
        *lock(&self.oldest_pending) = since;
    }

    /// Notes by how much a scheduled run started too late.
    pub fn observe_lateness(&self, lateness: Duration) {
        let lateness = lateness.as_secs_f64();
        self.instruments.start_lateness.to.record(lateness, &[]);
    }

    /// Browser sessions in use.
    pub fn set_browser_sessions(&self, sessions: usize) {
        let sessions = sessions as u64;
        self.instruments.browser_sessions.to.record(sessions, &[]);
    }

    /// Size of the store.
    pub fn set_store_bytes(&self, bytes: u64) {
        self.instruments.store_bytes.to.record(bytes, &[]);
    }

    /// Changes that wait in memory because the store cannot be written to.
    pub fn set_store_waiting(&self, changes: usize) {
        self.instruments
            .store_waiting
            .to
            .record(changes as u64, &[]);
    }

    /// The store could not be read at the start, and an empty one took its place.
    pub fn store_was_quarantined(&self) {
        self.instruments.store_quarantined.to.record(1, &[]);
    }

    /// A configuration was taken over, or refused and the old one kept.
    pub fn config_reloaded(&self, successful: bool) {
        let successful = u64::from(successful);
        self.instruments
            .config_last_reload_successful
            .to
            .record(successful, &[]);
    }

    /// Everything, as Prometheus reads it. Takes a while with thousands of probes.
    pub fn exposition(&self, format: Format) -> String {
        let mut printer = Printer::new(format);
        for family in self.registry.gather() {
            let Some(figure) = figures().find(|figure| figure.name == family.name()) else {
                continue;
            };
            let mut is_new = true;
            for metric in family.get_metric() {
                let pairs = metric.get_label().iter();
                let labels: Vec<_> = pairs.map(|label| (label.name(), label.value())).collect();
                let Some(exemplars) = self.series.shown(figure.name, &labels) else {
                    continue;
                };
                if std::mem::take(&mut is_new) {
                    printer.family(&family, figure);
                }
                printer.series(&family, metric, &exemplars);
            }
        }
        printer.finish()
    }

    /// Records something of a probe, where the probe is known and there is room for the series.
    fn of_probe<T>(
        &self,
        recorder: &Recorder<T>,
        labels: &Labels,
        extra: &[(&'static str, &'static str)],
        record: impl FnOnce(&T, &[KeyValue]),
    ) {
        let owner = Owner::Probe(&labels.probe);
        if !self.admitted(owner, recorder.figure, &detail(extra)) {
            return;
        }
        let extra = extra.iter().map(|&(key, value)| KeyValue::new(key, value));
        let all: Vec<KeyValue> = labels.base.iter().cloned().chain(extra).collect();
        record(&recorder.to, &all);
    }

    fn admitted(&self, owner: Owner<'_>, figure: &Figure, detail: &str) -> bool {
        match self.series.admit(owner, figure, detail) {
            Admission::Granted => true,
            Admission::Unknown => false,
            Admission::Full => {
                self.instruments.series_overflow.to.add(1, &[]);
                false
            }
        }
    }

    fn labels_of(&self, probe: &Probe) -> Labels {
        self.labels(&probe.provider, &probe.environment, probe.id.as_str())
    }

    fn labels(&self, provider: &str, environment: &str, probe: &str) -> Labels {
        Labels {
            base: [
                KeyValue::new("provider", provider.to_owned()),
                KeyValue::new("environment", environment.to_owned()),
                KeyValue::new("probe", probe.to_owned()),
                KeyValue::new("location", StringValue::from(Arc::clone(&self.location))),
            ],
            probe: probe.to_owned(),
        }
    }
}

/// The labels of all figures of a probe.
struct Labels {
    base: [KeyValue; PROBE_LABELS.len()],
    probe: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since then.
fn age(since: Option<Timestamp>) -> f64 {
    let age = since.map(|since| clock::now().duration_since(since).as_secs_f64());
    age.unwrap_or(0.0).max(0.0)
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn epoch_seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1e3
}
