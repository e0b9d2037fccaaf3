//! The pages people look at: rendered here, whole without JavaScript, nothing from outside.

pub(super) mod alerts;
mod chart;
pub(super) mod runbooks;
mod sums;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use super::problem::Problem;
use super::{State, known_probe, no_such_run, path, run_id, under_way};
use crate::board::{NotReady, Slot};
use crate::clock;
use crate::expiry::Expiry;
use crate::phrase::{self, ago, duration, instant, until};
use crate::probe::Cadence;
use crate::run::{Evidence, Exchange, Run, RunId, Verdict};
use crate::store::{Brief, Span};
use crate::taxonomy::Outcome;

use chart::{Bar, Lane};
use sums::Sums;

/// Runs in the strip of the front page, and on the page of a probe.
const STRIP: (usize, usize) = (30, 100);

/// Spans that the page of a probe sums up, in hours.
const SPANS: [(&str, i64); 3] = [("24 hours", 24), ("7 days", 7 * 24), ("30 days", 30 * 24)];

/// A page that could not be made, which is shown as text.
type Page = Result<Response, Problem>;

/// The style sheet.
pub(super) async fn style() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (kind, include_str!("../../templates/style.css")).into_response()
}

/// `/`: all probes, the broken ones first.
pub(super) async fn index(Extract(state): Extract<State>) -> Page {
    let now = clock::now();
    let slots: Vec<Slot> = state.board.read().values().cloned().collect();
    let names = slots.iter().map(|slot| slot.probe.id.clone()).collect();
    let recent = state.store.newest(names, STRIP.0).await?;
    let mut probes: Vec<Row> = slots
        .iter()
        .zip(recent)
        .map(|(slot, runs)| Row::new(slot, &runs, now))
        .collect();
    probes.sort_by_key(|row| row.rank);
    let count = |outcome: Outcome| {
        probes
            .iter()
            .filter(|row| row.state == outcome.as_str())
            .count()
    };
    let (failing, unjudged) = (count(Outcome::Failed), count(Outcome::Unknown));
    render(&Index {
        alerts: alerts::open(&state, now).await,
        failing,
        unjudged,
        probes,
        not_ready: state.board.not_ready(now),
        now: instant(now),
    })
}

/// `/probes/{id}`: one probe and its last runs.
pub(super) async fn probe(
    Extract(state): Extract<State>,
    id: Result<Path<String>, PathRejection>,
) -> Page {
    let now = clock::now();
    let name = known_probe(&state, &path(id)?)?;
    let runs = state
        .store
        .newest(vec![name.clone()], STRIP.1)
        .await?
        .remove(0);
    let slot = state.board.read().get(&name).cloned();
    let slot = slot.ok_or_else(|| Problem::not_found("this probe is gone"))?;
    let entries = runs.iter().map(|run| Entry::new(run, now)).collect();
    let mut sums = Vec::new();
    for (title, hours) in SPANS {
        let span = Span::last(SignedDuration::from_hours(hours), now);
        sums.push((title, state.store.stats(name.clone(), span).await?));
    }
    let watch = state.duty.explain(&name).await;
    render(&ProbePage {
        row: Row::new(&slot, &runs, now),
        cadence: cadence(&slot.probe.cadence),
        entries,
        sums: sums::table(&sums),
        ends: ends(&state, &slot, now),
        watch: watch.iter().map(alerts::Watch::new).collect(),
    })
}

/// `/runs/{id}`: everything that is known of one run.
pub(super) async fn run(
    Extract(state): Extract<State>,
    id: Result<Path<RunId>, PathRejection>,
) -> Page {
    let id = run_id(id)?;
    if let Some(probe) = under_way(&state, id).await? {
        return render(&Waiting {
            id: id.to_string(),
            probe: probe.to_string(),
        });
    }
    let run = state.store.get(id).await?.ok_or_else(|| no_such_run(id))?;
    let evidence = state.store.evidence(id).await?;
    let screenshot = state.store.screenshot(id).await?.is_some();
    render(&RunPage::new(&run, evidence, screenshot, clock::now()))
}

fn render(template: &impl Template) -> Page {
    match template.render() {
        Ok(html) => Ok(Html(html).into_response()),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot render a page"
            );
            Err(Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page cannot be shown: the log has more",
            ))
        }
    }
}

