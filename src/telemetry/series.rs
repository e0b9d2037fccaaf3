//! Which series are shown: those of known probes and channels, up to a limit. The SDK beneath never forgets a series;
//! what is not in this table does not leave the daemon. What the SDK still holds of others counts against a limit as well,
//! since beyond it the SDK would throw values of all probes together.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::instruments::{Figure, Kind, PROBE_LABELS};
use crate::run::RunId;

/// Lines of `/metrics` that a probe takes at least, once it ran.
const LINES_OF_PROBE: usize = 100;

/// Probes that there is room for in the SDK, whatever the limit on lines.
const PROBES: usize = 1000;

/// Series that a figure of probes or channels may have in the SDK, shown or not, where `/metrics` may have `limit` lines;
/// `None` for others. The SDK's own limit of 2,000 would be reached by 500 probes. It makes room for all of them at the
/// start, so there is no more than can be of use.
pub(super) fn held(figure: &Figure, limit: usize) -> Option<usize> {
    let probes = (limit / LINES_OF_PROBE).max(PROBES);
    Some(probes * figure.spread()?)
}

/// A run that stands for the others of a bucket.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exemplar {
    pub(super) run: RunId,
    pub(super) value: f64,
    /// When the run ended.
    pub(super) at: Timestamp,
}

/// What series belong to: they come and go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    Probe(&'a str),
    Channel(&'a str),
}

impl Owner<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Probe(name) | Self::Channel(name) => name,
        }
    }
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

/// Series that only the SDK has, by the name of their figure: owner and detail.
type Ghosts = HashMap<&'static str, HashSet<(String, String)>>;

/// The newest of each bucket that has one. Most series touch few of their buckets.
pub(super) type Exemplars = Vec<(u8, Exemplar)>;

/// The table.
pub(super) struct Series {
    state: Mutex<State>,
}

struct State {
    probes: HashMap<String, Families>,
    channels: HashMap<String, Families>,
    /// Lines of `/metrics` that the entries take.
    lines: usize,
    /// Lines that they may take.
    limit: usize,
    /// Series in the SDK, by the name of their figure.
    held: HashMap<&'static str, usize>,
    /// Those of them that are not shown any more.
    ghosts: Ghosts,
}

impl Series {
    /// An empty table that takes up to `limit` lines of `/metrics`.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                probes: HashMap::new(),
                channels: HashMap::new(),
                lines: 0,
                limit,
                held: HashMap::new(),
                ghosts: HashMap::new(),
            }),
        }
    }

    /// From now on only these probes have series.
    pub(super) fn watch_probes(&self, names: &HashSet<String>) {
        let state = &mut *self.state();
        keep_only(&mut state.probes, names, &mut state.ghosts);
        state.count();
    }

    /// From now on only these channels have series.
    pub(super) fn watch_channels(&self, names: &HashSet<String>) {
        let state = &mut *self.state();
        keep_only(&mut state.channels, names, &mut state.ghosts);
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
        if state.lines + figure.weight() > state.limit || !state.hold(owner, figure, detail) {
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
        let gone = family.extract_if(|detail, _| !kept.contains(&detail.as_str()));
        let gone: Vec<_> = gone
            .map(|(detail, _)| (owner.name().to_owned(), detail))
            .collect();
        state.lines -= gone.len() * figure.weight();
        state.ghosts.entry(figure.name).or_default().extend(gone);
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

    /// Whether the SDK has this series already, or room for it.
    fn hold(&mut self, owner: Owner<'_>, figure: &Figure, detail: &str) -> bool {
        let ghost = (owner.name().to_owned(), detail.to_owned());
        let ghosts = self.ghosts.get_mut(figure.name);
        if ghosts.is_some_and(|ghosts| ghosts.remove(&ghost)) {
            return true;
        }
        let held = self.held.entry(figure.name).or_default();
        let has_room = self::held(figure, self.limit).is_none_or(|limit| *held < limit);
        *held += usize::from(has_room);
        has_room
    }

    fn count(&mut self) {
        let owners = self.probes.values().chain(self.channels.values());
        self.lines = owners
            .flatten()
            .map(|(name, family)| super::instruments::figure(name).weight() * family.len())
            .sum();
    }
}

fn keep_only(owners: &mut HashMap<String, Families>, names: &HashSet<String>, ghosts: &mut Ghosts) {
    for (name, families) in owners.extract_if(|name, _| !names.contains(name)) {
        for (figure, family) in families {
            let details = family.into_keys().map(|detail| (name.clone(), detail));
            ghosts.entry(figure).or_default().extend(details);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::super::instruments::{figure, figures};
    use super::*;

    #[test]
    fn what_the_sdk_holds_of_probes_that_are_gone_counts_as_well() {
        let series = Series::new(1_000_000);
        let last = figure("authcanary_last_run_timestamp_seconds");
        let limit = held(last, 1_000_000).unwrap();
        let names = |prefix: &str, count: usize| -> HashSet<String> {
            (0..count).map(|n| format!("{prefix}{n}")).collect()
        };
        let admit = |name: &str| series.admit(Owner::Probe(name), last, "");
        let all = |names: &HashSet<String>, expected| {
            series.watch_probes(names);
            assert!(names.iter().all(|name| admit(name) == expected));
        };
        let (old, new) = (names("old", limit - 1), names("new", 1));
        all(&old, Admission::Granted);
        all(&new, Admission::Granted);
        all(&names("late", 5), Admission::Full);
        // Another figure has room of its own.
        let runs = figure("authcanary_runs_total");
        let late = Owner::Probe("late1");
        assert_eq!(series.admit(late, runs, "ok"), Admission::Granted);
        // What comes back takes the place that it had.
        all(&old, Admission::Granted);
        all(&new, Admission::Granted);
        series.retain(Owner::Probe("new0"), last, &[]);
        all(&new, Admission::Granted);
    }

    #[test]
    fn figures_that_come_and_go_have_room_in_the_sdk_and_the_others_need_none() {
        for figure in figures() {
            let comes_and_goes = figure.of_probe || figure.labels.contains(&"channel");
            assert_eq!(
                held(figure, 500_000).is_some(),
                comes_and_goes,
                "{figure:?}"
            );
        }
        let of = |name: &str, limit: usize| held(figure(name), limit);
        assert_eq!(of("authcanary_runs_total", 500_000), Some(20_000));
        assert_eq!(of("authcanary_runs_total", 0), Some(4000));
    }
}
