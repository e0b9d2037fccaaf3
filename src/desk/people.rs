//! What people do about alerts: silence, acknowledge, say what they deployed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DEPLOY_BEFORE, Desk, Plan, Turn, news};
use crate::alert::{Alert, Deploy, Fingerprint, Scope};
use crate::notify::Event;
use crate::notify::route::OneOrMany;
use crate::schedule;

/// Markers that are kept, the newest ones.
const DEPLOYS: usize = 500;

/// Nobody is told of alerts that it matches while it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    pub id: String,
    /// Labels with the values that are silenced, as in the routes. An alert on several probes is silent when all of
    /// them are.
    #[serde(rename = "match")]
    pub matches: BTreeMap<String, OneOrMany>,
    #[schemars(with = "String")]
    pub starts_at: Timestamp,
    #[schemars(with = "String")]
    pub ends_at: Timestamp,
    /// Who.
    pub author: String,
    /// Why.
    pub reason: String,
}

impl Silence {
    /// Whether it lasts at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether everything that an alert names is silenced.
    pub fn covers(&self, alert: &Alert) -> bool {
        !self.matches.is_empty()
            && self
                .matches
                .iter()
                .all(|(label, values)| covers(alert, label, values.texts()))
    }
}

fn covers(alert: &Alert, label: &str, silent: &[String]) -> bool {
    let is = |value: &str| silent.iter().any(|it| it == value);
    let all = |names: &[String]| !names.is_empty() && names.iter().all(|name| is(name));
    let verdict = alert.verdict.as_ref();
    match label {
        "fingerprint" => is(&alert.fingerprint.0),
        "provider" => all(&alert.scope.provider),
        "environment" => all(&alert.scope.environment),
        "probe" => {
            let probes = &alert.scope.probe;
            !probes.is_empty() && probes.iter().all(|probe| is(probe.as_str()))
        }
        "location" => all(&alert.scope.location),
        "stage" => verdict.is_some_and(|it| is(it.stage.as_str())),
        "class" => verdict.is_some_and(|it| is(it.class.as_str())),
        "cause" => verdict.is_some_and(|it| is(it.cause.as_str())),
        "severity" => is(alert.severity.as_str()),
        "kind" => is(alert.kind.as_str()),
        label => alert.labels.get(label).is_some_and(|value| is(value)),
    }
}

/// Somebody took an alert on: reminders end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledgement {
    pub by: String,
    #[schemars(with = "String")]
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Why something that a person asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("no alert has this fingerprint")]
    NoSuchAlert,
    #[error("the alert is over")]
    IsOver,
    #[error("no silence has this id")]
    NoSuchSilence,
    #[error("a silence needs at least one label to match: it would keep everything from everybody")]
    MatchesAll,
    #[error("a silence ends after it starts, and not in the past")]
    EndsTooEarly,
}

impl Desk {
    /// Adds a silence, or changes the one of the same id.
    pub fn silence(&mut self, silence: Silence, now: Timestamp) -> Result<Turn, Refused> {
        if silence.matches.is_empty() {
            return Err(Refused::MatchesAll);
        }
        if silence.ends_at <= silence.starts_at || silence.ends_at <= now {
            return Err(Refused::EndsTooEarly);
        }
        self.silences.insert(silence.id.clone(), silence);
        let mut turn = Turn::default();
        self.tell(now, &mut turn);
        Ok(turn)
    }

    /// Ends a silence now; it stays on the list until it would have been forgotten anyway.
    pub fn unsilence(&mut self, id: &str, now: Timestamp) -> Result<(Silence, Turn), Refused> {
        let silence = self.silences.get_mut(id).ok_or(Refused::NoSuchSilence)?;
        silence.ends_at = silence.ends_at.min(now);
        let silence = silence.clone();
        let mut turn = Turn::default();
        self.tell(now, &mut turn);
        Ok((silence, turn))
    }

