//! What the daemon remembers about its own doings: alerts, what is still to be sent, silences, deploys, grants. Each
//! kind has a tree of its own; each record carries its version and decodes alone, so that a broken one costs itself only.
//!
//! What belongs together is written together: see [`Batch`].

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strum::{EnumIter, IntoStaticStr};

use super::Error;
use super::parts::Part;
use super::record::Finished;
use super::writer::Change;
use crate::run::Run;

/// The kinds of records, each with a tree of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, EnumIter, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Where each alert stands, and what its evaluation has to remember.
    AlertStates,
    /// What is still to be sent.
    Outbox,
    /// What was sent, and what the channel answered.
    Receipts,
    Silences,
    Deploys,
    /// Refresh-token families; sealed by whoever writes them, the store knows no secrets.
    Grants,
}

/// A record of one kind. Types are bound to their kind, so that no call can mix them up.
pub trait Record: Serialize + DeserializeOwned {
    const KIND: Kind;
    /// Version that is written today.
    const VERSION: u16;

    /// Reads what an earlier version wrote; `None` where there was no such version. Newer versions never come here.
    fn upgrade(version: u16, json: &str) -> Option<Result<Self, serde_json::Error>> {
        let _ = (version, json);
        None
    }
}

/// Changes that become durable together, or not at all.
#[derive(Default)]
#[must_use = "nothing is written before `Store::commit`"]
pub struct Batch {
    pub(super) changes: Vec<Change>,
    /// Screenshots lie beside the database and are written before it points to them.
    pub(super) screenshots: Vec<(crate::run::RunId, Vec<u8>)>,
}

impl Batch {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds a finished run, as [`super::Store::append`] does.
    pub fn append(&mut self, run: &Run) -> &mut Self {
        let page = run
            .evidence
            .as_ref()
            .and_then(|evidence| evidence.page.as_ref());
        if let Some(png) = page.and_then(|page| page.screenshot.clone()) {
            self.screenshots.push((run.id, png));
        }
        self.changes
            .push(Change::Finish(Box::new(Finished::of(run))));
        self
    }

    /// Writes a record under `key`, in place of what is there.
    pub fn put<R: Record>(&mut self, key: &str, record: &R) -> &mut Self {
        self.changes.push(Change::Put(
            Part::State(R::KIND),
            key.as_bytes().to_vec(),
            encode(record),
        ));
        self
    }

    /// Takes the record under `key` away, where there is one.
    pub fn remove<R: Record>(&mut self, key: &str) -> &mut Self {
        let part = Part::State(R::KIND);
        self.changes
            .push(Change::Remove(part, key.as_bytes().to_vec()));
        self
    }
}

#[derive(Serialize)]
struct Sealed<'a, R> {
    version: u16,
    record: &'a R,
}

#[derive(Deserialize)]
struct Found<'a> {
    version: u16,
    #[serde(borrow)]
    record: &'a RawValue,
}

fn encode<R: Record>(record: &R) -> Vec<u8> {
    let sealed = Sealed {
        version: R::VERSION,
        record,
    };
    super::record::encode(&sealed)
}

/// Reads a record of today's or an earlier version.
pub(super) fn decode<R: Record>(key: &[u8], bytes: &[u8]) -> Result<R, Error> {
    let unreadable = |source| Error::Record {
        id: name_of::<R>(key),
        source,
    };
    let found: Found<'_> = serde_json::from_slice(bytes).map_err(unreadable)?;
    let json = found.record.get();
    if found.version == R::VERSION {
        return serde_json::from_str(json).map_err(unreadable);
    }
    let upgraded = (found.version < R::VERSION)
        .then(|| R::upgrade(found.version, json))
        .flatten();
    let upgraded = upgraded.ok_or_else(|| Error::RecordVersion {
        id: name_of::<R>(key),
        version: found.version,
    })?;
    upgraded.map_err(unreadable)
}

fn name_of<R: Record>(key: &[u8]) -> String {
    let kind: &str = R::KIND.into();
    format!("{kind}/{}", String::from_utf8_lossy(key))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::{Store, parts::Part};
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Silence {
        until: u64,
        by: String,
    }

    impl Record for Silence {
        const KIND: Kind = Kind::Silences;
        const VERSION: u16 = 2;

        fn upgrade(version: u16, json: &str) -> Option<Result<Self, serde_json::Error>> {
            let by_whom = |until| Self {
                until,
                by: "nobody".to_owned(),
            };
            (version == 1).then(|| serde_json::from_str(json).map(by_whom))
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Notice(String);

    impl Record for Notice {
        const KIND: Kind = Kind::Outbox;
        const VERSION: u16 = 1;
    }

    fn silence(until: u64) -> Silence {
        Silence {
            until,
            by: "me".to_owned(),
        }
    }

    fn store(folder: &TempDir) -> Store {
        Store::open(folder.path()).unwrap().store
    }

    #[tokio::test]
    async fn records_are_kept_by_kind_and_key_and_outlive_the_process() {
        let folder = TempDir::new().unwrap();
        let first = store(&folder);
        let mut batch = Batch::new();
        batch.put("a/1", &silence(1)).put("a/2", &silence(2));
        batch.put("b/1", &silence(3)).remove::<Silence>("a/2");
        batch.put("a/1", &Notice("text".to_owned()));
        first.commit(batch).await.unwrap();
        first.put("a/3", &silence(4)).await.unwrap();
        first.remove::<Silence>("never").await.unwrap();
        drop(first);

        let store = store(&folder);
        let of_a = store.records::<Silence>("a/").await.unwrap();
        assert_eq!(
            of_a,
            [
                ("a/1".to_owned(), silence(1)),
                ("a/3".to_owned(), silence(4))
            ]
        );
        assert_eq!(store.records::<Silence>("").await.unwrap().len(), 3);
        assert_eq!(store.record::<Silence>("a/2").await.unwrap(), None);
        let notice = store.record::<Notice>("a/1").await.unwrap();
        assert_eq!(notice, Some(Notice("text".to_owned())));
    }

    #[tokio::test]
    async fn an_earlier_version_is_upgraded_and_a_later_or_broken_one_costs_itself_only() {
        let folder = TempDir::new().unwrap();
        let store = store(&folder);
        store.put("now", &silence(1)).await.unwrap();
        let raw = [
            ("old", r#"{"version":1,"record":7}"#),
            ("never", r#"{"version":0,"record":7}"#),
            ("later", r#"{"version":3,"record":{}}"#),
            ("broken", r#"{"version":2,"rec"#),
        ];
        for (key, value) in raw {
            let change = Change::Put(Part::State(Kind::Silences), key.into(), value.into());
            store.write(vec![change]).await.unwrap();
        }
        let nobody = Silence {
            until: 7,
            by: "nobody".to_owned(),
        };
        assert_eq!(store.record("old").await.unwrap(), Some(nobody));
        for key in ["never", "later"] {
            let error = store.record::<Silence>(key).await.unwrap_err();
            assert!(matches!(error, Error::RecordVersion { .. }), "{error}");
            assert!(error.to_string().contains(&format!("silences/{key}")));
        }
        let error = store.record::<Silence>("broken").await.unwrap_err();
        assert!(matches!(error, Error::Record { .. }), "{error}");
        let readable = store.records::<Silence>("").await.unwrap();
        assert_eq!(readable.len(), 2, "{readable:?}");
    }
}
