//! Shapes of the JSON answers. A run has the shape of [`Run`] itself, here and on the command line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::board::Slot;
use crate::expiry::Expiry;
use crate::probe::{Cadence, Flow, ProbeId};
use crate::run::{Run, RunId};
use crate::store::Brief;
use crate::taxonomy::Outcome;

/// Runs, newest first.
#[derive(Serialize)]
pub(super) struct Runs {
    pub(super) runs: Vec<Run>,
    /// Give this as `before` for the runs that follow; absent when these are the last.
    pub(super) next_before: Option<RunId>,
}

/// Probes, by name.
#[derive(Serialize)]
pub(super) struct Probes {
    pub(super) probes: Vec<Probe>,
}

/// One probe and how it does.
#[derive(Serialize)]
pub(super) struct Probe {
    id: ProbeId,
    provider: String,
    environment: String,
    flow: Flow,
    /// Seconds, where it runs at intervals.
    every_s: Option<f64>,
    /// Where it runs by a pattern.
    cron: Option<String>,
    next_start_at: Option<Timestamp>,
    running: Option<RunId>,
    /// Outcome of the last run; absent before the first.
    outcome: Option<Outcome>,
    last_run: Option<Brief>,
    /// What ends some day, the first to end first. A time in the past has come.
    expires: Vec<Expiry>,
}

impl Probe {
    pub(super) fn new(slot: &Slot, last_run: Option<Brief>, expires: Vec<Expiry>) -> Self {
        let probe = &slot.probe;
        let (every_s, cron) = match &probe.cadence {
            Cadence::Every(period) => (Some(period.as_secs_f64()), None),
            Cadence::Cron { pattern, .. } => (None, Some(pattern.clone())),
        };
        Self {
            id: probe.id.clone(),
            provider: probe.provider.clone(),
            environment: probe.environment.clone(),
            flow: probe.flow,
            every_s,
            cron,
            next_start_at: slot.next,
            running: slot.running,
            outcome: last_run.as_ref().map(|run| run.outcome),
            last_run,
            expires,
        }
    }
}

/// A run that has started and not ended.
#[derive(Serialize)]
pub(super) struct UnderWay {
    pub(super) id: RunId,
    pub(super) probe: ProbeId,
    pub(super) state: &'static str,
}

impl UnderWay {
    pub(super) fn new(id: RunId, probe: ProbeId) -> Self {
        Self {
            id,
            probe,
            state: "running",
        }
    }
}

/// Whether the daemon works.
#[derive(Serialize)]
pub(super) struct Ready {
    pub(super) ready: bool,
    pub(super) reasons: Vec<&'static str>,
}

/// What to list.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    pub(super) probe: Option<ProbeId>,
    pub(super) outcome: Option<Outcome>,
    pub(super) before: Option<RunId>,
    pub(super) limit: Option<usize>,
}
