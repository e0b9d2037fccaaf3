//! ntfy: a notice on the telephone, at ntfy.sh or a server of one's own.

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::story::{Story, Tone};
use super::wire::{self, Call, Secrets};
use super::{Edge, Failure, Kind, Message, Notice, Payload, Receipt, Server, host, limit};
use crate::secret::{SecretRef, TextOrSecret};

/// Bytes of a message; a longer one would arrive as a file.
const MESSAGE: usize = 4096;
/// Bytes of a title.
const TITLE: usize = 1024;
/// Bytes of the whole JSON: twice a message.
const LIMIT_BYTES: usize = 2 * MESSAGE;
/// Buttons under a message.
const ACTIONS: usize = 3;

/// ntfy.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Ntfy {
    /// Address of the server. `https://ntfy.sh` by default.
    #[serde(default = "server")]
    pub url: Url,
    /// Topic; a reference to a secret where whoever knows the name may read and post.
    pub topic: TextOrSecret,
    /// Access token (`tk_…`), where the server wants one.
    #[serde(default)]
    pub token: Option<SecretRef>,
}

fn server() -> Url {
    Url::parse("https://ntfy.sh").expect("a constant address")
}

impl Kind for Ntfy {
    fn needs(&self) -> String {
        host(&self.url)
    }

    fn server(&self) -> Server {
        Server::At(self.url.clone())
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        let topic = self.topic.secret_mut();
        let topic = topic.map(|it| ("topic".to_owned(), it));
        let token = self.token.iter_mut().map(|it| ("token".to_owned(), it));
        topic.into_iter().chain(token).collect()
    }

    fn addresses(&self) -> Vec<(String, &Url)> {
        vec![("url".to_owned(), &self.url)]
    }

    fn compose(&self, message: &Message<'_>) -> Payload {
        // Room for the topic, which is at most 64 characters and may be a secret.
        let fits = |body: &Value| body.to_string().len() + 100 <= LIMIT_BYTES;
        Payload::Json(limit::shrink(|longest| compose(message, longest), fits))
    }

    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        _: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>> {
        async move {
            let secrets = Secrets::default();
            let mut body = notice.json()?.clone();
            body["topic"] = secrets.text(&self.topic).await?.into();
            let mut call = Call::post(self.url.clone(), &body);
            if let Some(token) = &self.token {
                let token = secrets.get(token).await?;
                call = call.header("authorization", format!("Bearer {}", token.expose()));
            }
            let answer = call.send(edge, &secrets).await?;
            // The answer repeats topic and message.
            let id = wire::json(&answer)["id"].as_str().map(str::to_owned);
            Ok(Receipt {
                said: match &id {
                    Some(id) => secrets.clean(&format!("status {}: message {id}", answer.status)),
                    None => format!("status {}", answer.status),
                },
                handle: id,
            })
        }
        .boxed()
    }
}

fn compose(message: &Message<'_>, longest: usize) -> Value {
    let story = Story::of(message, longest);
    let (priority, tag) = match story.tone {
        Tone::Page => (5, "rotating_light"),
        Tone::Ticket => (3, "warning"),
        Tone::Calm => (2, "eyes"),
        Tone::Good => (3, "white_check_mark"),
    };
    let actions: Vec<Value> = story
        .links
        .iter()
        .filter(|link| link.name != "Alert")
        .take(ACTIONS)
        .map(|link| json!({"action": "view", "label": link.name, "url": link.url}))
        .collect();
    let mut body = json!({
        "title": limit::bytes(&story.title, TITLE),
        "message": limit::bytes(story.plain().trim_end(), MESSAGE - longest.min(500)),
        "priority": priority,
        "tags": [tag],
        "actions": actions,
    });
    let page = story.links.iter().find(|link| link.name == "Alert");
    if let Some(page) = page.or(story.links.first()) {
        body["click"] = page.url.clone().into();
    }
    body
}
