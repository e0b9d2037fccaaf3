//! Security is not a matter of rates: one run in which a check was passed that must fail, or a signature, state or
//! issuer did not hold, is told at once.

use super::standing::fingerprint;
use super::{Desk, Source, Turn};
use crate::alert::{Alert, Finding, Kind, Observation, Scope, Severity, State};
use crate::run::Run;
use crate::taxonomy::{Action, Outcome};

/// Good runs in a row after which it is over.
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
            _ if seen.passed() => self.count_clean(run, seen, turn),
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
        let (probe, class) = (run.probe.as_str(), finding.class.as_str());
        let fingerprint = fingerprint(&["security", probe, &run.location, class]);
        let before = self.cases.get(&fingerprint).filter(|case| case.is_open());
        let mut runs = vec![run.id];
        runs.extend(before.into_iter().flat_map(|case| case.alert.runs.iter()));
        runs.truncate(RUNS);
        let mut alert = Alert {
            fingerprint,
            state: State::Pending,
            severity: Severity::Page,
            kind: Kind::Security,
            scope: Scope {
                provider: vec![run.provider.clone()],
                environment: vec![run.environment.clone()],
                probe: vec![run.probe.clone()],
                location: vec![run.location.clone()],
            },
            verdict: Some(finding.clone()),
            summary: format!(
                "{probe}: {} at {}; treat it as an attack until you know better",
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
        };
        self.complete(&mut alert);
        self.raise(alert, Source::GoodRuns(0), seen.at, turn);
    }

    fn count_clean(&mut self, run: &Run, seen: &Observation, turn: &mut Turn) {
        for case in self.cases.values_mut() {
            let Source::GoodRuns(clean) = case.source else {
                continue;
            };
            let scope = &case.alert.scope;
            let is_same =
                scope.probe.contains(&run.probe) && scope.location.contains(&run.location);
            if !case.is_open() || !is_same {
                continue;
            }
            case.source = Source::GoodRuns(clean + 1);
            if clean + 1 >= CLEAN_RUNS {
                case.alert.state = State::Resolved;
                case.alert.resolved_at = Some(seen.at);
            }
            turn.changed.insert(case.alert.fingerprint.clone());
        }
    }
}
