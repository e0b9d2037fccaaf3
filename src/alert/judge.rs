//! The decision at a bad run: is this new, is it part of what is known, or is it nothing yet?

use std::collections::{BTreeMap, BTreeSet};

use super::baseline::Rates;
use super::case::{Beginning, Case, moment};
use super::change::{Change, What};
use super::detector::Detector;
use super::evidence::{Evidence, limits, needed};
use super::observation::Stream;
use super::place::{Area, Place, Sight, Standing};
use super::ring::Point;
use super::scan::{Lane, strongest};
use super::series::Note;
use super::{Fingerprint, Kind};

/// So much is needed of a probe whose provider has a low-rate incident already.
const NEEDED_TO_JOIN: f64 = 5.0;

const MINUTE_MS: i64 = 60_000;
/// New evidence at the same provider is the same incident for so long ...
const KIN_MS: i64 = 30 * MINUTE_MS;
/// ... or so, where rates are low and single probes are found late.
const KIN_LOW_MS: i64 = 6 * 60 * MINUTE_MS;
/// Unless it is so many times worse.
const WORSE: f64 = 2.5;
/// A wider scope is news after so long.
const NEWS_MS: i64 = 6 * 60 * MINUTE_MS;
/// Inside a faint incident this is news: a rate of at least the first, and so many times its own.
const GRAVE: f64 = 0.6;
const FAR_WORSE: f64 = 3.0;

impl Detector {
    /// Judges a bad run, after all runs of its instant were noted.
    pub(super) fn judge(&mut self, id: u32, stream: Stream, now: i64, changes: &mut Vec<Change>) {
        if let Some(index) = self.masking(id, stream) {
            self.judge_inside(index, id, stream, now, changes);
            return;
        }
        if self.join(id, stream, now, changes) {
            return;
        }
        for evidence in self.evidence(id, stream, now) {
            if let Some((place, evidence)) = self.locate(id, stream, evidence, now) {
                self.raise(stream, &place, evidence, now, changes);
                return;
            }
        }
    }

    /// Makes evidence part of an open incident, re-opens one that is just over, or opens a new one.
    fn raise(
        &mut self,
        stream: Stream,
        place: &Place,
        evidence: Evidence,
        now: i64,
        changes: &mut Vec<Change>,
    ) {
        let members = place.area.members(&self.everyone);
        let touched: Vec<usize> = (0..self.cases.len())
            .filter(|&index| self.is_same(index, stream, place, &members, &evidence, now))
            .collect();
        let is_news = touched.iter().any(|&index| {
            let case = &self.cases[index];
            let before = case.area.members(&self.everyone);
            now - case.fired > NEWS_MS && before.len() < members.len() && before.is_subset(&members)
        });
        if let (Some(&first), false) = (touched.first(), is_news) {
            self.widen(first, place, now, changes);
            let fingerprint = self.cases[first].fingerprint.clone();
            self.supersede(&touched[1..], &fingerprint, now, changes);
            return;
        }
        if touched.is_empty()
            && let Some(index) = self.lately_over(stream, &members, now)
        {
            self.reopen(index, place, now, changes);
            return;
        }
        let fingerprint = self.begin(stream, place, evidence, now, changes);
        self.supersede(&touched, &fingerprint, now, changes);
    }

    /// Whether evidence belongs to an open incident.
    fn is_same(
        &self,
        index: usize,
        stream: Stream,
        place: &Place,
        members: &BTreeSet<u32>,
        evidence: &Evidence,
        now: i64,
    ) -> bool {
        let case = &self.cases[index];
        if !case.is_open() || !case.stream.is_like(stream) {
            return false;
        }
        if !case.area.members(&self.everyone).is_disjoint(members) {
            return true;
        }
        let providers = |bad: &BTreeSet<u32>| -> BTreeSet<&str> {
            let series = bad.iter().filter_map(|id| self.everyone.get(id));
            series.map(|series| series.provider.as_str()).collect()
        };
        let is_worse = evidence.figures.rate() >= WORSE * case.rate();
        let within = if stream.is_slow() || case.is_low() && !is_worse {
            KIN_LOW_MS
        } else {
            KIN_MS
        };
        now - case.fired <= within && !providers(&case.bad).is_disjoint(&providers(&place.bad))
    }

    fn lately_over(&self, stream: Stream, members: &BTreeSet<u32>, now: i64) -> Option<usize> {
        self.cases.iter().rposition(|case| {
            case.stream.is_like(stream)
                && case.may_reopen(now)
                && members.is_subset(&case.area.members(&self.everyone))
        })
    }

