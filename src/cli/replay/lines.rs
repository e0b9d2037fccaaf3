//! Recorded runs, line by line: runs as they are stored and exported, or the short form with nothing but what
//! detection looks at.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::io::{self, BufRead};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::alert::{Finding, Observation};
use crate::config::Daemon;
use crate::probe::{Cadence, Probe, ProbeId};
use crate::run::Run;
use crate::schedule;
use crate::taxonomy::{Class, Outcome, Stage};

/// From one run to the next, where nothing tells.
const USUAL_INTERVAL: Duration = Duration::from_secs(300);
/// A line longer than this is no run.
const LONGEST_LINE: usize = 8 << 20;

/// Why there is no next run.
#[derive(Debug)]
pub(super) enum Error {
    /// The file cannot be read on.
    Read(io::Error),
    /// A line, counted from 1, is no run.
    Line { number: usize, why: String },
}

/// The short form.
#[derive(Deserialize)]
struct Short {
    /// Unix seconds at which the run ended and its result was known.
    t: f64,
    probe: String,
    provider: String,
    environment: String,
    location: String,
    interval_s: f64,
    outcome: Outcome,
    #[serde(default)]
    class: Option<Class>,
    #[serde(default)]
    stage: Option<Stage>,
    duration_ms: u64,
    #[serde(default)]
    maintenance: bool,
}

/// Tells the forms apart by the key that each has and the other has not.
#[derive(Deserialize)]
struct Form {
    t: Option<serde::de::IgnoredAny>,
    started_at: Option<serde::de::IgnoredAny>,
}

/// A run that is held back until no earlier one can come.
struct Held {
    at: Timestamp,
    number: usize,
    run: Observation,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Runs in the order of their ends.
pub(super) struct Lines<'a> {
    input: Box<dyn BufRead>,
    number: usize,
    probes: BTreeMap<&'a ProbeId, &'a Probe>,
    /// The last start by schedule, and the interval that follows from it.
    seen: HashMap<(ProbeId, String), (Timestamp, Duration)>,
    held: BinaryHeap<Reverse<Held>>,
    /// Lines that follow end no earlier.
    safe: Timestamp,
    given: Timestamp,
    is_over: bool,
}

impl<'a> Lines<'a> {
    pub(super) fn new(input: Box<dyn BufRead>, daemon: Option<&'a Daemon>) -> Self {
        let probes = daemon.map_or(&[][..], |daemon| &daemon.probes);
        Self {
            input,
            number: 0,
            probes: probes.iter().map(|probe| (&probe.id, probe)).collect(),
            seen: HashMap::new(),
            held: BinaryHeap::new(),
            safe: Timestamp::MIN,
            given: Timestamp::MIN,
            is_over: false,
        }
    }

    /// Reads one line and holds its run. Runs as stored stand in the order of their starts, so that a later line cannot
    /// end before this one started.
    fn read(&mut self) -> Result<(), Error> {
        let Some(text) = self.line()? else {
            self.is_over = true;
            return Ok(());
        };
        if text.trim().is_empty() {
            return Ok(());
        }
        let (run, safe) = self.parse(&text).map_err(|why| self.fault(why))?;
        if run.at < self.given {
            let why = "ends before a run of an earlier line: the lines must be in the order of time, oldest first";
            return Err(self.fault(why.to_owned()));
        }
        self.safe = self.safe.max(safe);
        self.held.push(Reverse(Held {
            at: run.at,
            number: self.number,
            run,
        }));
        Ok(())
    }

    fn line(&mut self) -> Result<Option<String>, Error> {
        self.number += 1;
        let mut bytes = Vec::new();
        let mut limited = io::Read::take(&mut self.input, LONGEST_LINE as u64);
        limited.read_until(b'\n', &mut bytes).map_err(Error::Read)?;
        if bytes.len() >= LONGEST_LINE {
            return Err(self.fault(format!("longer than {LONGEST_LINE} bytes: this is no run")));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(self.fault("not UTF-8: this is no run".to_owned())),
        }
    }

