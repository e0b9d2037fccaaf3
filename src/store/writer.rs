//! The one thread that writes. What waits is written as one transaction and made durable by one flush, so that many
//! runs that end together cost as much as one.
//!
//! What cannot be written, because the disk is full or broken, waits here in memory until it can; see [`backlog`].

mod apply;
mod backlog;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::parts::{Part, Trees};
use super::record::Finished;
use super::slot::Slot;
use super::{Error, anew, disk, room};

use backlog::Backlog;

/// Requests that share one flush at most.
const GROUP: usize = 256;

/// How often what could not be written is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// One change of the store.
pub(super) enum Change {
    Put(Part, Vec<u8>, Vec<u8>),
    Remove(Part, Vec<u8>),
    /// A run takes the place of its intent.
    Finish(Box<Finished>),
}

type Answer = oneshot::Sender<Result<(), Error>>;

/// Works out changes from what is stored, while nobody else reads or writes.
type Alone = Box<dyn FnOnce(&Trees) -> Result<Vec<Change>, Error> + Send>;

enum Request {
    Write(Vec<Change>, Answer),
    Alone(Alone, Answer),
    Anew(Answer),
}

/// Where changes are handed in.
pub(super) struct Queue {
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    waiting: Arc<AtomicUsize>,
}

impl Queue {
    /// Durable when it returns `Ok`. With [`Error::Waiting`] it is kept in memory and written as soon as it can be.
    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        let (answer, done) = oneshot::channel();
        self.hand_in(Request::Write(changes, answer))?;
        done.await.map_err(|_| Error::Closed)?
    }

    /// The same outside the runtime.
    pub(super) fn write_blocking(&self, changes: Vec<Change>) -> Result<(), Error> {
        let (answer, done) = oneshot::channel();
        self.hand_in(Request::Write(changes, answer))?;
        // The writing thread answers everything that it took.
        futures::executor::block_on(done).map_err(|_| Error::Closed)?
    }

    /// Writes changes that are worked out while nobody else reads or writes; not written at all when it fails. Outside
    /// the runtime.
    pub(super) fn alone(
        &self,
        work: impl FnOnce(&Trees) -> Result<Vec<Change>, Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (answer, done) = oneshot::channel();
        self.hand_in(Request::Alone(Box::new(work), answer))?;
        futures::executor::block_on(done).map_err(|_| Error::Closed)?
    }

    /// Writes the database anew, so that it takes what it needs and no more. Outside the runtime.
    pub(super) fn anew(&self) -> Result<(), Error> {
        let (answer, done) = oneshot::channel();
        self.hand_in(Request::Anew(answer))?;
        futures::executor::block_on(done).map_err(|_| Error::Closed)?
    }

    /// Changes that are in memory only.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn hand_in(&self, request: Request) -> Result<(), Error> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = requests.as_ref().ok_or(Error::Closed)?;
        requests.send(request).map_err(|_| Error::Closed)
    }

    /// What was handed in is still written.
    pub(super) fn close(&self) {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// The thread.
pub(super) struct Writer(thread::JoinHandle<()>);

impl Writer {
    /// Waits until everything handed in is written; the queue must be closed.
    pub(super) fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the thread that writes to the store has panicked");
        }
    }
}

pub(super) fn start(slot: Arc<Slot>, folder: PathBuf) -> (Queue, Writer) {
    let (sender, receiver) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut writing = Writing {
        slot,
        folder,
        backlog: Backlog::default(),
        tried: Instant::now(),
        waiting: Arc::clone(&waiting),
        failing: false,
    };
    let thread = thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || writing.until_closed(&receiver))
        .expect("a thread can be started while the daemon starts");
    let queue = Queue {
        requests: Mutex::new(Some(sender)),
        waiting,
    };
    (queue, Writer(thread))
}

struct Writing {
    slot: Arc<Slot>,
    folder: PathBuf,
    backlog: Backlog,
    /// When the backlog was last tried.
    tried: Instant,
    waiting: Arc<AtomicUsize>,
    /// Whether the last write failed.
    failing: bool,
}

