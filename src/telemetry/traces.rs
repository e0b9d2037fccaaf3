//! A finished run as a trace: a span for the run, a child for each step, and under the steps one for each request that
//! the probe or its browser sent. Made of what the record holds, which is redacted already. Pure.
//!
//! Names follow the semantic conventions of OpenTelemetry; what they have no name for begins with `authcanary.`.

mod attributes;
mod timeline;

use std::borrow::Cow;
use std::time::SystemTime;

use jiff::Timestamp;
use opentelemetry::trace::{
    Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, EXCEPTION_MESSAGE, EXCEPTION_TYPE,
};

use crate::run::{Evidence, Exchange, Part, Run, RunId, StepRecord, Verdict};
use crate::taxonomy::{Outcome, Stage};

use timeline::{Span, after_us};

/// Trace of a run.
pub(super) fn trace_id(run: RunId) -> TraceId {
    TraceId::from_bytes(run.trace_id().to_bytes())
}

/// Span of a part of a run.
pub(super) fn span_id(run: RunId, part: Part) -> SpanId {
    SpanId::from_bytes(run.trace_id().span(part).to_bytes())
}

/// All spans of a run, the run itself first. `page` is the address of the run's page.
pub(super) fn spans(run: &Run, page: Option<&str>) -> Vec<SpanData> {
    let nothing = Evidence::default();
    let evidence = run.evidence.as_ref().unwrap_or(&nothing);
    let steps = timeline::steps(run, evidence);
    let view = View {
        run,
        evidence,
        steps,
        scope: scope(),
    };
    let mut spans = vec![view.whole(page)];
    spans.extend((0..run.steps.len()).map(|index| view.step(index)));
    spans.extend((0..evidence.exchanges.len()).map(|index| view.exchange(index)));
    spans.extend((0..evidence.hops.len()).filter_map(|index| view.hop(index)));
    hold_children(&mut spans);
    spans
}

