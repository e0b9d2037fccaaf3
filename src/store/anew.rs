//! Writing the database anew. It never gives space back by itself: what it needed once, it keeps. So when most of its
//! file is out of use, what is in use is copied into a database beside it, which then takes its place.
//!
//! A kill leaves one that is whole, and [`settle`] finds it: until the copy is durable the old one stays in its place;
//! the old one is moved away before the copy takes that place, and goes after.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::Error;
use super::disk::{self, DATABASE};
use super::parts::Trees;

/// The copy, until it is whole.
const COPY: &str = "db.new";

/// What it replaces, until it has gone.
const REPLACED: &str = "db.old";

/// Records that are copied at a time.
const TOGETHER: usize = 1000;

/// Bytes out of use that are not worth a copy, besides as many as are in use: the database fills some of them again.
pub(super) const SPARE: u64 = 8 << 20;

/// Whether most of a database of `size` bytes is out of use when the records in it take `used`.
pub(super) fn is_due(size: u64, used: u64) -> bool {
    size > used.saturating_mul(2).saturating_add(SPARE)
}

/// Bytes of all keys and values.
pub(super) fn used(trees: &Trees) -> Result<u64, Error> {
    let mut bytes = 0;
    for tree in trees.all() {
        for entry in tree {
            let (key, value) = entry?;
            bytes += key.len() + value.len();
        }
    }
    Ok(bytes as u64)
}

/// Copies what is in use. Nothing may be written until [`swap`], or what is would be lost.
pub(super) fn copy(trees: &Trees, folder: &Path) -> Result<(), Error> {
    let path = folder.join(COPY);
    remove(&path)?;
    disk::make_private(&path)?;
    // On a disk that fails, the database returns an error or panics.
    let copied = catch_unwind(AssertUnwindSafe(|| copy_into(&path, trees)));
    let copied = copied.unwrap_or_else(|_| Err(sled::Error::ReportableBug(String::new())));
    if let Err(error) = copied {
        remove(&path)?;
        return Err(error.into());
    }
    disk::wait_until_free(&path)?;
    sync(&path)
}

fn copy_into(path: &Path, trees: &Trees) -> sled::Result<()> {
    let copy = disk::config(path).flush_every_ms(None).open()?;
    for name in trees.db.tree_names() {
        let (from, to) = (trees.db.open_tree(&name)?, copy.open_tree(&name)?);
        let mut entries = from.iter();
        loop {
            let mut batch = sled::Batch::default();
            let mut count = 0;
            for entry in entries.by_ref().take(TOGETHER) {
                let (key, value) = entry?;
                batch.insert(key, value);
                count += 1;
            }
            if count == 0 {
                break;
            }
            to.apply_batch(batch)?;
        }
    }
    copy.flush()?;
    if copy.checksum()? == trees.db.checksum()? {
        Ok(())
    } else {
        Err(sled::Error::ReportableBug("the copy differs".to_owned()))
    }
}

/// Puts the copy in the place of the database, which must be closed.
pub(super) fn swap(folder: &Path) -> Result<(), Error> {
    let [database, copy, replaced] = [DATABASE, COPY, REPLACED].map(|name| folder.join(name));
    disk::wait_until_free(&database)?;
    remove(&replaced)?;
    fs::rename(&database, &replaced).map_err(failed(&database))?;
    sync(folder)?;
    settle(folder)?;
    debug_assert!(!copy.exists(), "settling puts the copy in its place");
    Ok(())
}

