//! The detector: all it knows of every probe, and the incidents that are open. Takes runs and time in, gives changes out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::baseline::hour_of;
use super::case::{Case, at_ms, moment};
use super::mix::Mix;
use super::observation::{Observation, Stream};
use super::place::{Everyone, Group};
use super::series::{Said, Series};
use super::{Change, Explanation, Fingerprint, Incident, Trouble, What};
use crate::probe::{AlertRule, Alerts, ProbeId};
use crate::taxonomy::Outcome;

/// Version of the serialised state.
pub const DETECTOR_VERSION: u16 = 1;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    version: u16,
    rules: BTreeMap<ProbeId, Rules>,
    /// Time has come to here; runs up to here are judged.
    pub(super) clock: i64,
    /// Runs of one instant, not judged yet.
    pending: Vec<Observation>,
    pub(super) everyone: Everyone,
    next_id: u32,
    /// Kinds of failure that are usual anywhere.
    pub(super) mix: Mix,
    /// Open ones, and those that may be re-opened.
    pub(super) cases: Vec<Case>,
    /// The hour in which a group, or a single probe, was last looked at over days.
    pub(super) looked: Vec<(Group, Option<u32>, i64)>,
    /// No run is missing before this.
    pub(super) quiet_until: i64,
}

impl Default for Detector {
    fn default() -> Self {
        Self {
            version: DETECTOR_VERSION,
            rules: BTreeMap::new(),
            clock: i64::MIN / 4,
            pending: Vec::new(),
            everyone: Everyone::new(),
            next_id: 0,
            mix: Mix::default(),
            cases: Vec::new(),
            looked: Vec::new(),
            quiet_until: 0,
        }
    }
}

