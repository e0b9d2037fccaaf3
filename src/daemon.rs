//! The daemon: starts probes when they are due, keeps what came of them, and serves it. The one place that spawns.
//!
//! A probe never runs twice at a time, and every start that came due ends in one record: the run's, or one that says
//! why there was none.

mod alarm;
mod manager;
mod plan;
mod radar;
mod timer;
mod work;

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::api::{self, Access};
use crate::board::{Board, Refused, RunNow, Slot};
use crate::clock;
use crate::duty::Duty;
use crate::notify::sender::{self, Outbox};
use crate::pipeline::new_run_id;
use crate::probe::{Probe, ProbeId};
use crate::run::{Run, RunId};
use crate::schedule;
use crate::store::{Limits, Opened, Store};
use crate::telemetry::{self, Telemetry};

pub use plan::{Change, Plan};

use radar::Radar;
use timer::{Due, Timer};
use work::{Bench, Wish};

/// How often the daemon looks at the clock and after its starts.
const BEAT: Duration = Duration::from_secs(1);

/// How often the store is looked after.
const TEND: Duration = Duration::from_secs(60);

/// How many runs of a probe are searched for its last success.
const REMEMBERED: usize = 100;

/// How long clients get to take their last answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// Walks one journey; must not fail, and should end when dropped.
pub type Runner =
    Arc<dyn Fn(Arc<Probe>, RunId, Option<Timestamp>) -> BoxFuture<'static, Run> + Send + Sync>;

/// What a daemon is told.
pub struct Settings {
    pub location: String,
    /// Folder of the store.
    pub store: PathBuf,
    /// How much the store keeps.
    pub limits: Limits,
    pub probes: Vec<Probe>,
    pub access: Access,
    /// How long runs under way may take to end when the daemon stops; then they are closed as `unknown`.
    pub grace: Duration,
    /// The daemon's figures; `None` makes a fresh set.
    pub telemetry: Option<Arc<Telemetry>>,
    /// Alerts that come up right after the start are held back for so long.
    pub settle: SignedDuration,
    /// Whom to tell of alerts; `None` tells nobody.
    pub notify: Option<sender::Settings>,
    /// What becomes of the configuration while the daemon runs; may end, and then nothing changes any more.
    pub changes: BoxStream<'static, Change>,
}

