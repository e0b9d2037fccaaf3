//! From a due probe to a finished record. Does not care where the journey ran.

use jiff::Timestamp;
use uuid::Uuid;

use crate::clock;
use crate::journey::{self, Tools};
use crate::probe::Probe;
use crate::run::{RUN_VERSION, Run, RunId};
use crate::taxonomy::Outcome;

/// A new run id, sorted by time.
pub fn new_run_id() -> RunId {
    RunId(Uuid::now_v7())
}

/// Walks the journey, judges it, and gives the record.
pub async fn execute(
    probe: &Probe,
    id: RunId,
    location: &str,
    scheduled_at: Option<Timestamp>,
    tools: &Tools,
) -> Run {
    let started_at = clock::now();
    let walk = journey::run(probe, tools).await;
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
        outcome: Outcome::Ok,
        verdict: None,
        steps: walk.steps,
        warnings: walk.warnings,
        evidence: Some(walk.evidence),
    }
}
