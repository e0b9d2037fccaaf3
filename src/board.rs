//! What the daemon is doing at this moment, for whoever looks. The daemon writes on it, the API reads and asks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::expiry::Expiry;
use crate::probe::{Probe, ProbeId};
use crate::run::RunId;

/// The daemon looks up once a second; quiet for this long, it is stuck.
const STUCK_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// Starts that are remembered.
const STARTS: usize = 1000;

/// Requests that may wait before a caller is told to come back later.
const WAITING: usize = 64;

/// One probe on the board.
#[derive(Debug, Clone)]
pub struct Slot {
    pub probe: Arc<Probe>,
    /// Absent when its pattern never matches again.
    pub next: Option<Timestamp>,
    /// When a run is due that confirms what the last one saw.
    pub confirm: Option<Timestamp>,
    /// The run under way.
    pub running: Option<RunId>,
}

/// The board.
pub struct Board {
    slots: RwLock<BTreeMap<ProbeId, Slot>>,
    /// What expires at each probe, the first to end first.
    expiries: RwLock<BTreeMap<ProbeId, Vec<Expiry>>>,
    /// Milliseconds since the epoch when the daemon last looked up.
    beat_ms: AtomicI64,
    /// Records that could not be written in a row.
    unwritten: AtomicUsize,
    /// The newest starts: when each came, and how late.
    starts: Mutex<VecDeque<(Timestamp, SignedDuration)>>,
    /// Since when the configuration on disk has faults, and which.
    refused: Mutex<Option<(Timestamp, String)>>,
    requests: mpsc::Sender<RunNow>,
}

/// A wish to run a probe now.
pub struct RunNow {
    pub probe: ProbeId,
    pub answer: oneshot::Sender<Result<RunId, Refused>>,
}

/// Why a probe is not run now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("no probe has this name")]
    NoSuchProbe,
    #[error("run {0} of this probe is under way")]
    UnderWay(RunId),
    #[error("the daemon is busy or stopping, try again later")]
    Busy,
}

/// Why the daemon is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum NotReady {
    /// The last record could not be written.
    StoreFailed,
    /// Starts are no longer looked after.
    SchedulerStuck,
}

impl Board {
    /// An empty board, and the wishes that will come in.
    pub fn new(now: Timestamp) -> (Self, mpsc::Receiver<RunNow>) {
        let (requests, wishes) = mpsc::channel(WAITING);
        let board = Self {
            slots: RwLock::default(),
            expiries: RwLock::default(),
            beat_ms: AtomicI64::new(now.as_millisecond()),
            unwritten: AtomicUsize::new(0),
            starts: Mutex::default(),
            refused: Mutex::default(),
            requests,
        };
        (board, wishes)
    }

    /// All probes, by name.
    pub fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ProbeId, Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the daemon alone.
    pub fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<ProbeId, Slot>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What expires at a probe, the first to end first. Times in the past have come already.
    pub fn expiries(&self, probe: &ProbeId) -> Vec<Expiry> {
        let all = self.expiries.read().unwrap_or_else(PoisonError::into_inner);
        all.get(probe).cloned().unwrap_or_default()
    }

    /// For the daemon alone: what expires at a probe.
    pub fn set_expiries(&self, probe: &ProbeId, expiries: Vec<Expiry>) {
        let mut all = self
            .expiries
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        all.insert(probe.clone(), expiries);
    }

    /// For the daemon alone: forgets probes that are gone.
    pub fn keep_expiries(&self, is_known: impl Fn(&ProbeId) -> bool) {
        let mut all = self
            .expiries
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|probe, _| is_known(probe));
    }

    /// The daemon looked up.
    pub fn beat(&self, now: Timestamp) {
        self.beat_ms.store(now.as_millisecond(), Ordering::Relaxed);
    }

    /// Notes whether a record was written.
    pub fn wrote(&self, successful: bool) {
        if successful {
            self.unwritten.store(0, Ordering::Relaxed);
        } else {
            self.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// For the daemon alone: a start that was due came at `now`, or was found missed.
    pub fn started(&self, now: Timestamp, late: SignedDuration) {
        let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        starts.push_back((now, late));
        if starts.len() > STARTS {
            starts.pop_front();
        }
    }

    /// How late the newest starts came, since a moment.
    pub fn lateness(&self, since: Timestamp) -> Vec<SignedDuration> {
        let starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = starts.iter().filter(|(at, _)| *at >= since);
        newest.map(|(_, late)| *late).collect()
    }

    /// For the daemon alone: the configuration was read again, with these faults or none.
    pub fn config_read(&self, now: Timestamp, faults: Option<String>) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let since = refused.as_ref().map_or(now, |(since, _)| *since);
        *refused = faults.map(|faults| (since, faults));
    }

    /// Since when the configuration on disk has faults and is not in force, and which.
    pub fn config_refused(&self) -> Option<(Timestamp, String)> {
        let refused = self.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the daemon is not ready, empty when it is.
    pub fn not_ready(&self, now: Timestamp) -> Vec<NotReady> {
        let mut reasons = Vec::new();
        if self.unwritten.load(Ordering::Relaxed) > 0 {
            reasons.push(NotReady::StoreFailed);
        }
        let quiet_ms = now.as_millisecond() - self.beat_ms.load(Ordering::Relaxed);
        if SignedDuration::from_millis(quiet_ms) > STUCK_AFTER {
            reasons.push(NotReady::SchedulerStuck);
        }
        reasons
    }

    /// Runs a probe now, unless a run of it is under way. Gives the id of the run once it
    /// is sure to end in a record.
    pub async fn run_now(&self, probe: ProbeId) -> Result<RunId, Refused> {
        let (answer, run) = oneshot::channel();
        self.requests
            .try_send(RunNow { probe, answer })
            .map_err(|_| Refused::Busy)?;
        run.await.unwrap_or(Err(Refused::Busy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_its_reasons() {
        let start = Timestamp::UNIX_EPOCH;
        let (board, _wishes) = Board::new(start);
        assert_eq!(board.not_ready(start), []);
        board.wrote(false);
        let later = start + STUCK_AFTER * 2;
        assert_eq!(
            board.not_ready(later),
            [NotReady::StoreFailed, NotReady::SchedulerStuck]
        );
        board.wrote(true);
        board.beat(later);
        assert_eq!(board.not_ready(later), []);
    }

    #[tokio::test]
    async fn nobody_listening_is_busy() {
        let (board, wishes) = Board::new(Timestamp::UNIX_EPOCH);
        drop(wishes);
        let refused = board.run_now(ProbeId::new("acme", "prod", None)).await;
        assert_eq!(refused, Err(Refused::Busy));
    }
}
