//! What every notice says, in the same words and order for all channels: a title, facts under short names, and links.
//! Channels lay it out. What it is made of has been cleaned.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};

use super::clean::{LONGEST_URL, web_address};
use super::{Event, Message, News, Origin, limit};
use crate::alert::{Alert, Deploy, Kind, Scope, Severity};
use crate::phrase::{instant, rough};

/// Names, links or deploys in one fact; further ones are counted.
const MOST: usize = 3;

/// Names of probes and labels in one fact.
const MOST_NAMES: usize = 8;

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Story {
    pub(super) title: String,
    /// What is wrong, without what happened to the alert: for vendors that say that themselves.
    pub(super) summary: String,
    pub(super) tone: Tone,
    pub(super) facts: Vec<Fact>,
    /// The links among the facts that a person follows first, under the words of a button.
    pub(super) links: Vec<Link>,
}

/// How it looks where a channel has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Page,
    Ticket,
    /// Taken on by somebody.
    Calm,
    Good,
}

/// One line under a short name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) text: String,
    /// Where `text` leads.
    pub(super) url: Option<String>,
}

/// A place to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: &'static str,
    pub(super) url: String,
}

impl Tone {
    /// As 0xRRGGBB, readable beside light and dark backgrounds.
    pub(super) fn color(self) -> u32 {
        match self {
            Self::Page => 0xc62828,
            Self::Ticket => 0xef8f00,
            Self::Calm => 0x1565c0,
            Self::Good => 0x2e7d32,
        }
    }
}

impl Story {
    /// What `message` says; single texts are cut to `longest` characters.
    pub(super) fn of(message: &Message<'_>, longest: usize) -> Self {
        let Message { news, origin, .. } = message;
        Self {
            title: title(news, longest.min(300)),
            summary: summary(news, longest),
            tone: tone(news),
            facts: facts(news, origin, longest),
            links: links(news, origin),
        }
    }

    /// Facts as lines of plain text, links written out.
    pub(super) fn plain(&self) -> String {
        let line = |fact: &Fact| match &fact.url {
            Some(url) if *url == fact.text => format!("{}: {url}\n", fact.name),
            Some(url) => format!("{}: {} {url}\n", fact.name, fact.text),
            None => format!("{}: {}\n", fact.name, fact.text),
        };
        self.facts.iter().map(line).collect()
    }
}

/// The runbook page of an alert; absent where there is neither an address nor a class to find it by.
pub(super) fn runbook(alert: &Alert, origin: &Origin) -> Option<String> {
    let own = alert.runbook_url.clone();
    let class = || alert.verdict.as_ref().map(|it| it.class);
    own.or_else(|| page(origin, &format!("/runbooks/{}", class()?)))
}

/// The page of an alert.
pub(super) fn alert_page(alert: &Alert, origin: &Origin) -> Option<String> {
    page(
        origin,
        &format!("/alerts/{}", path_part(&alert.fingerprint.0)),
    )
}

/// Links to the runs that decided, newest first.
pub(super) fn evidence(alert: &Alert, origin: &Origin) -> Vec<String> {
    if !alert.evidence.is_empty() {
        return alert.evidence.clone();
    }
    let runs = alert.runs.iter();
    runs.filter_map(|run| page(origin, &format!("/runs/{run}")))
        .collect()
}

/// The trace of the newest run that decided: its id is that of the run.
pub(super) fn trace(alert: &Alert, origin: &Origin) -> Option<String> {
    let template = origin.trace_url.as_ref()?;
    let id = alert.runs.first()?.0.simple().to_string();
    web_address(&template.replace("{trace_id}", &id), origin)
}

/// Where the alert can be silenced.
pub(super) fn silence(alert: &Alert, origin: &Origin) -> Option<String> {
    alert_page(alert, origin).map(|page| format!("{page}#silence"))
}

/// What happened and to what, in the line that a telephone shows.
fn title(news: &News, longest: usize) -> String {
    let alert = &news.alert;
    let what = match (news.event, alert.severity) {
        (Event::Fired, Severity::Page) => "Firing".to_owned(),
        (Event::Fired, Severity::Ticket) => "Ticket".to_owned(),
        (Event::Updated, _) => "Changed".to_owned(),
        (Event::Reminder, _) => format!("Still firing after {}", rough(lasted(news))),
        (Event::Acknowledged, _) => "Acknowledged".to_owned(),
        (Event::Resolved, _) => format!("Resolved after {}", rough(lasted(news))),
    };
    let test = if news.is_test { "[TEST] " } else { "" };
    limit::units(&format!("{test}{what}: {}", alert.summary), longest)
}

fn summary(news: &News, longest: usize) -> String {
    let test = if news.is_test { "[TEST] " } else { "" };
    limit::units(&format!("{test}{}", news.alert.summary), longest)
}

fn tone(news: &News) -> Tone {
    match (news.event, news.alert.severity) {
        (Event::Resolved, _) => Tone::Good,
        (Event::Acknowledged, _) => Tone::Calm,
        (_, Severity::Page) => Tone::Page,
        (_, Severity::Ticket) => Tone::Ticket,
    }
}