/// Records count in whole milliseconds, and clocks are set at times: a parent is stretched over its children, which
/// stand behind it in the list.
fn hold_children(spans: &mut [SpanData]) {
    for child in (1..spans.len()).rev() {
        let (start, end) = (spans[child].start_time, spans[child].end_time);
        let parent = spans[child].parent_span_id;
        let parent = spans[..child]
            .iter_mut()
            .find(|span| span.span_context.span_id() == parent);
        if let Some(parent) = parent {
            parent.start_time = parent.start_time.min(start);
            parent.end_time = parent.end_time.max(end);
        }
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("authcanary")
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

struct View<'a> {
    run: &'a Run,
    evidence: &'a Evidence,
    steps: Vec<Span>,
    scope: InstrumentationScope,
}

impl View<'_> {
    fn whole(&self, page: Option<&str>) -> SpanData {
        let run = self.run;
        let name = format!("run {}", run.probe);
        let mut span = self.span(Part::Run, None, name, timeline::whole(run));
        span.attributes.extend(attributes::of_run(run, page));
        for warning in &run.warnings {
            let attributes = attributes::of_warning(warning);
            let event = Event::new("authcanary.warning", span.end_time, attributes, 0);
            span.events.events.push(event);
        }
        if let Some(verdict) = &run.verdict {
            fail(&mut span, verdict.class.as_str(), &verdict.detail);
            if self.failed_step().is_none() {
                raise(&mut span, verdict.class.as_str(), &verdict.detail);
            }
        }
        span
    }

    fn step(&self, index: usize) -> SpanData {
        let step = &self.run.steps[index];
        let part = Part::Step(number(index));
        let mut span = self.span(
            part,
            Some(Part::Run),
            step.stage.as_str(),
            self.steps[index],
        );
        span.attributes.extend(attributes::of_step(self.run, step));
        if let Some(verdict) = self.verdict_of(index) {
            fail(&mut span, verdict.class.as_str(), &verdict.detail);
            raise(&mut span, verdict.class.as_str(), &verdict.detail);
        }
        span
    }

    fn exchange(&self, index: usize) -> SpanData {
        let exchange = &self.evidence.exchanges[index];
        let took = Span {
            start: exchange.started_at,
            end: after_us(exchange.started_at, exchange.timings.total_us),
        };
        let step = self.step_of(exchange);
        let parent = step.map_or(Part::Run, |step| Part::Step(number(step)));
        let name = attributes::span_name(&exchange.method);
        let part = Part::Exchange(number(index));
        let mut span = self.span(part, Some(parent), name, took);
        if let Some(sent) = exchange.span_id {
            // The very span that the provider may have been told.
            span.span_context = self.context(SpanId::from_bytes(sent.to_bytes()));
        }
        span.span_kind = SpanKind::Client;
        span.attributes.extend(attributes::of_exchange(exchange));
        if let Some(error) = &exchange.error {
            let kind = self.class_of_last(index);
            fail(&mut span, kind, error);
            raise(&mut span, kind, error);
        } else if let Some(status) = exchange.status.filter(|status| *status >= 400)
            && step.is_none_or(|step| !passed(&self.run.steps[step]))
        {
            // A refusal that the step asked for is no error.
            fail(&mut span, status.to_string(), "");
        }
        span
    }

    /// `None` where it is not known when the browser's part began.
    fn hop(&self, index: usize) -> Option<SpanData> {
        let hop = &self.evidence.hops[index];
        let opened = self.evidence.browser_started_at?;
        let start = at_ms(opened, hop.at_ms);
        let step = self.step_at(start);
        let parent = step.map_or(Part::Run, |step| Part::Step(number(step)));
        let took = Span {
            start,
            end: self.end_of_hop(index, opened, step),
        };
        let name = attributes::span_name(&hop.method);
        let part = Part::Hop(number(index));
        let mut span = self.span(part, Some(parent), name, took);
        span.span_kind = SpanKind::Client;
        span.attributes.extend(attributes::of_hop(hop));
        if let Some(error) = &hop.error {
            fail(&mut span, error.clone(), "");
            raise(&mut span, error.clone(), "the browser could not load this");
        } else if let Some(status) = hop.status.filter(|status| *status >= 400) {
            fail(&mut span, status.to_string(), "");
        }
        Some(span)
    }

    /// One that was held back, or never ended, is over when the next one begins, at the latest with its step.
    fn end_of_hop(&self, index: usize, opened: Timestamp, step: Option<usize>) -> Timestamp {
        let hops = &self.evidence.hops;
        let start = at_ms(opened, hops[index].at_ms);
        if let Some(took) = hops[index].took_ms {
            return at_ms(start, took);
        }
        let next = hops.get(index + 1).map(|next| at_ms(opened, next.at_ms));
        let step = step.map(|step| self.steps[step].end);
        let ends = [next, step].into_iter().flatten();
        ends.filter(|end| *end >= start).min().unwrap_or(start)
    }

    /// The step that sent a request: of its stage, and if there are several, the last that had begun.
    fn step_of(&self, exchange: &Exchange) -> Option<usize> {
        let of_stage = (0..self.run.steps.len())
            .filter(|index| self.run.steps[*index].stage == exchange.stage)
            .collect::<Vec<_>>();
        let begun = of_stage
            .iter()
            .rev()
            .find(|index| self.steps[**index].start <= exchange.started_at);
        begun.or(of_stage.first()).copied()
    }

    /// The browser's step at a time.
    fn step_at(&self, at: Timestamp) -> Option<usize> {
        let of_browser = |index: &usize| {
            matches!(
                self.run.steps[*index].stage,
                Stage::Authorize | Stage::Login | Stage::Mfa | Stage::Consent | Stage::Logout
            )
        };
        let mut browser = (0..self.steps.len()).filter(of_browser);
        let begun = browser
            .clone()
            .rfind(|index| self.steps[*index].start <= at);
        begun.or_else(|| browser.next())
    }

    /// The last step, if the run stopped in it.
    fn failed_step(&self) -> Option<usize> {
        let last = self.run.steps.len().checked_sub(1)?;
        (!passed(&self.run.steps[last])).then_some(last)
    }

    fn verdict_of(&self, step: usize) -> Option<&Verdict> {
        let failed = self.failed_step().filter(|failed| *failed == step);
        failed.and(self.run.verdict.as_ref())
    }

    /// What a run stopped at is told by its verdict; a request that failed on the way has no word of its own.
    fn class_of_last(&self, exchange: usize) -> &'static str {
        let is_last = exchange + 1 == self.evidence.exchanges.len();
        let verdict = self.run.verdict.as_ref().filter(|_| is_last);
        verdict.map_or("_OTHER", |verdict| verdict.class.as_str())
    }

    fn span(
        &self,
        part: Part,
        parent: Option<Part>,
        name: impl Into<Cow<'static, str>>,
        took: Span,
    ) -> SpanData {
        let run = self.run.id;
        SpanData {
            span_context: self.context(span_id(run, part)),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| span_id(run, parent)),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: system(took.start),
            end_time: system(took.end.max(took.start)),
            attributes: vec![attributes::synthetic()],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }
}

impl View<'_> {
    fn context(&self, span: SpanId) -> SpanContext {
        let trace = trace_id(self.run.id);
        SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE)
    }
}

fn passed(step: &StepRecord) -> bool {
    matches!(step.outcome, Outcome::Ok | Outcome::Degraded)
}

fn fail(span: &mut SpanData, kind: impl Into<Cow<'static, str>>, description: &str) {
    span.attributes
        .push(KeyValue::new(ERROR_TYPE, kind.into().into_owned()));
    span.status = Status::error(attributes::limited(description));
}

fn raise(span: &mut SpanData, kind: impl Into<Cow<'static, str>>, message: &str) {
    let attributes = vec![
        KeyValue::new(EXCEPTION_TYPE, kind.into().into_owned()),
        KeyValue::new(EXCEPTION_MESSAGE, attributes::limited(message)),
    ];
    let event = Event::new("exception", span.end_time, attributes, 0);
    span.events.events.push(event);
}

fn number(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

fn at_ms(start: Timestamp, ms: u64) -> Timestamp {
    after_us(start, ms.saturating_mul(1000))
}

fn system(at: Timestamp) -> SystemTime {
    SystemTime::from(at)
}

#[cfg(test)]
mod tests;
