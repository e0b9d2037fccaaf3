//! The pages of alerts.

use askama::Template;
use axum::extract::{Path, State as Extract};
use axum::response::Response;
use jiff::Timestamp;

use super::super::State;
use super::super::alerts::{covering, find};
use super::super::problem::Problem;
use super::render;
use crate::alert::{self, Explanation, Fingerprint};
use crate::clock;
use crate::desk::{Case, Silence};
use crate::phrase::{self, ago, instant};
use crate::run::RunId;

/// One alert in a list.
pub(super) struct Line {
    pub(super) fingerprint: String,
    /// `pending`, `firing` or `resolved`.
    pub(super) state: &'static str,
    pub(super) severity: &'static str,
    pub(super) summary: String,
    pub(super) since: String,
    pub(super) at: String,
}

impl Line {
    pub(super) fn new(case: &Case, now: Timestamp) -> Self {
        let alert = &case.alert;
        Self {
            fingerprint: alert.fingerprint.to_string(),
            state: alert.state.into(),
            severity: alert.severity.as_str(),
            summary: alert.summary.clone(),
            since: ago(alert.started_at, now),
            at: instant(alert.started_at),
        }
    }
}

/// Alerts that are open, the newest first.
pub(super) async fn open(state: &State, now: Timestamp) -> Vec<Line> {
    let cases = state.duty.alerts().await;
    let open = cases.iter().filter(|case| case.is_open());
    open.map(|case| Line::new(case, now)).collect()
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct List {
    now: String,
    open: Vec<Line>,
    over: Vec<Line>,
}

pub(in super::super) async fn list(Extract(state): Extract<State>) -> Result<Response, Problem> {
    let now = clock::now();
    let cases = state.duty.alerts().await;
    let (open, over): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.is_open());
    let lines = |cases: Vec<&Case>| cases.into_iter().map(|case| Line::new(case, now)).collect();
    render(&List {
        now: instant(now),
        open: lines(open),
        over: lines(over),
    })
}

