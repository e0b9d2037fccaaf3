//! The desk between what is wrong and who is told: pure. It takes runs, standing conditions, what people do (silence,
//! acknowledge, deploy) and `now`; it keeps one [`Case`] for each alert, and says what is news for whom. It reads no
//! clock, stores nothing and sends nothing: whoever owns it writes down a [`Turn`] before anything of it leaves the
//! house.
//!
//! Rules: people hear of an alert once, when it fires. They hear of it again when it reaches further, when it is
//! over, and, unless somebody took it on, at growing distances. Nobody hears of what is silenced or in maintenance
//! while that lasts, and whoever heard of the beginning hears of the end.

mod drift;
mod people;
mod security;
mod standing;
mod start;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::alert::{
    Alert, Change, Deploy, Detector, Explanation, Fingerprint, Incident, Observation, Rules, Scope,
    Severity, State, Trouble, What,
};
use crate::notify::{Event, News};
use crate::probe::{Alerts, Cadence, Probe, ProbeId, Window};
use crate::run::{Run, RunId};
use crate::schedule;

pub use drift::Known;
pub use people::{Acknowledgement, Refused, Silence};
pub use standing::Condition;

/// An alert that was told to be over and is back is told again if it stays.
const BACK_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// An alert at some probes of a provider is told so much later: what another of them sees in the same moment is part of the
/// same notice, not a second one.
const GATHER: SignedDuration = SignedDuration::from_secs(3);

/// From one reminder to the next: growing, the last one repeats.
const REMINDERS: [SignedDuration; 4] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(3),
    SignedDuration::from_hours(8),
    SignedDuration::from_hours(24),
];

/// What is over stays on the list so long.
const KEEP: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A deploy so long before the start of an alert, or so shortly after its first bad run, is named on it.
const DEPLOY_BEFORE: SignedDuration = SignedDuration::from_hours(2);
const DEPLOY_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Runs whose ids are remembered with a state, so that none is taken twice or left out after a restart.
const RECENT: SignedDuration = SignedDuration::from_mins(30);

/// What the configuration says about one probe, as far as alerts go.
#[derive(Debug, Clone)]
pub struct Ward {
    pub provider: String,
    pub environment: String,
    pub cadence: Cadence,
    pub alerts: Alerts,
    /// Planned work on the target: runs in it are no evidence, and nobody is told of the probe.
    pub maintenance: Vec<Window>,
}

impl From<&Probe> for Ward {
    fn from(probe: &Probe) -> Self {
        Self {
            provider: probe.provider.clone(),
            environment: probe.environment.clone(),
            cadence: probe.cadence.clone(),
            alerts: probe.alerts.clone(),
            maintenance: probe.maintenance.clone(),
        }
    }
}

/// What the configuration says about alerts.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub location: String,
    /// What comes up right after a start is not told for so long: what is over by then was nothing, and what is wider
    /// by then is told as one.
    pub settle: SignedDuration,
    pub probes: BTreeMap<ProbeId, Ward>,
}

/// One alert and what is between it and people. One record of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub alert: Alert,
    /// Not told before; moves on when an alert comes back.
    pub hold_until: Timestamp,
    pub heard: Heard,
    pub acknowledged: Option<Acknowledgement>,
    /// Changed since people were told.
    pub is_stale: bool,
    pub source: Source,
}

/// What people were told of an alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    #[default]
    Nothing,
    /// That it fired, and so many reminders; `at` is the last time.
    Beginning { at: Timestamp, reminders: u32 },
    /// That it is over.
    End,
}

/// Who decides when an alert is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The detector, by runs.
    Detector,
    /// The condition that made it: it is over when that no longer stands.
    Condition,
    /// Good runs of the probes that saw it, each at a location; so many came in a row.
    GoodRuns(#[serde(with = "pairs")] BTreeMap<(ProbeId, String), u32>),
    /// Time.
    Time,
}

/// What the desk remembers beside its cases: written as one record, read at the next start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    pub detector: Detector,
    /// What the metadata of each probe's provider looked like.
    pub known: BTreeMap<ProbeId, Known>,
    /// The newest runs that were taken, with the time at which they ended.
    pub recent: BTreeMap<RunId, Timestamp>,
    /// End of the newest run that was taken.
    pub at: Option<Timestamp>,
}

