//! What is known of one probe at one location: its streams with their baselines and newest runs.

use std::cell::Cell;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::baseline::{Hours, Rates, hour_of};
use super::mix::Mix;
use super::observation::{Observation, Stream};
use super::pace::Pace;
use super::ring::{MOST_POINTS, Point, Ring};
use super::scan::Lane;
use super::silence::Missing;
use super::{Finding, Rules};
use crate::probe::{AlertRule, ProbeId};
use crate::run::RunId;
use crate::taxonomy::{Class, Outcome, Stage};

/// A passed run is slow when it takes so many times its usual duration ...
const SLOW: f64 = 1.5;
/// ... and this much longer, in milliseconds: less is nothing that anybody feels.
const LEAST_EXCESS_MS: f64 = 50.0;
/// Bad runs that are remembered by name.
const MOST_NOTES: usize = 12;
/// A detail is kept to this length, in characters.
const LONGEST_DETAIL: usize = 240;
/// A run that comes this much later than planned, beyond three intervals, is not the next one any more.
const GRACE_MS: i64 = 60_000;

/// What is wrong for a moment may be so for so long: runs that follow a bad one this closely are expected to be bad more
/// often, however many lie between.
const HANGS_ON_MS: i64 = 300_000;

/// One probe at one location.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) probe: ProbeId,
    pub(super) provider: String,
    pub(super) environment: String,
    pub(super) location: String,
    pub(super) rules: Rules,
    interval_ms: i64,
    /// When it ran last, or when it was found not to.
    heard_at: i64,
    /// Times in a row that a run did not come.
    pub(super) silences: u32,
    streams: Vec<Track>,
    paces: Vec<Tempo>,
    mix: Mix,
    pub(super) streak: Option<Streak>,
    /// Bad runs, oldest first.
    pub(super) notes: VecDeque<Note>,
    /// Runs since the first of a row of bad ones, for confirmation.
    pub(super) trouble: Option<Begun>,
}

/// One stream of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Track {
    stream: Stream,
    pub(super) ring: Ring,
    pub(super) hours: Hours,
    /// Runs up to here are no evidence: they belong to an alert that is over.
    pub(super) floor: i64,
    /// The run before: when, and whether it was bad.
    last: Option<(i64, bool)>,
    last_bad: Option<i64>,
    #[serde(skip)]
    memo: Memo<Rates>,
}

/// How long a stage takes, or the whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tempo {
    stage: Option<Stage>,
    pace: Pace,
    #[serde(skip)]
    memo: Memo<Option<f64>>,
}

/// What is usual, as it was worked out in this hour. Follows from the rest, so that it takes no part in comparison.
#[derive(Debug, Clone)]
struct Memo<T: Copy>(Cell<Option<(i64, T)>>);

impl<T: Copy> Default for Memo<T> {
    fn default() -> Self {
        Self(Cell::new(None))
    }
}

impl<T: Copy> PartialEq for Memo<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T: Copy> Memo<T> {
    fn at(&self, hour: i64, work_out: impl FnOnce() -> T) -> T {
        match self.0.get() {
            Some((at, known)) if at == hour => known,
            _ => {
                let value = work_out();
                self.0.set(Some((hour, value)));
                value
            }
        }
    }

    fn forget(&self) {
        self.0.set(None);
    }
}

/// Failures in a row with one class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Streak {
    pub(super) class: Class,
    pub(super) since: i64,
    pub(super) runs: u32,
}

/// A bad run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) at: i64,
    pub(super) stream: Stream,
    pub(super) run: Option<RunId>,
    pub(super) finding: Option<Finding>,
}

/// Trouble that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) since: i64,
    pub(super) runs_since: u32,
    pub(super) is_retryable: bool,
}

/// What a run says in one stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Said {
    pub(super) stream: Stream,
    pub(super) is_bad: bool,
    /// As a multiple of the usual duration.
    pub(super) slowdown: Option<f64>,
    /// What a failure ended with.
    pub(super) class: Option<Class>,
}

