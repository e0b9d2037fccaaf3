//! Where settings stand, for those who judge them after they were read: a setting of a probe may stand in its
//! environment or at the top of its file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::probe::ProbeId;

use super::layers::Layers;
use super::report::field;
use super::yaml::{Document, child};

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Counted in characters from 1.
    pub column: usize,
    /// Path of the key, such as `environments.prod.client.id`.
    pub field: String,
}

/// The places of a whole configuration.
#[derive(Debug, Default)]
pub struct Places {
    documents: BTreeMap<PathBuf, Document>,
    probes: BTreeMap<ProbeId, Origin>,
    daemon: Option<PathBuf>,
}

/// Where a probe comes from.
#[derive(Debug)]
struct Origin {
    file: PathBuf,
    /// Pointer of its innermost layer.
    own: String,
    /// Pointers of the settings in force.
    keys: BTreeMap<String, String>,
}

impl Places {
    /// Where a setting of a probe stands, as a path of keys and indices below its settings. Of what is not given: the
    /// nearest part that is, in the end the name of the probe.
    pub fn of_probe(&self, probe: &ProbeId, path: &[&str]) -> Option<Place> {
        let origin = self.probes.get(probe)?;
        let start = path.first().and_then(|key| origin.keys.get(*key));
        let pointer = match start {
            Some(start) => below(start, &path[1..]),
            None => origin.own.clone(),
        };
        self.place(&origin.file, &pointer)
    }

    /// Whether a probe or its file gives this setting.
    pub fn gives(&self, probe: &ProbeId, key: &str) -> bool {
        let origin = self.probes.get(probe);
        origin.is_some_and(|origin| origin.keys.contains_key(key))
    }

    /// Whether there is a daemon file, and not only a probe file.
    pub fn has_daemon_file(&self) -> bool {
        self.daemon.is_some()
    }

    /// Where a setting of the daemon file stands.
    pub fn of_daemon(&self, path: &[&str]) -> Option<Place> {
        self.of_file(self.daemon.as_ref()?, path)
    }

    /// Where a key stands that is no setting, such as `provider`.
    pub fn of_file(&self, file: &Path, path: &[&str]) -> Option<Place> {
        self.place(file, &below("", path))
    }

    /// What `audit.ignore` of the daemon file says, with the place of each entry.
    pub fn ignored_everywhere(&self) -> Vec<(String, Place)> {
        match &self.daemon {
            Some(file) => self.ignored(file, "/audit"),
            None => Vec::new(),
        }
    }

    /// What `audit.ignore` in force for this probe says, with the place of each entry.
    pub fn ignored_for(&self, probe: &ProbeId) -> Vec<(String, Place)> {
        let origin = self.probes.get(probe);
        let found = origin.and_then(|origin| Some((&origin.file, origin.keys.get("audit")?)));
        match found {
            Some((file, pointer)) => self.ignored(file, pointer),
            None => Vec::new(),
        }
    }

    fn ignored(&self, file: &Path, pointer: &str) -> Vec<(String, Place)> {
        let list = format!("{pointer}/ignore");
        let items = self
            .documents
            .get(file)
            .and_then(|document| document.value.pointer(&list)?.as_array());
        let entry = |(index, item): (usize, &serde_json::Value)| {
            let place = self.place(file, &format!("{list}/{index}"))?;
            Some((item.as_str()?.to_owned(), place))
        };
        items
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(entry)
            .collect()
    }

    fn place(&self, file: &Path, pointer: &str) -> Option<Place> {
        let document = self.documents.get(file)?;
        // A mapping may begin lines below its key, and what is missing has no value.
        let mark = match document.value.pointer(pointer) {
            Some(value) if !value.is_object() && !value.is_array() => document.value_mark(pointer),
            Some(_) | None => document.key_mark(pointer),
        };
        Some(Place {
            file: file.to_owned(),
            line: mark.line,
            column: mark.column,
            field: field(pointer),
        })
    }

    pub(super) fn add_daemon(&mut self, file: &Path, document: Document) {
        self.daemon = Some(file.to_owned());
        self.add_document(file, document);
    }

    pub(super) fn add_document(&mut self, file: &Path, document: Document) {
        self.documents.insert(file.to_owned(), document);
    }

    pub(super) fn add_probe(&mut self, probe: &ProbeId, file: &Path, layers: Layers) {
        let origin = Origin {
            file: file.to_owned(),
            own: layers.own.clone(),
            keys: layers.into_places(),
        };
        self.probes.insert(probe.clone(), origin);
    }
}

fn below(pointer: &str, path: &[&str]) -> String {
    path.iter()
        .fold(pointer.to_owned(), |pointer, key| child(&pointer, key))
}
