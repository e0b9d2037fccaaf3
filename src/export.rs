//! Runs as others read them: JSON Lines or CSV, in the order in which their results were known, with no more than what
//! detection and spreadsheets look at.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::probe::{Probe, ProbeId, Window};
use crate::run::Run;
use crate::schedule;
use crate::store::{Ends, Error, Query, Span, Store};
use crate::taxonomy::{Class, Outcome, Stage};

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
            t: seconds(run.ended_at().as_millisecond()),
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
    runs: Ends,
    known: HashMap<ProbeId, Known>,
}

impl Export {
    /// Of runs that began in a span; of one probe, or of all. `known` holds what is known of probes.
    pub fn new(
        store: Store,
        span: Span,
        probe: Option<ProbeId>,
        known: HashMap<ProbeId, Known>,
    ) -> Self {
        let runs = store.by_end(span.from, span.to, probe);
        Self { store, runs, known }
    }

    /// The lines that follow, a piece of them; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Line>>, Error> {
        let Some(runs) = self.runs.next().await? else {
            return Ok(None);
        };
        let mut lines = Vec::with_capacity(runs.len());
        for run in runs {
            if !self.known.contains_key(&run.probe) {
                let guessed = self.guess(&run.probe).await?;
                self.known.insert(run.probe.clone(), guessed);
            }
            lines.push(Line::of(&run, &self.known[&run.probe]));
        }
        Ok(Some(lines))
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