impl Track {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            ring: Ring::default(),
            hours: Hours::default(),
            floor: 0,
            last: None,
            last_bad: None,
            memo: Memo::default(),
        }
    }

    /// Takes runs that were missing, as the one before them was.
    fn miss(&mut self, missing: Missing, left_out: bool) {
        let last = missing.last();
        self.last = Some((last, true));
        self.last_bad = self.last_bad.max(Some(last));
        for (hour, times) in missing.by_hour() {
            self.hours.note_bad_again(hour, times, left_out);
        }
        // More would only push each other out.
        for at in missing.newest(MOST_POINTS).moments() {
            let point = Point {
                at,
                is_bad: true,
                is_after_bad: true,
                slowdown: 0,
                class: None,
            };
            self.ring.push(point, self.stream.is_slow());
        }
    }

    /// What is learned to be usual.
    fn learned(&self, now: i64) -> Rates {
        let hour = hour_of(now);
        self.memo
            .at(hour, || self.hours.usual(hour, self.stream.is_slow()))
    }
}

impl Series {
    pub(super) fn new(run: &Observation, rules: Rules) -> Self {
        Self {
            probe: run.probe.clone(),
            provider: run.provider.clone(),
            environment: run.environment.clone(),
            location: run.location.clone(),
            rules,
            interval_ms: interval_ms(run),
            heard_at: run.at.as_millisecond(),
            silences: 0,
            streams: Vec::new(),
            paces: Vec::new(),
            mix: Mix::default(),
            streak: None,
            notes: VecDeque::new(),
            trouble: None,
        }
    }

    /// Notes that the probe ran, whatever came of it.
    pub(super) fn heard(&mut self, run: &Observation) {
        self.heard_at = self.heard_at.max(run.at.as_millisecond());
        self.interval_ms = interval_ms(run);
        self.silences = 0;
    }

    /// After this moment a run is missing.
    pub(super) fn silent_at(&self) -> i64 {
        let patience = if self.silences == 0 {
            self.patience_ms()
        } else {
            self.interval_ms
        };
        self.heard_at + patience
    }

    /// Notes that no run came; silence is told from the moment at which it was due.
    pub(super) fn silent(&mut self, at: i64) {
        self.heard_at = at;
        self.silences += 1;
    }

    /// When a silent probe that stays silent is found to have been so for longer than `after`; `None` where it is not
    /// silent.
    pub(super) fn gone_at(&self, after: i64) -> Option<i64> {
        let so_far = i64::from(self.silences);
        let more = (after / self.interval_ms - so_far).max(0);
        (so_far > 0).then(|| self.silent_at() + more * self.interval_ms)
    }

    /// The runs of a silent probe that will be missing before `until`, if it stays silent.
    pub(super) fn missing_before(&self, until: i64) -> Option<Missing> {
        Missing::before(until, self.silent_at(), self.interval_ms)
    }

    /// Whether the run before the next missing one was missing as well, and counted.
    pub(super) fn is_missed_again(&self) -> bool {
        let track = self.track(Stream::Unknown);
        track.is_some_and(|track| track.last == Some((self.heard_at, true)))
    }

    /// The same as noting each of these runs as missing, one by one. Gives what is usual at the end of them, if they count.
    pub(super) fn miss(&mut self, missing: Missing, left_out: bool) -> Option<f64> {
        self.heard_at = missing.last();
        self.silences += u32::try_from(missing.times).unwrap_or(u32::MAX);
        if self.rule(Stream::Unknown).off {
            return None;
        }
        self.track_mut(Stream::Unknown).miss(missing, left_out);
        let usual = self.usual(Stream::Unknown, missing.last());
        Some(usual.map_or(0.1, |rates| rates.bad))
    }

    /// Begins to wait anew.
    pub(super) fn wait_from(&mut self, now: i64) {
        self.heard_at = self.heard_at.max(now);
    }

    pub(super) fn heard_at(&self) -> i64 {
        self.heard_at
    }

    pub(super) fn interval_ms(&self) -> i64 {
        self.interval_ms
    }

    fn patience_ms(&self) -> i64 {
        3 * self.interval_ms + GRACE_MS
    }

    /// The rule of the configuration for a stream.
    pub(super) fn rule(&self, stream: Stream) -> &AlertRule {
        match stream {
            Stream::Failed => &self.rules.failure_rate,
            Stream::Unknown => &self.rules.monitor,
            Stream::Slow | Stream::SlowStage(_) => &self.rules.latency,
        }
    }

