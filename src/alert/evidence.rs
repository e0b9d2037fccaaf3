//! What speaks for an incident at a bad run: the test of windows, two lasting faults in a row, the test of days; and the
//! place that it points to.

use std::time::Duration;

use super::baseline::{Rates, hour_of};
use super::change::{Figures, Test};
use super::days;
use super::detector::Detector;
use super::observation::Stream;
use super::place::{Area, Group, Place, Sight};
use super::ring::Point;
use super::scan::{Lane, Limits, Window, strongest};
use super::series::Series;
use crate::taxonomy::Class;

/// Evidence that is needed, in nats: 1 in 440 000 by chance for one probe. Wider scopes are looked at besides, and need
/// more.
const NEEDED: f64 = 13.0;
const NEEDED_WIDER: f64 = 14.5;
const NEEDED_SLOW: f64 = 14.5;

/// Two in a row, of classes that do not pass by themselves, at least this far apart, on a probe that is not noisy.
const LEAST_STREAK: u32 = 2;
const LEAST_STREAK_MS: i64 = 120_000;
const STREAK_BASELINE: f64 = 0.06;

/// What speaks for an incident.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence {
    pub(super) onset: i64,
    pub(super) figures: Figures,
}

impl Evidence {
    pub(super) fn of_window(window: &Window, needed: f64) -> Self {
        Self {
            onset: window.onset,
            figures: Figures {
                test: Test::Window,
                bad: window.bad,
                runs: window.runs,
                over: Duration::from_millis(window.span_ms.unsigned_abs()),
                baseline: window.baseline,
                nats: window.nats,
                needed,
                slowdown: window.slowdown,
            },
        }
    }

    fn is_by_hours(&self) -> bool {
        self.figures.test == Test::Hours
    }
}

impl Detector {
    /// Everything that speaks for an incident at this probe or a group around it, clearest first.
    pub(super) fn evidence(&mut self, id: u32, stream: Stream, now: i64) -> Vec<Evidence> {
        let mut found: Vec<Evidence> = self.streak(id, stream, now).into_iter().collect();
        found.extend(self.window(&[id], stream, now, needed(stream, false)));
        for members in self.groups_around(id, stream) {
            found.extend(self.window(&members, stream, now, needed(stream, true)));
        }
        found.sort_by(|a, b| {
            let excess = |evidence: &Evidence| evidence.figures.nats - evidence.figures.needed;
            excess(b).total_cmp(&excess(a))
        });
        if stream == Stream::Failed {
            found.extend(self.days_around(id, now));
        }
        found
    }

    /// Members of the groups around a probe that have no incident of their own; each set once.
    fn groups_around(&self, id: u32, stream: Stream) -> Vec<Vec<u32>> {
        let Some(series) = self.everyone.get(&id) else {
            return Vec::new();
        };
        let mut sets: Vec<Vec<u32>> = Vec::new();
        for group in Group::around(series) {
            let members = self.unexplained(&Area::Group(group), stream);
            if members.len() > 1 && !sets.contains(&members) {
                sets.push(members);
            }
        }
        sets
    }

    /// Members whose runs are evidence.
    pub(super) fn unexplained(&self, area: &Area, stream: Stream) -> Vec<u32> {
        let members = self.everyone.iter().filter(|&(&id, series)| {
            area.holds(id, series) && !series.rule(stream).off && self.masking(id, stream).is_none()
        });
        members.map(|(id, _)| *id).collect()
    }

