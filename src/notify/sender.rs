//! Sends what the outbox holds: the one place where news become durable and notices leave.
//!
//! News are stored, together with whatever the caller changes for the same reason, before [`Outbox::tell`] returns. An
//! attempt is stored before it is made, and its end after; so a notice arrives at least once, and again only under its
//! own key. Channels are sent to side by side, and one notice at a time each, so that one that hangs holds up no other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::outbox::{self, Job, Outcome, Thread};
use super::route::{self, Route};
use super::{Channel, Edge, Failure, News, Origin, Receipt};
use crate::alert::Fingerprint;
use crate::clock;
use crate::http::{self, Http, HttpError};
use crate::store::{self, Batch, Store};
use crate::telemetry::{Delivery, Telemetry};

/// The clock is looked at this often, in case somebody sets it.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How long to leave a store alone that could not write.
const STORE_WAIT: SignedDuration = SignedDuration::from_secs(5);

/// Commands that wait for the worker; more make their senders wait.
const QUEUE: usize = 64;

/// Whom to tell, and how; may change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Settings {
    pub channels: BTreeMap<String, Channel>,
    pub routes: Vec<Route>,
    pub origin: Origin,
    pub edge: Edge,
}

impl Settings {
    /// There is nobody to tell.
    pub fn nobody() -> Result<Self, HttpError> {
        Ok(Self {
            channels: BTreeMap::new(),
            routes: Vec::new(),
            origin: Origin::default(),
            edge: Edge::new(&Http::new(&http::Settings::default())?, None)?,
        })
    }
}

/// Why news are not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing of it is stored, neither the news nor the rest of the batch.
    #[error("the news cannot be stored")]
    Store(#[from] store::Error),
    #[error("notices are no longer sent: the daemon is stopping")]
    Stopped,
}

/// Handle to the outbox; clones share it. When the last one goes, the worker ends what is under way and stops.
#[derive(Debug, Clone)]
pub struct Outbox {
    commands: mpsc::Sender<Command>,
}

enum Command {
    Tell(Vec<News>, Batch, oneshot::Sender<Result<(), Error>>),
    Configure(Box<Settings>),
    Threads(oneshot::Sender<Vec<Thread>>),
}

/// Does the work while [`Worker::run`] is polled.
pub struct Worker {
    store: Store,
    telemetry: Arc<Telemetry>,
    settings: Arc<Settings>,
    commands: mpsc::Receiver<Command>,
    threads: BTreeMap<Fingerprint, Thread>,
    under_way: FuturesUnordered<BoxFuture<'static, (Job, Kind, Sent)>>,
    busy: HashSet<String>,
    /// When what was repeated last.
    repeated: HashMap<(Fingerprint, String), Timestamp>,
    /// Nothing is sent before, because it could not be stored.
    not_before: Timestamp,
}

type Sent = Result<Receipt, Failure>;

/// What is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    News,
    /// For a channel that forgets what nobody repeats.
    Repetition,
}

impl Outbox {
    /// Reads what an earlier process left to send. Nothing is sent before the worker runs.
    pub async fn open(
        store: Store,
        telemetry: Arc<Telemetry>,
        settings: Settings,
    ) -> Result<(Self, Worker), store::Error> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let records = store.records::<Thread>("").await?;
        let threads = records
            .into_iter()
            .map(|(_, thread)| (thread.fingerprint.clone(), thread))
            .collect();
        let mut worker = Worker {
            store,
            telemetry,
            settings: Arc::new(settings),
            commands: receiver,
            threads,
            under_way: FuturesUnordered::new(),
            busy: HashSet::new(),
            repeated: HashMap::new(),
            not_before: Timestamp::MIN,
        };
        worker.take_up().await?;
        Ok((Self { commands: sender }, worker))
    }

    /// Takes news in. When it returns `Ok`, they and `batch` are stored as one, and each channel will get what it is
    /// owed. News of a beginning that was told already change nothing, so whoever is not sure may tell it again.
    pub async fn tell(&self, news: Vec<News>, batch: Batch) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Tell(news, batch, answer)).await?;
        answered.await.map_err(|_| Error::Stopped)?
    }

    /// From now on, other channels and routes.
    pub async fn configure(&self, settings: Settings) -> Result<(), Error> {
        self.send(Command::Configure(Box::new(settings))).await
    }

    /// What is told of each alert, to whom, and what came of it.
    pub async fn threads(&self) -> Result<Vec<Thread>, Error> {
        let (answer, answered) = oneshot::channel();
        self.send(Command::Threads(answer)).await?;
        answered.await.map_err(|_| Error::Stopped)
    }

    async fn send(&self, command: Command) -> Result<(), Error> {
        self.commands
            .send(command)
            .await
            .map_err(|_| Error::Stopped)
    }
}

