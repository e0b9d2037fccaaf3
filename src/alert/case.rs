//! An open incident from the inside: whom it concerns, how its runs go on, and when it is over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::baseline::HOUR_MS;
use super::change::{Figures, Incident, Member};
use super::observation::{Observation, Stream};
use super::place::{Area, Everyone};
use super::silence::Missing;
use super::{Finding, Fingerprint, Kind, Severity};
use crate::run::RunId;

/// Weights are halved beyond so many runs, so that the rate is that of the last hours.
const LONG: f64 = 60.0;
/// A rate below this is low: many runs pass, and an end is hard to tell from luck.
const LOW_RATE: f64 = 0.5;
/// Good runs must speak so clearly for the end, in nats ...
const CALM: f64 = 4.6;
/// ... or so, where only some runs are bad anyway.
const CALM_THIN: f64 = 3.0;
const THIN_RATE: f64 = 0.15;
/// Probes with a higher baseline say little about the end by single runs.
const STEADY: f64 = 0.05;
/// Good runs in a row that most bad probes must have.
const GOOD_IN_ROW: u32 = 2;
const MOST_OF_THEM: f64 = 0.8;
/// Nothing bad for so long.
const LEAST_QUIET_MS: i64 = 10 * 60_000;
/// Nor for so many times the longest pause that was seen: an incident that comes and goes is one.
const PAUSES: f64 = 1.5;
/// Shorter pauses ask for no more quiet than that, and are not noted.
const LEAST_PAUSE_MS: i64 = (LEAST_QUIET_MS as f64 / PAUSES) as i64;
const MOST_QUIET_MS: i64 = 90 * 60_000;
/// Pauses mean nothing where most runs are good.
const RARE: f64 = 0.3;
/// Below this rate something far worse inside is news.
const FAINT: f64 = 0.3;
/// What is remembered of the runs that are part of it.
const MOST_RUNS: usize = 10;
const MOST_FINDINGS: usize = 8;
/// It may be re-opened for so long after its end; longer where the rate was low.
const REOPEN_MS: i64 = HOUR_MS;
const REOPEN_LOW_MS: i64 = 8 * HOUR_MS;
/// Alerts may not teach their own baseline, up to this length. Beyond, this is how the probe is.
const LONGEST_LEFT_OUT_MS: i64 = 24 * HOUR_MS;
const LONGEST_LEFT_OUT_SLOW_MS: i64 = 96 * HOUR_MS;

/// An incident, open or over for a short time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) fingerprint: Fingerprint,
    pub(super) kind: Kind,
    pub(super) stream: Stream,
    pub(super) area: Area,
    /// Seen to be bad themselves; their runs decide about the end.
    pub(super) bad: BTreeSet<u32>,
    pub(super) onset: i64,
    pub(super) fired: i64,
    pub(super) ended: Option<i64>,
    pub(super) superseded_by: Option<Fingerprint>,
    pub(super) figures: Figures,
    findings: Vec<(Finding, u32)>,
    runs: VecDeque<RunId>,
    tally: Tally,
    /// How clearly good runs speak for the end.
    calm: f64,
    last_bad: i64,
    longest_pause: i64,
    /// Since when its rate is faint: something far worse that began later is news.
    pub(super) faint_since: i64,
    rows: BTreeMap<u32, Row>,
    /// Of the newest run of a bad probe.
    heard_at: i64,
}

/// Runs of the bad probes, old ones with less weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    runs: f64,
    bad: f64,
    /// Since the last bad one: they may belong to the end already.
    good_since: f64,
}

impl Tally {
    fn note(&mut self, is_bad: bool) {
        if !is_bad {
            self.good_since += 1.0;
            return;
        }
        self.runs += self.good_since + 1.0;
        self.bad += 1.0;
        self.good_since = 0.0;
        if self.runs > LONG {
            self.runs /= 2.0;
            self.bad /= 2.0;
        }
    }

    /// The same as noting so many bad runs. What is halved again and again goes round in a circle after a while.
    fn note_bad(&mut self, times: i64) {
        let (mut known, mut noted, mut next_known) = (*self, 0, 1);
        while noted < times {
            self.note(true);
            noted += 1;
            if *self == known {
                let circle = noted - next_known / 2;
                noted = times - (times - noted) % circle.max(1);
            }
            if noted == next_known {
                (known, next_known) = (*self, 2 * next_known);
            }
        }
    }
}

/// How a bad probe goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Row {
    /// Good runs since the last bad one.
    good: u32,
    /// Whether its baseline is so low that single runs say something.
    is_steady: bool,
}

/// What a new incident begins with.
pub(super) struct Beginning {
    pub(super) fingerprint: Fingerprint,
    pub(super) kind: Kind,
    pub(super) stream: Stream,
    pub(super) area: Area,
    pub(super) bad: BTreeSet<u32>,
    pub(super) onset: i64,
    pub(super) fired: i64,
    pub(super) figures: Figures,
}

