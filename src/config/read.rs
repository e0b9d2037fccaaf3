//! From a path to a ready daemon, or to everything that is wrong with its files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::probe::{Probe, ProbeId};

use super::daemon::{CONTAINERS, Daemon, DaemonFile, default_store_path};
use super::explain::{Misfit, misfits};
use super::fault::{Fault, Faults, rule};
use super::layers::Layers;
use super::places::Places;
use super::probe::probes;
use super::report::{Report, field};
use super::schema::FileKind;
use super::yaml::{self, Document, MAX_FILE_BYTES, Mark};

/// Reads a daemon file and the probe files it names, or one probe file with the daemon's defaults. Takes all of it or
/// nothing. Reads files and the environment (for the store's default folder); resolves no secret.
pub fn load(path: &Path) -> Result<Daemon, Faults> {
    let reading = read(path);
    match (reading.faults, reading.daemon) {
        (None, Some(daemon)) => Ok(daemon),
        (Some(faults), _) => Err(faults),
        (None, None) => unreachable!("a file that gives nothing has left a fault"),
    }
}

/// What was made of a daemon file and its probe files, for those who judge files and not only run them.
#[derive(Debug)]
pub struct Reading {
    /// As far as it could be read: with faults it is not whole.
    pub daemon: Option<Daemon>,
    pub faults: Option<Faults>,
    /// Where each setting stands.
    pub places: Places,
}

/// Reads the same as [`load`], and keeps all of it.
pub fn read(path: &Path) -> Reading {
    let mut loading = Loading::default();
    let mut daemon = loading.daemon(path);
    if let Some(daemon) = &mut daemon {
        path.clone_into(&mut daemon.source);
        daemon.files = loading.files;
    }
    Reading {
        daemon,
        faults: Faults::collect(loading.faults),
        places: loading.places,
    }
}

/// The daemon file to use when none is named: in the current folder, else in `/etc`.
pub fn default_file() -> Option<PathBuf> {
    ["authcanary.yaml", "/etc/authcanary/authcanary.yaml"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

#[derive(Default)]
struct Loading {
    faults: Vec<Fault>,
    files: Vec<PathBuf>,
    probes: Vec<Probe>,
    places: Places,
    /// Where each probe is defined, for the message about a second one.
    defined: BTreeMap<ProbeId, (PathBuf, Mark)>,
}

impl Loading {
    fn daemon(&mut self, path: &Path) -> Option<Daemon> {
        let document = self.document(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let default_store = default_store_path(|name| std::env::var_os(name));
        if is_probe_file(&document) {
            self.probe_file(path, document);
            let probes = std::mem::take(&mut self.probes);
            return Some(DaemonFile::default().into_daemon(probes, folder, default_store));
        }
        let misfits = self.shape(path, &document, FileKind::Daemon);
        if !document.value.is_object() {
            return None;
        }
        let layers = Layers::new(&document.value, &[""], &["version"], &CONTAINERS, &misfits);
        let file =
            DaemonFile::from_layers(&layers, &mut Report::new(path, &document, &mut self.faults));
        for (index, pattern) in file.probes.iter().enumerate() {
            self.probe_files(path, &document, &format!("/probes/{index}"), pattern);
        }
        let probes = std::mem::take(&mut self.probes);
        file.check(
            &layers,
            &probes,
            &mut Report::new(path, &document, &mut self.faults),
        );
        self.places.add_daemon(path, document);
        Some(file.into_daemon(probes, folder, default_store))
    }

    /// The probe files of one pattern, in the order of their names.
    fn probe_files(&mut self, daemon: &Path, document: &Document, place: &str, pattern: &str) {
        let found = match found_by(daemon, pattern) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("not a pattern of files: {}", error.msg);
                return self.report(daemon, document).value(place, message, "");
            }
        };
        if found.is_empty() {
            let help = "paths are relative to the folder of this file";
            return self
                .report(daemon, document)
                .value(place, "no file is found by this", help);
        }
        for path in found {
            if self.files.contains(&path) {
                continue;
            }
            if let Some(document) = self.document(&path) {
                self.probe_file(&path, document);
            }
        }
    }

    fn probe_file(&mut self, path: &Path, document: Document) {
        let misfits = self.shape(path, &document, FileKind::Probe);
        let mut report = Report::new(path, &document, &mut self.faults);
        for (layers, probe) in probes(&document.value, path, &misfits, &mut report) {
            let mark = document.key_mark(&layers.own);
            match self.defined.get(&probe.id) {
                Some((first, at)) => {
                    let message = format!("the probe {} is defined a second time", probe.id);
                    let help = format!(
                        "first in {}:{}; rename one of the two",
                        first.display(),
                        at.line
                    );
                    report.key(&layers.own, message, &help);
                }
                None => {
                    self.places.add_probe(&probe.id, path, layers);
                    self.defined
                        .insert(probe.id.clone(), (path.to_owned(), mark));
                    self.probes.push(probe);
                }
            }
        }
        self.places.add_document(path, document);
    }

    /// What the schema of this kind refuses, noted as faults.
    fn shape(&mut self, path: &Path, document: &Document, kind: FileKind) -> Vec<Misfit> {
        let misfits = misfits(kind, &document.value);
        for misfit in &misfits {
            let mark = misfit.mark(document);
            self.faults.push(Fault {
                file: path.to_owned(),
                line: mark.line,
                column: mark.column,
                field: field(&misfit.pointer),
                message: misfit.message.clone(),
                help: misfit.help.clone(),
                rule: misfit.rule.unwrap_or(rule::INVALID),
            });
        }
        misfits
    }

    fn document(&mut self, path: &Path) -> Option<Document> {
        self.files.push(path.to_owned());
        let bytes = match read_bytes(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.faults.push(Fault {
                    file: path.to_owned(),
                    line: 0,
                    column: 0,
                    field: String::new(),
                    message: format!("cannot be read: {error}"),
                    help: None,
                    rule: rule::INVALID,
                });
                return None;
            }
        };
        let mut troubles = Vec::new();
        let document = yaml::read(&bytes, &mut troubles);
        self.faults
            .extend(troubles.into_iter().map(|trouble| Fault {
                file: path.to_owned(),
                line: trouble.mark.line,
                column: trouble.mark.column,
                field: String::new(),
                message: trouble.message,
                help: trouble.help,
                rule: rule::INVALID,
            }));
        document
    }

    fn report<'a>(&'a mut self, path: &'a Path, document: &'a Document) -> Report<'a> {
        Report::new(path, document, &mut self.faults)
    }
}

/// The files that a pattern in the daemon file finds, in the order of their names. `*.yaml` beside the daemon file would
/// find that as well: it is left out.
pub(super) fn found_by(daemon: &Path, pattern: &str) -> Result<Vec<PathBuf>, glob::PatternError> {
    let folder = daemon.parent().unwrap_or(Path::new(""));
    let folder = glob::Pattern::escape(&folder.to_string_lossy());
    let paths = glob::glob(&Path::new(&folder).join(pattern).to_string_lossy())?;
    Ok(paths
        .filter_map(Result::ok)
        .filter(|path| path != daemon)
        .collect())
}

/// One byte more than allowed is enough to know.
pub(super) fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = MAX_FILE_BYTES as u64 + 1;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_probe_file(document: &Document) -> bool {
    ["provider", "environments"]
        .iter()
        .any(|key| document.value.get(key).is_some())
}