    /// What a run says, stream by stream.
    pub(super) fn hear(&self, run: &Observation) -> Vec<Said> {
        let plain = |stream, is_bad| Said {
            stream,
            is_bad,
            slowdown: None,
            class: None,
        };
        let mut said = vec![plain(Stream::Unknown, run.outcome == Outcome::Unknown)];
        if run.outcome != Outcome::Unknown {
            said.push(Said {
                class: run.finding.as_ref().map(|finding| finding.class),
                ..plain(Stream::Failed, run.outcome == Outcome::Failed)
            });
        }
        if run.passed() {
            let hour = hour_of(run.at.as_millisecond());
            let whole = (Stream::Slow, None, run.duration);
            let stages = run
                .stages
                .iter()
                .map(|&(stage, took)| (Stream::SlowStage(stage), Some(stage), took));
            for (stream, stage, took) in std::iter::once(whole).chain(stages) {
                let ms = took.as_secs_f64() * 1000.0;
                let Some(usual) = self.typical_ms(stage, hour) else {
                    continue;
                };
                said.push(Said {
                    stream,
                    is_bad: ms > SLOW * usual && ms > usual + LEAST_EXCESS_MS,
                    slowdown: Some(ms / usual.max(1.0)),
                    class: None,
                });
            }
        }
        said.retain(|said| !self.rule(said.stream).off);
        said
    }

    /// Learns how long a passed run took.
    pub(super) fn learn_pace(&mut self, run: &Observation, left_out: bool) {
        let hour = hour_of(run.at.as_millisecond());
        let mut note = |stage: Option<Stage>, took: std::time::Duration| {
            let ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
            let index = self.paces.iter().position(|tempo| tempo.stage == stage);
            let index = index.unwrap_or_else(|| {
                self.paces.push(Tempo {
                    stage,
                    pace: Pace::default(),
                    memo: Memo::default(),
                });
                self.paces.len() - 1
            });
            self.paces[index].pace.note(hour, ms, left_out);
        };
        note(None, run.duration);
        for &(stage, took) in &run.stages {
            note(Some(stage), took);
        }
    }

    /// The usual duration of a stage, or of the whole run, in milliseconds.
    pub(super) fn typical_ms(&self, stage: Option<Stage>, hour: i64) -> Option<f64> {
        let tempo = self.paces.iter().find(|tempo| tempo.stage == stage)?;
        tempo.memo.at(hour, || tempo.pace.usual(hour))
    }

    /// Puts what a run says into its stream.
    pub(super) fn put(&mut self, at: i64, said: Said, left_out: bool) {
        let patience = self.patience_ms();
        let track = self.track_mut(said.stream);
        let is_after_bad = track
            .last
            .is_some_and(|(before, was_bad)| was_bad && at - before <= patience)
            || track.last_bad.is_some_and(|bad| at - bad <= HANGS_ON_MS);
        if track.last.is_none_or(|(before, _)| before <= at) {
            track.last = Some((at, said.is_bad));
        }
        if said.is_bad {
            track.last_bad = track.last_bad.max(Some(at));
        }
        track
            .hours
            .note(hour_of(at), said.is_bad, is_after_bad, left_out);
        let slowdown = (said.slowdown.unwrap_or_default() * 100.0).min(f64::from(u16::MAX));
        let point = Point {
            at,
            is_bad: said.is_bad,
            is_after_bad,
            slowdown: slowdown as u16,
            class: said.class.filter(|_| said.is_bad),
        };
        track.ring.push(point, said.stream.is_slow());
        if let (Some(class), false) = (point.class, left_out) {
            self.mix.note(hour_of(at), class);
        }
    }

    /// Remembers a bad run by name.
    pub(super) fn remember(&mut self, run: &Observation, stream: Stream) {
        let finding = run.finding.clone().map(|finding| Finding {
            detail: finding.detail.chars().take(LONGEST_DETAIL).collect(),
            ..finding
        });
        self.notes.push_back(Note {
            at: run.at.as_millisecond(),
            stream,
            run: run.run,
            finding,
        });
        if self.notes.len() > MOST_NOTES {
            self.notes.pop_front();
        }
    }