impl Writing {
    fn until_closed(&mut self, requests: &mpsc::Receiver<Request>) {
        let mut next = None;
        loop {
            let request = match next.take() {
                Some(request) => Ok(request),
                None if self.backlog.is_empty() => requests.recv().map_err(Into::into),
                None => requests.recv_timeout(RETRY),
            };
            self.try_again();
            match request {
                Ok(Request::Write(changes, answer)) => {
                    let mut group = vec![(changes, answer)];
                    while group.len() < GROUP && next.is_none() {
                        match requests.try_recv() {
                            Ok(Request::Write(changes, answer)) => group.push((changes, answer)),
                            Ok(other) => next = Some(other),
                            Err(_) => break,
                        }
                    }
                    self.write(group);
                }
                // Whoever asked may have been cancelled.
                Ok(Request::Alone(work, answer)) => drop(answer.send(self.alone(work))),
                Ok(Request::Anew(answer)) => drop(answer.send(self.anew())),
                Err(mpsc::RecvTimeoutError::Timeout) => (),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            self.waiting.store(self.backlog.len(), Ordering::Relaxed);
        }
        if !self.backlog.is_empty() {
            tracing::error!(
                changes = self.backlog.len(),
                "lost: they could not be written before the store was closed"
            );
        }
    }

    fn write(&mut self, group: Vec<(Vec<Change>, Answer)>) {
        let (mut changes, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        // What waits comes first: a record may be in there that these replace.
        let written = self.backlog.is_empty() && self.try_write(&mut changes);
        if !written {
            self.backlog.extend(changes.into_iter().flatten());
        }
        for answer in answers {
            let _ = answer.send(if written { Ok(()) } else { Err(Error::Waiting) });
        }
    }

    fn try_write(&mut self, changes: &mut [Vec<Change>]) -> bool {
        let result = self.slot.read(|trees| {
            let mut changes: Vec<&mut Change> = changes.iter_mut().flatten().collect();
            apply::evidence(trees, &mut changes);
            Ok(apply::all(trees, &changes)?)
        });
        self.note(result)
    }

    fn alone(&mut self, work: Alone) -> Result<(), Error> {
        if !self.backlog.is_empty() {
            return Err(Error::Waiting);
        }
        let done = self.slot.alone(|trees| {
            let changes = work(trees)?;
            Ok(apply::all(trees, &changes.iter().collect::<Vec<_>>())?)
        });
        if let Err(Error::Database(_)) = &done {
            self.recover();
        }
        done
    }

    /// Readers go on until the copy is whole; writers wait, because nobody else writes.
    fn anew(&mut self) -> Result<(), Error> {
        self.slot.read(|trees| anew::copy(trees, &self.folder))?;
        let swapped = self.slot.reopen(|| {
            anew::swap(&self.folder)?;
            disk::reopen(&self.folder)
        });
        if swapped.is_err() {
            self.recover();
        }
        swapped
    }

    /// Whether it was written. A database that has failed once refuses everything until it is opened again.
    fn note(&mut self, result: Result<(), Error>) -> bool {
        let Err(error) = result else {
            self.failing = false;
            return true;
        };
        // Once is enough until it works again.
        if !self.failing {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot write to the store: going on in memory until it can be written"
            );
        }
        self.failing = true;
        self.recover();
        false
    }

    /// Writes what waits, from time to time.
    fn try_again(&mut self) {
        if self.backlog.is_empty() || self.tried.elapsed() < RETRY {
            return;
        }
        self.tried = Instant::now();
        if self.slot.is_down() {
            self.recover();
        }
        let mut changes = self.backlog.take();
        let count: usize = changes.iter().map(Vec::len).sum();
        if self.try_write(&mut changes) {
            tracing::warn!(
                changes = count,
                "the store can be written again: nothing waits in memory any more"
            );
        } else {
            self.backlog.put_back(changes);
        }
    }

    /// Makes room where that is what is missing, and opens the database again.
    fn recover(&mut self) {
        self.tried = Instant::now();
        room::in_need(&self.folder);
        if let Err(error) = self.slot.reopen(|| disk::reopen(&self.folder)) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "the store cannot be opened again yet"
            );
        }
    }
}
