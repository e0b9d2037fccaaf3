//! Where: from which probes are bad together to the smallest common cause that explains who is bad and who is not.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Scope;
use super::baseline::{Counts, hour_of};
use super::observation::Stream;
use super::scan::divergence;
use super::series::Series;

/// Probes at locations, by a number that each keeps for life.
pub(super) type Everyone = BTreeMap<u32, Series>;

/// A probe is bad when its rate is at least this share of the window's ...
const LEAST_SHARE_OF_RATE: f64 = 0.4;
/// ... and this many times its baseline, ...
const LEAST_OVER_BASELINE: f64 = 1.5;
/// ... on so much evidence of its own, in nats, against a baseline of at least one in a hundred.
const LEAST_NATS: f64 = 3.0;
const LEAST_BASELINE: f64 = 0.01;
/// A group is named when so many of those that can tell are bad.
const MOST_OF_THEM: f64 = 0.7;

/// A set of probes that a scope can name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Area {
    /// All that share what is given; new probes belong to it as they come.
    Group(Group),
    /// These.
    Named(BTreeSet<u32>),
}

/// What the probes of an area share. All of them, where nothing is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) provider: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) location: Option<String>,
}

impl Group {
    fn of(series: &Series, provider: bool, environment: bool, location: bool) -> Self {
        let given = |is_given: bool, name: &String| is_given.then(|| name.clone());
        Self {
            provider: given(provider, &series.provider),
            environment: given(environment, &series.environment),
            location: given(location, &series.location),
        }
    }

    /// The groups that a probe belongs to, widest first.
    pub(super) fn around(series: &Series) -> [Self; 6] {
        [
            (false, false, false),
            (false, false, true),
            (false, true, false),
            (true, false, false),
            (true, true, false),
            (true, false, true),
        ]
        .map(|(provider, environment, location)| Self::of(series, provider, environment, location))
    }

    pub(super) fn holds(&self, series: &Series) -> bool {
        let fits = |given: &Option<String>, name: &String| given.as_ref().is_none_or(|g| g == name);
        fits(&self.provider, &series.provider)
            && fits(&self.environment, &series.environment)
            && fits(&self.location, &series.location)
    }

    /// Whether probes of different providers share it: they have nothing in common but us, or an environment.
    fn is_across_providers(&self) -> bool {
        self.provider.is_none()
    }

    /// Whether it is our own side: one place, or everything.
    pub(super) fn is_ours(&self) -> bool {
        self.provider.is_none() && self.environment.is_none()
    }
}

impl Area {
    pub(super) fn holds(&self, id: u32, series: &Series) -> bool {
        match self {
            Self::Group(group) => group.holds(series),
            Self::Named(names) => names.contains(&id),
        }
    }

    pub(super) fn members(&self, everyone: &Everyone) -> BTreeSet<u32> {
        everyone
            .iter()
            .filter(|&(id, series)| self.holds(*id, series))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The names that people see.
    pub(super) fn scope(&self, everyone: &Everyone) -> Scope {
        match self {
            Self::Group(group) => Scope {
                provider: group.provider.iter().cloned().collect(),
                environment: group.environment.iter().cloned().collect(),
                location: group.location.iter().cloned().collect(),
                probe: Vec::new(),
            },
            Self::Named(names) => {
                let named: Vec<&Series> = names.iter().filter_map(|id| everyone.get(id)).collect();
                let all = |name: fn(&Series) -> &String| -> Vec<String> {
                    let names: BTreeSet<&String> =
                        named.iter().map(|series| name(series)).collect();
                    names.into_iter().cloned().collect()
                };
                let probes: BTreeSet<_> = named.iter().map(|series| &series.probe).collect();
                Scope {
                    provider: all(|series| &series.provider),
                    environment: all(|series| &series.environment),
                    location: all(|series| &series.location),
                    probe: probes.into_iter().cloned().collect(),
                }
            }
        }
    }
}

/// How a probe has fared since an onset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Bad,
    Good,
    /// Its bad runs are as well its usual ones.
    CannotTell,
    DidNotRun,
}

/// What is looked at to find the place: a stream since an onset, at the rate of the window that raised it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) stream: Stream,
    pub(super) onset: i64,
    pub(super) now: i64,
    pub(super) rate: f64,
    /// Windows of days are counted by the hour.
    pub(super) by_hours: bool,
}

