//! One run from its intent to its record, whatever happens to it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{oneshot, watch};

use super::Runner;
use super::radar::Radar;
use crate::board::{Board, Refused};
use crate::clock;
use crate::duty::Duty;
use crate::probe::Probe;
use crate::run::{Run, RunId};
use crate::store::{Intent, Store};
use crate::taxonomy::Class;
use crate::telemetry::Telemetry;

/// A journey ends by itself at the probe's limit; one that is still going so long after it has lost its way.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// Where the one who wished for a run waits for its id.
pub(super) type Wish = oneshot::Sender<Result<RunId, Refused>>;

/// What every run needs.
pub(super) struct Bench {
    pub(super) location: String,
    pub(super) settle: SignedDuration,
    pub(super) store: Store,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) board: Arc<Board>,
    pub(super) radar: Radar,
    pub(super) duty: Duty,
    pub(super) runner: Runner,
    /// Turns true when runs have to end at once.
    pub(super) cut: watch::Receiver<bool>,
}

impl Bench {
    /// Runs `probe` and stores what came of it.
    pub(super) async fn run(
        &self,
        probe: Arc<Probe>,
        id: RunId,
        scheduled_at: Option<Timestamp>,
        wish: Option<Wish>,
    ) {
        let intent = self.intent(&probe, id, scheduled_at);
        let begun = self.store.begin(&intent).await;
        if begun.is_ok() {
            tracing::debug!(run.id = %id, probe = %probe.id, "run began");
        }
        self.note(&begun);
        if let Some(wish) = wish {
            // Whoever asked may have gone.
            let _ = wish.send(Ok(id));
        }
        if let Some(due) = scheduled_at {
            let now = clock::now();
            let late = now.duration_since(due);
            self.board.started(now, late);
            self.telemetry
                .observe_lateness(Duration::try_from(late).unwrap_or_default());
        }
        let run = self.walk(&probe, id, scheduled_at, intent).await;
        self.record(&probe, &run).await;
    }

    /// Stores a start that did not become a run.
    pub(super) async fn skip(&self, probe: &Probe, id: RunId, due: Timestamp, why: String) {
        let intent = self.intent(probe, id, Some(due));
        let run = intent.unknown(Class::Overloaded, why);
        self.record(probe, &run).await;
    }

    fn intent(&self, probe: &Probe, id: RunId, scheduled_at: Option<Timestamp>) -> Intent {
        Intent::new(probe, id, &self.location, scheduled_at, clock::stamp())
    }

    /// Always gives a run: also when the journey panics, never ends, or is cut off.
    async fn walk(
        &self,
        probe: &Arc<Probe>,
        id: RunId,
        scheduled_at: Option<Timestamp>,
        intent: Intent,
    ) -> Run {
        let limit = probe.timeout + LOST_AFTER;
        let journey =
            AssertUnwindSafe((self.runner)(Arc::clone(probe), id, scheduled_at)).catch_unwind();
        let mut cut = self.cut.clone();
        tokio::select! {
            walked = tokio::time::timeout(limit, journey) => match walked {
                Ok(Ok(run)) => run,
                Ok(Err(_)) => intent.unknown(Class::Internal, "the run panicked: the log has more".to_owned()),
                Err(_) => intent.unknown(Class::Internal, format!("the run did not end within {limit:?}")),
            },
            _ = cut.wait_for(|cut| *cut) => intent.cut_off("the daemon was stopped", clock::now()),
        }
    }

    /// Stores and counts a finished run, and has it judged for alerts.
    async fn record(&self, probe: &Probe, run: &Run) {
        self.note(&self.store.append(run).await);
        self.telemetry.observe(run);
        self.radar.learn(run);
        tracing::info!(
            run.id = %run.id, probe = %run.probe, outcome = %run.outcome, duration_ms = run.duration_ms,
            stage = run.verdict.as_ref().map(|verdict| verdict.stage.as_str()),
            class = run.verdict.as_ref().map(|verdict| verdict.class.as_str()),
            detail = run.verdict.as_ref().map(|verdict| verdict.detail.as_str()),
            "run ended"
        );
        self.judge(probe, run).await;
    }

    /// What a run means for alerts; a first bad run may ask for another to confirm it.
    async fn judge(&self, probe: &Probe, run: &Run) {
        let next = self.board.read().get(&probe.id).and_then(|slot| slot.next);
        let judged = self
            .duty
            .observe(run, probe, next.unwrap_or(Timestamp::MAX))
            .await;
        match judged {
            Ok(confirm) => {
                if let Some(slot) = self.board.write().get_mut(&probe.id) {
                    slot.confirm = confirm;
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "alerts cannot be stored or told");
            }
        }
    }

    fn note(&self, result: &Result<(), crate::store::Error>) {
        if let Err(error) = result {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "a run could not be stored"
            );
        }
        self.board.wrote(result.is_ok());
    }
}