    /// Notes that somebody takes an alert on, and tells those who heard of it.
    pub fn acknowledge(
        &mut self,
        fingerprint: &Fingerprint,
        acknowledgement: Acknowledgement,
    ) -> Result<Turn, Refused> {
        let case = self
            .cases
            .get_mut(fingerprint)
            .ok_or(Refused::NoSuchAlert)?;
        if !case.is_open() {
            return Err(Refused::IsOver);
        }
        let (now, by) = (acknowledgement.at, &acknowledgement.by);
        let note = match acknowledgement.note.as_str() {
            "" => format!("{by} has taken it on"),
            said => format!("{by} has taken it on: {said}"),
        };
        case.acknowledged = Some(acknowledgement);
        let mut turn = Turn::default();
        turn.changed.insert(fingerprint.clone());
        turn.news.push(news(case, Event::Acknowledged, note, now));
        Ok(turn)
    }

    /// Takes a marker; alerts that began near it name it from now on.
    pub fn deploy(&mut self, deploy: Deploy, now: Timestamp) -> Turn {
        self.deploys.push(deploy);
        self.deploys.sort_by_key(|deploy| deploy.at);
        let over = self.deploys.len().saturating_sub(DEPLOYS);
        self.deploys.drain(..over);
        let mut turn = Turn::default();
        let open = self.cases.values().filter(|case| case.is_open());
        let near: Vec<_> = open
            .map(|case| {
                (
                    case.alert.fingerprint.clone(),
                    self.deploys_near(&case.alert),
                )
            })
            .collect();
        for (fingerprint, deploys) in near {
            let Some(case) = self.cases.get_mut(&fingerprint) else {
                continue;
            };
            if case.alert.deploys != deploys {
                case.alert.deploys = deploys;
                case.is_stale = true;
                turn.changed.insert(fingerprint);
            }
        }
        self.tell(now, &mut turn);
        turn
    }

    /// Silences, also those that are over or to come.
    pub fn silences(&self) -> impl Iterator<Item = &Silence> {
        self.silences.values()
    }

    /// Silences that ended before `before` are dropped; their ids are given.
    pub fn drop_silences(&mut self, before: Timestamp) -> Vec<String> {
        let old = self.silences.values().filter(|it| it.ends_at < before);
        let ids: Vec<String> = old.map(|it| it.id.clone()).collect();
        for id in &ids {
            self.silences.remove(id);
        }
        ids
    }

    /// Markers, oldest first.
    pub fn deploys(&self) -> &[Deploy] {
        &self.deploys
    }

    /// The newest marker for a probe, if it is so new that it may explain what goes wrong now.
    pub fn recent_deploy(&self, scope: &Scope, now: Timestamp) -> Option<&Deploy> {
        let mut newest_first = self.deploys.iter().rev();
        newest_first.find(|it| it.at + DEPLOY_BEFORE > now && overlaps(&it.scope, scope))
    }
}

/// Whether nobody is to hear of an alert now: silenced, or planned work on all of its probes.
pub(super) fn is_quiet(
    alert: &Alert,
    silences: &BTreeMap<String, Silence>,
    plan: &Plan,
    now: Timestamp,
) -> bool {
    let mut active = silences.values().filter(|silence| silence.is_active(now));
    let probes = &alert.scope.probe;
    let in_maintenance = |id| {
        let ward = plan.probes.get(id);
        ward.is_some_and(|ward| {
            ward.maintenance
                .iter()
                .any(|window| schedule::in_window(window, now))
        })
    };
    active.any(|silence| silence.covers(alert))
        || !probes.is_empty() && probes.iter().all(in_maintenance)
}

/// Whether two scopes have something in common; an empty list stands for all.
pub(super) fn overlaps(a: &Scope, b: &Scope) -> bool {
    fn meet<T: PartialEq>(a: &[T], b: &[T]) -> bool {
        a.is_empty() || b.is_empty() || a.iter().any(|it| b.contains(it))
    }
    meet(&a.provider, &b.provider)
        && meet(&a.environment, &b.environment)
        && meet(&a.probe, &b.probe)
        && meet(&a.location, &b.location)
}
