//! The start of a process: from what was left by the one before to what is so now. The time between them is our own
//! pause, however long, and no silence of the probes.

use jiff::Timestamp;

use super::{Case, Desk, Memory, Plan, RECENT, Silence, Source, Turn};
use crate::alert::{Deploy, State};
use crate::run::Run;

impl Desk {
    /// The desk as it was left, or a new one. Its time stays where it was left until [`Desk::resume`], so that the runs that
    /// were stored since are taken at their own time.
    pub fn open(
        plan: Plan,
        memory: Memory,
        cases: impl IntoIterator<Item = Case>,
        silences: impl IntoIterator<Item = Silence>,
        deploys: Vec<Deploy>,
        now: Timestamp,
    ) -> Self {
        let cases = cases.into_iter();
        let silences = silences.into_iter();
        let mut desk = Self {
            plan: Plan::default(),
            memory,
            cases: cases
                .map(|case| (case.alert.fingerprint.clone(), case))
                .collect(),
            silences: silences.map(|it| (it.id.clone(), it)).collect(),
            deploys,
            started_at: now,
        };
        desk.adopt(plan);
        desk
    }

    /// Takes a run of long ago, for what is usual. What was wrong then and is over is nobody's business any more.
    pub fn learn(&mut self, run: &Run) {
        let Some(seen) = self.seen(run) else {
            return;
        };
        if seen.at + RECENT > self.started_at {
            self.memory.recent.insert(run.id, seen.at);
        }
        self.memory.at = self.memory.at.max(Some(seen.at));
        let _ = self.memory.detector.observe(&seen);
    }

    /// Lets the time come to `now` after a pause of the process, however long: runs that are missing were not missed.
    pub fn resume(&mut self, now: Timestamp) -> Turn {
        self.memory.detector.resume(now);
        let mut turn = self.keep_to_plan(now);
        self.agree(now, &mut turn);
        self.tell(now, &mut turn);
        turn
    }

    /// Opens the cases of incidents that were learned of, and ends those of incidents that nobody remembers.
    fn agree(&mut self, now: Timestamp, turn: &mut Turn) {
        let open = self.memory.detector.open();
        for incident in &open {
            if !self.cases.contains_key(&incident.fingerprint) {
                self.open_case(incident, now);
                turn.changed.insert(incident.fingerprint.clone());
            }
        }
        let is_known = |case: &Case| {
            let fingerprint = &case.alert.fingerprint;
            open.iter().any(|it| it.fingerprint == *fingerprint)
        };
        let forgotten =
            |case: &&mut Case| case.is_open() && case.source == Source::Detector && !is_known(case);
        for case in self.cases.values_mut().filter(forgotten) {
            case.alert.state = State::Resolved;
            case.alert.resolved_at = Some(now);
            turn.changed.insert(case.alert.fingerprint.clone());
        }
    }
}
