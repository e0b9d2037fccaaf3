//! Slack. A bot posts one message per alert, changes it in place while the alert changes, and tells the end in its
//! thread; an incoming webhook can only post.

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::story::{Fact, Story};
use super::wire::{self, Call, Secrets};
use super::{Edge, Event, Failure, Fault, Kind, Message, Notice, Payload, Receipt, Server, limit};
use crate::secret::SecretRef;

/// Characters of the text of a section block.
const SECTION: usize = 3000;
/// Characters of an address in a link; there is no figure in the reference, this is that of a button's address.
const URL: usize = 3000;
/// Characters of the text that telephones show; longer ones are cut by Slack beyond 4,000.
const TEXT: usize = 4000;

/// Slack: by a bot, which changes its message in place, or by an incoming webhook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Slack {
    /// Token of a bot (`xoxb-…`) that may `chat:write`; goes with `channel`.
    #[serde(default)]
    pub token: Option<SecretRef>,
    /// Id of the channel that the bot posts to, such as `C0123456789`; the bot must be a member.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub channel: Option<String>,
    /// Address of an incoming webhook instead; whoever knows it may post, so it is a secret.
    #[serde(default)]
    pub url: Option<SecretRef>,
    /// Address of Slack's web API. `https://slack.com/api` by default.
    #[serde(default = "api")]
    pub api: Url,
}

fn api() -> Url {
    Url::parse("https://slack.com/api").expect("a constant address")
}

impl Kind for Slack {
    fn needs(&self) -> String {
        "Slack".to_owned()
    }

    fn server(&self) -> Server {
        match &self.url {
            Some(url) => Server::Kept(url.clone()),
            None => Server::At(self.api.clone()),
        }
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        let token = self.token.iter_mut().map(|it| ("token".to_owned(), it));
        let url = self.url.iter_mut().map(|it| ("url".to_owned(), it));
        token.chain(url).collect()
    }

    fn faults(&self) -> Vec<Fault> {
        let fault = |message, help| {
            vec![Fault {
                pointer: String::new(),
                message,
                help,
                is_secret: false,
            }]
        };
        match (&self.token, &self.channel, &self.url) {
            (Some(_), Some(_), None) | (None, None, Some(_)) => Vec::new(),
            (Some(_), None, None) => fault(
                "a token without a channel to post to",
                "add `channel`, the id from the channel's details in Slack",
            ),
            (None, Some(_), None) => {
                fault("a channel without a token", "add `token`, that of a bot")
            }
            (None, None, None) => fault(
                "neither a bot nor a webhook",
                "give `token` and `channel`, or `url`",
            ),
            (_, _, Some(_)) => fault(
                "both a bot and a webhook",
                "a webhook knows its channel: keep `token` and `channel`, or `url` alone",
            ),
        }
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
            let secrets = Secrets::default();
            let body = notice.json()?;
            if let Some(url) = &self.url {
                let mut body = body.clone();
                // Webhooks know no metadata.
                body.as_object_mut().map(|body| body.remove("metadata"));
                let call = Call::post(secrets.url(url).await?, &body);
                let answer = call.send(edge, &secrets).await?;
                return Ok(wire::receipt(&answer, &secrets, None));
            }
            let (Some(token), Some(channel)) = (&self.token, &self.channel) else {
                return Err(Failure::refused(
                    "neither a bot nor a webhook is configured",
                ));
            };
            let token = secrets.get(token).await?;
            let bot = Bot {
                api: &self.api,
                authorization: format!("Bearer {}", token.expose()),
                edge,
                secrets,
            };
            let handle = earlier.and_then(|receipt| receipt.handle.as_deref());
            let sent = handle.and_then(|handle| handle.split_once(' '));
            bot.tell(notice.event, channel, body, sent).await
        }
        .boxed()
    }
}

struct Bot<'a> {
    api: &'a Url,
    authorization: String,
    edge: &'a Edge,
    secrets: Secrets,
}