impl Worker {
    /// Sends until every handle is gone, then finishes what is under way. May be dropped at any time: what was under way
    /// goes out again after the next start, under the same key.
    pub async fn run(mut self) {
        loop {
            self.start_due().await;
            let oldest = outbox::oldest_pending(self.threads.values());
            self.telemetry.set_notification_oldest_pending(oldest);
            let wait = self.wait();
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                Some((job, kind, sent)) = self.under_way.next() => {
                    self.settle(job, kind, sent).await;
                }
                () = sleep(wait) => {}
            }
        }
        while let Some((job, kind, sent)) = self.under_way.next().await {
            self.settle(job, kind, sent).await;
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Tell(news, batch, answer) => {
                let result = self.tell(&news, batch).await;
                // Whoever asked may be gone.
                let _ = answer.send(result);
            }
            Command::Configure(settings) => {
                self.settings = Arc::new(*settings);
                if let Err(error) = self.take_up().await {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "cannot store what is no longer sent"
                    );
                }
            }
            Command::Threads(answer) => {
                let _ = answer.send(self.threads.values().cloned().collect());
            }
        }
    }

    async fn tell(&mut self, news: &[News], mut batch: Batch) -> Result<(), Error> {
        let mut changed: BTreeMap<Fingerprint, Thread> = BTreeMap::new();
        for news in news {
            let fingerprint = &news.alert.fingerprint;
            let before = changed.get(fingerprint).or(self.threads.get(fingerprint));
            let names = self.settings.channels.keys().map(String::as_str);
            let routed = route::channels(&news.alert, &self.settings.routes, names);
            if let Some(thread) = outbox::tell(before.cloned(), news, routed) {
                changed.insert(fingerprint.clone(), thread);
            }
        }
        for (fingerprint, thread) in &changed {
            batch.put(&fingerprint.0, thread);
        }
        if !batch.is_empty() {
            store::Error::unless_kept(self.store.commit(batch).await)?;
        }
        self.threads.extend(changed);
        Ok(())
    }

    /// Begins what is due on channels that are free.
    async fn start_due(&mut self) {
        let now = clock::now();
        if now < self.not_before {
            return;
        }
        let jobs = outbox::due(
            self.threads.values(),
            |channel| self.busy.contains(channel),
            now,
        );
        let mut batch = Batch::new();
        for job in &jobs {
            if let Some(thread) = self.threads.get_mut(&job.key.fingerprint) {
                outbox::attempt(thread, job);
                batch.put(&job.key.fingerprint.0, thread);
            }
        }
        // Stored before it is sent: what may have arrived must be known to later starts.
        if !batch.is_empty()
            && let Err(error) = store::Error::unless_kept(self.store.commit(batch).await)
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "notices wait: the store cannot write"
            );
            self.not_before = now + STORE_WAIT;
            return;
        }
        for job in jobs {
            self.send(job, Kind::News);
        }
        for job in self.repetitions(now) {
            let of = (job.key.fingerprint.clone(), job.channel.clone());
            self.repeated.insert(of, now);
            self.send(job, Kind::Repetition);
        }
        self.forget(now).await;
    }

    fn send(&mut self, job: Job, kind: Kind) {
        let settings = Arc::clone(&self.settings);
        self.busy.insert(job.channel.clone());
        self.under_way.push(Box::pin(async move {
            let sent = send(&job, &settings).await;
            (job, kind, sent)
        }));
    }

    async fn settle(&mut self, job: Job, kind: Kind, sent: Sent) {
        self.busy.remove(&job.channel);
        if kind == Kind::Repetition {
            if let Err(failure) = &sent {
                tracing::warn!(channel = job.channel, alert = %job.key.fingerprint, why = %failure, "an alert could not be repeated");
            }
            return;
        }
        let now = clock::now();
        let Some(thread) = self.threads.get_mut(&job.key.fingerprint) else {
            return;
        };
        let outcome = outbox::settle(thread, &job, &sent, now, jitter());
        let stored = self.store.put(&job.key.fingerprint.0, thread).await;
        log(&job, outcome, &sent);
        let is_over = thread
            .lines
            .get(&job.channel)
            .is_none_or(|line| line.pending.is_none());
        self.telemetry
            .observe_notification(&job.channel, figure(outcome, is_over));
        if outcome == Outcome::Delivered {
            let of = (job.key.fingerprint, job.channel);
            self.repeated.insert(of, now);
        }
        if let Err(error) = stored {
            // After a restart it goes out once more, under the same key.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot store what came of a notice"
            );
        }
    }

    /// Alerts that have to be posted again for their channel to believe them. After a start at once: nobody knows for
    /// how long nothing was posted.
    fn repetitions(&self, now: Timestamp) -> Vec<Job> {
        let mut jobs: Vec<Job> = Vec::new();
        for thread in self.threads.values() {
            for (channel, every) in self.repeating() {
                let is_free =
                    !self.busy.contains(channel) && jobs.iter().all(|job| job.channel != *channel);
                if is_free
                    && self.repeat_at(thread, channel, every) <= now
                    && let Some(job) = outbox::repetition(thread, channel, now)
                {
                    jobs.push(job);
                }
            }
        }
        jobs
    }

    fn repeating(&self) -> impl Iterator<Item = (&String, Duration)> {
        let channels = self.settings.channels.iter();
        channels.filter_map(|(name, channel)| Some((name, channel.keep_alive()?)))
    }

    fn repeat_at(&self, thread: &Thread, channel: &str, every: Duration) -> Timestamp {
        let of = (thread.fingerprint.clone(), channel.to_owned());
        let last = self.repeated.get(&of);
        last.map_or(Timestamp::MIN, |last| {
            last.saturating_add(SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX))
                .unwrap_or(Timestamp::MAX)
        })
    }

    /// Until something is due.
    fn wait(&self) -> Duration {
        let now = clock::now();
        let is_busy = |channel: &str| self.busy.contains(channel);
        let due = outbox::next_at(self.threads.values(), is_busy);
        let repetitions = self.threads.values().flat_map(|thread| {
            self.repeating()
                .filter(|(channel, _)| !is_busy(channel))
                .filter(|(channel, _)| outbox::repetition(thread, channel, now).is_some())
                .map(|(channel, every)| self.repeat_at(thread, channel, every))
        });
        let next = due.into_iter().chain(repetitions).min();
        let next = next.map_or(Timestamp::MAX, |next| next.max(self.not_before));
        let wait = Duration::try_from(next.duration_since(now)).unwrap_or_default();
        wait.min(LONGEST_SLEEP)
    }

    async fn take_up(&mut self) -> Result<(), store::Error> {
        let now = clock::now();
        let channels = &self.settings.channels;
        let mut batch = Batch::new();
        for (fingerprint, thread) in &mut self.threads {
            // What this process is sending just now is known; what another one was sending is not.
            let is_known = |channel: &str| channels.contains_key(channel);
            let is_ours = |channel: &str| self.busy.contains(channel);
            if outbox::take_up(thread, is_known, is_ours, now) {
                batch.put(&fingerprint.0, thread);
            }
        }
        if !batch.is_empty() {
            store::Error::unless_kept(self.store.commit(batch).await)?;
        }
        Ok(())
    }

    async fn forget(&mut self, now: Timestamp) {
        let old: Vec<Fingerprint> = self
            .threads
            .values()
            .filter(|thread| thread.is_forgotten(now))
            .map(|thread| thread.fingerprint.clone())
            .collect();
        for fingerprint in old {
            // A record that stays is found and taken away after the next start.
            if self.store.remove::<Thread>(&fingerprint.0).await.is_ok() {
                self.repeated.retain(|(other, _), _| *other != fingerprint);
                self.threads.remove(&fingerprint);
            }
        }
    }
}