/// Serves on `listener` and runs the probes until `stop` resolves; then finishes or closes what runs.
pub async fn serve(
    settings: Settings,
    listener: TcpListener,
    runner: Runner,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let listen = listener
        .local_addr()
        .context("the listener has no address")?;
    let telemetry = match settings.telemetry {
        Some(telemetry) => telemetry,
        None => Arc::new(Telemetry::new(&settings.location)?),
    };
    // Before the store, which may tell of runs that the last process left open.
    telemetry.watch(&settings.probes);
    let (store, quarantined) = open_store(settings.store, &telemetry).await?;
    remember(&store, &telemetry, &settings.probes).await?;
    telemetry.config_reloaded(true);
    let (board, wishes) = Board::new(clock::now());
    let board = Arc::new(board);
    let radar = Radar::new(Arc::clone(&board), Arc::clone(&telemetry));
    radar.watch(&settings.probes);
    radar.restore(&store).await?;
    let notify = match settings.notify {
        Some(notify) => notify,
        None => sender::Settings::nobody()?,
    };
    telemetry.watch_channels(notify.channels.keys().map(String::as_str));
    let (outbox, worker) = Outbox::open(store.clone(), Arc::clone(&telemetry), notify).await?;
    let plan = alarm::plan(&settings.location, settings.settle, &settings.probes);
    let mut sending = tokio::spawn(worker.run());
    let duty = Duty::open(store.clone(), outbox, plan).await?;
    let (cut, cut_receiver) = watch::channel(false);
    let bench = Arc::new(Bench {
        location: settings.location,
        settle: settings.settle,
        store: store.clone(),
        telemetry: Arc::clone(&telemetry),
        board: Arc::clone(&board),
        radar,
        duty: duty.clone(),
        runner,
        cut: cut_receiver.clone(),
    });
    let (timer, starts) = Timer::start(settings.probes.len())
        .await
        .context("cannot start the scheduler")?;
    let (limits, limits_now) = watch::channel(settings.limits);
    let (access, access_now) = watch::channel(Arc::new(settings.access.bound_to(listen.ip())));
    let mut daemon = Daemon {
        listen: listen.ip(),
        access,
        limits,
        board: Arc::clone(&board),
        bench,
        timer,
        runs: JoinSet::new(),
        runs_of: HashMap::new(),
        others: JoinSet::new(),
    };
    daemon
        .others
        .spawn(keep_tidy(store.clone(), Arc::clone(&telemetry), limits_now));
    daemon.others.spawn(alarm::keep_watch(
        duty.clone(),
        Arc::clone(&board),
        Arc::clone(&telemetry),
        quarantined.map(|folder| folder.display().to_string()),
    ));
    let router = api::router(api::State {
        store: store.clone(),
        duty: duty.clone(),
        telemetry,
        board,
        access: access_now,
    });
    let mut farewell = cut_receiver;
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        let _ = farewell.wait_for(|cut| *cut).await;
    });
    let mut server = tokio::spawn(server.into_future());
    let probes = settings.probes.len();
    daemon.arm_all(settings.probes).await;
    // Only now: whoever waits for this line may ask for a run at once.
    tracing::info!(listen = %listen, probes, "serving on http://{listen}/");
    manager::ready(daemon.board.read().len());
    daemon.work(starts, wishes, settings.changes, stop).await;
    daemon.finish(&cut, settings.grace).await;
    if timeout(FAREWELL, &mut server).await.is_err() {
        server.abort();
        let _ = server.await;
    }
    if let Err(error) = duty.remember().await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "what alerts are judged by could not be stored");
    }
    // What could not be sent is in the store, and goes out after the next start.
    drop(duty);
    if timeout(FAREWELL, &mut sending).await.is_err() {
        sending.abort();
        let _ = sending.await;
    }
    // Connections that linger hold handles of their own.
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the store off the runtime and tells what was found.
async fn open_store(
    path: PathBuf,
    telemetry: &Telemetry,
) -> anyhow::Result<(Store, Option<PathBuf>)> {
    let folder = path.clone();
    let opened = task::spawn_blocking(move || Store::open(&folder)).await?;
    let Opened {
        store,
        quarantined,
        cut_off,
    } = opened.with_context(|| format!("cannot open the store at {}", path.display()))?;
    if quarantined.is_some() {
        telemetry.store_was_quarantined();
    }
    for run in &cut_off {
        telemetry.observe(run);
        tracing::warn!(run.id = %run.id, probe = %run.probe, "a run was cut off when the last process died");
    }
    Ok((store, quarantined))
}

/// Figures of the last runs outlive a restart.
async fn remember(store: &Store, telemetry: &Telemetry, probes: &[Probe]) -> anyhow::Result<()> {
    let names = probes.iter().map(|probe| probe.id.clone()).collect();
    let recent = store.newest(names, REMEMBERED).await?;
    for (probe, runs) in probes.iter().zip(&recent) {
        // The newest of each kind comes last.
        for run in runs.iter().rev() {
            let verdict = run.verdict.as_ref();
            telemetry.remember(probe, run.outcome, run.started_at, run.duration_ms, verdict);
        }
    }
    Ok(())
}