impl Bot<'_> {
    /// `sent` is channel and time of the message of this alert, which is Slack's name for a message.
    async fn tell(
        &self,
        event: Event,
        channel: &str,
        body: &Value,
        sent: Option<(&str, &str)>,
    ) -> Result<Receipt, Failure> {
        let Some((channel, at)) = sent else {
            return self.post(body, &json!({"channel": channel})).await;
        };
        let place = json!({"channel": channel, "ts": at});
        let said = match self.call("chat.update", body, &place).await? {
            Ok((_, said)) => said,
            // Gone, or too old to change: a new one says it as well.
            Err(_) => return self.post(body, &json!({"channel": channel})).await,
        };
        // A change rings no bell. The end and a reminder should.
        if matches!(event, Event::Resolved | Event::Reminder) {
            let line = json!({"text": body["text"], "metadata": body["metadata"]});
            let thread = json!({"channel": channel, "thread_ts": at, "reply_broadcast": event == Event::Reminder});
            self.post(&line, &thread).await?;
        }
        Ok(Receipt {
            said,
            handle: Some(format!("{channel} {at}")),
        })
    }

    async fn post(&self, body: &Value, place: &Value) -> Result<Receipt, Failure> {
        let (answer, said) = self
            .call("chat.postMessage", body, place)
            .await?
            .map_err(Failure::refused)?;
        let handle = match (answer["channel"].as_str(), answer["ts"].as_str()) {
            (Some(channel), Some(at)) => Some(format!("{channel} {at}")),
            _ => None,
        };
        Ok(Receipt { said, handle })
    }

    /// The answer and what it says in a line; inside, what a message that can no longer be changed says.
    async fn call(
        &self,
        method: &str,
        body: &Value,
        place: &Value,
    ) -> Result<Result<(Value, String), String>, Failure> {
        let mut body = body.clone();
        for (key, value) in place.as_object().into_iter().flatten() {
            body[key.as_str()] = value.clone();
        }
        let call = Call::post(wire::below(self.api, method)?, &body)
            .header("content-type", "application/json; charset=utf-8")
            .header("authorization", &self.authorization);
        let answer = call.send(self.edge, &self.secrets).await?;
        let value = wire::json(&answer);
        let said = match value["error"].as_str() {
            None => wire::said(&answer, &self.secrets),
            Some(error) => self.secrets.clean(&format!("{method}: {error}")),
        };
        match (value["ok"].as_bool(), value["error"].as_str()) {
            (Some(true), _) => Ok(Ok((value, said))),
            (
                _,
                Some(
                    "message_not_found"
                    | "cant_update_message"
                    | "edit_window_closed"
                    | "thread_not_found",
                ),
            ) => Ok(Err(said)),
            (
                _,
                Some(
                    "ratelimited"
                    | "rate_limited"
                    | "internal_error"
                    | "fatal_error"
                    | "service_unavailable"
                    | "request_timeout"
                    | "team_added_to_org",
                ),
            ) => Err(Failure::retry(said)),
            (Some(false), _) => Err(Failure::refused(said)),
            // Whatever this is, it is not Slack's answer.
            (None, _) => Err(Failure::Retry {
                why: said,
                after: None,
                may_have_arrived: true,
            }),
        }
    }
}

fn compose(message: &Message<'_>) -> Value {
    let story = Story::of(message, SECTION / 3);
    let title = limit::escaped(&story.title, SECTION - 10, escape);
    let mut blocks = vec![section(&format!("*{title}*"))];
    let mut text = String::new();
    for fact in &story.facts {
        let line = line(fact);
        if text.encode_utf16().count() + line.encode_utf16().count() > SECTION {
            blocks.push(section(&std::mem::take(&mut text)));
        }
        text.push_str(&line);
    }
    blocks.push(section(&text));
    json!({
        "text": limit::escaped(&story.title, TEXT, escape),
        "attachments": [{"color": format!("#{:06x}", story.tone.color()), "blocks": blocks}],
        "unfurl_links": false,
        "unfurl_media": false,
        "metadata": {
            "event_type": "authcanary_alert",
            "event_payload": {"key": message.key.to_string(), "event": message.news.event},
        },
    })
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text.trim_end(), "verbatim": true}})
}

fn line(fact: &Fact) -> String {
    let text = limit::escaped(&fact.text, SECTION / 3, escape);
    match &fact.url {
        Some(url) if url.len() <= URL / 2 => {
            let url: String = limit::escaped(url, URL, escape);
            let label = if fact.text == *fact.url.as_deref().unwrap_or_default() {
                "open"
            } else {
                &text
            };
            format!("*{}:* <{url}|{label}>\n", fact.name)
        }
        _ => format!("*{}:* {text}\n", fact.name),
    }
}

/// The three characters that Slack gives a meaning in any text; without them there is no mention and no link. The marks
/// of bold and code stay, they do no harm.
fn escape(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}
