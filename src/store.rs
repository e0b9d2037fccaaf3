//! Runs on disk. One owner, small typed calls; the database stays inside this module.
//!
//! Promises: what a call acknowledged survives a kill; every run that was begun ends in exactly one record, closed at
//! the next start where the process died. Writes go through one thread, which makes many of them durable at once;
//! reads leave the runtime.

mod anew;
mod block;
mod disk;
mod ends;
mod filesystem;
mod history;
mod latency;
mod limits;
mod migrate;
mod packer;
mod packs;
mod parts;
mod record;
mod rollup;
mod room;
mod slot;
mod state;
mod sums;
mod tend;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::spawn_blocking;

pub use ends::Ends;
pub use latency::Latency;
pub use limits::{Horizon, Limits};
pub use record::{Brief, Intent};
pub use rollup::{Outcomes, Rollup, Span};
pub use state::{Batch, Kind, Record};
pub use tend::Tended;

use crate::clock;
use crate::probe::ProbeId;
use crate::run::{Evidence, Run, RunId};
use crate::taxonomy::Outcome;

use block::Kept;
use disk::Disk;
use parts::{Part, Trees};
use record::key_of;
use slot::Slot;
use writer::{Change, Writer};

/// Opening takes less, or says why.
const SLOW: Duration = Duration::from_secs(1);

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store at {} is in use by another process: stop it, or give this one a path of its own", path.display())]
    InUse { path: PathBuf },
    #[error("the store at {} was written by a newer version (format {found}): use that version, or another path", path.display())]
    Newer { path: PathBuf, found: String },
    #[error("cannot use {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{} lies on a network file system ({kind}), where the store would break: use a folder on this machine", path.display())]
    Remote { path: PathBuf, kind: String },
    #[error("the database cannot do this")]
    Database(#[from] sled::Error),
    #[error("record {id} cannot be read")]
    Record {
        id: String,
        source: serde_json::Error,
    },
    #[error("the block at {offset} of {file} cannot be read: {why}")]
    Block {
        file: String,
        offset: u64,
        why: String,
    },
    #[error("record {id} was written by another version ({version}) that this one cannot read")]
    RecordVersion { id: String, version: u16 },
    #[error("the store cannot be written to: this waits in memory until it can")]
    Waiting,
    #[error("the store cannot be read at the moment, because it could not be written to")]
    Down,
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// What a write means for one who may go on from memory: it is kept when the disk is full, and written later.
    pub fn unless_kept(result: Result<(), Self>) -> Result<(), Self> {
        match result {
            Err(Self::Waiting { .. }) => Ok(()),
            other => other,
        }
    }
}

/// A store that is open, and what was found on opening it.
pub struct Opened {
    pub store: Store,
    /// Where a store that could not be read was moved to; the open one is a fresh one.
    pub quarantined: Option<PathBuf>,
    /// Runs that an earlier process left open, now closed as `unknown`.
    pub cut_off: Vec<Run>,
}

/// Handle to the store; clones share it. The last one to go closes it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    queue: writer::Queue,
    folder: PathBuf,
    slot: Arc<Slot>,
    /// Held by whoever packs and purges.
    tending: Mutex<tend::Order>,
    /// Absent once the store is closed.
    open: Mutex<Option<Open>>,
}

/// What has to be given back for another process to use the store, in this order.
struct Open {
    writer: Writer,
    lock: disk::Lock,
}

