//! Prometheus Alertmanager, by its API v2. It forgets an alert that nobody repeats, so a firing one is posted again
//! every minute, with an end that lies ahead; the real end is posted once.
//!
//! Alertmanager knows an alert by its labels, so only what stays the same through the life of an alert is a label. What
//! may change (verdict, figures, scope that grows) is an annotation.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::story::{self, Story};
use super::webhook::{header_faults, header_secrets};
use super::wire::{self, Call, Secrets};
use super::{
    Edge, Event, Failure, Fault, Kind, Message, Notice, Payload, Receipt, Server, host, limit,
};
use crate::alert::{Alert, Kind as AlertKind};
use crate::secret::{SecretRef, TextOrSecret};

/// How often a firing alert is posted again.
const EVERY: Duration = Duration::from_secs(60);

/// For how long an alert is firing after each post: four posts may be lost.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Characters of a single text. Alertmanager has no limit of its own; what it sends on does.
const TEXT: usize = 2000;

/// Prometheus Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Alertmanager {
    /// Addresses of all members of the cluster, such as `http://alertmanager:9093`; each gets every alert.
    #[schemars(schema_with = "web_addresses")]
    pub urls: Vec<Url>,
    /// Further headers, such as `Authorization`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "header-name"}))]
    pub headers: BTreeMap<String, TextOrSecret>,
}

/// Plain `http` will do inside a network.
fn web_addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "minItems": 1, "items": {"type": "string", "format": "web-address"}})
}

impl Kind for Alertmanager {
    fn needs(&self) -> String {
        // Members of a cluster stand in for each other, and are one thing to whoever else is told.
        self.urls.first().map(host).unwrap_or_default()
    }

    fn server(&self) -> Server {
        self.urls.first().cloned().map_or(Server::Here, Server::At)
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        header_secrets(&mut self.headers)
    }

    fn addresses(&self) -> Vec<(String, &Url)> {
        let urls = self.urls.iter().enumerate();
        urls.map(|(index, url)| (format!("urls/{index}"), url))
            .collect()
    }

    fn faults(&self) -> Vec<Fault> {
        header_faults(&self.headers, &["content-type", "content-length", "host"])
    }

    fn keep_alive(&self) -> Option<Duration> {
        Some(EVERY)
    }

    fn compose(&self, message: &Message<'_>) -> Payload {
        Payload::Json(compose(message))
    }

    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        earlier: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>> {
        async move {
            let body = with_ended(notice.json()?, earlier);
            let posts = self.urls.iter().map(|url| self.post(url, &body, edge));
            let answers = join_all(posts).await;
            let reached = answers.iter().filter(|answer| answer.is_ok()).count();
            // One member will do: Prometheus itself asks for no more.
            match answers.into_iter().reduce(Result::or) {
                Some(Ok(said)) => Ok(Receipt {
                    said: format!("{reached} of {} took it: {said}", self.urls.len()),
                    handle: Some(body[0]["labels"].to_string()),
                }),
                Some(Err(failure)) => Err(failure),
                None => Err(Failure::refused("no address is configured")),
            }
        }
        .boxed()
    }
}

impl Alertmanager {
    async fn post(&self, url: &Url, body: &Value, edge: &Edge) -> Result<String, Failure> {
        let secrets = Secrets::default();
        let mut call = Call::post(wire::below(url, "api/v2/alerts")?, body);
        for (name, value) in &self.headers {
            call = call.header(name, secrets.text(value).await?);
        }
        let answer = call.send(edge, &secrets).await?;
        Ok(wire::said(&answer, &secrets))
    }
}

fn compose(message: &Message<'_>) -> Value {
    let Message { news, origin, .. } = message;
    let alert = &news.alert;
    let ends_at = match news.event {
        Event::Resolved => alert.resolved_at.unwrap_or(news.at),
        Event::Fired | Event::Updated | Event::Reminder | Event::Acknowledged => news.at + AHEAD,
    };
    let mut posted = json!({
        "labels": labels(message),
        "annotations": annotations(message),
        "startsAt": alert.started_at,
        // One that ends before it starts is refused.
        "endsAt": ends_at.max(alert.started_at),
    });
    if let Some(page) = story::alert_page(alert, origin) {
        posted["generatorURL"] = page.into();
    }
    json!([posted])
}