/// Packs, takes away what is too old or too much, and watches the size.
async fn keep_tidy(store: Store, telemetry: Arc<Telemetry>, mut limits: watch::Receiver<Limits>) {
    let mut round = interval(TEND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut often = interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            _ = often.tick() => {
                telemetry.set_store_waiting(store.waiting());
                continue;
            }
            // Ends with the daemon, and this with it.
            Ok(()) = limits.changed() => (),
            _ = round.tick() => (),
        }
        let now = *limits.borrow_and_update();
        match store.tend(now, clock::now()).await {
            Ok(tended) => {
                tracing::debug!(?tended, "looked after the store");
                telemetry.set_store_bytes(tended.bytes);
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot look after the store"
            ),
        }
    }
}

/// The loop that everything goes through; it alone writes on the board.
struct Daemon {
    /// The address served on: it decides who is let in without a token.
    listen: IpAddr,
    access: watch::Sender<Arc<Access>>,
    limits: watch::Sender<Limits>,
    board: Arc<Board>,
    bench: Arc<Bench>,
    timer: Timer,
    /// Runs under way, and records of starts that became none.
    runs: JoinSet<()>,
    /// Which run a task is, and of which probe.
    runs_of: HashMap<task::Id, (ProbeId, RunId)>,
    others: JoinSet<()>,
}