impl Detector {
    /// One that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Version of the state that was read; another than [`DETECTOR_VERSION`] is not to be gone on with.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Takes the rules of the configuration. Probes without rules have the usual ones; the rules of before are forgotten.
    pub fn configure<'a>(&mut self, rules: impl IntoIterator<Item = (&'a ProbeId, Rules)>) {
        self.rules = rules
            .into_iter()
            .map(|(probe, rules)| (probe.clone(), rules))
            .collect();
        for series in self.everyone.values_mut() {
            series.rules = self.rules.get(&series.probe).copied().unwrap_or_default();
        }
    }

    /// Takes a run. Runs that end at one instant are judged together, whatever their order; so what a run changes is
    /// said by the next `observe` of a later run, or by `tick`, whichever comes first.
    pub fn observe(&mut self, observation: &Observation) -> Vec<Change> {
        let at = at_ms(observation);
        let mut changes = Vec::new();
        if self.pending.first().is_some_and(|first| at_ms(first) != at) {
            self.judge_pending(&mut changes);
        }
        self.pending.push(observation.clone());
        changes
    }

    /// Lets the time come to `now`: judges what was observed, notes runs that did not come, and ends incidents that
    /// have been quiet for long enough.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        self.judge_pending(&mut changes);
        self.advance(now.as_millisecond(), &mut changes);
        changes
    }

    /// After a pause of the daemon itself: probes that did not run meanwhile were not silent.
    pub fn resume(&mut self, now: Timestamp) {
        let now = now.as_millisecond();
        for series in self.everyone.values_mut() {
            series.wait_from(now);
        }
        self.quiet_until = 0;
    }

    /// Forgets all probes but these, as after a change of the configuration; incidents of others alone end.
    pub fn retain(&mut self, keep: impl Fn(&ProbeId) -> bool, now: Timestamp) -> Vec<Change> {
        let gone: Vec<u32> = self
            .everyone
            .iter()
            .filter(|(_, series)| !keep(&series.probe))
            .map(|(id, _)| *id)
            .collect();
        let mut changes = self.tick(now);
        self.forget(&gone, self.clock, &mut changes);
        changes
    }

    /// Incidents that are open.
    pub fn open(&self) -> Vec<Incident> {
        let open = self.cases.iter().filter(|case| case.is_open());
        open.map(|case| case.incident(&self.everyone)).collect()
    }

    /// One incident as it is now: open, or over for so short a time that it could be re-opened.
    pub fn incident(&self, fingerprint: &Fingerprint) -> Option<Incident> {
        let case = self
            .cases
            .iter()
            .find(|case| case.fingerprint == *fingerprint)?;
        Some(case.incident(&self.everyone))
    }

    /// What is usual for a probe and how far it is from an alert, for each location and stream.
    pub fn explain(&self, probe: &ProbeId) -> Vec<Explanation> {
        self.everyone
            .iter()
            .filter(|(_, series)| series.probe == *probe)
            .flat_map(|(&id, series)| self.explain_one(id, series))
            .collect()
    }

    /// The trouble that a probe has begun to have at a location, for [`super::confirmation`].
    pub fn trouble(&self, probe: &ProbeId, location: &str) -> Option<Trouble> {
        let (&id, series) = self
            .everyone
            .iter()
            .find(|(_, series)| series.probe == *probe && series.location == location)?;
        let begun = series.trouble?;
        let stream = Stream::Failed;
        if self.masking(id, stream).is_some() {
            return None;
        }
        Some(Trouble {
            since: moment(begun.since),
            last_run: moment(series.heard_at()),
            runs_since: begun.runs_since,
            is_retryable: begun.is_retryable,
            bad_runs_to_alert: self.bad_runs_to_alert(id, series, stream)?,
        })
    }

    /// Judges the runs of one instant together.
    fn judge_pending(&mut self, changes: &mut Vec<Change>) {
        let mut runs = std::mem::take(&mut self.pending);
        let Some(at) = runs.first().map(at_ms) else {
            return;
        };
        // A run that comes late is judged now, and stands in its place.
        let now = at.max(self.clock);
        self.advance(now, changes);
        runs.sort_by(order);
        let mut bad = Vec::new();
        for run in &runs {
            self.take(run, changes, &mut bad);
        }
        for (id, stream) in bad {
            self.judge(id, stream, now, changes);
        }
        self.end_what_is_over(now, changes);
    }

    /// Puts a run into its streams and into the incidents that it is part of.
    fn take(&mut self, run: &Observation, changes: &mut Vec<Change>, bad: &mut Vec<(u32, Stream)>) {
        let id = self.id_of(run);
        let at = at_ms(run);
        let Some(series) = self.everyone.get_mut(&id) else {
            return;
        };
        series.heard(run);
        self.quiet_until = self.quiet_until.min(series.silent_at());
        if run.maintenance {
            return;
        }
        let said = series.hear(run);
        series.follow(run);
        let left_out = |detector: &Self, stream: Stream| {
            detector
                .masking(id, stream)
                .is_some_and(|index| detector.cases[index].leaves_out(at))
        };
        if run.passed() {
            let pace_left_out = left_out(self, Stream::Slow);
            if let Some(series) = self.everyone.get_mut(&id) {
                series.learn_pace(run, pace_left_out);
            }
        }
        for one in said {
            let left_out = left_out(self, one.stream);
            self.put(id, at, one, left_out);
            if one.is_bad {
                bad.push((id, one.stream));
                if let Some(series) = self.everyone.get_mut(&id) {
                    series.remember(run, one.stream);
                }
                self.remember(id, run, one.stream, changes);
            }
        }
    }

    /// Puts one word of a run into its stream and into the incident that counts it.
    pub(super) fn put(&mut self, id: u32, at: i64, said: Said, left_out: bool) {
        let Some(series) = self.everyone.get_mut(&id) else {
            return;
        };
        series.put(at, said, left_out);
        if let (Some(class), true, false) = (said.class, said.is_bad, left_out) {
            self.mix.note(hour_of(at), class);
        }
        let usual = series.usual(said.stream, at).map_or(0.1, |rates| rates.bad);
        for case in self.cases.iter_mut().filter(|case| case.is_open()) {
            if case.stream == said.stream && case.bad.contains(&id) {
                case.hear(id, at, said.is_bad, usual);
            }
        }
    }

    /// Lets the incident that a bad run is part of remember it.
    fn remember(&mut self, id: u32, run: &Observation, stream: Stream, changes: &mut Vec<Change>) {
        let everyone = &self.everyone;
        let part_of = self
            .cases
            .iter_mut()
            .filter(|case| case.is_open() && case.stream == stream && case.bad.contains(&id));
        for case in part_of {
            let finding = (!stream.is_slow())
                .then_some(run.finding.as_ref())
                .flatten();
            if case.remember(run.run, finding) {
                changes.push(Change {
                    at: run.at,
                    what: What::Updated,
                    incident: case.incident(everyone),
                });
            }
        }
    }

    fn id_of(&mut self, run: &Observation) -> u32 {
        let known = self
            .everyone
            .iter()
            .find(|(_, series)| series.probe == run.probe && series.location == run.location);
        if let Some((&id, _)) = known {
            return id;
        }
        let rules = self.rules.get(&run.probe).copied().unwrap_or_default();
        let id = self.next_id;
        self.next_id += 1;
        self.everyone.insert(id, Series::new(run, rules));
        id
    }

    /// The open incident whose members' runs are no evidence for another one in `stream`.
    pub(super) fn masking(&self, id: u32, stream: Stream) -> Option<usize> {
        let series = self.everyone.get(&id)?;
        self.cases
            .iter()
            .position(|case| case.is_open() && case.masks(stream) && case.area.holds(id, series))
    }

    /// Ends the incidents that are over by `now`, in the order of their ends.
    pub(super) fn end_what_is_over(&mut self, now: i64, changes: &mut Vec<Change>) {
        while let Some((at, index)) = self.next_end(now) {
            self.end(index, at, changes);
        }
    }

    pub(super) fn next_end(&self, now: i64) -> Option<(i64, usize)> {
        self.cases
            .iter()
            .enumerate()
            .filter(|(_, case)| case.is_open())
            .filter_map(|(index, case)| Some((case.over_at()?, index)))
            .filter(|(at, _)| *at <= now)
            .min()
    }

    /// Ends an incident. What its members did up to then is no evidence for another one.
    pub(super) fn end(&mut self, index: usize, at: i64, changes: &mut Vec<Change>) {
        self.cases[index].ended = Some(at);
        let case = self.cases[index].clone();
        for id in case.area.members(&self.everyone) {
            if let Some(series) = self.everyone.get_mut(&id) {
                series.close(|stream| case.masks(stream), at);
            }
        }
        changes.push(Change {
            at: moment(at),
            what: What::Resolved,
            incident: case.incident(&self.everyone),
        });
    }

    /// Forgets probes, and ends the incidents that concern nobody else.
    pub(super) fn forget(&mut self, gone: &[u32], at: i64, changes: &mut Vec<Change>) {
        let gone: BTreeSet<u32> = gone.iter().copied().collect();
        if gone.is_empty() {
            return;
        }
        for index in 0..self.cases.len() {
            let case = &self.cases[index];
            if case.is_open() && case.bad.is_subset(&gone) {
                self.end(index, at, changes);
            } else {
                self.cases[index].let_go(&gone);
            }
        }
        self.everyone.retain(|id, _| !gone.contains(id));
    }
}

/// Runs of one instant in an order that does not depend on how they came.
fn order(a: &Observation, b: &Observation) -> std::cmp::Ordering {
    let key = |run: &Observation| {
        let class = run.finding.as_ref().map(|finding| finding.class);
        let outcome: Outcome = run.outcome;
        (outcome, class, run.duration, run.run)
    };
    (&a.probe, &a.location)
        .cmp(&(&b.probe, &b.location))
        .then_with(|| key(a).cmp(&key(b)))
}
