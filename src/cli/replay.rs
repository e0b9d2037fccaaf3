//! `replay`: recorded runs through the rules of alerts, in virtual time. Would this have paged last month?
//!
//! A decision uses nothing but the runs up to it: a file that is cut short gives the same alerts up to the cut.

mod lines;
mod summary;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;
use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;
use serde::Serialize;

use self::lines::Lines;
use self::summary::Summary;
use super::{Exit, say};
use crate::alert::{
    Change, Detector, Fingerprint, Incident, Kind, Observation, Rules, Scope, Severity, What,
};
use crate::config::Daemon;
use crate::probe::ProbeId;

/// The first bytes of a gzip file (RFC 1952 section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recorded runs, one JSON object a line, oldest first; gzip is fine, `-` is stdin
    #[arg(long, value_name = "FILE")]
    runs: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
}

/// Form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A summary, and a line for each alert.
    Pretty,
    /// JSON Lines: an object for each alert.
    Json,
}

/// One interruption of a person, from its first moment to its end.
#[derive(Debug, Clone)]
struct Page {
    /// As it stood when the person was told.
    first: Incident,
    /// As it stood at last.
    last: Incident,
}

/// A page as a line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    t_fired: serde_json::Number,
    t_resolved: Option<serde_json::Number>,
    kind: &'static str,
    severity: Severity,
    #[serde(flatten)]
    scope: &'a Scope,
    r#final: &'a Scope,
    fingerprint: &'a Fingerprint,
    t_started: serde_json::Number,
    text: String,
}

/// Runs the command.
pub(super) fn run(daemon: Option<&Daemon>, args: &Args) -> anyhow::Result<Exit> {
    let began = Instant::now();
    let mut replay = Replay::new(daemon);
    let name = args.runs.display();
    let input = open(&args.runs).with_context(|| format!("cannot read {name}"))?;
    for run in Lines::new(input, daemon) {
        match run {
            Ok(run) => replay.take(&run),
            Err(lines::Error::Read(error)) => {
                return Err(error).with_context(|| format!("cannot read {name}"));
            }
            Err(lines::Error::Line { number, why }) => {
                eprintln!("authcanary: {name}:{number}: {why}");
                return Ok(Exit::Usage);
            }
        }
    }
    replay.end();
    let pages: Vec<&Page> = replay.pages.values().collect();
    let text = match args.format {
        Format::Json => json(&pages)?,
        Format::Pretty => Summary::of(&pages, &replay.seen).text(began.elapsed()),
    };
    if !text.is_empty() {
        say(&text)?;
    }
    Ok(Exit::Ok)
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    let mut input = BufReader::with_capacity(1 << 16, input);
    if input.fill_buf()?.starts_with(&GZIP) {
        return Ok(Box::new(BufReader::with_capacity(
            1 << 16,
            MultiGzDecoder::new(input),
        )));
    }
    Ok(Box::new(input))
}

/// What came in.
#[derive(Debug, Default)]
struct Seen {
    runs: usize,
    /// Runs of each probe.
    probes: BTreeMap<(ProbeId, String), usize>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Time, as the runs tell it.
struct Replay {
    detector: Detector,
    seen: Seen,
    /// By the moment at which they fired, then in the order of their making.
    pages: BTreeMap<(Timestamp, usize), Page>,
    places: BTreeMap<Fingerprint, (Timestamp, usize)>,
}

impl Replay {
    fn new(daemon: Option<&Daemon>) -> Self {
        let mut detector = Detector::new();
        let probes = daemon.map_or(&[][..], |daemon| &daemon.probes);
        detector.configure(
            probes
                .iter()
                .map(|probe| (&probe.id, Rules::from(&probe.alerts))),
        );
        Self {
            detector,
            seen: Seen::default(),
            pages: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    fn take(&mut self, run: &Observation) {
        self.seen.runs += 1;
        self.seen.first.get_or_insert(run.at);
        self.seen.last = Some(run.at);
        let probe = (run.probe.clone(), run.location.clone());
        *self.seen.probes.entry(probe).or_default() += 1;
        let changes = self.detector.observe(run);
        self.note(changes);
    }

    /// What the last runs decide is decided at their moment: nobody knows what came after.
    fn end(&mut self) {
        if let Some(last) = self.seen.last {
            let changes = self.detector.tick(last);
            self.note(changes);
        }
    }

    fn note(&mut self, changes: Vec<Change>) {
        for change in changes {
            let name = change.incident.fingerprint.clone();
            if change.what == What::Opened {
                let place = (change.incident.fired_at, self.pages.len());
                self.places.insert(name, place);
                let page = Page {
                    first: change.incident.clone(),
                    last: change.incident,
                };
                self.pages.insert(place, page);
            } else if let Some(page) = self
                .places
                .get(&name)
                .and_then(|place| self.pages.get_mut(place))
            {
                page.last = change.incident;
            }
        }
    }
}

fn json(pages: &[&Page]) -> anyhow::Result<String> {
    let mut text = String::new();
    for page in pages {
        let line = Line {
            t_fired: seconds(page.first.fired_at),
            t_resolved: page.last.resolved_at.map(seconds),
            kind: kind(page.first.kind),
            severity: page.first.severity,
            scope: &page.first.scope,
            r#final: &page.last.scope,
            fingerprint: &page.first.fingerprint,
            t_started: seconds(page.first.started_at),
            text: format!("{}; {}", page.first.summary(), page.first.reason()),
        };
        text.push_str(&serde_json::to_string(&line)?);
        text.push('\n');
    }
    Ok(text)
}

/// The word for a kind among recorded alerts.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Latency => "latency",
        Kind::Monitor => "monitor",
        Kind::FailureRate | Kind::Expiry | Kind::Drift | Kind::Security => "failure",
    }
}

/// Unix seconds, whole where they are.
fn seconds(at: Timestamp) -> serde_json::Number {
    let ms = at.as_millisecond();
    let whole = serde_json::Number::from(ms.div_euclid(1000));
    if ms.rem_euclid(1000) == 0 {
        return whole;
    }
    serde_json::Number::from_f64(ms as f64 / 1000.0).unwrap_or(whole)
}