#[derive(Template)]
#[template(path = "alert.html")]
struct Page {
    now: String,
    line: Line,
    is_open: bool,
    reason: String,
    kind: String,
    /// Name and text.
    facts: Vec<(&'static str, String)>,
    /// Address and text.
    runbook: Option<(String, String)>,
    /// Id, and the time at which each began.
    runs: Vec<(String, String)>,
    notices: Vec<Sent>,
}

/// One attempt to tell somebody.
struct Sent {
    at: String,
    channel: String,
    event: &'static str,
    said: String,
}

pub(in super::super) async fn page(
    Extract(state): Extract<State>,
    Path(fingerprint): Path<Fingerprint>,
) -> Result<Response, Problem> {
    let now = clock::now();
    let case = find(&state, &fingerprint).await?;
    let silences = covering(&case, &state.duty.silences().await, now);
    let threads = state.duty.outbox().threads().await;
    let thread = threads
        .into_iter()
        .flatten()
        .find(|thread| thread.fingerprint == fingerprint);
    let history = thread.map(|thread| thread.history).unwrap_or_default();
    let notices = history.into_iter().rev().map(|entry| Sent {
        at: instant(entry.at),
        channel: entry.channel,
        event: entry.event.as_str(),
        said: entry.said,
    });
    render(&Page {
        now: instant(now),
        line: Line::new(&case, now),
        is_open: case.is_open(),
        reason: case.alert.reason.clone(),
        kind: case.alert.kind.as_str().replace('_', " "),
        facts: facts(&case, &silences),
        runbook: runbook(&case),
        runs: case.alert.runs.iter().map(run).collect(),
        notices: notices.collect(),
    })
}

fn facts(case: &Case, silences: &[Silence]) -> Vec<(&'static str, String)> {
    let alert = &case.alert;
    let mut facts = Vec::new();
    if let Some(verdict) = &alert.verdict {
        let (stage, class) = (verdict.stage.as_str(), verdict.class.as_str());
        let meaning = verdict.class.meaning();
        facts.push(("verdict", format!("{class} at {stage}: {meaning}")));
        facts.push(("cause", verdict.cause.as_str().replace('_', " ")));
        if case.is_open() {
            facts.push(("do now", verdict.action.advice().to_owned()));
        }
        facts.push(("seen", verdict.detail.clone()));
    }
    let probes: Vec<&str> = alert.scope.probe.iter().map(|id| id.as_str()).collect();
    facts.push(("probes", or_all(&probes.join(", "))));
    facts.push(("locations", or_all(&alert.scope.location.join(", "))));
    for deploy in &alert.deploys {
        let told = format!("{} by {}, {}", deploy.id, deploy.by, instant(deploy.at));
        facts.push(("deployed", told));
    }
    for (name, at) in [("fired", alert.fired_at), ("resolved", alert.resolved_at)] {
        facts.extend(at.map(|at| (name, instant(at))));
    }
    if let Some(taken) = &case.acknowledged {
        let told = format!("{} at {} {}", taken.by, instant(taken.at), taken.note);
        facts.push(("taken on by", told.trim_end().to_owned()));
    }
    for silence in silences {
        let until = instant(silence.ends_at);
        let told = format!("until {until} by {}: {}", silence.author, silence.reason);
        facts.push(("silenced", told));
    }
    facts
}

/// The id of a run, and when it began, which its id holds.
fn run(id: &RunId) -> (String, String) {
    let began = id.0.get_timestamp().and_then(|time| {
        let (seconds, _) = time.to_unix();
        Timestamp::from_second(seconds.cast_signed()).ok()
    });
    let text = began.map_or_else(|| id.to_string(), |at| at.strftime("%H:%M:%S").to_string());
    (id.to_string(), text)
}

fn or_all(names: &str) -> String {
    match names {
        "" => "all".to_owned(),
        names => names.to_owned(),
    }
}

fn runbook(case: &Case) -> Option<(String, String)> {
    let class = case.alert.verdict.as_ref()?.class.as_str();
    let own = case.alert.runbook_url.clone();
    let address = own.unwrap_or_else(|| format!("/runbooks/{class}"));
    Some((address, class.to_owned()))
}

/// What a probe's page says about its alerts: how far it is from one.
pub(super) struct Watch {
    pub(super) what: String,
    pub(super) baseline: String,
    pub(super) now: String,
    pub(super) to_alert: String,
    pub(super) alert: Option<String>,
}

impl Watch {
    pub(super) fn new(explained: &Explanation) -> Self {
        let window = explained.window.as_ref().map(|window| {
            let over = phrase::span(window.over);
            let odds = match window.nats > 0.0 {
                true => format!(", odds by chance 1 in {:.0}", window.one_in().min(1e15)),
                false => String::new(),
            };
            format!("{} of {} runs in {over}{odds}", window.bad, window.runs)
        });
        let source = match explained.is_objective {
            true => "objective".to_owned(),
            false => format!("{} runs", explained.learned_from),
        };
        Self {
            what: what(explained.stream),
            baseline: format!("{:.1} % ({source})", explained.baseline * 100.0),
            now: window.unwrap_or_else(|| "nothing".to_owned()),
            to_alert: match explained.bad_runs_to_alert {
                Some(runs) => format!("{runs} more in a row"),
                None => "–".to_owned(),
            },
            alert: explained.incident.as_ref().map(ToString::to_string),
        }
    }
}

fn what(stream: alert::Stream) -> String {
    match stream {
        alert::Stream::Failed => "failed".to_owned(),
        alert::Stream::Unknown => "not judged".to_owned(),
        alert::Stream::Slow => "slow as a whole".to_owned(),
        alert::Stream::SlowStage(stage) => format!("slow {}", stage.as_str().replace('_', " ")),
    }
}
