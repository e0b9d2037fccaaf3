//! The way out over OTLP: traces, figures and logs to a collector.
//!
//! A collector that is dead, slow or refuses never holds a probe up: whatever is to be sent waits in a queue with a
//! limit, threads of their own send it, every attempt has a limit as well, and what did not get through is counted.

mod figures;
mod guard;
mod plan;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::metrics::Counter;
use opentelemetry_otlp::{LogExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{self, BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};
use opentelemetry_sdk::trace::{self, BatchSpanProcessor, SpanData, SpanProcessor};
use tokio::runtime::Handle;
use url::Url;

use super::series::Series;
use crate::http::HttpError;
use crate::secret::{SecretRef, TextOrSecret};

use figures::{FigureExporter, Way};
use guard::{Bounded, Guard, State};
pub use plan::{Plan, Plans};

/// The `telemetry.otlp` section of the daemon file. What it leaves out the `OTEL_*` variables may say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Address of the collector; the paths of OTLP over HTTP are put behind it.
    pub endpoint: Option<Url>,
    pub protocol: Option<Protocol>,
    pub headers: BTreeMap<String, TextOrSecret>,
    /// Limit of one attempt to send.
    pub timeout: Option<Duration>,
    /// What is sent; everything when left out.
    pub signals: Option<Vec<Signal>>,
    pub gzip: Option<bool>,
    /// PEM file of certificate authorities that are trusted beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// Proves this daemon to a collector that wants to know.
    pub client: Option<ClientCertificate>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file of the certificate and those between it and its authority.
    pub cert_file: PathBuf,
    /// PEM of the private key.
    pub key: SecretRef,
}

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    HttpProtobuf,
    Grpc,
}