impl Daemon {
    async fn work(
        &mut self,
        mut starts: mpsc::UnboundedReceiver<Arc<Due>>,
        mut wishes: mpsc::Receiver<RunNow>,
        mut changes: BoxStream<'static, Change>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clocks = (Instant::now(), clock::now());
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(due) = starts.recv() => self.start(&due).await,
                Some(ended) = self.runs.join_next_with_id() => self.ended(ended),
                Some(wish) = wishes.recv() => self.wish(wish),
                Some(change) = changes.next() => self.change(change).await,
                _ = beat.tick() => clocks = self.look_up(clocks).await,
            }
        }
    }

    /// Starts the runs that are to confirm what the last run of a probe saw.
    fn confirm(&mut self, now: Timestamp) {
        let mut due = Vec::new();
        for slot in self.board.write().values_mut() {
            if slot.running.is_none() && slot.confirm.is_some_and(|at| at <= now) {
                slot.confirm = None;
                due.push(Arc::clone(&slot.probe));
            }
        }
        for probe in due {
            self.run(&probe, None, None);
        }
    }

    /// Takes no more work, lets runs end within `grace`, closes the others.
    async fn finish(mut self, cut: &watch::Sender<bool>, grace: Duration) {
        manager::stopping();
        tracing::info!(runs = self.runs.len(), "stopping");
        self.timer.stop().await;
        self.others.shutdown().await;
        let all = async { while self.runs.join_next().await.is_some() {} };
        let in_time = timeout(grace, all).await.is_ok();
        cut.send_replace(true);
        if !in_time {
            while self.runs.join_next().await.is_some() {}
        }
    }

    /// A start has come due, unless it was moved in the meantime.
    async fn start(&mut self, due: &Due) {
        let now = clock::now();
        let Some((probe, running)) = self.take(due, now) else {
            return;
        };
        if schedule::is_missed(due.at, now) {
            self.missed(&probe, due.at, now);
        } else if let Some(run) = running {
            self.skip(
                &probe,
                due.at,
                format!("run {run} of this probe was still under way"),
            );
        } else {
            self.run(&probe, Some(due.at), None);
        }
        let next = self.board.read().get(&due.probe).and_then(|slot| slot.next);
        self.set(due.probe.clone(), next).await;
    }

    /// Moves the slot on to its next start, if this is the start it waits for.
    fn take(&self, due: &Due, now: Timestamp) -> Option<(Arc<Probe>, Option<RunId>)> {
        let mut slots = self.board.write();
        let slot = slots
            .get_mut(&due.probe)
            .filter(|slot| slot.next == Some(due.at))?;
        // Never before the start at hand: the same one would come twice.
        let after = now.max(due.at);
        slot.next = schedule::next_start(&due.probe, &slot.probe.cadence, after);
        Some((Arc::clone(&slot.probe), slot.running))
    }

    /// Starts a run; whoever wished for it hears its id as soon as it is sure to end in a record.
    fn run(&mut self, probe: &Arc<Probe>, scheduled_at: Option<Timestamp>, wish: Option<Wish>) {
        let id = new_run_id();
        if let Some(slot) = self.board.write().get_mut(&probe.id) {
            slot.running = Some(id);
        }
        let (bench, probe) = (Arc::clone(&self.bench), Arc::clone(probe));
        let name = probe.id.clone();
        let task = self.runs.spawn(telemetry::within(id, async move {
            bench.run(probe, id, scheduled_at, wish).await;
        }));
        self.runs_of.insert(task.id(), (name, id));
    }

    fn missed(&mut self, probe: &Arc<Probe>, due: Timestamp, now: Timestamp) {
        let late = now.duration_since(due);
        self.board.started(now, late);
        let late = late.as_secs();
        let why =
            format!("the start came {late} s too late: overload, sleep, or a clock set forward");
        self.skip(probe, due, why);
    }

    fn skip(&mut self, probe: &Arc<Probe>, due: Timestamp, why: String) {
        let (bench, probe) = (Arc::clone(&self.bench), Arc::clone(probe));
        let id = new_run_id();
        self.runs.spawn(telemetry::within(id, async move {
            bench.skip(&probe, id, due, why).await;
        }));
    }

    /// A probe may run again. A task that panicked has left its intent, which the next start closes.
    fn ended(&mut self, ended: Result<(task::Id, ()), task::JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a run ended without a record"
                );
                error.id()
            }
        };
        let Some((probe, _)) = self.runs_of.remove(&id) else {
            return;
        };
        if let Some(slot) = self.board.write().get_mut(&probe) {
            slot.running = None;
        }
    }

    fn wish(&mut self, wish: RunNow) {
        let slot = self.board.read().get(&wish.probe).cloned();
        let refused = match slot {
            None => Refused::NoSuchProbe,
            Some(Slot {
                running: Some(run), ..
            }) => Refused::UnderWay(run),
            Some(slot) => return self.run(&slot.probe, None, Some(wish.answer)),
        };
        // Whoever asked may have gone.
        let _ = wish.answer.send(Err(refused));
    }

    /// Once a second: did the clock jump, was a start lost?
    async fn look_up(&mut self, (instant, wall): (Instant, Timestamp)) -> (Instant, Timestamp) {
        let clocks = (Instant::now(), clock::now());
        let now = clocks.1;
        self.board.beat(now);
        manager::alive();
        if let Some(jump) = schedule::clock_jump(wall, now, clocks.0 - instant) {
            tracing::warn!(
                jump_ms = jump.as_millis(),
                "the clock jumped: starts are computed anew"
            );
            self.replan(now).await;
        }
        let lost: Vec<Due> = self
            .board
            .read()
            .iter()
            .filter_map(|(id, slot)| {
                Some(Due {
                    probe: id.clone(),
                    at: slot.next?,
                })
            })
            .filter(|due| schedule::is_missed(due.at, now))
            .collect();
        for due in lost {
            self.start(&due).await;
        }
        self.confirm(now);
        clocks
    }

    /// After the clock went back, starts would be far away. (After it went forward they come at once.)
    async fn replan(&self, now: Timestamp) {
        let mut moved = Vec::new();
        for (id, slot) in self.board.write().iter_mut() {
            let next = schedule::replan(id, &slot.probe.cadence, slot.next, now);
            if next != slot.next {
                slot.next = next;
                moved.push((id.clone(), next));
            }
        }
        for (id, next) in moved {
            self.set(id, next).await;
        }
    }

    async fn set(&self, probe: ProbeId, next: Option<Timestamp>) {
        let Some(at) = next else {
            tracing::warn!(probe = %probe, "this probe is never due again");
            return;
        };
        // A start that could not be set is found lost, and set again, by `look_up`.
        if let Err(error) = self.timer.set(Due { probe, at }).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot set the next start"
            );
        }
    }
}