#[derive(Template)]
#[template(path = "index.html")]
struct Index {
    probes: Vec<Row>,
    /// Open alerts.
    alerts: Vec<alerts::Line>,
    failing: usize,
    unjudged: usize,
    not_ready: Vec<NotReady>,
    now: String,
}

#[derive(Template)]
#[template(path = "probe.html")]
struct ProbePage {
    row: Row,
    cadence: String,
    watch: Vec<alerts::Watch>,
    entries: Vec<Entry>,
    sums: Sums,
    ends: Vec<End>,
}

/// Something that expires.
struct End {
    /// Over, near, or far.
    state: &'static str,
    kind: String,
    what: String,
    at: String,
    when: String,
}

/// Nearer than this, an end is pointed out.
const NEAR: SignedDuration = SignedDuration::from_hours(14 * 24);

fn ends(state: &State, slot: &Slot, now: Timestamp) -> Vec<End> {
    let expiries = state.board.expiries(&slot.probe.id).into_iter();
    let end = |expiry: Expiry| End {
        state: match expiry.at.duration_since(now) {
            left if left <= SignedDuration::ZERO => "over",
            left if left < NEAR => "near",
            _ => "far",
        },
        kind: expiry.kind.as_str().replace('_', " "),
        what: expiry.what,
        at: instant(expiry.at),
        when: match expiry.at > now {
            true => until(expiry.at, now),
            false => ago(expiry.at, now),
        },
    };
    expiries.map(end).collect()
}

#[derive(Template)]
#[template(path = "waiting.html")]
struct Waiting {
    id: String,
    probe: String,
}

/// One probe of the front page.
struct Row {
    id: String,
    /// Word of the last outcome; `pending` before the first run.
    state: &'static str,
    /// Broken ones come first.
    rank: u8,
    bars: Vec<Bar>,
    last: Option<Entry>,
    /// Median duration of the runs of the strip that passed.
    median: Option<String>,
    passed: String,
    next: String,
    running: Option<String>,
    trouble: Option<Trouble>,
}

impl Row {
    fn new(slot: &Slot, runs: &[Brief], now: Timestamp) -> Self {
        let last = runs.first();
        let passing = |run: &&Brief| matches!(run.outcome, Outcome::Ok | Outcome::Degraded);
        let mut durations: Vec<u64> = runs
            .iter()
            .filter(passing)
            .map(|run| run.duration_ms)
            .collect();
        durations.sort_unstable();
        Self {
            id: slot.probe.id.to_string(),
            state: last.map_or("pending", |run| run.outcome.as_str()),
            rank: last.map_or(3, |run| rank(run.outcome)),
            bars: chart::strip(runs),
            median: durations.get(durations.len() / 2).map(|ms| duration(*ms)),
            passed: format!("{} of {} passed", durations.len(), runs.len()),
            next: slot
                .next
                .map_or_else(|| "never again".to_owned(), |next| until(next, now)),
            running: slot.running.map(|run| run.to_string()),
            trouble: last
                .and_then(|run| run.verdict.as_ref())
                .map(|verdict| Trouble::new(verdict, &slot.probe.provider, in_a_row(runs))),
            last: last.map(|run| Entry::new(run, now)),
        }
    }
}

/// How many of the newest runs ended like the last one.
fn in_a_row(runs: &[Brief]) -> usize {
    let last = runs.first().map(|run| run.outcome);
    runs.iter()
        .take_while(|run| Some(run.outcome) == last)
        .count()
}

fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Failed => 0,
        Outcome::Unknown => 1,
        Outcome::Degraded => 2,
        Outcome::Ok => 4,
    }
}

/// A verdict in words.
struct Trouble {
    /// Whose notes the runbook shows.
    provider: String,
    stage: &'static str,
    class: &'static str,
    cause: &'static str,
    action: &'static str,
    meaning: &'static str,
    advice: &'static str,
    detail: String,
    /// How many runs up to the last one ended this way.
    in_a_row: usize,
}

