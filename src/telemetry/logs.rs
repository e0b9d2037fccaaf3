//! The log on its way to a collector: the same messages as on stderr, with the trace of the run that they belong to.

use std::future::Future;
use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use super::traces;
use crate::run::{Part, RunId};

type Way = OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>;

/// The log begins before the configuration is read that says where it is sent.
static WAY: OnceLock<Way> = OnceLock::new();

/// From now on what is logged is sent as well.
pub(super) fn send_by(provider: &SdkLoggerProvider) {
    // A process has one log; whoever came first has it.
    let _ = WAY.set(Way::new(provider));
}

/// Passes messages of this program on. Those of others are left out: at low levels HTTP clients log what they send, and
/// what sends the log must not log about it.
#[derive(Debug)]
pub struct LogLayer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        if is_ours(event.metadata().target())
            && let Some(way) = WAY.get()
        {
            way.on_event(event, context);
        }
    }
}

fn is_ours(target: &str) -> bool {
    target
        .strip_prefix("authcanary")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Does the work of a run: what is logged meanwhile belongs to its trace.
pub fn within<F: Future>(run: RunId, work: F) -> impl Future<Output = F::Output> {
    let span = SpanContext::new(
        traces::trace_id(run),
        traces::span_id(run, Part::Run),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    work.with_context(Context::new().with_remote_span_context(span))
}
