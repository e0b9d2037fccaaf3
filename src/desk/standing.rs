//! Alerts that stand as long as something is so: a certificate that is about to end, an outbox that does not empty, a
//! store that was put aside.

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use jiff::Timestamp;

use super::{Desk, Source, Turn};
use crate::alert::{Alert, Finding, Fingerprint, Kind, Scope, Severity, State};
use crate::run::Run;

/// Something that is so at this moment and should not be.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What it is, the same as long as it stands: the fingerprint is made of it, the kind and the scope.
    pub key: String,
    pub kind: Kind,
    pub severity: Severity,
    pub scope: Scope,
    /// The class whose runbook fits, in the form of a verdict.
    pub finding: Option<Finding>,
    /// One line that a tired person understands.
    pub summary: String,
    /// The figures.
    pub reason: String,
    pub since: Timestamp,
}

impl Condition {
    /// The stable name of the alert that it makes.
    pub fn fingerprint(&self) -> Fingerprint {
        let probes = self.scope.probe.iter().map(|id| id.as_str());
        let mut parts = vec![self.kind.as_str(), self.key.as_str()];
        parts.extend(probes);
        parts.extend(self.scope.location.iter().map(String::as_str));
        fingerprint(&parts)
    }

    fn alert(&self) -> Alert {
        Alert {
            fingerprint: self.fingerprint(),
            state: State::Pending,
            severity: self.severity,
            kind: self.kind,
            scope: self.scope.clone(),
            verdict: self.finding.clone(),
            summary: self.summary.clone(),
            reason: self.reason.clone(),
            runbook_url: None,
            evidence: Vec::new(),
            runs: Vec::new(),
            deploys: Vec::new(),
            labels: [].into(),
            started_at: self.since,
            fired_at: None,
            resolved_at: None,
        }
    }
}

/// 16 hexadecimal digits of what sets an alert apart from others.
pub(super) fn fingerprint(parts: &[&str]) -> Fingerprint {
    let whole = parts.join("\0");
    let digest = digest::digest(&digest::SHA256, whole.as_bytes());
    let digits = digest.as_ref()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"));
    Fingerprint(digits.collect())
}

/// A scope that reaches the probe of this run as well.
pub(super) fn reaching(scope: Option<&Scope>, run: &Run) -> Scope {
    fn with<T: Clone + Ord>(names: &[T], name: &T) -> Vec<T> {
        let mut names = names.to_vec();
        names.push(name.clone());
        names.sort();
        names.dedup();
        names
    }
    let none = Scope::default();
    let scope = scope.unwrap_or(&none);
    Scope {
        provider: with(&scope.provider, &run.provider),
        environment: with(&scope.environment, &run.environment),
        probe: with(&scope.probe, &run.probe),
        location: with(&scope.location, &run.location),
    }
}

impl Desk {
    /// Opens what is new among the conditions, brings the others up to date, ends those that no longer stand.
    pub(super) fn stand(&mut self, conditions: &[Condition], now: Timestamp, turn: &mut Turn) {
        let mut standing = BTreeSet::new();
        for condition in conditions {
            let mut alert = condition.alert();
            standing.insert(alert.fingerprint.clone());
            self.complete(&mut alert);
            self.raise(alert, Source::Condition, now, turn);
        }
        let over = self.cases.values_mut().filter(|case| {
            let fingerprint = &case.alert.fingerprint;
            case.is_open() && case.source == Source::Condition && !standing.contains(fingerprint)
        });
        for case in over {
            case.alert.state = State::Resolved;
            case.alert.resolved_at = Some(now);
            turn.changed.insert(case.alert.fingerprint.clone());
        }
    }

    /// What the configuration and the deploys add to an alert.
    pub(super) fn complete(&self, alert: &mut Alert) {
        alert.labels = self.labels(&alert.scope);
        alert.runbook_url = self.runbook(alert);
        alert.deploys = self.deploys_near(alert);
    }

    /// Opens an alert, or brings the open one of its name up to date. People hear of a change when it became urgent, and of
    /// an urgent one when it reaches much further.
    pub(super) fn raise(&mut self, alert: Alert, source: Source, now: Timestamp, turn: &mut Turn) {
        let fingerprint = alert.fingerprint.clone();
        let open = self
            .cases
            .get_mut(&fingerprint)
            .filter(|case| case.is_open());
        let Some(case) = open else {
            self.put(alert, source, now);
            turn.changed.insert(fingerprint);
            return;
        };
        let before = case.alert.clone();
        let is_urgent = alert.severity == Severity::Page;
        case.is_stale |= alert.severity > before.severity
            || is_urgent && reaches_further(&before.scope, &alert.scope);
        case.source = source;
        case.alert = Alert {
            state: before.state,
            started_at: before.started_at,
            fired_at: before.fired_at,
            ..alert
        };
        if case.alert != before {
            turn.changed.insert(fingerprint);
        }
    }
}

/// Whether a scope takes in another environment or location, or so many more probes that people should hear of it: not of
/// each of two hundred.
fn reaches_further(before: &Scope, now: &Scope) -> bool {
    before.environment != now.environment
        || before.location != now.location
        || now.probe.len() > before.probe.len() && now.probe.len().is_power_of_two()
}