impl Case {
    pub(super) fn new(beginning: Beginning) -> Self {
        let Beginning {
            fingerprint,
            kind,
            stream,
            area,
            bad,
            onset,
            fired,
            figures,
        } = beginning;
        Self {
            fingerprint,
            kind,
            stream,
            area,
            bad,
            onset,
            fired,
            ended: None,
            superseded_by: None,
            figures,
            findings: Vec::new(),
            runs: VecDeque::new(),
            tally: Tally::default(),
            calm: 0.0,
            last_bad: onset,
            longest_pause: 0,
            faint_since: fired,
            rows: BTreeMap::new(),
            heard_at: onset,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Share of bad runs, up to the last bad one.
    pub(super) fn rate(&self) -> f64 {
        if self.tally.runs > 0.0 {
            self.tally.bad / self.tally.runs
        } else {
            self.figures.rate()
        }
    }

    pub(super) fn is_low(&self) -> bool {
        self.rate() < LOW_RATE
    }

    pub(super) fn is_faint(&self) -> bool {
        self.rate() < FAINT
    }

    /// Whether runs of its members are no evidence for another alert in `stream`.
    pub(super) fn masks(&self, stream: Stream) -> bool {
        match self.kind {
            Kind::Monitor => true,
            _ if self.stream.is_like(stream) => true,
            _ => match self.stream {
                Stream::Failed => true,
                Stream::Unknown => stream.is_slow(),
                Stream::Slow | Stream::SlowStage(_) => false,
            },
        }
    }

    /// Whether a run at `at` is kept out of what is learned.
    pub(super) fn leaves_out(&self, at: i64) -> bool {
        at <= self.left_out_until()
    }

    /// The end of what is kept out of what is learned.
    pub(super) fn left_out_until(&self) -> i64 {
        let longest = if self.stream.is_slow() {
            LONGEST_LEFT_OUT_SLOW_MS
        } else {
            LONGEST_LEFT_OUT_MS
        };
        self.onset + longest
    }

    /// Follows a run of one of its bad probes. `usual` is the probe's baseline.
    pub(super) fn hear(&mut self, id: u32, at: i64, is_bad: bool, usual: f64) {
        self.heard_at = self.heard_at.max(at);
        self.tally.note(is_bad);
        if !self.is_faint() {
            self.faint_since = self.faint_since.max(at);
        }
        let row = self.rows.entry(id).or_default();
        row.good = if is_bad { 0 } else { row.good + 1 };
        row.is_steady = usual <= STEADY;
        // A window is found where it is worst: what goes on is rather less.
        let rate = self.tally.bad / (self.tally.runs + 2.0);
        let rate = if self.is_low() { rate / 2.0 } else { rate };
        let expected = rate.max(4.0 * usual).clamp(0.05, 0.9);
        let usual = usual.clamp(1e-4, expected * 0.9);
        if is_bad {
            self.pause(at - self.last_bad);
            self.last_bad = self.last_bad.max(at);
            self.calm = (self.calm - (expected / usual).ln()).max(0.0);
        } else {
            self.calm += ((1.0 - usual) / (1.0 - expected)).ln();
        }
    }

    fn pause(&mut self, pause: i64) {
        if pause > LEAST_PAUSE_MS {
            self.longest_pause = self.longest_pause.max(pause);
        }
    }

    /// Whether further bad runs of its probes change no more than its figures.
    pub(super) fn is_all_bad(&self) -> bool {
        self.calm == 0.0 && self.tally.good_since == 0.0 && !self.is_faint()
    }

    /// The same as hearing, in the order of time, that each of these runs was missing; `is_all_bad` must hold. With each
    /// probe comes its baseline.
    pub(super) fn miss(&mut self, all: &[(u32, Missing, f64)]) {
        let own = all.iter().filter(|(id, ..)| self.bad.contains(id));
        let own: Vec<(u32, Missing, f64)> = own.copied().collect();
        let each = || own.iter().map(|(_, missing, _)| *missing);
        let (Some(first), Some(last)) = (
            each().map(|missing| missing.first).min(),
            each().map(|missing| missing.last()).max(),
        ) else {
            return;
        };
        self.pause(first - self.last_bad);
        // Where one is due so often, no pause is long enough to be noted.
        if each().all(|missing| missing.every > LEAST_PAUSE_MS) {
            let mut moments: Vec<i64> = each().flat_map(Missing::moments).collect();
            moments.sort_unstable();
            for pair in moments.windows(2) {
                self.pause(pair[1] - pair[0]);
            }
        }
        self.tally
            .note_bad(each().map(|missing| missing.times).sum());
        self.heard_at = self.heard_at.max(last);
        self.faint_since = self.faint_since.max(last);
        self.last_bad = self.last_bad.max(last);
        for (id, _, usual) in own {
            let row = self.rows.entry(id).or_default();
            row.good = 0;
            row.is_steady = usual <= STEADY;
        }
    }

    /// Remembers what a bad run ended with. Whether the leading finding has become another.
    pub(super) fn remember(&mut self, run: Option<RunId>, finding: Option<&Finding>) -> bool {
        if let Some(run) = run {
            self.runs.push_front(run);
            self.runs.truncate(MOST_RUNS);
        }
        let Some(finding) = finding else {
            return false;
        };
        let before = self.finding().map(|leading| (leading.stage, leading.class));
        let same = |known: &Finding| known.stage == finding.stage && known.class == finding.class;
        match self.findings.iter_mut().find(|(known, _)| same(known)) {
            Some((known, count)) => {
                known.clone_from(finding);
                *count += 1;
            }
            None => {
                if self.findings.len() == MOST_FINDINGS {
                    let rarest = self
                        .findings
                        .iter()
                        .enumerate()
                        .min_by_key(|(_, (_, count))| *count);
                    if let Some(index) = rarest.map(|(index, _)| index) {
                        self.findings.remove(index);
                    }
                }
                self.findings.push((finding.clone(), 1));
            }
        }
        before.is_some() && before != self.finding().map(|leading| (leading.stage, leading.class))
    }

    /// What most bad runs ended with.
    pub(super) fn finding(&self) -> Option<&Finding> {
        let mut leading: Option<&(Finding, u32)> = None;
        for candidate in &self.findings {
            if leading.is_none_or(|leading| candidate.1 > leading.1) {
                leading = Some(candidate);
            }
        }
        leading.map(|(finding, _)| finding)
    }

    /// When it is over, if no further bad run comes; `None` while the runs do not say so.
    pub(super) fn over_at(&self) -> Option<i64> {
        let rate = self.rate();
        let calm = if rate < THIN_RATE { CALM_THIN } else { CALM };
        if self.calm < calm {
            return None;
        }
        let steady = self.rows.values().filter(|row| row.is_steady);
        let well = steady.clone().filter(|row| row.good >= GOOD_IN_ROW).count();
        let steady = steady.count();
        if steady == 0 {
            return Some(self.heard_at);
        }
        if (well as f64) < MOST_OF_THEM * steady as f64 {
            return None;
        }
        let pauses = (PAUSES * self.longest_pause as f64) as i64;
        let quiet = if rate <= RARE {
            LEAST_QUIET_MS
        } else {
            pauses.clamp(LEAST_QUIET_MS, MOST_QUIET_MS)
        };
        Some(self.heard_at.max(self.last_bad + quiet))
    }

    /// Whether it may still be re-opened at `now`.
    pub(super) fn may_reopen(&self, now: i64) -> bool {
        let within = if self.is_low() {
            REOPEN_LOW_MS
        } else {
            REOPEN_MS
        };
        self.superseded_by.is_none() && self.ended.is_some_and(|ended| now - ended <= within)
    }

    /// Takes up again what was over.
    pub(super) fn reopen(&mut self) {
        self.ended = None;
        self.calm = 0.0;
        self.rows.clear();
    }

    /// Takes probes in that are bad as well. The end is waited for anew.
    pub(super) fn take_in(&mut self, area: Area, bad: &BTreeSet<u32>) {
        self.area = area;
        self.bad.extend(bad);
        self.calm = 0.0;
    }

    /// Lets a probe go.
    pub(super) fn let_go(&mut self, gone: &BTreeSet<u32>) {
        self.bad.retain(|id| !gone.contains(id));
        self.rows.retain(|id, _| !gone.contains(id));
    }

    /// As people see it.
    pub(super) fn incident(&self, everyone: &Everyone) -> Incident {
        let members = self.area.members(everyone);
        let severity = self
            .bad
            .iter()
            .filter_map(|id| everyone.get(id))
            .map(|series| series.rule(self.stream).severity)
            .max()
            .unwrap_or(Severity::Page);
        Incident {
            fingerprint: self.fingerprint.clone(),
            kind: self.kind,
            stream: self.stream,
            severity,
            scope: self.area.scope(everyone),
            members: members
                .iter()
                .filter_map(|id| everyone.get(id).map(|series| (id, series)))
                .map(|(id, series)| Member {
                    probe: series.probe.clone(),
                    location: series.location.clone(),
                    is_bad: self.bad.contains(id),
                })
                .collect(),
            finding: self.finding().cloned(),
            figures: self.figures,
            runs: self.runs.iter().copied().collect(),
            started_at: moment(self.onset),
            fired_at: moment(self.fired),
            resolved_at: self.ended.map(moment),
            superseded_by: self.superseded_by.clone(),
        }
    }
}

/// A moment from milliseconds since the epoch.
pub(super) fn moment(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// Milliseconds since the epoch at which a run ended.
pub(super) fn at_ms(run: &Observation) -> i64 {
    run.at.as_millisecond()
}
