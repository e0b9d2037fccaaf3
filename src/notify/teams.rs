//! Microsoft Teams, by a workflow that takes webhooks and posts the card it gets. A card cannot be changed later, so
//! each event is a card of its own.

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::story::{Story, Tone};
use super::wire::{self, Call, Secrets};
use super::{Edge, Failure, Kind, Message, Notice, Payload, Receipt, Server, limit};
use crate::secret::SecretRef;

/// Bytes of a whole message; a larger one is refused, or lost inside the workflow.
const LIMIT_BYTES: usize = 28 * 1024;

/// Microsoft Teams, by a workflow that takes webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Teams {
    /// Address of the workflow; whoever knows it may post, so it is a secret.
    pub url: SecretRef,
}

impl Kind for Teams {
    fn needs(&self) -> String {
        "Microsoft Teams".to_owned()
    }

    fn server(&self) -> Server {
        Server::Kept(self.url.clone())
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        vec![("url".to_owned(), &mut self.url)]
    }

    fn compose(&self, message: &Message<'_>) -> Payload {
        let make = |longest| compose(message, longest);
        let fits = |card: &Value| card.to_string().len() <= LIMIT_BYTES;
        Payload::Json(limit::shrink(make, fits))
    }

    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        _: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>> {
        async move {
            let secrets = Secrets::default();
            let url = secrets.url(&self.url).await?;
            let answer = Call::post(url, notice.json()?).send(edge, &secrets).await?;
            Ok(wire::receipt(&answer, &secrets, None))
        }
        .boxed()
    }
}

fn compose(message: &Message<'_>, longest: usize) -> Value {
    let story = Story::of(message, longest);
    let color = match story.tone {
        Tone::Page => "Attention",
        Tone::Ticket => "Warning",
        Tone::Calm => "Accent",
        Tone::Good => "Good",
    };
    // Text runs show what they hold: other texts of a card are read as Markdown, and a provider's words may look like it.
    let run = |text: &str| json!({"type": "TextRun", "text": text});
    let mut body = vec![json!({
        "type": "RichTextBlock",
        "inlines": [{"type": "TextRun", "text": story.title, "size": "Medium", "weight": "Bolder", "color": color}],
    })];
    for fact in &story.facts {
        let mut text = run(&fact.text);
        if let Some(url) = &fact.url {
            text["selectAction"] = json!({"type": "Action.OpenUrl", "url": url});
        }
        let name = format!("{}: ", fact.name);
        body.push(json!({
            "type": "RichTextBlock",
            "spacing": "Small",
            "inlines": [{"type": "TextRun", "text": name, "weight": "Bolder"}, text],
        }));
    }
    let actions: Vec<Value> = story
        .links
        .iter()
        .map(|link| json!({"type": "Action.OpenUrl", "title": link.name, "url": link.url}))
        .collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": {"width": "Full"},
                "fallbackText": story.title,
                "body": body,
                "actions": actions,
            },
        }],
    })
}