impl Sight {
    /// Runs and bad ones of a probe.
    fn counts(&self, series: &Series) -> (u32, u32) {
        let Some(track) = series.track(self.stream) else {
            return (0, 0);
        };
        if self.by_hours {
            let hours = track.hours.between(hour_of(self.onset), hour_of(self.now));
            return hours.fold((0, 0), |(runs, bad), (_, cell): (_, &Counts)| {
                (runs + cell.runs, bad + cell.bad)
            });
        }
        let from = self.onset.max(track.floor + 1);
        track.ring.since(from).fold((0, 0), |(runs, bad), point| {
            (runs + 1, bad + u32::from(point.is_bad))
        })
    }

    pub(super) fn standing(&self, series: &Series) -> Standing {
        let (runs, bad) = self.counts(series);
        if runs == 0 || series.rule(self.stream).off {
            return Standing::DidNotRun;
        }
        let usual = series
            .usual(self.stream, self.now)
            .map_or(0.1, |rates| rates.bad);
        let (n, share) = (f64::from(runs), f64::from(bad) / f64::from(runs));
        let least_bad = if runs < 3 || n * self.rate < 4.0 {
            1
        } else {
            2
        };
        if bad < least_bad
            || share < (LEAST_SHARE_OF_RATE * self.rate).max(LEAST_OVER_BASELINE * usual)
        {
            Standing::Good
        } else if n * divergence(share, usual.max(LEAST_BASELINE)) >= LEAST_NATS && share > usual {
            Standing::Bad
        } else {
            Standing::CannotTell
        }
    }
}

/// A place, and who is bad in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) area: Area,
    pub(super) bad: BTreeSet<u32>,
}

impl Place {
    /// One probe.
    pub(super) fn only(id: u32) -> Self {
        Self {
            area: Area::Named(BTreeSet::from([id])),
            bad: BTreeSet::from([id]),
        }
    }

    /// The widest group around the probe at hand that is bad as a whole; failing that, the bad probes of its provider by
    /// name; failing that, the probe alone.
    pub(super) fn find(hand: u32, everyone: &Everyone, sight: &Sight) -> Self {
        let standings: BTreeMap<u32, Standing> = everyone
            .iter()
            .map(|(&id, series)| (id, sight.standing(series)))
            .collect();
        Self::among(hand, everyone, &standings)
    }

    pub(super) fn among(
        hand: u32,
        everyone: &Everyone,
        standings: &BTreeMap<u32, Standing>,
    ) -> Self {
        let Some(at_hand) = everyone.get(&hand) else {
            return Self::only(hand);
        };
        for group in Group::around(at_hand) {
            if let Some(bad) = bad_as_a_whole(&group, hand, everyone, standings) {
                return Self {
                    area: Area::Group(group),
                    bad,
                };
            }
        }
        let mut bad: BTreeSet<u32> = everyone
            .iter()
            .filter(|(id, series)| {
                series.provider == at_hand.provider && standings.get(id) == Some(&Standing::Bad)
            })
            .map(|(id, _)| *id)
            .collect();
        bad.insert(hand);
        Self {
            area: Area::Named(bad.clone()),
            bad,
        }
    }
}

/// The bad probes of a group, if there are enough of them to blame the group.
fn bad_as_a_whole(
    group: &Group,
    hand: u32,
    everyone: &Everyone,
    standings: &BTreeMap<u32, Standing>,
) -> Option<BTreeSet<u32>> {
    let (mut bad, mut good) = (BTreeSet::new(), 0_usize);
    let (mut providers, mut environments, mut locations) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (&id, series) in everyone.iter().filter(|(_, series)| group.holds(series)) {
        let standing = standings.get(&id).copied().unwrap_or(Standing::DidNotRun);
        match standing {
            Standing::Bad => {
                bad.insert(id);
                providers.insert(&series.provider);
                environments.insert(&series.environment);
                locations.insert(&series.location);
            }
            Standing::Good => good += 1,
            Standing::CannotTell | Standing::DidNotRun => {}
        }
    }
    let can_tell = bad.len() + good;
    let enough = bad.len() >= 2 && bad.len() as f64 >= MOST_OF_THEM * can_tell as f64;
    let varied = if group.is_across_providers() {
        let is_everything = *group == Group::default();
        providers.len() >= 2 && (!is_everything || environments.len() >= 2)
    } else if group.environment.is_none() && group.location.is_none() {
        environments.len() >= 2 || locations.len() >= 2
    } else {
        true
    };
    bad.insert(hand);
    (enough && varied).then_some(bad)
}
