//! Opsgenie, by its alert API: created once per alert under an alias, then noted on, acknowledged and closed by it.

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

/// Characters of `message`.
const MESSAGE: usize = 130;
/// Characters of `description`.
const DESCRIPTION: usize = 15_000;
/// Tags of an alert, and characters of each.
const TAGS: (usize, usize) = (20, 50);
/// Characters of all keys and values of `details` together.
const DETAILS: usize = 8000;
/// Characters of `entity`.
const ENTITY: usize = 512;
/// Characters of `source`.
const SOURCE: usize = 100;
/// Characters of a note.
const NOTE: usize = 25_000;

/// Opsgenie, by its alert API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Opsgenie {
    /// Key of an API integration.
    pub api_key: SecretRef,
    /// Address of the API: `https://api.eu.opsgenie.com` in the EU region. `https://api.opsgenie.com` by default.
    #[serde(default = "api")]
    pub api: Url,
}

fn api() -> Url {
    Url::parse("https://api.opsgenie.com").expect("a constant address")
}

impl Kind for Opsgenie {
    fn needs(&self) -> String {
        "Opsgenie".to_owned()
    }

    fn server(&self) -> Server {
        Server::At(self.api.clone())
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        vec![("api_key".to_owned(), &mut self.api_key)]
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
            let key = secrets.get(&self.api_key).await?;
            let alias = notice.key.incident();
            let path = match notice.event {
                Event::Fired => "v2/alerts".to_owned(),
                Event::Updated | Event::Reminder => by_alias(&alias, "notes"),
                Event::Acknowledged => by_alias(&alias, "acknowledge"),
                Event::Resolved => by_alias(&alias, "close"),
            };
            let call = Call::post(wire::below(&self.api, &path)?, notice.json()?)
                .header("authorization", format!("GenieKey {}", key.expose()));
            let answer = call.send(edge, &secrets).await?;
            Ok(wire::receipt(&answer, &secrets, Some(alias)))
        }
        .boxed()
    }
}

fn by_alias(alias: &str, act: &str) -> String {
    format!("v2/alerts/{alias}/{act}?identifierType=alias")
}

fn compose(message: &Message<'_>) -> Value {
    let Message {
        news, key, origin, ..
    } = message;
    let story = Story::of(message, 1000);
    let source = limit::units(&format!("authcanary {}", origin.location), SOURCE);
    if news.event != Event::Fired {
        let note = format!("{}\n\n{}", story.title, story.plain());
        return json!({"user": "authcanary", "source": source, "note": limit::units(&note, NOTE)});
    }
    let alert = &news.alert;
    let label =
        |(name, value): (&String, &String)| limit::units(&format!("{name}:{value}"), TAGS.1);
    let tags = [alert.kind.as_str().to_owned(), "authcanary".to_owned()];
    let tags: Vec<String> = tags
        .into_iter()
        .chain(news.is_test.then(|| "test".to_owned()))
        .chain(alert.labels.iter().map(label))
        .take(TAGS.0)
        .collect();
    json!({
        "message": limit::units(&story.title, MESSAGE),
        "alias": key.incident(),
        "description": limit::units(&format!("{}\n\n{}", story.title, story.plain()), DESCRIPTION),
        "tags": tags,
        "details": details(message),
        "entity": limit::units(&story::place(&alert.scope), ENTITY),
        "source": source,
        "user": "authcanary",
        "priority": match alert.severity {
            Severity::Page => "P1",
            Severity::Ticket => "P3",
        },
    })
}

fn details(message: &Message<'_>) -> Map<String, Value> {
    let alert = &message.news.alert;
    let mut pairs = vec![
        ("key".to_owned(), message.key.to_string()),
        ("kind".to_owned(), alert.kind.as_str().to_owned()),
    ];
    if let Some(verdict) = &alert.verdict {
        pairs.push(("stage".to_owned(), verdict.stage.to_string()));
        pairs.push(("class".to_owned(), verdict.class.to_string()));
        pairs.push(("cause".to_owned(), verdict.cause.to_string()));
        pairs.push(("action".to_owned(), verdict.action.to_string()));
    }
    for link in Story::of(message, 1000).links {
        pairs.push((link.name.to_lowercase(), link.url));
    }
    for (name, value) in &alert.labels {
        pairs.push((limit::units(name, 100), limit::units(value, 500)));
    }
    let mut room = DETAILS;
    let mut details = Map::new();
    for (name, value) in pairs {
        let size = name.encode_utf16().count() + value.encode_utf16().count();
        if size > room || details.contains_key(&name) {
            continue;
        }
        room -= size;
        details.insert(name, value.into());
    }
    details
}
