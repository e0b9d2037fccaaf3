//! Discord, by a webhook. Its message is changed in place while the alert changes.

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::story::Story;
use super::wire::{self, Call, Secrets};
use super::{Edge, Event, Failure, Kind, Message, Notice, Payload, Receipt, Server, limit};
use crate::secret::SecretRef;

/// Characters of the text above an embed.
const CONTENT: usize = 2000;
/// Characters of the title of an embed.
const TITLE: usize = 256;
/// Fields of an embed.
const FIELDS: usize = 25;
/// Characters of the value of a field.
const VALUE: usize = 1024;
/// Characters of all texts of an embed together.
const EMBED: usize = 6000;

/// Discord, by a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Discord {
    /// Address of the webhook; whoever knows it may post, so it is a secret.
    pub url: SecretRef,
}

impl Kind for Discord {
    fn needs(&self) -> String {
        "Discord".to_owned()
    }

    fn server(&self) -> Server {
        Server::Kept(self.url.clone())
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        vec![("url".to_owned(), &mut self.url)]
    }

    fn compose(&self, message: &Message<'_>) -> Payload {
        let make = |longest| compose(message, longest);
        Payload::Json(limit::shrink(make, |body| size(body) <= EMBED))
    }

    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        earlier: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>> {
        async move {
            let secrets = Secrets::default();
            let url = secrets.url(&self.url).await?;
            let body = notice.json()?;
            let sent = earlier.and_then(|receipt| receipt.handle.as_deref());
            let mut url_of_post = url.clone();
            url_of_post.query_pairs_mut().append_pair("wait", "true");
            let post = |body: &Value| Call::post(url_of_post.clone(), body);
            let Some(sent) = sent.filter(|id| id.bytes().all(|c| c.is_ascii_digit())) else {
                let answer = post(body).send(edge, &secrets).await?;
                return Ok(posted(&answer, &secrets));
            };
            let mut place = url;
            place
                .path_segments_mut()
                .map_err(|()| Failure::refused("the address of the webhook has no path"))?
                .pop_if_empty()
                .extend(["messages", sent]);
            let change = Call::new("PATCH", place, body.to_string().into_bytes());
            let answer = match change.send(edge, &secrets).await {
                Ok(answer) => answer,
                // Gone: a new one says it as well.
                Err(Failure::Refused { .. }) => {
                    let answer = post(body).send(edge, &secrets).await?;
                    return Ok(posted(&answer, &secrets));
                }
                Err(failure) => return Err(failure),
            };
            // A change rings no bell. The end and a reminder should.
            if matches!(notice.event, Event::Resolved | Event::Reminder) {
                let line = json!({"content": body["content"], "allowed_mentions": {"parse": []}});
                post(&line).send(edge, &secrets).await?;
            }
            Ok(wire::receipt(&answer, &secrets, Some(sent.to_owned())))
        }
        .boxed()
    }
}

fn posted(answer: &crate::http::Answer, secrets: &Secrets) -> Receipt {
    let message = wire::json(answer);
    let id = message["id"].as_str().map(str::to_owned);
    Receipt {
        said: match &id {
            Some(id) => format!("status {}: message {id}", answer.status),
            None => wire::said(answer, secrets),
        },
        handle: id,
    }
}

fn compose(message: &Message<'_>, longest: usize) -> Value {
    let story = Story::of(message, longest);
    let fields: Vec<Value> = story
        .facts
        .iter()
        .take(FIELDS)
        .map(|fact| {
            let text = match &fact.url {
                Some(url) if *url == fact.text => limit::units(url, VALUE),
                Some(url) if url.len() < VALUE / 2 => {
                    let text = limit::escaped(&fact.text, VALUE / 2 - 4, escape);
                    format!("[{text}]({url})")
                }
                _ => limit::escaped(&fact.text, VALUE, escape),
            };
            json!({"name": fact.name, "value": text})
        })
        .collect();
    let mut embed = json!({
        "title": limit::escaped(&story.title, TITLE, escape),
        "color": story.tone.color(),
        "timestamp": message.news.at,
        "fields": fields,
    });
    if let Some(link) = story.links.iter().find(|link| link.name == "Alert") {
        embed["url"] = link.url.clone().into();
    }
    json!({
        "content": limit::escaped(&story.title, CONTENT, escape),
        "embeds": [embed],
        // Nobody is called by name because a provider's words look like one.
        "allowed_mentions": {"parse": []},
    })
}

/// Characters that count towards the limit of an embed.
fn size(body: &Value) -> usize {
    let units = |value: &Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
    let embed = &body["embeds"][0];
    let fields = embed["fields"].as_array().into_iter().flatten();
    let fields: usize = fields
        .map(|field| units(&field["name"]) + units(&field["value"]))
        .sum();
    units(&embed["title"]) + fields
}

/// Characters that mean something in Discord's Markdown.
fn escape(c: char, out: &mut String) {
    if matches!(
        c,
        '\\' | '*' | '_' | '~' | '`' | '|' | '>' | '[' | ']' | '<' | '#' | '@'
    ) {
        out.push('\\');
    }
    out.push(c);
}