impl Shared {
    fn close(&self) {
        self.queue.close();
        let open = self
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Open { writer, lock }) = open {
            writer.join();
            self.slot.close();
            drop(lock);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

/// Which runs to list, newest first.
#[derive(Debug, Clone)]
pub struct Query {
    pub probe: Option<ProbeId>,
    pub outcome: Option<Outcome>,
    /// Only runs older than this one.
    pub before: Option<RunId>,
    pub limit: usize,
}

impl Store {
    /// Opens the store in `folder`, making it where there is none. A store that cannot be read is moved aside and a
    /// fresh one starts. Blocks: meant for the start, or to be called off the runtime.
    pub fn open(folder: &Path) -> Result<Opened, Error> {
        let began = Instant::now();
        let Disk {
            trees,
            quarantined,
            lock,
        } = disk::open(folder)?;
        let slot = Arc::new(Slot::new(trees));
        let (queue, writer) = writer::start(Arc::clone(&slot), folder.to_owned());
        let store = Self {
            shared: Arc::new(Shared {
                queue,
                folder: folder.to_owned(),
                slot,
                tending: Mutex::default(),
                open: Mutex::new(Some(Open { writer, lock })),
            }),
        };
        let recovered = began.elapsed();
        let cut_off = store.close_what_was_left_open()?;
        store.tell_if_slow(recovered, began.elapsed(), cut_off.len());
        Ok(Opened {
            store,
            quarantined,
            cut_off,
        })
    }

    /// Notes that a run is about to start. Durable when it returns.
    pub async fn begin(&self, intent: &Intent) -> Result<(), Error> {
        let key = key_of(intent.id).to_vec();
        self.write(vec![Change::Put(Part::Open, key, record::encode(intent))])
            .await
    }

    /// Stores a finished run in place of its intent, its evidence apart. Durable when it returns.
    pub async fn append(&self, run: &Run) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.append(run);
        self.commit(batch).await
    }

    /// Writes everything in the batch, runs and records of any kind, as one. Durable when it returns `Ok`; nothing of it
    /// is written otherwise.
    pub async fn commit(&self, batch: Batch) -> Result<(), Error> {
        for (run, png) in batch.screenshots {
            let path = self.screenshot_path(run);
            blocking(move || disk::write_private(&path, &png)).await?;
        }
        self.write(batch.changes).await
    }

    /// Writes a record of the daemon's state under `key`. Durable when it returns.
    pub async fn put<R: Record>(&self, key: &str, record: &R) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.put(key, record);
        self.commit(batch).await
    }