fn facts(news: &News, origin: &Origin, longest: usize) -> Vec<Fact> {
    let alert = &news.alert;
    let mut facts = Vec::new();
    let mut say = |name, text: String, url: Option<String>| {
        if !text.is_empty() {
            facts.push(Fact { name, text, url });
        }
    };
    if news.is_test {
        let text = "this is a test of the channel, nothing is wrong";
        say("Test", text.to_owned(), None);
    }
    let cut = |text: &str| limit::units(text, longest);
    say("Note", cut(&news.note), None);
    say("Where", cut(&place(&alert.scope)), None);
    match &alert.verdict {
        Some(verdict) => {
            let class = verdict.class;
            let text = format!("{class} at {}: {}", verdict.stage, class.meaning());
            say("Verdict", text, None);
            say("Cause", verdict.cause.to_string(), None);
            let action = verdict.action;
            if news.event != Event::Resolved {
                say("Do", format!("{} ({action})", action.advice()), None);
            }
            say("Seen", cut(&verdict.detail), None);
        }
        None => say("Kind", kind(alert.kind).to_owned(), None),
    }
    say("Why", cut(&alert.reason), None);
    say("Since", since(news), None);
    match runbook(alert, origin) {
        Some(url) => say("Runbook", url.clone(), Some(url)),
        None => say("Runbook", explain(alert), None),
    }
    for url in evidence(alert, origin).into_iter().take(MOST) {
        say("Evidence", url.clone(), Some(url));
    }
    if let Some(url) = trace(alert, origin) {
        say("Trace", url.clone(), Some(url));
    }
    for deploy in alert.deploys.iter().take(MOST) {
        let url = deploy.url.clone();
        say("Deploy", cut(&deployed(deploy, alert.started_at)), url);
    }
    say("Labels", cut(&labels(alert)), None);
    match silence(alert, origin) {
        _ if news.event == Event::Resolved => {}
        Some(url) => say("Silence", url.clone(), Some(url)),
        None => {
            say("Silence", cut(&silence_command(alert)), None);
        }
    }
    facts
}

/// What a person may paste as it stands; the command line is tested to take it.
fn silence_command(alert: &Alert) -> String {
    format!(
        "authcanary silence add fingerprint={} --for 2h --reason 'being looked at'",
        alert.fingerprint
    )
}

fn links(news: &News, origin: &Origin) -> Vec<Link> {
    let alert = &news.alert;
    let is_over = news.event == Event::Resolved;
    let named = [
        ("Runbook", runbook(alert, origin)),
        ("Alert", alert_page(alert, origin)),
        ("Evidence", evidence(alert, origin).into_iter().next()),
        ("Silence", silence(alert, origin).filter(|_| !is_over)),
    ];
    named
        .into_iter()
        .filter_map(|(name, url)| Some(Link { name, url: url? }))
        .collect()
}

/// `provider keycloak; environment prod`, or `everywhere`
pub fn place(scope: &Scope) -> String {
    let probes: Vec<String> = scope.probe.iter().map(ToString::to_string).collect();
    let parts: Vec<String> = [
        ("provider", &scope.provider),
        ("environment", &scope.environment),
        ("probe", &probes),
        ("location", &scope.location),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(name, names)| {
        let plural = if names.len() > 1 { "s" } else { "" };
        format!("{name}{plural} {}", limit::list(names, MOST_NAMES))
    })
    .collect();
    if parts.is_empty() {
        return "everywhere".to_owned();
    }
    parts.join("; ")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::FailureRate => "runs fail more often than they used to",
        Kind::Latency => "slower than it used to be",
        Kind::Expiry => "something is about to expire",
        Kind::Drift => "the provider changed something",
        Kind::Security => "something that must be refused was accepted",
        Kind::Monitor => "the monitor itself",
    }
}

fn lasted(news: &News) -> SignedDuration {
    let end = news.alert.resolved_at.unwrap_or(news.at);
    end.duration_since(news.alert.started_at)
        .max(SignedDuration::ZERO)
}

fn since(news: &News) -> String {
    let started = instant(news.alert.started_at);
    let lasted = rough(lasted(news));
    match (news.event, news.alert.resolved_at) {
        (Event::Resolved, end) => {
            let end = instant(end.unwrap_or(news.at));
            format!("{started}, until {end} ({lasted})")
        }
        _ => format!("{started} ({lasted})"),
    }
}

fn explain(alert: &Alert) -> String {
    let class = alert.verdict.as_ref().map(|it| it.class);
    class.map_or_else(String::new, |class| format!("authcanary explain {class}"))
}

fn deployed(deploy: &Deploy, started_at: Timestamp) -> String {
    let apart = started_at.duration_since(deploy.at);
    let when = match apart.is_negative() {
        false => format!("{} before the first bad run", rough(apart)),
        true => format!("{} after the first bad run", rough(apart.abs())),
    };
    let note = match deploy.note.is_empty() {
        true => Cow::Borrowed(""),
        false => Cow::Owned(format!(": {}", deploy.note)),
    };
    format!("{} by {}, {when}{note}", deploy.id, deploy.by)
}

fn labels(alert: &Alert) -> String {
    let labels: Vec<String> = alert
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    limit::list(&labels, MOST_NAMES)
}

pub(super) fn page(origin: &Origin, path: &str) -> Option<String> {
    let base = origin.public_url.as_ref()?;
    let url = format!("{}{path}", base.as_str().trim_end_matches('/'));
    (url.len() <= LONGEST_URL).then_some(url)
}

/// A text as one part of a path.
fn path_part(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}
