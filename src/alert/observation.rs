//! What detection looks at: one finished run, and the streams of yes or no that it feeds.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Finding, Kind};
use crate::probe::ProbeId;
use crate::run::{Run, RunId};
use crate::taxonomy::{Outcome, Stage};

/// A finished run, as far as detection looks at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When it ended and its result was known.
    pub at: Timestamp,
    /// Named on alerts as evidence; recorded runs of other makers have none.
    pub run: Option<RunId>,
    pub probe: ProbeId,
    pub provider: String,
    pub environment: String,
    pub location: String,
    /// From one scheduled run of the probe to the next; for cron patterns, from this one to the next. Silence is judged by it.
    pub interval: Duration,
    pub outcome: Outcome,
    /// Why it did not pass; absent when it did.
    pub finding: Option<Finding>,
    /// The whole run.
    pub duration: Duration,
    /// What each stage took, of runs that record it.
    pub stages: Vec<(Stage, Duration)>,
    /// Whether it fell into a declared maintenance window: such runs are no evidence of anything.
    pub maintenance: bool,
}

impl Observation {
    /// A run as it is stored. `interval` and `maintenance` are known to the one who schedules.
    pub fn of(run: &Run, interval: Duration, maintenance: bool) -> Self {
        let duration = Duration::from_millis(run.duration_ms);
        let started = run.started_at;
        Self {
            at: started.checked_add(duration).unwrap_or(started),
            run: Some(run.id),
            probe: run.probe.clone(),
            provider: run.provider.clone(),
            environment: run.environment.clone(),
            location: run.location.clone(),
            interval,
            outcome: run.outcome,
            finding: run.verdict.as_ref().map(|verdict| Finding {
                stage: verdict.stage,
                class: verdict.class,
                cause: verdict.cause,
                action: verdict.action,
                detail: verdict.detail.clone(),
            }),
            duration,
            stages: stages(run),
            maintenance,
        }
    }

    /// Whether the target passed.
    pub fn passed(&self) -> bool {
        matches!(self.outcome, Outcome::Ok | Outcome::Degraded)
    }
}

/// What each stage took; a stage that was walked twice counts with its sum.
fn stages(run: &Run) -> Vec<(Stage, Duration)> {
    let mut stages: Vec<(Stage, Duration)> = Vec::new();
    for step in &run.steps {
        let took = Duration::from_millis(step.duration_ms);
        match stages.iter_mut().find(|(stage, _)| *stage == step.stage) {
            Some((_, sum)) => *sum += took,
            None => stages.push((step.stage, took)),
        }
    }
    stages
}

/// A series of yes or no, each with a baseline, windows and alerts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The target failed; runs that could not be judged are not asked.
    Failed,
    /// The run could not be judged, or did not happen.
    Unknown,
    /// The whole of a passed run took longer than usual.
    Slow,
    /// This stage of a passed run took longer than usual.
    SlowStage(Stage),
}

impl Stream {
    /// The kind of alert it raises, unless the scope says that the fault is our own.
    pub fn kind(self) -> Kind {
        match self {
            Self::Failed => Kind::FailureRate,
            Self::Unknown => Kind::Monitor,
            Self::Slow | Self::SlowStage(_) => Kind::Latency,
        }
    }

    /// The word that fingerprints begin with.
    pub(super) fn kind_word(self) -> &'static str {
        match self {
            Self::Failed => "failure",
            Self::Unknown => "monitor",
            Self::Slow | Self::SlowStage(_) => "latency",
        }
    }

    /// Whether it is about time and not about results.
    pub fn is_slow(self) -> bool {
        match self {
            Self::Slow | Self::SlowStage(_) => true,
            Self::Failed | Self::Unknown => false,
        }
    }

    /// Whether both raise one alert between them: being slow in a stage and as a whole is one thing.
    pub fn is_like(self, other: Self) -> bool {
        self == other || self.is_slow() && other.is_slow()
    }
}