/// What one call changed, to be written down as a whole before anything is sent.
#[derive(Debug, Default)]
#[must_use = "what is not written down is lost"]
pub struct Turn {
    /// Cases that are new or different.
    pub changed: BTreeSet<Fingerprint>,
    /// Cases that nobody needs any longer.
    pub forgotten: Vec<Fingerprint>,
    /// What people are to hear, whoever the routes say they are.
    pub news: Vec<News>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Desk {
    plan: Plan,
    memory: Memory,
    cases: BTreeMap<Fingerprint, Case>,
    silences: BTreeMap<String, Silence>,
    deploys: Vec<Deploy>,
    started_at: Timestamp,
}

impl Desk {
    /// Takes over a configuration. Alerts on probes that are gone end.
    pub fn configure(&mut self, plan: Plan, now: Timestamp) -> Turn {
        self.adopt(plan);
        self.keep_to_plan(now)
    }

    fn adopt(&mut self, plan: Plan) {
        self.plan = plan;
        let probes = &self.plan.probes;
        let rules = probes
            .iter()
            .map(|(id, ward)| (id, Rules::from(&ward.alerts)));
        self.memory.detector.configure(rules);
        self.memory.known.retain(|id, _| probes.contains_key(id));
    }

    /// Lets go of probes that the configuration does not name, and of their alerts.
    fn keep_to_plan(&mut self, now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        let keep: BTreeSet<ProbeId> = self.plan.probes.keys().cloned().collect();
        let changes = self.memory.detector.retain(|id| keep.contains(id), now);
        self.take(changes, now, &mut turn);
        self.end_orphans(now, &mut turn);
        self.tell(now, &mut turn);
        turn
    }

    /// A run as the detector takes it; absent where its probe is gone.
    fn seen(&self, run: &Run) -> Option<Observation> {
        let ward = self.plan.probes.get(&run.probe)?;
        let interval = schedule::interval(&run.probe, &ward.cadence, run.started_at);
        let maintenance = self.in_maintenance(&run.probe, run.started_at);
        Some(Observation::of(run, interval, maintenance))
    }

    /// Takes a finished run; one that was taken before, or whose probe is gone, changes nothing.
    pub fn observe(&mut self, run: &Run, now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        let Some(seen) = self.seen(run) else {
            return turn;
        };
        if self.memory.recent.insert(run.id, seen.at).is_some() {
            return turn;
        }
        self.memory.at = self.memory.at.max(Some(seen.at));
        let changes = self.memory.detector.observe(&seen);
        self.take(changes, now, &mut turn);
        if !seen.maintenance {
            self.watch_security(run, &seen, &mut turn);
            self.watch_drift(run, now, &mut turn);
        }
        self.tell(now, &mut turn);
        turn
    }

    /// Decides what the runs before `now` mean, where that is wanted before the next tick: those of one instant are judged
    /// together, so that their order does not matter.
    pub fn judge(&mut self, now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        self.look(now, &mut turn);
        self.tell(now, &mut turn);
        turn
    }

    /// Lets the time come to `now`. `conditions` are all that stand at this moment; those that stood before and are
    /// not among them are over.
    pub fn tick(&mut self, conditions: &[Condition], now: Timestamp) -> Turn {
        let mut turn = Turn::default();
        self.look(now, &mut turn);
        self.stand(conditions, now, &mut turn);
        self.end_drift(now, &mut turn);
        self.tell(now, &mut turn);
        self.forget(now, &mut turn);
        turn
    }

    /// What is to be remembered for the next start.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// All cases: open ones, and those that ended lately.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// One of them.
    pub fn case(&self, fingerprint: &Fingerprint) -> Option<&Case> {
        self.cases.get(fingerprint)
    }

    /// What is usual for a probe, and how far it is from an alert.
    pub fn explain(&self, probe: &ProbeId) -> Vec<Explanation> {
        self.memory.detector.explain(probe)
    }

    /// The trouble that a probe has begun to have here, for [`crate::alert::confirmation`]; its newest run counts once it
    /// is judged.
    pub fn trouble(&self, probe: &ProbeId) -> Option<Trouble> {
        self.memory.detector.trouble(probe, &self.plan.location)
    }

    /// Whether planned work on the target of a probe is under way.
    pub fn in_maintenance(&self, probe: &ProbeId, at: Timestamp) -> bool {
        let ward = self.plan.probes.get(probe);
        ward.is_some_and(|ward| {
            ward.maintenance
                .iter()
                .any(|window| schedule::in_window(window, at))
        })
    }

    fn look(&mut self, now: Timestamp, turn: &mut Turn) {
        let changes = self.memory.detector.tick(now);
        self.take(changes, now, turn);
        self.end_clean(now, turn);
    }

