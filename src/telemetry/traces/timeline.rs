//! When each step of a run took place. A record says how long its steps took and when requests began; steps follow one
//! another, so the rest can be told. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::run::{Evidence, Run};
use crate::taxonomy::Stage;

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Span {
    fn new(start: Timestamp, duration_ms: u64) -> Self {
        Self {
            start,
            end: after_us(start, duration_ms.saturating_mul(1000)),
        }
    }
}

/// Later by so many microseconds.
pub(super) fn after_us(start: Timestamp, us: u64) -> Timestamp {
    let duration = SignedDuration::from_micros(i64::try_from(us).unwrap_or(i64::MAX));
    start.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// The run as a whole: all that is known of it lies within.
pub(super) fn whole(run: &Run) -> Span {
    Span::new(run.started_at, run.duration_ms)
}

/// One stretch for each step. A step does not begin before the one before it has ended, nor after its first request.
pub(super) fn steps(run: &Run, evidence: &Evidence) -> Vec<Span> {
    let mut free_from = run.started_at;
    let mut spans: Vec<Span> = Vec::with_capacity(run.steps.len());
    for step in &run.steps {
        let begun = begun(evidence, step.stage, free_from);
        let span = Span::new(begun.unwrap_or(free_from), step.duration_ms);
        free_from = span.end;
        spans.push(span);
    }
    lean_on_next(run, &mut spans, evidence);
    open_with_browser(run, &mut spans, evidence);
    spans
}

/// When the first request of a step went out.
fn begun(evidence: &Evidence, stage: Stage, free_from: Timestamp) -> Option<Timestamp> {
    if stage == Stage::Authorize {
        return evidence.browser_started_at.map(|at| at.max(free_from));
    }
    let mut begun = requests(evidence, stage);
    begun.find(|begun| *begun >= free_from)
}

fn requests(evidence: &Evidence, stage: Stage) -> impl Iterator<Item = Timestamp> {
    let exchanges = evidence.exchanges.iter();
    exchanges
        .filter(move |exchange| exchange.stage == stage)
        .map(|exchange| exchange.started_at)
}

/// Steps without a request of their own end where the next one begins: the time between lies before them, such as
/// that in which a browser was opened.
fn lean_on_next(run: &Run, spans: &mut [Span], evidence: &Evidence) {
    for index in (0..spans.len().saturating_sub(1)).rev() {
        let gap = spans[index + 1].start.duration_since(spans[index].end);
        let has_requests = requests(evidence, run.steps[index].stage).next().is_some();
        if !has_requests && gap.is_positive() {
            let Span { start, .. } = spans[index];
            spans[index] = Span {
                start: start.checked_add(gap).unwrap_or(start),
                end: spans[index + 1].start,
            };
        }
    }
}

/// The first page is asked for while the browser's part is set up.
fn open_with_browser(run: &Run, spans: &mut [Span], evidence: &Evidence) {
    let authorize = run
        .steps
        .iter()
        .position(|step| step.stage == Stage::Authorize);
    if let (Some(index), Some(opened)) = (authorize, evidence.browser_started_at) {
        let free_from = index.checked_sub(1).map(|before| spans[before].end);
        let opened = free_from.map_or(opened, |free_from| opened.max(free_from));
        spans[index].start = spans[index].start.min(opened);
    }
}
