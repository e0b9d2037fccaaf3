//! Stands before an exporter: gives each attempt a limit, counts what is lost, and says once when a collector stops
//! taking things and once when it takes them again. Nothing that waits here is more than the queue's limit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::{Either, select};
use opentelemetry::InstrumentationScope;
use opentelemetry::KeyValue;
use opentelemetry::logs::LogRecord;
use opentelemetry::metrics::Counter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter, LogProcessor, SdkLogRecord};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio::time::Sleep;

use super::wire::Headers;
use super::{Plan, Signal};
use crate::clock;

/// There was no room.
const QUEUE_FULL: &str = "queue_full";
/// The collector did not take it, or not in time.
const NOT_TAKEN: &str = "not_taken";

/// Why something was lost, as labels.
pub(super) const REASONS: [&str; 2] = [QUEUE_FULL, NOT_TAKEN];

/// The labels of a loss.
pub(super) fn labels(signal: Signal, reason: &'static str) -> [KeyValue; 2] {
    [
        KeyValue::new("signal", signal.as_str()),
        KeyValue::new("reason", reason),
    ]
}

/// What is known of one signal's way out. Cheap to clone.
#[derive(Clone)]
pub(super) struct State(Arc<Inner>);

struct Inner {
    signal: Signal,
    /// Without path, for the log.
    collector: String,
    limit: Duration,
    headers: Headers,
    runtime: Handle,
    /// Things that may wait.
    queue: usize,
    waiting: AtomicUsize,
    failing: AtomicBool,
    /// What the connection said of the last failure.
    trouble: Mutex<Option<String>>,
    lost: OnceLock<Counter<u64>>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.0.signal).finish()
    }
}

impl State {
    pub(super) fn new(plan: &Plan, headers: Headers, runtime: Handle) -> Self {
        Self(Arc::new(Inner {
            signal: plan.signal,
            collector: plan.endpoint.origin().ascii_serialization(),
            limit: plan.timeout,
            headers,
            runtime,
            queue: plan.queue,
            waiting: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            trouble: Mutex::new(None),
            lost: OnceLock::new(),
        }))
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    pub(super) fn count_in(&self, counter: Counter<u64>) {
        // A second pipeline does not take the first one's place.
        let _ = self.0.lost.set(counter);
    }

    /// Notes what a connection said before the exporter forgets it.
    pub(super) fn note_trouble(&self, trouble: String) {
        *self.trouble() = Some(trouble);
    }

    /// Whether the last of it was taken, and nothing waits.
    pub(super) fn is_through(&self) -> bool {
        !self.0.failing.load(Ordering::Acquire) && self.0.waiting.load(Ordering::Acquire) == 0
    }

    /// Whether there is room for so many more; what has none is counted as lost.
    pub(super) fn admit(&self, count: usize) -> bool {
        let room = self
            .0
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
                waiting
                    .checked_add(count)
                    .filter(|waiting| *waiting <= self.0.queue)
            });
        if room.is_err() {
            self.lose(count, QUEUE_FULL);
        }
        room.is_ok()
    }

    /// Makes one attempt, within the limit.
    async fn attempt(
        &self,
        count: usize,
        export: impl Future<Output = OTelSdkResult>,
    ) -> OTelSdkResult {
        let refreshed = self.0.runtime.spawn(self.0.headers.clone().refresh());
        // Whoever keeps a secret has limits of its own; a panic there leaves the headers as they were.
        let _ = refreshed.await;
        let limit = self.pause(self.0.limit);
        let result = match select(std::pin::pin!(export), limit).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(OTelSdkError::Timeout(self.0.limit)),
        };
        match &result {
            Ok(()) => self.taken(),
            Err(error) => self.refused(count, error),
        }
        result
    }

    /// Waits on whichever thread asks.
    pub(super) fn pause(&self, time: Duration) -> Pin<Box<Sleep>> {
        let _runtime = self.0.runtime.enter();
        Box::pin(tokio::time::sleep(time))
    }

    fn leave_queue(&self, count: usize) {
        self.0.waiting.fetch_sub(count, Ordering::AcqRel);
    }

    fn taken(&self) {
        *self.trouble() = None;
        if self.0.failing.swap(false, Ordering::AcqRel) {
            tracing::info!(
                signal = self.0.signal.as_str(),
                collector = self.0.collector,
                "the collector takes telemetry again"
            );
        }
    }

    fn refused(&self, count: usize, error: &OTelSdkError) {
        self.lose(count, NOT_TAKEN);
        self.0.headers.doubt();
        let trouble = self.trouble().take();
        let reason = trouble.unwrap_or_else(|| error.to_string());
        let (signal, collector) = (self.0.signal.as_str(), &self.0.collector);
        if self.0.failing.swap(true, Ordering::AcqRel) {
            tracing::debug!(
                signal,
                collector,
                reason,
                "the collector still takes no telemetry"
            );
        } else {
            tracing::warn!(
                signal,
                collector,
                reason,
                "the collector takes no telemetry: probes and records go on without it"
            );
        }
    }

    fn lose(&self, count: usize, reason: &'static str) {
        if let Some(counter) = self.0.lost.get() {
            counter.add(count as u64, &labels(self.0.signal, reason));
        }
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.0
            .trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exporter under guard.
pub(crate) struct Guard<E> {
    exporter: E,
    state: State,
}

impl<E> fmt::Debug for Guard<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.state).finish()
    }
}

impl<E> Guard<E> {
    pub(super) fn new(exporter: E, state: State) -> Self {
        Self { exporter, state }
    }

    pub(super) fn state(&self) -> State {
        self.state.clone()
    }
}

impl<E: SpanExporter> SpanExporter for Guard<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let result = self.state.attempt(count, self.exporter.export(batch)).await;
        self.state.leave_queue(count);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: LogExporter> LogExporter for Guard<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count();
        let result = self.state.attempt(count, self.exporter.export(batch)).await;
        self.state.leave_queue(count);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Guard<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        // A round of figures is one thing; the next one says all of it again.
        self.state.attempt(1, self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// Lets records into a queue as long as there is room.
#[derive(Debug)]
pub(super) struct Bounded<P> {
    processor: P,
    state: State,
}

impl<P> Bounded<P> {
    pub(super) fn new(processor: P, state: State) -> Self {
        Self { processor, state }
    }
}

impl<P: LogProcessor> LogProcessor for Bounded<P> {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.state.admit(1) {
            // Whoever made it only noted when it was observed, and some receivers do not look there.
            record.set_timestamp(SystemTime::from(clock::now()));
            // The place in the source, which names nothing that lasts.
            record.set_event_name("");
            self.processor.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}