    fn take(&mut self, changes: Vec<Change>, now: Timestamp, turn: &mut Turn) {
        for change in changes {
            let fingerprint = change.incident.fingerprint.clone();
            match change.what {
                What::Opened => self.open_case(&change.incident, change.at),
                What::Reopened => self.reopen(&change.incident, now),
                What::Widened | What::Updated => self.update(&change.incident),
                What::Resolved => self.resolve(&fingerprint, change.at),
            }
            turn.changed.insert(fingerprint);
        }
    }

    fn open_case(&mut self, incident: &Incident, at: Timestamp) {
        let alert = self.alert(incident);
        let fingerprint = alert.fingerprint.clone();
        let gathers = self.may_reach_further(&alert.scope);
        self.put(alert, Source::Detector, at);
        if let Some(case) = self.cases.get_mut(&fingerprint).filter(|_| gathers) {
            case.hold_until = case.hold_until.max(at + GATHER);
        }
    }

    /// Whether a scope names probes, and not all of their providers.
    fn may_reach_further(&self, scope: &Scope) -> bool {
        !scope.probe.is_empty()
            && self.plan.probes.iter().any(|(id, ward)| {
                scope.provider.contains(&ward.provider) && !scope.probe.contains(id)
            })
    }

    /// Opens the case of a new alert; what comes up right after the start of the process is held back for a moment.
    fn put(&mut self, alert: Alert, source: Source, at: Timestamp) {
        let settle = self.plan.settle;
        let hold_until = match at < self.started_at + settle {
            true => at + settle,
            false => at,
        };
        let case = Case {
            hold_until,
            heard: Heard::Nothing,
            acknowledged: None,
            is_stale: false,
            source,
            alert,
        };
        self.cases.insert(case.alert.fingerprint.clone(), case);
    }

    fn reopen(&mut self, incident: &Incident, now: Timestamp) {
        let mut alert = self.alert(incident);
        let Some(case) = self.cases.get_mut(&incident.fingerprint) else {
            return self.put(alert, Source::Detector, now);
        };
        if case.heard != Heard::Nothing {
            case.hold_until = now + BACK_AGAIN;
        }
        case.heard = Heard::Nothing;
        case.acknowledged = None;
        alert.state = State::Pending;
        case.alert = alert;
    }

    fn update(&mut self, incident: &Incident) {
        let mut alert = self.alert(incident);
        let Some(case) = self.cases.get_mut(&incident.fingerprint) else {
            return;
        };
        alert.state = case.alert.state;
        alert.fired_at = case.alert.fired_at;
        let differs = |a: &Alert, b: &Alert| {
            let class = |alert: &Alert| alert.verdict.as_ref().map(|it| it.class);
            a.scope != b.scope || class(a) != class(b) || a.severity != b.severity
        };
        case.is_stale |= differs(&case.alert, &alert);
        case.alert = alert;
    }

    fn resolve(&mut self, fingerprint: &Fingerprint, at: Timestamp) {
        if let Some(case) = self.cases.get_mut(fingerprint) {
            case.alert.state = State::Resolved;
            case.alert.resolved_at = Some(at);
        }
    }

    fn alert(&self, incident: &Incident) -> Alert {
        let mut alert = text::alert(incident, self.is_whole(&incident.scope));
        alert.labels = self.labels(&alert.scope);
        alert.runbook_url = self.runbook(&alert);
        alert.deploys = self.deploys_near(&alert);
        alert
    }

    /// Whether every probe of the providers and environments that a scope names is in it.
    fn is_whole(&self, scope: &Scope) -> bool {
        let among =
            |names: &[String], name: &str| names.is_empty() || names.iter().any(|it| it == name);
        let mut wards = self.plan.probes.iter();
        scope.probe.is_empty()
            || wards.all(|(id, ward)| {
                let is_inside = among(&scope.provider, &ward.provider)
                    && among(&scope.environment, &ward.environment);
                !is_inside || scope.probe.contains(id)
            })
    }

    /// The labels that all probes of a scope have alike.
    fn labels(&self, scope: &Scope) -> BTreeMap<String, String> {
        let mut wards = self.wards(scope);
        let mut labels = wards
            .next()
            .map(|ward| ward.alerts.labels.clone())
            .unwrap_or_default();
        for ward in wards {
            labels.retain(|name, value| ward.alerts.labels.get(name) == Some(value));
        }
        labels
    }

    /// The runbook that the files name, if all probes of the scope name the same.
    fn runbook(&self, alert: &Alert) -> Option<String> {
        let class = alert.verdict.as_ref()?.class.as_str();
        let mut named = self
            .wards(&alert.scope)
            .map(|ward| ward.alerts.runbook.as_deref());
        let first = named.next()??;
        named
            .all(|other| other == Some(first))
            .then(|| first.replace("{class}", class))
    }

