//! The one thread that writes. What waits is written as one transaction and made durable by one flush, so that many
//! runs that end together cost as much as one.

use std::convert::Infallible;
use std::ops::Index;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError, TransactionalTree};
use tokio::sync::oneshot;

use super::Error;
use super::parts::{Part, Trees};
use super::record::{self, Finished};
use super::rollup::{Level, Rollup};

/// Requests that share one flush at most.
const GROUP: usize = 256;

/// One change of the store.
pub(super) enum Change {
    Put(Part, Vec<u8>, Vec<u8>),
    Remove(Part, Vec<u8>),
    /// A run takes the place of its intent.
    Finish(Box<Finished>),
}

struct Request {
    changes: Vec<Change>,
    done: oneshot::Sender<Result<(), sled::Error>>,
}

/// Where changes are handed in.
pub(super) struct Queue(Mutex<Option<mpsc::Sender<Request>>>);

impl Queue {
    /// Durable when it returns `Ok`; not written at all otherwise.
    pub(super) async fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        let done = self.hand_in(changes)?;
        Ok(done.await.map_err(|_| Error::Closed)??)
    }

    /// The same outside the runtime.
    pub(super) fn write_blocking(&self, changes: Vec<Change>) -> Result<(), Error> {
        let done = self.hand_in(changes)?;
        // The writing thread answers everything that it took.
        Ok(futures::executor::block_on(done).map_err(|_| Error::Closed)??)
    }

    fn hand_in(
        &self,
        changes: Vec<Change>,
    ) -> Result<oneshot::Receiver<Result<(), sled::Error>>, Error> {
        let (done, answer) = oneshot::channel();
        let queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queue.as_ref().ok_or(Error::Closed)?;
        queue
            .send(Request { changes, done })
            .map_err(|_| Error::Closed)?;
        Ok(answer)
    }

    /// What was handed in is still written.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
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

pub(super) fn start(trees: Trees) -> (Queue, Writer) {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || write_until_closed(&trees, &receiver))
        .expect("a thread can be started while the daemon starts");
    (Queue(Mutex::new(Some(sender))), Writer(thread))
}

fn write_until_closed(trees: &Trees, requests: &mpsc::Receiver<Request>) {
    while let Ok(first) = requests.recv() {
        let mut group = vec![first];
        group.extend(requests.try_iter().take(GROUP - 1));
        let result = write(trees, &group);
        if let Err(error) = &result {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "cannot write to the store"
            );
        }
        for request in group {
            // Whoever asked may have been cancelled.
            let _ = request.done.send(result.clone());
        }
    }
}

fn write(trees: &Trees, group: &[Request]) -> sled::Result<()> {
    let changes = || group.iter().flat_map(|request| &request.changes);
    let written = trees.all().transaction(|trees| {
        let trees = Parts(trees);
        changes().try_for_each(|change| trees.apply(change))
    });
    match written {
        Ok(()) => trees.flush(),
        Err(TransactionError::Storage(error)) => Err(error),
        Err(TransactionError::Abort(never)) => match never {},
    }
}

/// The trees inside a transaction.
struct Parts<'a>(&'a [TransactionalTree]);

impl Index<Part> for Parts<'_> {
    type Output = TransactionalTree;

    fn index(&self, part: Part) -> &TransactionalTree {
        &self.0[part.index()]
    }
}

impl Parts<'_> {
    fn apply(&self, change: &Change) -> Result<(), ConflictableTransactionError<Infallible>> {
        match change {
            Change::Put(part, key, value) => {
                self[*part].insert(&key[..], &value[..])?;
            }
            Change::Remove(part, key) => {
                self[*part].remove(&key[..])?;
            }
            Change::Finish(run) => {
                self[Part::Open].remove(&run.key)?;
                let known = self[Part::Runs].insert(&run.key, &run.run[..])?;
                if known.is_none() {
                    self.count(run)?;
                }
                self[Part::ByProbe].insert(&run.index_key[..], &run.brief[..])?;
                if let Some(evidence) = &run.evidence {
                    self[Part::Evidence].insert(&run.key, &evidence[..])?;
                }
            }
        }
        Ok(())
    }

    /// A run is counted where it is written, once.
    fn count(&self, run: &Finished) -> Result<(), ConflictableTransactionError<Infallible>> {
        for level in Level::ALL {
            let (tree, key) = (&self[Part::Rollups(level)], run.rollup_key(level));
            let mut rollup = run.rollup.clone();
            if let Some(bytes) = tree.get(&key)? {
                match record::decode::<Rollup>(&key, &bytes) {
                    Ok(before) => rollup.merge(&before),
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "a rollup begins anew"
                        );
                    }
                }
            }
            tree.insert(key, record::encode(&rollup))?;
        }
        Ok(())
    }
}