    fn lanes(&self, ids: &[u32], stream: Stream, now: i64) -> Vec<Lane<'_>> {
        let series = ids.iter().filter_map(|id| self.everyone.get(id));
        series
            .filter_map(|series| series.lane(stream, now, &self.mix))
            .collect()
    }

    /// The window test over these probes together.
    pub(super) fn window(
        &self,
        ids: &[u32],
        stream: Stream,
        now: i64,
        needed: f64,
    ) -> Option<Evidence> {
        let limits = self.limits(ids, stream);
        let window = strongest(&self.lanes(ids, stream, now), now, &limits)?;
        (window.nats >= needed).then(|| Evidence::of_window(&window, needed))
    }

    fn limits(&self, ids: &[u32], stream: Stream) -> Limits {
        let mut limits = limits(stream);
        if let [id] = ids
            && let Some(series) = self.everyone.get(id)
            && let Some(minimum) = series.rule(stream).minimum
        {
            limits.least_bad = minimum;
        }
        limits
    }

    /// The same fault twice in a row, of a class that does not pass by itself.
    fn streak(&self, id: u32, stream: Stream, now: i64) -> Option<Evidence> {
        let series = self
            .everyone
            .get(&id)
            .filter(|_| stream == Stream::Failed)?;
        let streak = series.streak?;
        let track = series.track(stream)?;
        let usual = series.usual(stream, now)?;
        let least = series.rule(stream).minimum.unwrap_or(LEAST_STREAK);
        let lasts = streak.runs >= least && now - streak.since >= LEAST_STREAK_MS;
        let counts = usual.bad < STREAK_BASELINE && streak.since > track.floor;
        (lasts && counts && is_lasting(streak.class)).then(|| Evidence {
            onset: streak.since,
            figures: Figures {
                test: Test::Streak,
                bad: streak.runs,
                runs: streak.runs,
                over: Duration::from_millis((now - streak.since).unsigned_abs()),
                baseline: usual.bad,
                nats: by_chance(streak.runs, &usual),
                needed: 0.0,
                slowdown: None,
            },
        })
    }

    /// The test of days, for the probe and the groups around it, each at most once an hour.
    fn days_around(&mut self, id: u32, now: i64) -> Vec<Evidence> {
        let Some(series) = self.everyone.get(&id) else {
            return Vec::new();
        };
        let groups = Group::around(series).map(|group| (group, None));
        let own = (Group::default(), Some(id));
        let hour = hour_of(now);
        self.looked.retain(|(_, _, at)| *at == hour);
        let mut found = Vec::new();
        let mut sets: Vec<Vec<u32>> = Vec::new();
        for (group, only) in std::iter::once(own).chain(groups) {
            let key = (group, only, hour);
            if self.looked.contains(&key) {
                continue;
            }
            let members = match only {
                Some(id) => vec![id],
                None => self.unexplained(&Area::Group(key.0.clone()), Stream::Failed),
            };
            self.looked.push(key);
            if !sets.contains(&members) {
                found.extend(self.days(&members, now));
                sets.push(members);
            }
        }
        found.sort_by(|a, b| b.figures.nats.total_cmp(&a.figures.nats));
        found
    }

    fn days(&self, ids: &[u32], now: i64) -> Option<Evidence> {
        let series: Vec<&Series> = ids.iter().filter_map(|id| self.everyone.get(id)).collect();
        let days = days::strongest(&series, Stream::Failed, now)?;
        Some(Evidence {
            onset: days.onset,
            figures: Figures {
                test: Test::Hours,
                bad: days.bad,
                runs: days.runs,
                over: Duration::from_secs(3600 * days.hours.unsigned_abs()),
                baseline: days.baseline,
                nats: days.nats,
                needed: days::NEEDED,
                slowdown: None,
            },
        })
    }

    /// The place that the evidence points to. It must hold there, or at least at the probe at hand.
    pub(super) fn locate(
        &self,
        id: u32,
        stream: Stream,
        evidence: Evidence,
        now: i64,
    ) -> Option<(Place, Evidence)> {
        let place = self.place(id, stream, &evidence, now);
        let members = self.unexplained(&place.area, stream);
        if place.bad.len() > 1
            && let Some(evidence) = self.again(&members, stream, &evidence, now)
        {
            return Some((place, evidence));
        }
        let evidence = match evidence.figures.test {
            Test::Streak => Some(evidence),
            Test::Window | Test::Hours => self.again(&[id], stream, &evidence, now),
        };
        evidence.map(|evidence| (Place::only(id), evidence))
    }

    /// The same test over other probes.
    fn again(
        &self,
        ids: &[u32],
        stream: Stream,
        evidence: &Evidence,
        now: i64,
    ) -> Option<Evidence> {
        if evidence.is_by_hours() {
            self.days(ids, now)
        } else {
            self.window(ids, stream, now, needed(stream, ids.len() > 1))
        }
    }

    pub(super) fn place(&self, id: u32, stream: Stream, evidence: &Evidence, now: i64) -> Place {
        let sight = Sight {
            stream,
            onset: evidence.onset,
            now,
            rate: evidence.figures.rate(),
            by_hours: evidence.is_by_hours(),
        };
        Place::find(id, &self.everyone, &sight)
    }

    /// So many more bad runs in a row, `every` milliseconds apart, would alert.
    pub(super) fn bad_runs_until(
        &self,
        id: u32,
        stream: Stream,
        every: i64,
        most: u32,
    ) -> Option<u32> {
        let series = self.everyone.get(&id)?;
        let lane = series.lane(stream, self.clock, &self.mix)?;
        let limits = self.limits(&[id], stream);
        let mut ring = lane.ring.clone();
        let last = ring.points().back().copied()?;
        let (mut at, mut was_bad) = (last.at, last.is_bad);
        for more in 1..=most {
            at += every;
            let point = Point {
                at,
                is_bad: true,
                is_after_bad: was_bad,
                slowdown: 200,
                class: last.class,
            };
            was_bad = true;
            ring.push(point, stream.is_slow());
            let window = strongest(
                &[Lane {
                    ring: &ring,
                    ..lane
                }],
                at,
                &limits,
            );
            if window.is_some_and(|window| window.nats >= needed(stream, false)) {
                return Some(more);
            }
        }
        None
    }
}

pub(super) fn needed(stream: Stream, is_wider: bool) -> f64 {
    if stream.is_slow() {
        NEEDED_SLOW
    } else if is_wider {
        NEEDED_WIDER
    } else {
        NEEDED
    }
}

pub(super) fn limits(stream: Stream) -> Limits {
    if stream.is_slow() {
        Limits::DURATIONS
    } else {
        Limits::RESULTS
    }
}

/// Nobody sends these in a brief fault: somebody has to act.
fn is_lasting(class: Class) -> bool {
    matches!(
        class,
        Class::ClientSecretExpired
            | Class::ClientDisabled
            | Class::UnauthorizedClient
            | Class::RedirectUriMismatch
            | Class::InvalidScope
            | Class::UnsupportedGrantType
            | Class::AccountLocked
            | Class::BadUserCredentials
            | Class::TlsExpired
            | Class::TlsHostnameMismatch
    )
}

/// The odds of so many bad runs in a row, as a logarithm.
fn by_chance(runs: u32, usual: &Rates) -> f64 {
    let first = usual.bad.max(1e-4);
    -first.ln() - f64::from(runs.saturating_sub(1)) * usual.repeat(0).max(first).ln()
}
