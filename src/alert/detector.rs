//! The detector: all it knows of every probe, and the alerts that are open.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, Explanation, Fingerprint, Incident, Observation, Trouble};
use crate::probe::{AlertRule, Alerts, ProbeId};

/// Where the rules of one probe differ from the usual ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    pub failure_rate: AlertRule,
    pub latency: AlertRule,
    pub monitor: AlertRule,
}

impl From<&Alerts> for Rules {
    fn from(alerts: &Alerts) -> Self {
        Self {
            failure_rate: alerts.failure_rate,
            latency: alerts.latency,
            monitor: alerts.monitor,
        }
    }
}

/// Learns what is usual for every probe, and says when that changes.
///
/// Its state is its serialised form: at any point it may be written down, read back and go on, with the same changes to
/// come. What it keeps of a probe has a fixed greatest size.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    version: u16,
    rules: BTreeMap<ProbeId, Rules>,
}

impl Detector {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the rules of the configuration. Probes without rules have the usual ones; the rules of before are forgotten.
    pub fn configure<'a>(&mut self, rules: impl IntoIterator<Item = (&'a ProbeId, Rules)>) {
        self.rules = rules
            .into_iter()
            .map(|(probe, rules)| (probe.clone(), rules))
            .collect();
    }

    /// Takes a run. Runs that end at one instant are judged together, whatever their order; so what a run changes is
    /// said by the next `observe` of a later run, or by `tick`, whichever comes first.
    pub fn observe(&mut self, observation: &Observation) -> Vec<Change> {
        let _ = observation;
        Vec::new()
    }

    /// Lets the time come to `now`: judges what was observed up to then, notes runs that did not come, and ends
    /// alerts that have been quiet for long enough.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Change> {
        let _ = now;
        Vec::new()
    }

    /// After a pause of the daemon itself: probes that did not run meanwhile were not silent.
    pub fn resume(&mut self, now: Timestamp) {
        let _ = now;
    }

    /// Forgets all probes but these, as after a change of the configuration; alerts on them alone end.
    pub fn retain(&mut self, keep: impl Fn(&ProbeId) -> bool, now: Timestamp) -> Vec<Change> {
        let _ = (&keep, now);
        Vec::new()
    }

    /// Incidents that are open.
    pub fn open(&self) -> Vec<Incident> {
        Vec::new()
    }

    /// One incident with its figures of now: open, or over for so short a time that it could be re-opened.
    pub fn incident(&self, fingerprint: &Fingerprint) -> Option<Incident> {
        let _ = fingerprint;
        None
    }

    /// What is usual for a probe and how far it is from an alert, for each location and stream.
    pub fn explain(&self, probe: &ProbeId) -> Vec<Explanation> {
        let _ = probe;
        Vec::new()
    }

    /// The trouble that a probe has begun to have at a location, for [`super::confirmation`].
    pub fn trouble(&self, probe: &ProbeId, location: &str) -> Option<Trouble> {
        let _ = (probe, location);
        None
    }
}
