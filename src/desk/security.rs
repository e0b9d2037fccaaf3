//! Security is not a matter of rates: one run in which a check was passed that must fail, or a signature, state or
//! issuer did not hold, is told at once. What several probes of a provider see is one alert.

use jiff::Timestamp;

use super::standing::{fingerprint, reaching};
use super::{Desk, Source, Turn, text};
use crate::alert::{Alert, Finding, Kind, Observation, Severity, State};
use crate::probe::ProbeId;
use crate::run::Run;
use crate::taxonomy::{Action, Outcome};

/// Good runs in a row of each probe that saw it, after which it is over.
const CLEAN_RUNS: u32 = 3;

/// Runs that an alert names.
const RUNS: usize = 5;

impl Desk {
    pub(super) fn watch_security(&mut self, run: &Run, seen: &Observation, turn: &mut Turn) {
        let finding = seen.finding.as_ref();
        match finding.filter(|finding| finding.action == Action::InvestigateSecurity) {
            Some(finding) if run.outcome == Outcome::Failed => {
                self.raise_security(run, finding, seen, turn);
            }
            _ if seen.passed() => self.count_clean(run, turn),
            _ => (),
        }
    }

    fn raise_security(
        &mut self,
        run: &Run,
        finding: &Finding,
        seen: &Observation,
        turn: &mut Turn,
    ) {
        let class = finding.class.as_str();
        let fingerprint = fingerprint(&["security", &run.provider, class]);
        let before = self.cases.get(&fingerprint).filter(|case| case.is_open());
        let mut clean = match before.map(|case| &case.source) {
            Some(Source::GoodRuns(clean)) => clean.clone(),
            _ => [].into(),
        };
        clean.insert(witness(run), 0);
        let mut runs = vec![run.id];
        runs.extend(before.into_iter().flat_map(|case| case.alert.runs.iter()));
        runs.truncate(RUNS);
        let scope = reaching(before.map(|case| &case.alert.scope), run);
        let probes: Vec<&str> = scope.probe.iter().map(|id| id.as_str()).collect();
        let mut alert = Alert {
            fingerprint,
            state: State::Pending,
            severity: Severity::Page,
            kind: Kind::Security,
            verdict: Some(finding.clone()),
            summary: format!(
                "{}: {} at {}; treat it as an attack until you know better",
                text::named(&probes),
                class.replace('_', " "),
                finding.stage.as_str().replace('_', " ")
            ),
            reason: format!("one run is enough for this class: {}", finding.detail),
            runbook_url: None,
            evidence: Vec::new(),
            runs,
            deploys: Vec::new(),
            labels: [].into(),
            started_at: seen.at,
            fired_at: None,
            resolved_at: None,
            scope,
        };
        self.complete(&mut alert);
        self.raise(alert, Source::GoodRuns(clean), seen.at, turn);
    }

    fn count_clean(&mut self, run: &Run, turn: &mut Turn) {
        let witness = witness(run);
        for case in self.cases.values_mut().filter(|case| case.is_open()) {
            if let Source::GoodRuns(clean) = &mut case.source
                && let Some(runs) = clean.get_mut(&witness)
            {
                *runs += 1;
                turn.changed.insert(case.alert.fingerprint.clone());
            }
        }
    }

    /// Ends what every probe that saw it has passed again and again.
    pub(super) fn end_clean(&mut self, now: Timestamp, turn: &mut Turn) {
        let probes = &self.plan.probes;
        for case in self.cases.values_mut().filter(|case| case.is_open()) {
            let Source::GoodRuns(clean) = &case.source else {
                continue;
            };
            // Who is gone from the configuration has no good runs to come.
            let mut clean = clean.iter().filter(|((id, _), _)| probes.contains_key(id));
            if clean.all(|(_, runs)| *runs >= CLEAN_RUNS) {
                case.alert.state = State::Resolved;
                case.alert.resolved_at = Some(now);
                turn.changed.insert(case.alert.fingerprint.clone());
            }
        }
    }
}

/// Who saw it: a probe at a location.
fn witness(run: &Run) -> (ProbeId, String) {
    (run.probe.clone(), run.location.clone())
}