fn labels(message: &Message<'_>) -> Map<String, Value> {
    let alert = &message.news.alert;
    let mut labels = Map::new();
    for (name, value) in &alert.labels {
        labels.insert(label_name(name), limit::units(value, TEXT).into());
    }
    for (name, value) in only_names(alert) {
        labels.insert(name.to_owned(), value.into());
    }
    labels.insert("alertname".to_owned(), alertname(alert.kind).into());
    labels.insert("kind".to_owned(), alert.kind.as_str().into());
    labels.insert("severity".to_owned(), alert.severity.as_str().into());
    labels.insert("fingerprint".to_owned(), alert.fingerprint.0.clone().into());
    if message.news.is_test {
        labels.insert("test".to_owned(), "true".into());
    }
    // An empty label is no label to Alertmanager.
    labels.retain(|_, value| value != "");
    labels
}

/// Parts of the scope with a single name.
fn only_names(alert: &Alert) -> impl Iterator<Item = (&'static str, String)> {
    let scope = &alert.scope;
    let only = |names: &[String]| match names {
        [only] => Some(only.clone()),
        _ => None,
    };
    let probe = match scope.probe.as_slice() {
        [only] => Some(only.to_string()),
        _ => None,
    };
    [
        ("provider", only(&scope.provider)),
        ("environment", only(&scope.environment)),
        ("probe", probe),
        ("location", only(&scope.location)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

fn annotations(message: &Message<'_>) -> Map<String, Value> {
    let Message { news, origin, .. } = message;
    let story = Story::of(message, TEXT);
    let mut annotations = Map::new();
    annotations.insert("summary".to_owned(), story.summary.clone().into());
    annotations.insert("description".to_owned(), story.plain().trim_end().into());
    if let Some(runbook) = story::runbook(&news.alert, origin) {
        annotations.insert("runbook_url".to_owned(), runbook.into());
    }
    for fact in &story.facts {
        let name = fact.name.to_lowercase();
        if matches!(
            name.as_str(),
            "where" | "verdict" | "cause" | "do" | "why" | "silence" | "trace"
        ) {
            annotations.insert(name, fact.text.clone().into());
        }
    }
    annotations
}

/// What was posted under other labels before, such as a lower severity or a smaller scope, ends with this post.
fn with_ended(body: &Value, earlier: Option<&Receipt>) -> Value {
    let mut body = body.clone();
    let handle = earlier.and_then(|receipt| receipt.handle.as_deref());
    let before: Option<Value> = handle.and_then(|handle| serde_json::from_str(handle).ok());
    if let Some(before) = before.filter(|labels| *labels != body[0]["labels"]) {
        let mut ended = body[0].clone();
        ended["labels"] = before;
        // Now at the latest; the end of the new one lies ahead while it fires.
        let now = ended["endsAt"]
            .as_str()
            .and_then(|at| at.parse::<Timestamp>().ok());
        let start = ended["startsAt"]
            .as_str()
            .and_then(|at| at.parse::<Timestamp>().ok());
        if let (Some(ends_at), Some(start)) = (now, start) {
            ended["endsAt"] = json!(ends_at.checked_sub(AHEAD).unwrap_or(start).max(start));
        }
        if let Some(list) = body.as_array_mut() {
            list.push(ended);
        }
    }
    body
}

fn alertname(kind: AlertKind) -> &'static str {
    match kind {
        AlertKind::FailureRate => "AuthcanaryFailureRate",
        AlertKind::Latency => "AuthcanaryLatency",
        AlertKind::Expiry => "AuthcanaryExpiry",
        AlertKind::Drift => "AuthcanaryDrift",
        AlertKind::Security => "AuthcanarySecurity",
        AlertKind::Monitor => "AuthcanaryMonitor",
    }
}

/// The characters that every version of Alertmanager takes in the name of a label.
fn label_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(plain).collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}