    /// Takes a record of the daemon's state away, where there is one. Durable when it returns.
    pub async fn remove<R: Record>(&self, key: &str) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.remove::<R>(key);
        self.commit(batch).await
    }

    /// The record of the daemon's state under `key`.
    pub async fn record<R: Record + Send + 'static>(&self, key: &str) -> Result<Option<R>, Error> {
        let key = key.as_bytes().to_vec();
        self.read(move |trees| {
            let bytes = trees[Part::State(R::KIND)].get(&key)?;
            bytes.map(|bytes| state::decode(&key, &bytes)).transpose()
        })
        .await
    }

    /// All records of a kind whose key begins with `prefix`, by key. One that cannot be read is left out, and logged.
    pub async fn records<R: Record + Send + 'static>(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, R)>, Error> {
        let prefix = prefix.as_bytes().to_vec();
        self.read(move |trees| {
            let mut records = Vec::new();
            for entry in trees[Part::State(R::KIND)].scan_prefix(prefix) {
                let (key, bytes) = entry?;
                match state::decode(&key, &bytes) {
                    Ok(record) => {
                        records.push((String::from_utf8_lossy(&key).into_owned(), record));
                    }
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "a record is left out"
                        );
                    }
                }
            }
            Ok(records)
        })
        .await
    }

    /// A run without its evidence.
    pub async fn get(&self, id: RunId) -> Result<Option<Run>, Error> {
        let kept = self.read(move |trees| trees.run(id)).await?;
        Ok(kept.map(|kept| kept.run))
    }

    /// The intent of a run that has begun and not ended.
    pub async fn under_way(&self, id: RunId) -> Result<Option<Intent>, Error> {
        self.read(move |trees| {
            let bytes = trees[Part::Open].get(key_of(id))?;
            bytes
                .map(|bytes| record::decode(&key_of(id), &bytes))
                .transpose()
        })
        .await
    }

    /// What was seen in a run, without the screenshot.
    pub async fn evidence(&self, id: RunId) -> Result<Option<Evidence>, Error> {
        self.read(move |trees| match trees.run(id)? {
            Some(kept) => trees.evidence_of(&kept),
            None => Ok(None),
        })
        .await
    }

    /// The screenshot of a run, as PNG.
    pub async fn screenshot(&self, id: RunId) -> Result<Option<Vec<u8>>, Error> {
        let path = self.screenshot_path(id);
        match tokio::fs::read(&path).await {
            Ok(png) => Ok(Some(png)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Folder { path, source }),
        }
    }

    /// Runs without their evidence, newest first.
    pub async fn list(&self, query: Query) -> Result<Vec<Run>, Error> {
        let kept = self.read(move |trees| trees.list(&query)).await?;
        Ok(kept.into_iter().map(|kept| kept.run).collect())
    }

    /// The newest runs of each probe in short, newest first.
    pub async fn newest(
        &self,
        probes: Vec<ProbeId>,
        limit: usize,
    ) -> Result<Vec<Vec<Brief>>, Error> {
        self.read(move |trees| {
            probes
                .iter()
                .map(|probe| trees.newest(probe, limit))
                .collect()
        })
        .await
    }

    /// The newest runs of a probe with what was seen in them, newest first.
    pub async fn newest_with_evidence(
        &self,
        probe: ProbeId,
        limit: usize,
    ) -> Result<Vec<Run>, Error> {
        let query = Query {
            probe: Some(probe),
            outcome: None,
            before: None,
            limit,
        };
        self.read(move |trees| {
            let with_evidence = |mut kept: Kept| {
                kept.run.evidence = trees.evidence_of(&kept)?;
                Ok(kept.run)
            };
            trees.list(&query)?.into_iter().map(with_evidence).collect()
        })
        .await
    }

    /// What was counted of a probe in a span, with any percentile of its stages.
    pub async fn stats(&self, probe: ProbeId, span: Span) -> Result<Rollup, Error> {
        self.read(move |trees| trees.stats(&probe, span)).await
    }

    /// What was counted of every probe in a span, by the name of the probe.
    pub async fn overview(&self, span: Span) -> Result<BTreeMap<String, Rollup>, Error> {
        self.read(move |trees| trees.overview(span)).await
    }

    /// Looks after the store: packs what is old, takes away what lies beyond the limits, makes room. To be called every
    /// minute or so.
    pub async fn tend(&self, limits: Limits, now: Timestamp) -> Result<Tended, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || tend::all(&shared, &limits, now)).await
    }

    /// Changes that are in memory only, because they could not be written.
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }

    /// Writes what was handed in and gives the folder back; what is asked of any handle later is refused. Without it,
    /// the last handle to go does the same.
    pub async fn close(&self) {
        let shared = Arc::clone(&self.shared);
        // Fails only when the runtime is gone, and then the handle goes as well.
        let _ = spawn_blocking(move || shared.close()).await;
    }

    async fn write(&self, changes: Vec<Change>) -> Result<(), Error> {
        self.shared.queue.write(changes).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Trees) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.slot.read(work)).await
    }

    /// A start that people wait for should say what it waits for.
    fn tell_if_slow(&self, recovered: Duration, all: Duration, cut_off: usize) {
        if all < SLOW {
            return;
        }
        let bytes = room::used(&self.shared.folder);
        tracing::warn!(
            store.path = %self.shared.folder.display(),
            store.bytes = bytes.unwrap_or_default(),
            open_ms = all.as_millis(),
            recovery_ms = recovered.as_millis(),
            cut_off,
            "opening the store took longer than a second: most of it goes into reading the database again (recovery_ms), the rest into closing runs that were cut off"
        );
    }

    fn close_what_was_left_open(&self) -> Result<Vec<Run>, Error> {
        let closed = self.shared.slot.read(|trees| {
            let mut closed = Vec::new();
            for entry in &trees[Part::Open] {
                let (key, bytes) = entry?;
                match record::decode::<Intent>(&key, &bytes) {
                    Ok(intent) => {
                        closed.push(intent.cut_off("the process that ran it died", clock::now()));
                    }
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "an open run is lost"
                        );
                        trees[Part::Open].remove(key)?;
                    }
                }
            }
            Ok(closed)
        })?;
        let mut batch = Batch::new();
        for run in &closed {
            batch.append(run);
        }
        self.shared.queue.write_blocking(batch.changes)?;
        Ok(closed)
    }

    fn screenshot_path(&self, id: RunId) -> PathBuf {
        self.shared
            .folder
            .join("evidence")
            .join(id.to_string())
            .join("screenshot.png")
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // A blocking task ends in a join error only when the runtime stops, or by a bug that has been reported already.
    spawn_blocking(work).await.unwrap_or(Err(Error::Closed))
}

#[cfg(test)]
mod packed_tests;
#[cfg(test)]
mod tests;