    fn begin(
        &mut self,
        stream: Stream,
        place: &Place,
        evidence: Evidence,
        now: i64,
        changes: &mut Vec<Change>,
    ) -> Fingerprint {
        let fingerprint = fingerprint(stream, now, &place.area);
        let case = Case::new(Beginning {
            fingerprint: fingerprint.clone(),
            kind: kind(stream, &place.area),
            stream,
            area: place.area.clone(),
            bad: place.bad.clone(),
            onset: evidence.onset,
            fired: now,
            figures: evidence.figures,
        });
        self.cases.push(case);
        let index = self.cases.len() - 1;
        self.catch_up(index, &place.bad, now);
        self.say(index, What::Opened, now, changes);
        fingerprint
    }

    fn reopen(&mut self, index: usize, place: &Place, now: i64, changes: &mut Vec<Change>) {
        let since = self.cases[index].ended;
        self.cases[index].reopen();
        let area = self.cases[index].area.clone();
        self.cases[index].take_in(area, &place.bad);
        if let Some(since) = since {
            self.hear_again(index, &place.bad, since + 1);
        }
        self.leave_out(index, now);
        self.say(index, What::Reopened, now, changes);
    }

    /// Lets an incident reach as far as the place, without telling anybody anew.
    fn widen(&mut self, index: usize, place: &Place, now: i64, changes: &mut Vec<Change>) {
        let area = self.wider(index, place, now);
        let case = &mut self.cases[index];
        let new: BTreeSet<u32> = place.bad.difference(&case.bad).copied().collect();
        let is_wider = area != case.area;
        case.take_in(area, &new);
        case.kind = match case.kind {
            Kind::Monitor => Kind::Monitor,
            _ => kind(case.stream, &case.area),
        };
        self.catch_up(index, &new, now);
        if is_wider {
            self.say(index, What::Widened, now, changes);
        }
    }

    /// The smallest area that holds what an incident reached before, and the place.
    fn wider(&self, index: usize, place: &Place, now: i64) -> Area {
        let case = &self.cases[index];
        let before = case.area.members(&self.everyone);
        let added = place.area.members(&self.everyone);
        if added.is_subset(&before) {
            return case.area.clone();
        }
        if before.is_subset(&added) {
            return place.area.clone();
        }
        let all: BTreeSet<u32> = before.union(&added).copied().collect();
        let sight = Sight {
            stream: case.stream,
            onset: case.onset,
            now,
            rate: case.rate(),
            by_hours: now - case.onset > super::ring::LONGEST_WINDOW_MS,
        };
        let standings: BTreeMap<u32, Standing> = self
            .everyone
            .iter()
            .map(|(id, series)| {
                let is_bad = case.bad.contains(id) || place.bad.contains(id);
                let standing = if is_bad {
                    Standing::Bad
                } else {
                    sight.standing(series)
                };
                (*id, standing)
            })
            .collect();
        let hand = place.bad.first().copied().unwrap_or_default();
        let found = Place::among(hand, &self.everyone, &standings);
        if all.is_subset(&found.area.members(&self.everyone)) {
            found.area
        } else {
            Area::Named(all)
        }
    }

    fn supersede(
        &mut self,
        indices: &[usize],
        by: &Fingerprint,
        now: i64,
        changes: &mut Vec<Change>,
    ) {
        for &index in indices {
            let case = &mut self.cases[index];
            case.superseded_by = Some(by.clone());
            case.ended = Some(now);
            self.say(index, What::Resolved, now, changes);
        }
    }

    /// Lets a probe join a low-rate incident of its provider on little evidence of its own.
    fn join(&mut self, id: u32, stream: Stream, now: i64, changes: &mut Vec<Change>) -> bool {
        let Some(series) = self.everyone.get(&id) else {
            return false;
        };
        let kin = self.cases.iter().position(|case| {
            let mut members = case.bad.iter().filter_map(|id| self.everyone.get(id));
            case.is_open()
                && case.stream.is_like(stream)
                && case.is_low()
                && members.any(|member| member.provider == series.provider)
        });
        let Some(index) = kin else {
            return false;
        };
        let joins = self.window(&[id], stream, now, NEEDED_TO_JOIN);
        if joins.is_some_and(|evidence| evidence.figures.rate() < WORSE * self.cases[index].rate())
        {
            self.widen(index, &Place::only(id), now, changes);
            return true;
        }
        false
    }

