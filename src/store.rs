//! Runs on disk. One owner, small typed calls; the database stays inside this module.
//!
//! Promises: what a call acknowledged survives a kill; every run that was begun ends in exactly one record, closed at
//! the next start where the process died. Writes go through one thread, which makes many of them durable at once;
//! reads leave the runtime.

mod disk;
mod record;
mod state;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::task::spawn_blocking;

pub use record::{Brief, Intent};
pub use state::{Batch, Kind, Record};

use crate::clock;
use crate::probe::ProbeId;
use crate::run::{Evidence, Run, RunId};
use crate::taxonomy::Outcome;

use disk::{Disk, Part, Trees};
use record::{key_of, record_key};
use writer::{Change, Writer};

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store at {} is in use by another process: stop it, or give this one a path of its own", path.display())]
    InUse { path: PathBuf },
    #[error("the store at {} was written by a newer version (format {found}): use that version, or another path", path.display())]
    Newer { path: PathBuf, found: String },
    #[error("cannot use {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the database cannot do this")]
    Database(#[from] sled::Error),
    #[error("record {id} cannot be read")]
    Record {
        id: String,
        source: serde_json::Error,
    },
    #[error("record {id} was written by another version ({version}) that this one cannot read")]
    RecordVersion { id: String, version: u16 },
    #[error("the store is closed")]
    Closed,
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
    /// Absent once the store is closed.
    open: RwLock<Option<Open>>,
}

/// What has to be given back for another process to use the store, in this order.
struct Open {
    writer: Writer,
    trees: Trees,
    lock: disk::Lock,
}

impl Shared {
    fn close(&self) {
        self.queue.close();
        let open = self
            .open
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(Open {
            writer,
            trees,
            lock,
        }) = open
        {
            writer.join();
            drop(trees);
            drop(lock);
        }
    }

    fn read<T>(&self, work: impl FnOnce(&Trees) -> Result<T, Error>) -> Result<T, Error> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        work(&open.as_ref().ok_or(Error::Closed)?.trees)
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

/// How much a purge took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    pub runs: usize,
    pub evidence: usize,
}

impl Store {
    /// Opens the store in `folder`, making it where there is none. A store that cannot be read is moved aside and a
    /// fresh one starts. Blocks: meant for the start, or to be called off the runtime.
    pub fn open(folder: &Path) -> Result<Opened, Error> {
        let Disk {
            trees,
            quarantined,
            lock,
        } = disk::open(folder)?;
        let (queue, writer) = writer::start(trees.clone());
        let open = RwLock::new(Some(Open {
            writer,
            trees,
            lock,
        }));
        let store = Self {
            shared: Arc::new(Shared {
                queue,
                folder: folder.to_owned(),
                open,
            }),
        };
        let cut_off = store.close_what_was_left_open()?;
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
        self.read(move |trees| {
            let bytes = trees[Part::Runs].get(key_of(id))?;
            bytes
                .map(|bytes| record::decode(&key_of(id), &bytes))
                .transpose()
        })
        .await
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
        self.read(move |trees| {
            let bytes = trees[Part::Evidence].get(key_of(id))?;
            bytes
                .map(|bytes| record::decode(&key_of(id), &bytes))
                .transpose()
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
        self.read(move |trees| trees.list(&query)).await
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

    /// Takes away runs from before `runs_before` and evidence from before `evidence_before`.
    pub async fn purge(
        &self,
        runs_before: Timestamp,
        evidence_before: Timestamp,
    ) -> Result<Purged, Error> {
        let mut purged = Purged::default();
        loop {
            let old = self
                .read(move |trees| trees.oldest(runs_before, evidence_before))
                .await?;
            if old.changes.is_empty() {
                break;
            }
            purged.runs += old.purged.runs;
            purged.evidence += old.purged.evidence;
            self.write(old.changes).await?;
        }
        let folder = self.shared.folder.clone();
        blocking(move || disk::purge_evidence_folders(&folder, evidence_before)).await?;
        Ok(purged)
    }

    /// Bytes that the database takes on disk.
    pub async fn size_bytes(&self) -> Result<u64, Error> {
        self.read(|trees| Ok(trees.size_on_disk()?)).await
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
        blocking(move || shared.read(work)).await
    }

    fn close_what_was_left_open(&self) -> Result<Vec<Run>, Error> {
        let closed = self.shared.read(|trees| {
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

impl Trees {
    fn list(&self, query: &Query) -> Result<Vec<Run>, Error> {
        let before = query.before.map(key_of);
        let wanted = |outcome: Outcome| query.outcome.is_none_or(|wanted| wanted == outcome);
        let mut runs = Vec::new();
        if let Some(probe) = &query.probe {
            for entry in self.of_probe(probe, before) {
                let (key, bytes) = entry?;
                let id = &key[key.len() - 16..];
                if !wanted(record::decode::<Brief>(id, &bytes)?.outcome) {
                    continue;
                }
                if let Some(bytes) = self[Part::Runs].get(id)? {
                    runs.push(record::decode(id, &bytes)?);
                }
                if runs.len() >= query.limit {
                    break;
                }
            }
            return Ok(runs);
        }
        let range = match before {
            Some(before) => self[Part::Runs].range(..before),
            None => self[Part::Runs].iter(),
        };
        for entry in range.rev() {
            let (key, bytes) = entry?;
            if query.outcome.is_some() && !wanted(record::outcome_of(&key, &bytes)?) {
                continue;
            }
            runs.push(record::decode(&key, &bytes)?);
            if runs.len() >= query.limit {
                break;
            }
        }
        Ok(runs)
    }

    fn newest(&self, probe: &ProbeId, limit: usize) -> Result<Vec<Brief>, Error> {
        let mut briefs = Vec::new();
        for entry in self.of_probe(probe, None).take(limit) {
            let (key, bytes) = entry?;
            briefs.push(record::decode(&key[key.len() - 16..], &bytes)?);
        }
        Ok(briefs)
    }

    /// Entries of a probe in the index, newest first.
    fn of_probe(
        &self,
        probe: &ProbeId,
        before: Option<[u8; 16]>,
    ) -> impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>> + use<> {
        let first = record_key(probe, [0; 16]);
        let end = record_key(probe, before.unwrap_or([0xff; 16]));
        self[Part::ByProbe].range(first..end).rev()
    }
}

#[cfg(test)]
mod tests;
