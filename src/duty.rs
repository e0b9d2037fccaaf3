//! The desk at work: its decisions made durable, and told. Everything that happens to alerts goes through here, one
//! thing after the other, so that what is stored is always what was decided last.
//!
//! After a kill the desk goes on from what it remembered last and takes the runs that were stored since; deciding twice
//! gives the same, so nothing is lost and nothing is told twice.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex as Order;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::alert::{self, Deploy, Explanation, Fingerprint};
use crate::clock;
use crate::desk::{Acknowledgement, Case, Condition, Desk, Memory, Plan, Refused, Silence, Turn};
use crate::notify::sender::{self, Outbox};
use crate::probe::{Probe, ProbeId};
use crate::run::Run;
use crate::store::{self, Batch, Kind, Record, Store};

/// Without anything to tell, what the desk remembers is written down this often; the runs in between are read again
/// after a kill.
const REMEMBER: SignedDuration = SignedDuration::from_secs(60);

/// A new desk learns what is usual from the runs of so many days.
const LEARN: SignedDuration = SignedDuration::from_hours(14 * 24);

/// And from so many at most, the newest: a start is not to take minutes.
const LEARN_MOST: usize = 200_000;

/// Runs may end in another order than they began: so much before the last one is looked at again.
const OVERLAP: SignedDuration = SignedDuration::from_mins(30);

/// Silences that are over stay on the list so long.
const KEEP_SILENCES: SignedDuration = SignedDuration::from_hours(7 * 24);

const MEMORY: &str = "memory";

impl Record for Memory {
    const KIND: Kind = Kind::AlertStates;
    const VERSION: u16 = 1;
}

impl Record for Case {
    const KIND: Kind = Kind::AlertStates;
    const VERSION: u16 = 1;
}

impl Record for Silence {
    const KIND: Kind = Kind::Silences;
    const VERSION: u16 = 1;
}

impl Record for Deploy {
    const KIND: Kind = Kind::Deploys;
    const VERSION: u16 = 1;
}

/// Why something about alerts could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Outbox(#[from] sender::Error),
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Duty {
    desk: Arc<Mutex<Desk>>,
    /// Held from a decision until it is stored.
    order: Arc<Order<Written>>,
    store: Store,
    outbox: Outbox,
}

/// What of the desk is on disk.
struct Written {
    memory_at: Timestamp,
}

impl Duty {
    /// The desk as it was left, with all runs that ended since.
    pub async fn open(store: Store, outbox: Outbox, plan: Plan) -> Result<Self, Error> {
        let now = clock::now();
        let memory: Option<Memory> = readable(store.record(MEMORY).await);
        let left_at = memory.as_ref().and_then(|memory| memory.at);
        let cases = values(store.records::<Case>("alert/").await?);
        let silences = values(store.records::<Silence>("").await?);
        let deploys = values(store.records::<Deploy>("").await?);
        let memory = memory.unwrap_or_default();
        let desk = Desk::open(plan, memory, cases, silences, deploys, now);
        let duty = Self {
            desk: Arc::new(Mutex::new(desk)),
            order: Arc::new(Order::new(Written { memory_at: now })),
            store,
            outbox,
        };
        // At their own time: the pause between them and now is ours.
        match left_at {
            Some(at) => duty.catch_up(at - OVERLAP).await?,
            None => duty.learn(now - LEARN).await?,
        }
        duty.turn(Desk::resume).await?;
        Ok(duty)
    }

    /// Takes over a configuration.
    pub async fn configure(&self, plan: Plan) -> Result<(), Error> {
        self.turn(move |desk, now| desk.configure(plan, now)).await
    }

    /// Takes over a configuration while the daemon runs, and with it whom to tell where that is given.
    pub async fn take_over(
        &self,
        plan: Plan,
        notify: Option<Box<sender::Settings>>,
    ) -> Result<(), Error> {
        if let Some(notify) = notify {
            self.outbox.configure(*notify).await?;
        }
        self.configure(plan).await
    }