    fn wards<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Ward> {
        let all = scope.probe.is_empty();
        let probes = self.plan.probes.iter();
        probes
            .filter(move |(id, _)| all || scope.probe.contains(id))
            .map(|(_, ward)| ward)
    }

    fn deploys_near(&self, alert: &Alert) -> Vec<Deploy> {
        let start = alert.started_at;
        let near = |deploy: &&Deploy| {
            let at = deploy.at;
            start - DEPLOY_BEFORE <= at && at <= start + DEPLOY_AFTER
        };
        let deploys = self.deploys.iter().filter(near);
        deploys
            .filter(|deploy| people::overlaps(&deploy.scope, &alert.scope))
            .cloned()
            .collect()
    }

    /// Alerts whose probes are all gone from the configuration are over.
    fn end_orphans(&mut self, now: Timestamp, turn: &mut Turn) {
        let probes = &self.plan.probes;
        let is_orphan = |case: &&mut Case| {
            let named = &case.alert.scope.probe;
            case.is_open() && !named.is_empty() && named.iter().all(|id| !probes.contains_key(id))
        };
        for case in self.cases.values_mut().filter(is_orphan) {
            case.alert.state = State::Resolved;
            case.alert.resolved_at = Some(now);
            turn.changed.insert(case.alert.fingerprint.clone());
        }
    }

    /// Says what is news now, and notes on the cases that it was said.
    fn tell(&mut self, now: Timestamp, turn: &mut Turn) {
        for case in self.cases.values_mut() {
            let quiet = people::is_quiet(&case.alert, &self.silences, &self.plan, now);
            let Some(event) = case.event(quiet, now) else {
                continue;
            };
            case.note(event, now);
            turn.changed.insert(case.alert.fingerprint.clone());
            turn.news.push(news(case, event, String::new(), now));
        }
    }

    fn forget(&mut self, now: Timestamp, turn: &mut Turn) {
        let old = |case: &Case| case.alert.resolved_at.is_some_and(|at| at + KEEP < now);
        let gone = self
            .cases
            .values()
            .filter(|case| !case.is_open() && old(case));
        turn.forgotten
            .extend(gone.map(|case| case.alert.fingerprint.clone()));
        for fingerprint in &turn.forgotten {
            self.cases.remove(fingerprint);
        }
        self.memory.recent.retain(|_, ended| *ended + RECENT > now);
    }
}

fn news(case: &Case, event: Event, note: String, now: Timestamp) -> News {
    News {
        alert: case.alert.clone(),
        event,
        at: now,
        note,
        is_test: false,
    }
}

impl Case {
    /// Whether it is not over.
    pub fn is_open(&self) -> bool {
        self.alert.state != State::Resolved
    }

    /// What people are to hear at `now`, if anything.
    fn event(&self, is_quiet: bool, now: Timestamp) -> Option<Event> {
        match self.heard {
            Heard::Nothing => {
                let is_due = self.is_open() && !is_quiet && now >= self.hold_until;
                is_due.then_some(Event::Fired)
            }
            Heard::Beginning { .. } if !self.is_open() => Some(Event::Resolved),
            Heard::Beginning { .. } if is_quiet => None,
            Heard::Beginning { .. } if self.is_stale => Some(Event::Updated),
            Heard::Beginning { at, reminders } => {
                let nth = usize::try_from(reminders).unwrap_or(usize::MAX);
                let pause = REMINDERS[nth.min(REMINDERS.len() - 1)];
                let wanted = self.acknowledged.is_none() && self.alert.severity == Severity::Page;
                (wanted && now >= at + pause).then_some(Event::Reminder)
            }
            Heard::End => None,
        }
    }

    /// Notes that people were told.
    fn note(&mut self, event: Event, now: Timestamp) {
        self.is_stale = false;
        self.heard = match (event, self.heard) {
            (Event::Fired, _) => {
                self.alert.state = State::Firing;
                self.alert.fired_at = Some(now);
                Heard::Beginning {
                    at: now,
                    reminders: 0,
                }
            }
            (Event::Reminder, Heard::Beginning { reminders, .. }) => Heard::Beginning {
                at: now,
                reminders: reminders + 1,
            },
            (Event::Resolved, _) => Heard::End,
            (_, heard) => heard,
        };
    }
}

/// JSON has no keys of two parts.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let pairs = Vec::<(K, V)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}