/// One attempt.
async fn send(job: &Job, settings: &Settings) -> Sent {
    let Some(channel) = settings.channels.get(&job.channel) else {
        return Err(Failure::refused("the channel is no longer configured"));
    };
    let notice = channel.compose(&job.news, &job.key, job.first, &settings.origin);
    channel
        .deliver(&notice, job.earlier.as_ref(), &settings.edge)
        .await
}

/// How an attempt counts. What was refused is asked again unless it was given up.
fn figure(outcome: Outcome, is_over: bool) -> Delivery {
    match outcome {
        Outcome::Delivered => Delivery::Sent,
        Outcome::Failed | Outcome::Refused if !is_over => Delivery::Retried,
        Outcome::Failed | Outcome::Refused | Outcome::Superseded | Outcome::GivenUp => {
            Delivery::Failed
        }
    }
}

fn log(job: &Job, outcome: Outcome, sent: &Sent) {
    let (channel, key, event) = (&job.channel, &job.key, job.news.event.as_str());
    match (outcome, sent) {
        (Outcome::Delivered, Ok(receipt)) => {
            tracing::info!(channel, notice.key = %key, event, said = receipt.said, "a notice was delivered");
        }
        (Outcome::Failed, Err(failure)) => {
            tracing::warn!(channel, notice.key = %key, event, why = %failure, "a notice was not taken, and is tried again");
        }
        (_, Err(failure)) => {
            tracing::error!(channel, notice.key = %key, event, why = %failure, "a channel refuses a notice: mend its settings");
        }
        (_, Ok(_)) => {}
    }
}

/// Between 0 and 1.
fn jitter() -> f64 {
    let mut bytes = [0; 2];
    // Without randomness the waits are the shortest.
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        return 0.0;
    }
    f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX)
}
