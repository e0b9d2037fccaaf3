//! What detection says: an incident, how it came to be known, and what became of it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Finding, Fingerprint, Kind, Scope, Severity, Stream};
use crate::probe::ProbeId;
use crate::run::RunId;

/// Something became of an incident. Only `Opened` is worth an interruption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// When; for `Opened`, the end of the run that decided it.
    pub at: Timestamp,
    pub what: What,
    /// As it stands after the change.
    pub incident: Incident,
}

/// What became of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Now known: people are told.
    Opened,
    /// It was resolved, and is back so soon that it is the same. Nobody is told again who was told before.
    Reopened,
    /// It reaches further than it did.
    Widened,
    /// It has another finding than before.
    Updated,
    /// Over, or part of a wider one (`superseded_by`).
    Resolved,
}

/// One thing that goes wrong, from the first bad run of it to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Stays the same from opening to end, over re-opening and restarts.
    pub fingerprint: Fingerprint,
    pub kind: Kind,
    /// What is counted.
    pub stream: Stream,
    /// The highest that its members ask for.
    pub severity: Severity,
    pub scope: Scope,
    /// Every probe that the scope names.
    pub members: Vec<Member>,
    /// What most of its bad runs ended with; absent for `latency` and for runs that did not happen.
    pub finding: Option<Finding>,
    /// What decided.
    pub figures: Figures,
    /// The newest bad runs, newest first.
    pub runs: Vec<RunId>,
    /// When the first bad run of it ended.
    pub started_at: Timestamp,
    pub fired_at: Timestamp,
    /// Of the last end, where it was re-opened.
    pub resolved_at: Option<Timestamp>,
    /// The wider incident that took its place.
    pub superseded_by: Option<Fingerprint>,
}

/// A probe at a location that an incident names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    pub probe: ProbeId,
    pub location: String,
    /// Whether it was seen to be bad itself; the others are named because their whole group is bad.
    pub is_bad: bool,
}

/// How sure an incident is, in figures that a person can check by hand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub test: Test,
    /// Bad runs of the window.
    pub bad: u32,
    /// Runs of the window.
    pub runs: u32,
    /// From the first bad run of the window to the run that decided.
    pub over: Duration,
    /// Share of bad runs that is usual for the runs of the window.
    pub baseline: f64,
    /// Logarithm of how much better "something broke" explains the window than "as usual": the odds by chance are
    /// 1 in e to this.
    pub nats: f64,
    /// What `nats` had to reach.
    pub needed: f64,
    /// How many times slower than usual, on average; for `latency` alone.
    pub slowdown: Option<f64>,
}

impl Figures {
    /// Share of bad runs in the window.
    pub fn rate(&self) -> f64 {
        f64::from(self.bad) / f64::from(self.runs.max(1))
    }

    /// The odds by chance are 1 in so many.
    pub fn one_in(&self) -> f64 {
        self.nats.exp()
    }
}

/// The test that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// A window of the last runs against their baselines.
    Window,
    /// Bad hours of the last days against those that are usual.
    Hours,
    /// The same fault twice in a row, of a class that does not pass by itself.
    Streak,
}

/// What a probe's page shows of one of its streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub probe: ProbeId,
    pub location: String,
    pub stream: Stream,
    /// Learned share of bad runs, or that of the objective.
    pub baseline: f64,
    /// Whether the baseline is set by an objective.
    pub is_objective: bool,
    /// Runs that it was learned from; few mean that it is still mostly the cautious guess of the start.
    pub learned_from: u32,
    /// The window that is most suspicious now, if there is any with a bad run.
    pub window: Option<Figures>,
    /// So many more bad runs in a row would alert; `None` while an alert is open.
    pub bad_runs_to_alert: Option<u32>,
    /// Median duration that this time of day is compared with; for slow streams that know one.
    pub typical: Option<Duration>,
    /// The open incident that the probe is part of.
    pub incident: Option<Fingerprint>,
}