    /// Takes a finished run that is stored already. Gives the time at which a further run would confirm what it saw.
    pub async fn observe(
        &self,
        run: &Run,
        probe: &Probe,
        next: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let (seen, id) = (run.clone(), probe.id.clone());
        self.turn(move |desk, now| desk.observe(&seen, now)).await?;
        // The run itself is to count.
        self.turn(|desk, now| desk.judge(now)).await?;
        let trouble = self.with(move |desk| desk.trouble(&id)).await;
        let trouble = trouble.filter(|_| !probe.alerts.failure_rate.off);
        Ok(trouble.and_then(|trouble| alert::confirmation(&trouble, &probe.budget, next)))
    }

    /// Lets time pass; to be called every few seconds with everything that stands.
    pub async fn tick(&self, conditions: Vec<Condition>) -> Result<(), Error> {
        self.turn(move |desk, now| desk.tick(&conditions, now))
            .await?;
        let before = clock::now() - KEEP_SILENCES;
        let old = self.with(move |desk| desk.drop_silences(before)).await;
        for id in old {
            self.store.remove::<Silence>(&id).await?;
        }
        Ok(())
    }

    /// Writes down what is remembered, as before the end of the process.
    pub async fn remember(&self) -> Result<(), Error> {
        let mut written = self.order.lock().await;
        let batch = self.with(|desk| {
            let mut batch = Batch::new();
            batch.put(MEMORY, desk.memory());
            batch
        });
        store::Error::unless_kept(self.store.commit(batch.await).await)?;
        written.memory_at = clock::now();
        Ok(())
    }

    /// Stores a silence under an id of its own.
    pub async fn silence(&self, mut silence: Silence) -> Result<Silence, Error> {
        if silence.id.is_empty() {
            silence.id = Uuid::now_v7().to_string();
        }
        let taken = silence.clone();
        self.person(move |desk, now, batch| {
            let turn = desk.silence(silence.clone(), now)?;
            batch.put(&silence.id, &silence);
            Ok(turn)
        })
        .await?;
        Ok(taken)
    }

    /// Ends a silence.
    pub async fn unsilence(&self, id: String) -> Result<(), Error> {
        self.person(move |desk, now, batch| {
            let (silence, turn) = desk.unsilence(&id, now)?;
            batch.put(&id, &silence);
            Ok(turn)
        })
        .await
    }

    /// Notes who takes an alert on.
    pub async fn acknowledge(
        &self,
        fingerprint: Fingerprint,
        acknowledgement: Acknowledgement,
    ) -> Result<(), Error> {
        self.person(move |desk, _, _| desk.acknowledge(&fingerprint, acknowledgement))
            .await
    }

    /// Stores the marker of a deploy.
    pub async fn deploy(&self, deploy: Deploy) -> Result<(), Error> {
        self.person(move |desk, now, batch| {
            let key = format!("{}/{}", deploy.at, deploy.id);
            batch.put(&key, &deploy);
            Ok(desk.deploy(deploy, now))
        })
        .await
    }

    /// Alerts, the newest first.
    pub async fn alerts(&self) -> Vec<Case> {
        let mut cases: Vec<Case> = self.with(|desk| desk.cases().cloned().collect()).await;
        cases.sort_by_key(|case| std::cmp::Reverse(case.alert.started_at));
        cases
    }

    /// One alert.
    pub async fn alert(&self, fingerprint: &Fingerprint) -> Option<Case> {
        let fingerprint = fingerprint.clone();
        self.with(move |desk| desk.case(&fingerprint).cloned())
            .await
    }

    /// Silences, also those that are over or to come.
    pub async fn silences(&self) -> Vec<Silence> {
        self.with(|desk| desk.silences().cloned().collect()).await
    }

    /// Markers of deploys, the newest first.
    pub async fn deploys(&self) -> Vec<Deploy> {
        self.with(|desk| desk.deploys().iter().rev().cloned().collect())
            .await
    }