impl Trouble {
    fn new(verdict: &Verdict, provider: &str, in_a_row: usize) -> Self {
        Self {
            provider: provider.to_owned(),
            in_a_row,
            stage: verdict.stage.as_str(),
            class: verdict.class.as_str(),
            cause: verdict.cause.as_str(),
            action: verdict.action.as_str(),
            meaning: verdict.class.meaning(),
            advice: verdict.action.advice(),
            detail: verdict.detail.clone(),
        }
    }
}

/// One run in a list.
struct Entry {
    id: String,
    outcome: &'static str,
    at: String,
    ago: String,
    duration: String,
    stage_class: Option<String>,
}

impl Entry {
    fn new(run: &Brief, now: Timestamp) -> Self {
        Self {
            id: run.id.to_string(),
            outcome: run.outcome.as_str(),
            at: instant(run.started_at),
            ago: ago(run.started_at, now),
            duration: duration(run.duration_ms),
            stage_class: run
                .verdict
                .as_ref()
                .map(|verdict| format!("{} · {}", verdict.stage, verdict.class)),
        }
    }
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    id: String,
    probe: String,
    outcome: &'static str,
    location: String,
    at: String,
    ago: String,
    duration: String,
    /// Delay of the start; absent for a run that a person asked for.
    late: Option<String>,
    trouble: Option<Trouble>,
    /// The rule that decided; absent in old records.
    rule: Option<String>,
    raw: Option<crate::run::Raw>,
    trace: String,
    lanes: Vec<Lane>,
    clock: Option<String>,
    warnings: Vec<Warned>,
    screenshot: bool,
    evidence: Option<Evidence>,
    exchanges: Vec<Sent>,
}

struct Warned {
    stage: &'static str,
    class: &'static str,
    detail: String,
}

/// One request of the run's page.
struct Sent {
    exchange: Exchange,
    status: String,
    lane: Vec<chart::Part>,
    total: String,
    /// The last one of a run that stopped is what one came to see.
    open: bool,
}

impl RunPage {
    fn new(run: &Run, evidence: Option<Evidence>, screenshot: bool, now: Timestamp) -> Self {
        let warnings = run.warnings.iter().map(|warning| Warned {
            stage: warning.stage.as_str(),
            class: warning.class.as_str(),
            detail: warning.detail.clone(),
        });
        let exchanges = evidence.iter().flat_map(|evidence| &evidence.exchanges);
        let mut exchanges: Vec<Sent> = exchanges.map(Sent::new).collect();
        if let Some(last) = exchanges.last_mut() {
            last.open = run.verdict.is_some();
        }
        Self {
            id: run.id.to_string(),
            probe: run.probe.to_string(),
            outcome: run.outcome.as_str(),
            location: run.location.clone(),
            at: instant(run.started_at),
            ago: ago(run.started_at, now),
            duration: duration(run.duration_ms),
            late: run.scheduled_at.map(|due| {
                duration(u64::try_from(run.started_at.duration_since(due).as_millis()).unwrap_or(0))
            }),
            trouble: run
                .verdict
                .as_ref()
                .map(|verdict| Trouble::new(verdict, &run.provider, 1)),
            rule: run
                .verdict
                .as_ref()
                .and_then(|verdict| verdict.rule.clone()),
            raw: run.verdict.as_ref().and_then(|verdict| verdict.raw.clone()),
            trace: run.id.trace_id().to_string(),
            lanes: chart::lanes(&run.steps),
            clock: evidence
                .as_ref()
                .and_then(|evidence| evidence.clock_offset_ms)
                .map(phrase::offset),
            warnings: warnings.collect(),
            screenshot,
            exchanges,
            evidence,
        }
    }
}

impl Sent {
    fn new(exchange: &Exchange) -> Self {
        Self {
            status: exchange
                .status
                .map_or_else(|| "no answer".to_owned(), |status| status.to_string()),
            lane: chart::timings(exchange.timings),
            total: phrase::micros(exchange.timings.total_us),
            open: false,
            exchange: exchange.clone(),
        }
    }
}

fn cadence(cadence: &Cadence) -> String {
    match cadence {
        Cadence::Every(period) => format!("every {}", phrase::span(*period)),
        Cadence::Cron { pattern, timezone } => match timezone.iana_name() {
            Some(zone) => format!("{pattern} in {zone}"),
            None => pattern.clone(),
        },
    }
}
