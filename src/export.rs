//! Runs as others read them: JSON Lines or CSV, in the order in which their results were known, with no more than what
//! detection and spreadsheets look at.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::probe::{Probe, ProbeId, Window};
use crate::run::{Run, RunId};
use crate::schedule;
use crate::store::{Error, Query, Span, Store};
use crate::taxonomy::{Class, Outcome, Stage};

/// Runs that began in this time are read at once.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// From one run to the next, where nothing tells.
const USUAL_INTERVAL: Duration = Duration::from_secs(300);

/// Runs of a probe that are looked at for its interval.
const LOOKED_AT: usize = 20;

/// The first line of a file with values between commas.
pub const CSV_HEADER: &str = "t,probe,provider,environment,location,interval_s,outcome,class,stage,duration_ms,maintenance\n";

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Unix seconds at which the run ended.
    pub t: f64,
    pub probe: ProbeId,
    pub provider: String,
    pub environment: String,
    pub location: String,
    /// Seconds from one run of the probe to the next.
    pub interval_s: f64,
    pub outcome: Outcome,
    pub class: Option<Class>,
    pub stage: Option<Stage>,
    pub duration_ms: u64,
    /// Whether it fell into a declared maintenance window.
    #[serde(skip_serializing_if = "is_false")]
    pub maintenance: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands in a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A JSON object a line.
    #[default]
    Jsonl,
    /// Values between commas, after a line with their names (RFC 4180).
    Csv,
}

impl Line {
    fn of(run: &Run, known: &Known) -> Self {
        let verdict = run.verdict.as_ref();
        let is_in = |window| schedule::in_window(window, run.started_at);
        Self {
            t: seconds(ended_ms(run)),
            probe: run.probe.clone(),
            provider: run.provider.clone(),
            environment: run.environment.clone(),
            location: run.location.clone(),
            interval_s: known.interval.as_secs_f64(),
            outcome: run.outcome,
            class: verdict.map(|verdict| verdict.class),
            stage: verdict.map(|verdict| verdict.stage),
            duration_ms: run.duration_ms,
            maintenance: known.maintenance.iter().any(is_in),
        }
    }

    /// The line as text, its end included.
    pub fn write(&self, form: Form) -> String {
        match form {
            Form::Jsonl => serde_json::to_string(self).expect("lines are plain values") + "\n",
            Form::Csv => {
                let names = [
                    self.probe.as_str(),
                    &self.provider,
                    &self.environment,
                    &self.location,
                ];
                let [probe, provider, environment, location] = names.map(quoted);
                let class = self.class.map_or("", Class::as_str);
                let stage = self.stage.map_or("", Stage::as_str);
                format!(
                    "{},{probe},{provider},{environment},{location},{},{},{class},{stage},{},{}\n",
                    self.t, self.interval_s, self.outcome, self.duration_ms, self.maintenance
                )
            }
        }
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn ended_ms(run: &Run) -> i64 {
    let duration_ms = i64::try_from(run.duration_ms).unwrap_or(0);
    run.started_at.as_millisecond().saturating_add(duration_ms)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of our era are whole in a double"
)]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

/// What runs do not tell of their probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// From one run to the next.
    pub interval: Duration,
    /// When planned work is done on its target.
    pub maintenance: Vec<Window>,
}

impl Known {
    /// As the configuration says at this moment.
    pub fn of(probe: &Probe, now: Timestamp) -> Self {
        Self {
            interval: schedule::interval(&probe.id, &probe.cadence, now),
            maintenance: probe.maintenance.clone(),
        }
    }
}

/// Runs of a span, read piece by piece.
pub struct Export {
    store: Store,
    probe: Option<ProbeId>,
    at: Timestamp,
    end: Timestamp,
    known: HashMap<ProbeId, Known>,
    /// Runs that have been read and may end after others that have not.
    held: BinaryHeap<Reverse<Held>>,
}

/// A run by its end.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held(i64, RunId, Place);

/// Its line, which has no order of its own.
struct Place(Run);

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Export {
    /// Of runs that began in a span; of one probe, or of all. `known` holds what is known of probes.
    pub fn new(
        store: Store,
        span: Span,
        probe: Option<ProbeId>,
        known: HashMap<ProbeId, Known>,
    ) -> Self {
        Self {
            store,
            probe,
            at: span.from,
            end: span.to,
            known,
            held: BinaryHeap::new(),
        }
    }

    /// The lines that follow, a piece of them; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Line>>, Error> {
        while self.at < self.end {
            let end = self
                .at
                .saturating_add(WINDOW)
                .map_or(self.end, |end| end.min(self.end));
            let runs = self
                .store
                .begun_between(self.at, end, self.probe.clone())
                .await?;
            self.at = if runs.is_empty() {
                let next = self.store.first_since(end).await?;
                next.map_or(self.end, |next| next.max(end))
            } else {
                end
            };
            let held = runs
                .into_iter()
                .map(|run| Held(ended_ms(&run), run.id, Place(run)));
            self.held.extend(held.map(Reverse));
            // Those that follow begin later, and do not end before.
            let lines = self.lines_before(self.at.as_millisecond()).await?;
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
        let rest = self.lines_before(i64::MAX).await?;
        Ok(Some(rest).filter(|rest| !rest.is_empty()))
    }

    async fn lines_before(&mut self, ms: i64) -> Result<Vec<Line>, Error> {
        let mut lines = Vec::new();
        while self.held.peek().is_some_and(|held| held.0.0 < ms) {
            let Some(Reverse(Held(_, _, Place(run)))) = self.held.pop() else {
                break;
            };
            if !self.known.contains_key(&run.probe) {
                let guessed = self.guess(&run.probe).await?;
                self.known.insert(run.probe.clone(), guessed);
            }
            lines.push(Line::of(&run, &self.known[&run.probe]));
        }
        Ok(lines)
    }

    /// Of a probe that no configuration knows: the shortest time between its last starts.
    async fn guess(&self, probe: &ProbeId) -> Result<Known, Error> {
        let query = Query {
            probe: Some(probe.clone()),
            outcome: None,
            before: None,
            limit: LOOKED_AT,
        };
        let starts: Vec<Timestamp> = self
            .store
            .list(query)
            .await?
            .iter()
            .filter_map(|run| run.scheduled_at)
            .collect();
        let between = starts
            .windows(2)
            .map(|pair| pair[0].duration_since(pair[1]));
        let shortest = between.filter(|between| between.is_positive()).min();
        let interval = shortest
            .and_then(|shortest| Duration::try_from(shortest).ok())
            .unwrap_or(USUAL_INTERVAL);
        Ok(Known {
            interval,
            maintenance: Vec::new(),
        })
    }
}