    /// What is usual for a probe, and how far it is from an alert.
    pub async fn explain(&self, probe: &ProbeId) -> Vec<Explanation> {
        let probe = probe.clone();
        self.with(move |desk| desk.explain(&probe)).await
    }

    /// What is told of each alert, to whom, and what came of it.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Takes the stored runs that began since, in the order of their ends.
    async fn catch_up(&self, since: Timestamp) -> Result<(), Error> {
        let mut runs = self.store.by_end(since, Timestamp::MAX, None);
        while let Some(piece) = runs.next().await? {
            for run in piece {
                let at = run.ended_at();
                self.turn(move |desk, _| desk.observe(&run, at)).await?;
            }
        }
        Ok(())
    }

    /// Learns what is usual from the stored runs, without a word about them.
    async fn learn(&self, since: Timestamp) -> Result<(), Error> {
        let since = since.max(self.store.start_of_last(LEARN_MOST).await?);
        let mut runs = self.store.by_end(since, Timestamp::MAX, None);
        while let Some(piece) = runs.next().await? {
            self.with(move |desk| piece.iter().for_each(|run| desk.learn(run)))
                .await;
        }
        Ok(())
    }

    /// One decision, stored and told.
    async fn turn(
        &self,
        decide: impl FnOnce(&mut Desk, Timestamp) -> Turn + Send + 'static,
    ) -> Result<(), Error> {
        self.person(move |desk, now, _| Ok(decide(desk, now))).await
    }

    /// One decision that may be refused, stored together with what it puts into the batch, and told.
    async fn person(
        &self,
        decide: impl FnOnce(&mut Desk, Timestamp, &mut Batch) -> Result<Turn, Refused> + Send + 'static,
    ) -> Result<(), Error> {
        let mut written = self.order.lock().await;
        let now = clock::now();
        let is_due = written.memory_at + REMEMBER <= now;
        let decided = self.with(move |desk| {
            let mut batch = Batch::new();
            let turn = decide(desk, now, &mut batch)?;
            let is_new = !turn.changed.is_empty() || !turn.forgotten.is_empty();
            write_down(desk, &turn, is_new || is_due, &mut batch);
            Ok::<_, Refused>((turn.news, batch, is_new || is_due))
        });
        let (news, batch, has_memory) = decided.await?;
        if has_memory {
            written.memory_at = now;
        }
        match (news.is_empty(), batch.is_empty()) {
            (true, true) => (),
            (true, false) => store::Error::unless_kept(self.store.commit(batch).await)?,
            (false, _) => self.outbox.tell(news, batch).await?,
        }
        Ok(())
    }

    /// Off the runtime: a desk with many probes is large.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> T {
        let desk = Arc::clone(&self.desk);
        let done =
            spawn_blocking(move || work(&mut desk.lock().unwrap_or_else(PoisonError::into_inner)));
        match done.await {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn write_down(desk: &Desk, turn: &Turn, with_memory: bool, batch: &mut Batch) {
    for fingerprint in &turn.changed {
        if let Some(case) = desk.case(fingerprint) {
            batch.put(&key(fingerprint), case);
        }
    }
    for fingerprint in &turn.forgotten {
        batch.remove::<Case>(&key(fingerprint));
    }
    if with_memory {
        batch.put(MEMORY, desk.memory());
    }
}

fn key(fingerprint: &Fingerprint) -> String {
    format!("alert/{fingerprint}")
}

fn values<T>(records: Vec<(String, T)>) -> Vec<T> {
    records.into_iter().map(|(_, record)| record).collect()
}

/// What the desk remembers can be learned again from the runs: a record that cannot be read costs no start.
fn readable(memory: Result<Option<Memory>, store::Error>) -> Option<Memory> {
    memory.unwrap_or_else(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "what is usual is learned anew from the stored runs"
        );
        None
    })
}
