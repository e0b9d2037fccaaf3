//! Which series are shown: those of known probes and channels, up to a limit. The SDK beneath never forgets a series;
//! what is not in this table does not leave the daemon by `/metrics`.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::instruments::{Figure, Kind, PROBE_LABELS};

/// A run that stands for the others of a bucket.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace_id: String,
    pub(super) run_id: String,
    pub(super) value: f64,
    pub(super) at: Timestamp,
}

/// What series belong to: they come and go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    Probe(&'a str),
    Channel(&'a str),
}

/// Whether a value may be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Granted,
    /// The probe or channel is gone, or never was.
    Unknown,
    /// The limit is reached.
    Full,
}

/// Series by the name of their figure, then by the values of the labels that are not the owner's.
type Families = HashMap<&'static str, HashMap<String, Exemplars>>;

/// The newest of each bucket that has one. Most series touch few of their buckets.
type Exemplars = Vec<(u8, Exemplar)>;

/// The table.
pub(super) struct Series {
    state: Mutex<State>,
    limit: usize,
}

#[derive(Default)]
struct State {
    probes: HashMap<String, Families>,
    channels: HashMap<String, Families>,
    /// Lines of `/metrics` that the entries take.
    lines: usize,
}

impl Series {
    /// An empty table that takes up to `limit` lines of `/metrics`.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::default(),
            limit,
        }
    }

    /// From now on only these probes have series.
    pub(super) fn watch_probes(&self, names: &HashSet<String>) {
        let mut state = self.state();
        keep_only(&mut state.probes, names);
        state.count();
    }

    /// From now on only these channels have series.
    pub(super) fn watch_channels(&self, names: &HashSet<String>) {
        let mut state = self.state();
        keep_only(&mut state.channels, names);
        state.count();
    }

    /// Makes room for a series, unless it has some.
    pub(super) fn admit(&self, owner: Owner<'_>, figure: &Figure, detail: &str) -> Admission {
        let state = &mut *self.state();
        let Some(families) = state.of_mut(owner) else {
            return Admission::Unknown;
        };
        let family = families.get(figure.name);
        if family.is_some_and(|family| family.contains_key(detail)) {
            return Admission::Granted;
        }
        if state.lines + figure.weight() > self.limit {
            return Admission::Full;
        }
        state.lines += figure.weight();
        let families = state.of_mut(owner).expect("looked up above");
        let family = families.entry(figure.name).or_default();
        family.insert(detail.to_owned(), Exemplars::new());
        Admission::Granted
    }

    /// Whether this series has room already.
    pub(super) fn has(&self, owner: Owner<'_>, figure: &Figure, detail: &str) -> bool {
        let state = self.state();
        let family = state
            .of(owner)
            .and_then(|families| families.get(figure.name));
        family.is_some_and(|family| family.contains_key(detail))
    }

    /// Takes series of a gauge away, all but those named.
    pub(super) fn retain(&self, owner: Owner<'_>, figure: &Figure, kept: &[&str]) {
        let state = &mut *self.state();
        let families = state.of_mut(owner);
        let Some(family) = families.and_then(|families| families.get_mut(figure.name)) else {
            return;
        };
        let before = family.len();
        family.retain(|detail, _| kept.contains(&detail.as_str()));
        let gone = before - family.len();
        state.lines -= gone * figure.weight();
    }

    /// Keeps a run as the newest of its bucket, in a series that was admitted.
    pub(super) fn note(&self, owner: Owner<'_>, figure: &Figure, detail: &str, exemplar: Exemplar) {
        debug_assert_eq!(figure.kind, Kind::Histogram);
        let place = figure
            .buckets
            .partition_point(|&bound| bound < exemplar.value);
        let place = u8::try_from(place).expect("there are few buckets");
        let mut state = self.state();
        let families = state.of_mut(owner);
        let family = families.and_then(|families| families.get_mut(figure.name));
        let Some(exemplars) = family.and_then(|family| family.get_mut(detail)) else {
            return;
        };
        match exemplars.iter_mut().find(|(bucket, _)| *bucket == place) {
            Some((_, old)) => *old = exemplar,
            None => exemplars.push((place, exemplar)),
        }
    }

    /// The exemplars of a series that is shown, by bucket; `None` for one that is not.
    pub(super) fn shown(&self, name: &str, labels: &[(&str, &str)]) -> Option<Exemplars> {
        let Some(owner) = owner(labels) else {
            return Some(Exemplars::new());
        };
        let detail = detail(labels);
        let state = self.state();
        state.of(owner)?.get(name)?.get(&detail).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&self, owner: Owner<'_>) -> Option<&Families> {
        match owner {
            Owner::Probe(name) => self.probes.get(name),
            Owner::Channel(name) => self.channels.get(name),
        }
    }

    fn of_mut(&mut self, owner: Owner<'_>) -> Option<&mut Families> {
        match owner {
            Owner::Probe(name) => self.probes.get_mut(name),
            Owner::Channel(name) => self.channels.get_mut(name),
        }
    }

    fn count(&mut self) {
        let owners = self.probes.values().chain(self.channels.values());
        self.lines = owners
            .flatten()
            .map(|(name, family)| super::instruments::figure(name).weight() * family.len())
            .sum();
    }
}

fn keep_only(owners: &mut HashMap<String, Families>, names: &HashSet<String>) {
    owners.retain(|name, _| names.contains(name));
    for name in names {
        owners.entry(name.clone()).or_default();
    }
}

fn owner<'a>(labels: &[(&str, &'a str)]) -> Option<Owner<'a>> {
    let value = |wanted: &str| {
        labels
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| *value)
    };
    value("probe")
        .map(Owner::Probe)
        .or_else(|| value("channel").map(Owner::Channel))
}

/// The values of the labels that are not the owner's, in the order of the names. No value of the taxonomy has a comma.
pub(super) fn detail(labels: &[(&str, &str)]) -> String {
    let is_own = |name: &str| name == "channel" || PROBE_LABELS.contains(&name);
    let mut own: Vec<_> = labels.iter().filter(|(name, _)| !is_own(name)).collect();
    own.sort_unstable();
    let values: Vec<&str> = own.into_iter().map(|(_, value)| *value).collect();
    values.join(",")
}