    /// Something far worse inside a low-rate incident is news.
    fn judge_inside(
        &mut self,
        index: usize,
        id: u32,
        stream: Stream,
        now: i64,
        changes: &mut Vec<Change>,
    ) {
        let case = &self.cases[index];
        let own = case.rate();
        if case.stream != stream || !case.is_faint() {
            return;
        }
        let since = case.faint_since;
        let Some(lane) = self
            .everyone
            .get(&id)
            .and_then(|series| series.lane(stream, now, &self.mix))
        else {
            return;
        };
        let raised = Lane {
            floor: lane.floor.max(since),
            usual: Rates {
                bad: own.max(lane.usual.bad),
                ..lane.usual
            },
            ..lane
        };
        let Some(window) = strongest(&[raised], now, &limits(stream)) else {
            return;
        };
        let rate = f64::from(window.bad) / f64::from(window.runs);
        if window.nats < needed(stream, false) || rate < GRAVE.max(FAR_WORSE * own) {
            return;
        }
        let evidence = Evidence::of_window(&window, needed(stream, false));
        let place = self.place(id, stream, &evidence, now);
        let fingerprint = self.begin(stream, &place, evidence, now, changes);
        self.supersede(&[index], &fingerprint, now, changes);
    }

    /// Lets an incident hear what its new bad probes did since its onset.
    fn catch_up(&mut self, index: usize, new: &BTreeSet<u32>, now: i64) {
        let onset = self.cases[index].onset;
        self.hear_again(index, new, onset);
        self.leave_out(index, now);
    }

    fn hear_again(&mut self, index: usize, new: &BTreeSet<u32>, since: i64) {
        let stream = self.cases[index].stream;
        let mut heard: Vec<(u32, Point, f64)> = Vec::new();
        let mut notes: Vec<Note> = Vec::new();
        for &id in new {
            let Some(series) = self.everyone.get(&id) else {
                continue;
            };
            let Some(track) = series.track(stream) else {
                continue;
            };
            let usual = series
                .usual(stream, self.clock)
                .map_or(0.1, |rates| rates.bad);
            heard.extend(track.ring.since(since).map(|&point| (id, point, usual)));
            let of_it = |note: &&Note| note.stream == stream && note.at >= since;
            notes.extend(series.notes.iter().filter(of_it).cloned());
        }
        heard.sort_by_key(|(id, point, _)| (point.at, *id));
        notes.sort_by_key(|note| (note.at, note.run));
        let case = &mut self.cases[index];
        for (id, point, usual) in heard {
            case.hear(id, point.at, point.is_bad, usual);
        }
        for note in notes {
            let finding = note.finding.as_ref().filter(|_| !stream.is_slow());
            case.remember(note.run, finding);
        }
    }

    /// Takes the hours of an incident out of what its members learn from.
    fn leave_out(&mut self, index: usize, now: i64) {
        let case = self.cases[index].clone();
        let until = now.min(case.left_out_until());
        for id in case.area.members(&self.everyone) {
            if let Some(series) = self.everyone.get_mut(&id) {
                series.leave_out(|stream| case.masks(stream), case.onset, until);
            }
        }
    }

    /// What opens and is widened in one instant was never narrower.
    fn say(&self, index: usize, what: What, now: i64, changes: &mut Vec<Change>) {
        let (at, incident) = (moment(now), self.cases[index].incident(&self.everyone));
        let opened = changes.iter_mut().rev().find(|change| {
            let is_beginning = matches!(change.what, What::Opened | What::Reopened);
            is_beginning && change.at == at && change.incident.fingerprint == incident.fingerprint
        });
        match (opened, what) {
            (Some(opened), What::Widened) => opened.incident = incident,
            _ => changes.push(Change { at, what, incident }),
        }
    }
}

/// Independent providers do not fail together: then it is our network, our names, our machine.
fn kind(stream: Stream, area: &Area) -> Kind {
    match area {
        Area::Group(group) if group.is_ours() => Kind::Monitor,
        Area::Group(_) | Area::Named(_) => stream.kind(),
    }
}

/// A name that the same runs give again, and that no other incident has: FNV-1a over what makes it this one.
fn fingerprint(stream: Stream, fired: i64, area: &Area) -> Fingerprint {
    let text = format!("{stream:?} {fired} {area:?}");
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Fingerprint(format!("{}-{hash:016x}", stream.kind_word()))
}
