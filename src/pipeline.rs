//! From a due probe to a finished record. Does not care where the journey ran.

mod control;
mod rehearsal;

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use jiff::Timestamp;
use uuid::Uuid;

use crate::clock;
use crate::correlation;
use crate::journey::{self, Tools};
use crate::probe::Probe;
use crate::run::{Fault, Finding, RUN_VERSION, Run, RunId, Stop, Walk};
use crate::taxonomy::{Class, Outcome, Stage};
use crate::verdict;

pub use control::Control;

/// A new run id, sorted by time.
pub fn new_run_id() -> RunId {
    RunId(Uuid::now_v7())
}

/// Walks the journey, judges what stopped it, and gives the record. A panic on the way is a fault of ours like any other.
pub async fn execute(
    probe: &Probe,
    id: RunId,
    location: &str,
    scheduled_at: Option<Timestamp>,
    tools: &Tools,
) -> Run {
    let started_at = clock::stamp();
    let walk = AssertUnwindSafe(journey::run(probe, id, tools))
        .catch_unwind()
        .await;
    let mut walk = walk.unwrap_or_else(|_| broken());
    if let Some(offset_ms) = walk.evidence.clock_offset_ms {
        walk.context
            .insert("clock_offset_ms".to_owned(), offset_ms.into());
    }
    walk.evidence.correlation = correlation::of(&walk.evidence, walk.stop.as_ref());
    walk.context
        .insert("now".to_owned(), clock::now().to_string().into());
    let verdict = walk.stop.as_ref().map(|stop| {
        verdict::judge(
            stop,
            &verdict::Known {
                provider: &probe.provider,
                errors: &probe.errors,
                page: walk.evidence.page.as_ref(),
                context: Some(&walk.context),
            },
        )
    });
    let outcome = match &verdict {
        Some(verdict) => verdict.class.outcome(),
        None if walk.warnings.is_empty() => Outcome::Ok,
        None => Outcome::Degraded,
    };
    Run {
        version: RUN_VERSION,
        id,
        probe: probe.id.clone(),
        provider: probe.provider.clone(),
        environment: probe.environment.clone(),
        location: location.to_owned(),
        scheduled_at,
        started_at,
        duration_ms: u64::try_from(clock::now().duration_since(started_at).as_millis())
            .unwrap_or(0),
        outcome,
        verdict,
        steps: walk.steps,
        warnings: walk.warnings,
        evidence: Some(walk.evidence),
    }
}

/// What is left of a journey that panicked. The panic itself is in the log.
fn broken() -> Walk {
    let finding = Finding::new(
        Class::Internal,
        "this program failed on the way; its log has the place",
    );
    Walk {
        stop: Some(Stop {
            stage: Stage::Monitor,
            fault: Fault::Monitor(finding),
        }),
        ..Walk::default()
    }
}