/// What OTLP carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];

    /// As it stands in labels and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// Why nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    #[error("{name} is not an address that begins with http:// or https://")]
    Address { name: String },
    #[error("telemetry.otlp.headers: {name} is not a header, or its value is none")]
    Header { name: String },
    #[error("telemetry.otlp: the certificate authorities are not usable")]
    Authorities(#[source] HttpError),
    #[error("telemetry.otlp: cannot read the client certificate {path}")]
    ClientCertificate {
        path: PathBuf,
        source: rustls::pki_types::pem::Error,
    },
    #[error("telemetry.otlp: the key of the client certificate is not to be had")]
    ClientKey(#[source] crate::vault::VaultError),
    #[error("telemetry.otlp: the key of the client certificate is no private key in PEM")]
    ClientKeyForm,
    #[error("telemetry.otlp: client certificate and key do not work together")]
    ClientPair(#[source] rustls::Error),
    #[error("telemetry.otlp: the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
    #[error("telemetry.otlp")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Reads what is to be sent where: the file first, then the environment of the process.
pub fn plan(file: Option<&Settings>) -> Result<Plans, OtlpError> {
    plan::plan(file, |name| {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    })
}

/// The ways out that are set up, before the first figure: figures need theirs when their pipeline is made. By default
/// there are none.
#[derive(Default)]
pub struct Exporters {
    spans: Option<Outlet<SpanExporter>>,
    metrics: Option<Figures>,
    logs: Option<Outlet<LogExporter>>,
    /// Share of the traces that is sent, from 0 to 1.
    sampled: f64,
}

/// Figures lack the table of what is shown until their pipeline is made.
struct Figures {
    way: Way,
    temporality: Temporality,
    state: State,
}

struct Outlet<E> {
    guard: Guard<E>,
    queue: usize,
}

impl Exporters {
    /// Sets the ways out up, on the runtime that it is called in. Nothing is sent yet, and no collector need be there.
    pub async fn new(plans: &Plans) -> Result<Self, OtlpError> {
        let mut exporters = Self {
            spans: None,
            metrics: None,
            logs: None,
            sampled: plans.sampled,
        };
        for plan in &plans.signals {
            let wire = wire::Wire::new(plan).await?;
            let state = State::new(plan, wire.headers(), Handle::current());
            match plan.signal {
                Signal::Traces => {
                    exporters.spans = Some(Outlet::new(wire.spans(&state)?, state, plan));
                }
                Signal::Metrics => {
                    exporters.metrics = Some(Figures {
                        way: wire.figures(state.clone())?,
                        temporality: plans.temporality,
                        state,
                    });
                }
                Signal::Logs => {
                    exporters.logs = Some(Outlet::new(wire.logs(&state)?, state, plan));
                }
            }
        }
        Ok(exporters)
    }

    /// Without figures: those of a process that ends at once say nothing, and would pass for the daemon's.
    #[must_use]
    pub fn without_metrics(self) -> Self {
        Self {
            metrics: None,
            ..self
        }
    }

    /// The reader that sends the figures that `series` shows, for the pipeline they come from.
    pub(super) fn take_reader(
        &mut self,
        series: &Arc<Series>,
    ) -> (Option<PeriodicReader<Guard<FigureExporter>>>, Losses) {
        let states = [
            self.spans.as_ref().map(|outlet| outlet.guard.state()),
            self.metrics.as_ref().map(|figures| figures.state.clone()),
            self.logs.as_ref().map(|outlet| outlet.guard.state()),
        ];
        let reader = self.metrics.take().map(|figures| {
            let Figures {
                way,
                temporality,
                state,
            } = figures;
            let exporter = FigureExporter::new(way, temporality, Arc::clone(series));
            PeriodicReader::builder(Guard::new(exporter, state)).build()
        });
        (reader, Losses(states.into_iter().flatten().collect()))
    }

    /// Starts the queues of traces and logs.
    pub(super) fn start(self, resource: &Resource) -> Queues {
        let traces = self.spans.map(|outlet| {
            let config = trace::BatchConfigBuilder::default().with_max_queue_size(outlet.queue);
            let state = outlet.guard.state();
            let mut processor = BatchSpanProcessor::builder(outlet.guard)
                .with_batch_config(config.build())
                .build();
            processor.set_resource(resource);
            Traces { processor, state }
        });
        let logs = self.logs.map(|outlet| {
            let config = logs::BatchConfigBuilder::default().with_max_queue_size(outlet.queue);
            let state = outlet.guard.state();
            let processor = BatchLogProcessor::builder(outlet.guard)
                .with_batch_config(config.build())
                .build();
            let provider = SdkLoggerProvider::builder()
                .with_resource(resource.clone())
                .with_log_processor(Bounded::new(processor, state.clone()))
                .build();
            Logs { provider, state }
        });
        Queues {
            traces,
            logs,
            sampled: self.sampled,
        }
    }
}

impl<E> Outlet<E> {
    fn new(exporter: E, state: State, plan: &Plan) -> Self {
        Self {
            guard: Guard::new(exporter, state),
            queue: plan.queue,
        }
    }
}

/// What counts losses, once the figures are there.
pub(super) struct Losses(Vec<State>);

impl Losses {
    /// From now on losses show in `counter`.
    pub(super) fn count_in(&self, counter: &Counter<u64>) {
        for signal in Signal::ALL {
            for reason in guard::REASONS {
                counter.add(0, &guard::labels(signal, reason));
            }
        }
        for state in &self.0 {
            state.count_in(counter.clone());
        }
    }
}

/// The queues at work.
pub(super) struct Queues {
    traces: Option<Traces>,
    logs: Option<Logs>,
    sampled: f64,
}

struct Traces {
    processor: BatchSpanProcessor,
    state: State,
}

struct Logs {
    provider: SdkLoggerProvider,
    state: State,
}

impl Queues {
    /// Where the log is sent by.
    pub(super) fn logs(&self) -> Option<&SdkLoggerProvider> {
        self.logs.as_ref().map(|logs| &logs.provider)
    }

    /// Whether a run of this trace is to be sent.
    pub(super) fn wants(&self, trace: opentelemetry::TraceId) -> bool {
        self.traces.is_some() && plan::is_sampled(self.sampled, trace.to_bytes())
    }

    /// Queues a trace, or counts it as lost where there is no room: whole, as half a trace misleads. Never waits.
    pub(super) fn send(&self, spans: Vec<SpanData>) {
        let Some(traces) = &self.traces else {
            return;
        };
        if traces.state.admit(spans.len()) {
            for span in spans {
                traces.processor.on_end(span);
            }
        }
    }

    /// Sends what waits, as far as that is possible within `limit`, and says whether all of it was taken. Blocks.
    pub(super) fn shutdown(&self, limit: Duration) -> bool {
        std::thread::scope(|scope| {
            if let Some(traces) = &self.traces {
                scope.spawn(|| traces.processor.shutdown_with_timeout(limit));
            }
            if let Some(logs) = &self.logs {
                scope.spawn(|| logs.provider.shutdown_with_timeout(limit));
            }
        });
        let traces = self.traces.as_ref().map(|traces| &traces.state);
        let logs = self.logs.as_ref().map(|logs| &logs.state);
        traces.into_iter().chain(logs).all(State::is_through)
    }
}