    /// Follows rows of failures; a run that could not be judged neither ends nor lengthens one.
    pub(super) fn follow(&mut self, run: &Observation) {
        let at = run.at.as_millisecond();
        let class = run.finding.as_ref().map(|finding| finding.class);
        match (run.outcome, class, self.streak) {
            (Outcome::Unknown, _, _) => {}
            (Outcome::Failed, Some(class), Some(streak)) if streak.class == class => {
                self.streak = Some(Streak {
                    runs: streak.runs + 1,
                    ..streak
                });
            }
            (Outcome::Failed, Some(class), _) => {
                self.streak = Some(Streak {
                    class,
                    since: at,
                    runs: 1,
                });
            }
            (Outcome::Failed, None, _) | (Outcome::Ok | Outcome::Degraded, _, _) => {
                self.streak = None;
            }
        }
        self.follow_trouble(run, at);
    }

    fn follow_trouble(&mut self, run: &Observation, at: i64) {
        let is_retryable = run.finding.as_ref().is_some_and(|f| f.action.retryable());
        let within = super::MOST_CONFIRMATIONS;
        self.trouble = match (self.trouble, run.passed()) {
            (Some(begun), passed) if begun.runs_since < within => Some(Begun {
                runs_since: begun.runs_since + 1,
                is_retryable: if passed {
                    begun.is_retryable
                } else {
                    is_retryable
                },
                ..begun
            }),
            // A row of bad runs is confirmed once, not again and again.
            (Some(begun), false) => Some(begun),
            (_, true) => None,
            (None, false) => Some(Begun {
                since: at,
                runs_since: 0,
                is_retryable,
            }),
        };
    }

    pub(super) fn track(&self, stream: Stream) -> Option<&Track> {
        self.streams.iter().find(|track| track.stream == stream)
    }

    pub(super) fn track_mut(&mut self, stream: Stream) -> &mut Track {
        let index = self
            .streams
            .iter()
            .position(|track| track.stream == stream)
            .unwrap_or_else(|| {
                self.streams.push(Track::new(stream));
                self.streams.len() - 1
            });
        &mut self.streams[index]
    }

    /// What is usual for a stream: learned, or set by an objective.
    pub(super) fn usual(&self, stream: Stream, now: i64) -> Option<Rates> {
        let mut rates = self.track(stream)?.learned(now);
        if let Some(objective) = self.rule(stream).objective {
            rates.bad = (100.0 - objective) / 100.0;
        }
        Some(rates)
    }

    /// A stream as the window test takes it.
    pub(super) fn lane<'a>(&'a self, stream: Stream, now: i64, mix: &'a Mix) -> Option<Lane<'a>> {
        let track = self.track(stream)?;
        Some(Lane {
            ring: &track.ring,
            floor: track.floor,
            usual: self.usual(stream, now)?,
            mix: (stream == Stream::Failed).then_some((&self.mix, mix)),
        })
    }

    /// Streams that have been seen.
    pub(super) fn streams(&self) -> impl Iterator<Item = Stream> {
        self.streams.iter().map(|track| track.stream)
    }

    /// Takes the hours of an alert out of what is learned from.
    pub(super) fn leave_out(&mut self, masks: impl Fn(Stream) -> bool, from: i64, to: i64) {
        let (first, last) = (hour_of(from), hour_of(to));
        for track in self.streams.iter_mut().filter(|track| masks(track.stream)) {
            track.hours.leave_out(first, last);
            track.memo.forget();
        }
        if masks(Stream::Failed) {
            self.mix.leave_out(first, last);
        }
        for tempo in &mut self.paces {
            if masks(tempo.stage.map_or(Stream::Slow, Stream::SlowStage)) {
                tempo.pace.leave_out(first, last);
                tempo.memo.forget();
            }
        }
    }

    /// What lies before this moment is no evidence any more.
    pub(super) fn close(&mut self, masks: impl Fn(Stream) -> bool, at: i64) {
        for track in self.streams.iter_mut().filter(|track| masks(track.stream)) {
            track.floor = track.floor.max(at);
        }
        if masks(Stream::Failed) {
            self.streak = None;
        }
    }
}

fn interval_ms(run: &Observation) -> i64 {
    i64::try_from(run.interval.as_millis())
        .unwrap_or(i64::MAX / 8)
        .clamp(1000, i64::MAX / 8)
}
