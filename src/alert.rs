//! An alert: what is wrong, since when, where, how sure, and what to do. The words of the API, the webhook and every
//! notice stand here. Below stands the decision whether runs have become worse: [`Detector`] takes runs and `now`, and
//! says what changed; it reads no clock and sends nothing. Alerts of other kinds are decided elsewhere and put into the
//! same words.

mod baseline;
mod case;
mod change;
mod confirm;
mod days;
mod detector;
mod evidence;
mod explain;
mod judge;
mod mix;
mod observation;
mod pace;
mod place;
mod ring;
mod scan;
mod series;
mod silence;
mod text;

pub use change::{Change, Explanation, Figures, Incident, Member, Test, What};
pub use confirm::{CONFIRMED_AFTER, MOST_CONFIRMATIONS, Trouble, confirmation};
pub use detector::{DETECTOR_VERSION, Detector, Rules};
pub use observation::{Observation, Stream};

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};

use crate::probe::ProbeId;
pub use crate::probe::Severity;
use crate::run::RunId;
use crate::taxonomy::{Action, Cause, Class, Stage};

/// The stable name of an alert from its first moment to its end; every channel derives its dedup key from it.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How far an alert has come.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum State {
    /// Seen, and held back: the settle time of a start, or a wider alert that may explain it.
    Pending,
    /// People have been told.
    Firing,
    /// Over.
    Resolved,
}

/// What kind of thing went wrong.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Runs fail more often than their baseline.
    FailureRate,
    /// A stage is slower than its own baseline.
    Latency,
    /// A certificate, secret or grant is about to end.
    Expiry,
    /// Metadata, keys or a login page changed.
    Drift,
    /// A guard was passed, or a state, issuer or signature did not match.
    Security,
    /// The monitor itself: it cannot judge, is late, or cannot tell.
    Monitor,
}

macro_rules! spoken {
    ($($word:ty),*) => {$(
        impl $word {
            /// The name in files, labels and the API.
            pub fn as_str(self) -> &'static str {
                self.into()
            }
        }

        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

spoken!(State, Severity, Kind);

/// Where: the smallest set of names that explains who fails and who does not. An empty list stands for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Scope {
    pub provider: Vec<String>,
    pub environment: Vec<String>,
    pub probe: Vec<ProbeId>,
    pub location: Vec<String>,
}

/// What most of the failed runs of an alert ended with, in the words of the taxonomy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    pub stage: Stage,
    pub class: Class,
    pub cause: Cause,
    pub action: Action,
    /// What the newest of these runs said, in one line, redacted.
    pub detail: String,
}

/// A mark that a release team left: something was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deploy {
    /// Their own name for it, such as a version or a commit.
    pub id: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Where it went; an empty list stands for all.
    pub scope: Scope,
    /// Who or what posted it.
    pub by: String,
    /// A page that tells more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// An alert, as the API, the webhook and the store hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Alert {
    pub fingerprint: Fingerprint,
    pub state: State,
    pub severity: Severity,
    pub kind: Kind,
    pub scope: Scope,
    /// Absent where no failed run stands behind the alert, as in `latency` and `expiry`.
    pub verdict: Option<Finding>,
    /// One line that a tired person understands.
    pub summary: String,
    /// The figures: how many of how many, over how long, against which baseline, at which odds by chance.
    pub reason: String,
    pub runbook_url: Option<String>,
    /// Links to the runs that decided, newest first.
    pub evidence: Vec<String>,
    /// The runs that decided, newest first.
    #[schemars(with = "Vec<String>")]
    pub runs: Vec<RunId>,
    /// What was deployed near the start.
    pub deploys: Vec<Deploy>,
    pub labels: BTreeMap<String, String>,
    /// When the first bad run of it ended.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    #[schemars(with = "Option<String>")]
    pub fired_at: Option<Timestamp>,
    #[schemars(with = "Option<String>")]
    pub resolved_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests;
