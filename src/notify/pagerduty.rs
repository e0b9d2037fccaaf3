//! PagerDuty, by Events API v2: an alert triggers, an acknowledgement acknowledges, its end resolves, all under one
//! dedup key, so that a repeated notice changes nothing.

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::story::{self, Story};
use super::wire::{self, Call, Secrets};
use super::{Edge, Event, Failure, Kind, Message, Notice, Payload, Receipt, Server, limit};
use crate::alert::Severity;
use crate::secret::SecretRef;

/// Characters of `summary`.
const SUMMARY: usize = 1024;
/// Characters of a single text among the details; PagerDuty takes 512 KiB for the whole.
const DETAIL: usize = 2000;

/// PagerDuty, by its events API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Pagerduty {
    /// Integration key of the service (Events API v2).
    pub routing_key: SecretRef,
    /// Address of the events API: `https://events.eu.pagerduty.com` in the EU region. `https://events.pagerduty.com` by
    /// default.
    #[serde(default = "api")]
    pub api: Url,
}

fn api() -> Url {
    Url::parse("https://events.pagerduty.com").expect("a constant address")
}

impl Kind for Pagerduty {
    fn needs(&self) -> String {
        "PagerDuty".to_owned()
    }

    fn server(&self) -> Server {
        Server::At(self.api.clone())
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        vec![("routing_key".to_owned(), &mut self.routing_key)]
    }

    fn compose(&self, message: &Message<'_>) -> Payload {
        Payload::Json(compose(message))
    }

    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        _: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>> {
        async move {
            let secrets = Secrets::default();
            let key = secrets.get(&self.routing_key).await?;
            let mut body = notice.json()?.clone();
            body["routing_key"] = key.expose().into();
            let call = Call::post(wire::below(&self.api, "v2/enqueue")?, &body);
            let answer = call.send(edge, &secrets).await?;
            let handle = wire::json(&answer)["dedup_key"].as_str().map(str::to_owned);
            Ok(wire::receipt(&answer, &secrets, handle))
        }
        .boxed()
    }
}

fn compose(message: &Message<'_>) -> Value {
    let Message {
        news, key, origin, ..
    } = message;
    let action = match news.event {
        Event::Fired | Event::Updated | Event::Reminder => "trigger",
        Event::Acknowledged => "acknowledge",
        Event::Resolved => "resolve",
    };
    let mut body = json!({"event_action": action, "dedup_key": key.incident()});
    if action != "trigger" {
        return body;
    }
    let story = Story::of(message, DETAIL);
    let alert = &news.alert;
    let mut details = Map::new();
    for fact in &story.facts {
        let text = match &fact.url {
            Some(url) if *url != fact.text => format!("{} {url}", fact.text),
            _ => fact.text.clone(),
        };
        match details.get_mut(fact.name) {
            Some(Value::String(earlier)) => *earlier = format!("{earlier}\n{text}"),
            _ => {
                details.insert(fact.name.to_owned(), text.into());
            }
        }
    }
    details.insert("Key".to_owned(), key.to_string().into());
    body["payload"] = json!({
        "summary": limit::units(&story.summary, SUMMARY),
        "severity": match alert.severity {
            Severity::Page => "critical",
            Severity::Ticket => "warning",
        },
        "source": limit::units(&format!("authcanary {}", origin.location), 255),
        "component": limit::units(&story::place(&alert.scope), 255),
        "group": alert.kind,
        "class": alert.verdict.as_ref().map(|it| it.class),
        "timestamp": alert.started_at,
        "custom_details": details,
    });
    let links = story.links.iter();
    body["links"] = links
        .map(|link| json!({"href": link.url, "text": link.name}))
        .collect();
    body["client"] = "authcanary".into();
    body["client_url"] = story::alert_page(alert, origin).into();
    body
}