/// Ends what was begun: a copy that is whole takes its place, everything else of it goes.
pub(super) fn settle(folder: &Path) -> Result<(), Error> {
    let [database, copy, replaced] = [DATABASE, COPY, REPLACED].map(|name| folder.join(name));
    // Only between the two steps of a swap.
    if replaced.exists() && !database.exists() {
        let whole = if copy.exists() { &copy } else { &replaced };
        fs::rename(whole, &database).map_err(failed(whole))?;
        sync(folder)?;
    }
    remove(&copy)?;
    remove(&replaced)
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Makes what was made, moved or taken away in a folder durable.
fn sync(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed(folder))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Folder { path, source }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tempfile::TempDir;

    use super::super::tests::{all, at, open, run};
    use super::super::{Batch, Kind, Limits, Record, Store, room};
    use super::*;
    use crate::taxonomy::Outcome;

    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Note(String);

    impl Record for Note {
        const KIND: Kind = Kind::Outbox;
        const VERSION: u16 = 1;
    }

    async fn tend(store: &Store) {
        let now: Timestamp = at(3600);
        store.tend(Limits::default(), now).await.unwrap();
    }

    async fn listed(store: &Store) -> String {
        format!("{:?}", store.list(all()).await.unwrap())
    }

    /// Writes a lot, and takes it away again.
    async fn churn(store: &Store) {
        for round in 0..8 {
            let long = round.to_string().repeat(2 << 20);
            let mut batch = Batch::new();
            batch.put("long", &Note(long));
            store.commit(batch).await.unwrap();
        }
        store.remove::<Note>("long").await.unwrap();
    }

    #[tokio::test]
    async fn what_is_out_of_use_goes_and_the_rest_stays() {
        let folder = TempDir::new().unwrap();
        let store = open(&folder).store;
        for second in 0..20 {
            store
                .append(&run("prod", 60 + second, Outcome::Ok))
                .await
                .unwrap();
        }
        churn(&store).await;
        let before = room::database(folder.path()).unwrap();
        assert!(before > 2 * SPARE, "{before}");
        let runs = listed(&store).await;
        // Others read and write meanwhile.
        let reading = async {
            for _ in 0..20 {
                assert_eq!(listed(&store).await, runs);
            }
        };
        let writing = async {
            for n in 0..20 {
                store
                    .put(&n.to_string(), &Note("kept".to_owned()))
                    .await
                    .unwrap();
            }
        };
        futures::join!(tend(&store), reading, writing);
        let after = room::database(folder.path()).unwrap();
        assert!(after < SPARE, "{after}");
        store.put("last", &Note("too".to_owned())).await.unwrap();
        store.close().await;
        let store = open(&folder).store;
        assert_eq!(listed(&store).await, runs);
        assert_eq!(store.records::<Note>("").await.unwrap().len(), 21);
        let left = fs::read_dir(folder.path()).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(
            left.into_iter()
                .all(|name| name != COPY && name != REPLACED)
        );
    }

    /// A step, and what a kill leaves there.
    type Kill = (&'static str, fn(&Path));

    #[tokio::test]
    async fn a_kill_at_any_step_leaves_one_that_is_whole() {
        let kills: [Kill; 4] = [
            ("copying", |store| {
                fs::create_dir(store.join(COPY)).unwrap();
                fs::write(store.join(COPY).join("db"), "half of it").unwrap();
            }),
            ("the old one is out of the way", |store| {
                copy_folder(&store.join(DATABASE), &store.join(COPY));
                fs::rename(store.join(DATABASE), store.join(REPLACED)).unwrap();
            }),
            ("it is in place", |store| {
                fs::create_dir(store.join(REPLACED)).unwrap();
                fs::write(store.join(REPLACED).join("db"), "half gone").unwrap();
            }),
            ("the copy was lost", |store| {
                fs::rename(store.join(DATABASE), store.join(REPLACED)).unwrap();
            }),
        ];
        for (step, kill) in kills {
            let folder = TempDir::new().unwrap();
            let store = open(&folder).store;
            store.put("a", &Note("kept".to_owned())).await.unwrap();
            store.close().await;
            kill(folder.path());
            let opened = open(&folder);
            assert!(opened.quarantined.is_none(), "{step}");
            let note = opened.store.record::<Note>("a").await.unwrap();
            assert_eq!(note, Some(Note("kept".to_owned())), "{step}");
            for gone in [COPY, REPLACED] {
                assert!(!folder.path().join(gone).exists(), "{step}: {gone}");
            }
        }
    }

    fn copy_folder(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy_folder(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
}
