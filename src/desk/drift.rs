//! What a provider says about itself, and when that changes: nothing is broken yet, and somebody should know before it
//! is.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::standing::{fingerprint, reaching};
use super::{Desk, Source, Turn, text};
use crate::alert::{Alert, Kind, Severity, State};
use crate::run::Run;
use crate::taxonomy::Stage;

/// A change is told for so long.
const LASTS: SignedDuration = SignedDuration::from_hours(24);

/// Names of members that the summary tells.
const TOLD: usize = 6;

/// A provider's metadata: a mark for the value of each member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Known(BTreeMap<String, String>);

impl Known {
    /// Of a metadata document; absent where it is none.
    fn of(document: &str) -> Option<Self> {
        let members: BTreeMap<String, Value> = serde_json::from_str(document).ok()?;
        let marks = members.into_iter().map(|(name, value)| {
            let mark = fingerprint(&[&in_order(value).to_string()]).0;
            (name, mark)
        });
        Some(Self(marks.collect()))
    }

    /// Names of members that were added, changed or taken away.
    fn changes(&self, now: &Self) -> Vec<String> {
        let names = self.0.keys().chain(now.0.keys());
        let mut changed: Vec<String> = names
            .filter(|name| self.0.get(*name) != now.0.get(*name))
            .cloned()
            .collect();
        changed.sort();
        changed.dedup();
        changed
    }
}

/// Lists in metadata are sets: some servers give them in another order each time.
fn in_order(value: Value) -> Value {
    match value {
        Value::Array(values) => {
            let mut values: Vec<Value> = values.into_iter().map(in_order).collect();
            values.sort_by_key(ToString::to_string);
            values.into()
        }
        Value::Object(members) => {
            let members: BTreeMap<String, Value> = members
                .into_iter()
                .map(|(name, value)| (name, in_order(value)))
                .collect();
            members.into_iter().collect()
        }
        plain => plain,
    }
}

impl Desk {
    pub(super) fn watch_drift(&mut self, run: &Run, now: Timestamp, turn: &mut Turn) {
        let exchanges = run.evidence.iter().flat_map(|evidence| &evidence.exchanges);
        let metadata = exchanges
            .filter(|it| it.stage == Stage::Discovery && it.status == Some(200))
            .find_map(|it| Known::of(&it.response_body));
        let Some(metadata) = metadata else {
            return;
        };
        let before = self
            .memory
            .known
            .insert(run.probe.clone(), metadata.clone());
        let Some(changes) = before.map(|before| before.changes(&metadata)) else {
            return;
        };
        if !changes.is_empty() {
            self.raise_drift(run, &changes, now, turn);
        }
    }

    fn raise_drift(&mut self, run: &Run, changes: &[String], now: Timestamp, turn: &mut Turn) {
        let mut told = changes
            .iter()
            .take(TOLD)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        if changes.len() > TOLD {
            told.push_str(&format!(" and {} more", changes.len() - TOLD));
        }
        // Probes of one provider see the same change: one ticket that names them all.
        let fingerprint = fingerprint(&["drift", &run.provider, &told]);
        let before = self.cases.get(&fingerprint).filter(|case| case.is_open());
        let scope = reaching(before.map(|case| &case.alert.scope), run);
        let probes: Vec<&str> = scope.probe.iter().map(|id| id.as_str()).collect();
        let mut alert = Alert {
            fingerprint,
            state: State::Pending,
            severity: Severity::Ticket,
            kind: Kind::Drift,
            verdict: None,
            summary: format!(
                "{}: the provider's metadata changed: {told}",
                text::named(&probes)
            ),
            reason: "compared with the run before; ends by itself after a day".to_owned(),
            runbook_url: None,
            evidence: Vec::new(),
            runs: vec![run.id],
            deploys: Vec::new(),
            labels: [].into(),
            started_at: now,
            fired_at: None,
            resolved_at: None,
            scope,
        };
        self.complete(&mut alert);
        self.raise(alert, Source::Time, now, turn);
    }

    pub(super) fn end_drift(&mut self, now: Timestamp, turn: &mut Turn) {
        let timed = self.cases.values_mut().filter(|case| {
            let is_old = case.alert.started_at + LASTS <= now;
            case.source == Source::Time && case.is_open() && is_old
        });
        for case in timed {
            case.alert.state = State::Resolved;
            case.alert.resolved_at = Some(now);
            turn.changed.insert(case.alert.fingerprint.clone());
        }
    }
}