    fn fault(&self, why: String) -> Error {
        Error::Line {
            number: self.number,
            why,
        }
    }

    fn parse(&mut self, text: &str) -> Result<(Observation, Timestamp), String> {
        // Most lines are of the short form; what a line lacks is told by the form that it has.
        let short = match serde_json::from_str::<Short>(text) {
            Ok(short) => short,
            Err(error) => {
                let form: Form =
                    serde_json::from_str(text).map_err(|error| format!("not a run: {error}"))?;
                return match (form.t, form.started_at) {
                    (None, Some(_)) => self.stored(text),
                    (Some(_), _) => Err(format!("not a run: {error}")),
                    (None, None) => Err(
                        "not a run: neither `t`, when it ended, nor `started_at` is there"
                            .to_owned(),
                    ),
                };
            }
        };
        let run = self.short(short)?;
        let at = run.at;
        Ok((run, at))
    }

    fn short(&self, short: Short) -> Result<Observation, String> {
        let at = Timestamp::from_millisecond((short.t * 1000.0).round() as i64)
            .ok()
            .filter(|_| short.t.is_finite())
            .ok_or_else(|| format!("`t` is no time in unix seconds: {}", short.t))?;
        let interval = Duration::try_from_secs_f64(short.interval_s)
            .ok()
            .filter(|interval| !interval.is_zero())
            .ok_or_else(|| format!("`interval_s` is no interval: {}", short.interval_s))?;
        let finding = short.class.map(|class| Finding {
            stage: short.stage.unwrap_or(Stage::Monitor),
            class,
            cause: class.cause(),
            action: class.action(),
            detail: String::new(),
        });
        Ok(Observation {
            at,
            run: None,
            probe: ProbeId::recorded(short.probe),
            provider: short.provider,
            environment: short.environment,
            location: short.location,
            interval,
            outcome: short.outcome,
            finding,
            duration: Duration::from_millis(short.duration_ms),
            stages: Vec::new(),
            maintenance: short.maintenance,
        })
    }

    fn stored(&mut self, text: &str) -> Result<(Observation, Timestamp), String> {
        let run: Run = serde_json::from_str(text).map_err(|error| format!("not a run: {error}"))?;
        let interval = self.interval(&run);
        Ok((Observation::of(&run, interval, false), run.started_at))
    }

    /// By the configuration where it knows the probe; by the last two starts otherwise.
    fn interval(&mut self, run: &Run) -> Duration {
        if let Some(probe) = self.probes.get(&run.probe) {
            return match &probe.cadence {
                Cadence::Every(every) => *every,
                cadence @ Cadence::Cron { .. } => {
                    let next = schedule::next_start(&probe.id, cadence, run.started_at);
                    next.and_then(|next| Duration::try_from(next - run.started_at).ok())
                        .unwrap_or(USUAL_INTERVAL)
                }
            };
        }
        let key = (run.probe.clone(), run.location.clone());
        let known = self.seen.get(&key).copied();
        let Some(due) = run.scheduled_at else {
            return known.map_or(USUAL_INTERVAL, |(_, interval)| interval);
        };
        let interval = known
            .and_then(|(before, _)| Duration::try_from(due.duration_since(before)).ok())
            .filter(|interval| !interval.is_zero())
            .unwrap_or(USUAL_INTERVAL);
        self.seen.insert(key, (due, interval));
        interval
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Observation, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let is_safe = |held: &Reverse<Held>| self.is_over || held.0.at <= self.safe;
            if self.held.peek().is_some_and(is_safe) {
                let Reverse(held) = self.held.pop()?;
                self.given = held.at;
                return Some(Ok(held.run));
            }
            if self.is_over {
                return None;
            }
            if let Err(error) = self.read() {
                self.is_over = true;
                self.held.clear();
                return Some(Err(error));
            }
        }
    }
}
