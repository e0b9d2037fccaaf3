//! A POST of the alert as a CloudEvent (CloudEvents 1.0, structured mode), signed as Standard Webhooks 1.0 describes, so
//! that receivers check it with a library they already have.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::wire::{self, Call, Secrets};
use super::{
    Edge, Failure, Fault, Kind, Message, Notice, Payload, Receipt, Server, host, limit, story,
};
use crate::alert::Alert;
use crate::clock;
use crate::secret::{Secret, SecretRef, TextOrSecret, names_a_secret};

/// Intermediaries have to pass on events up to this size (CloudEvents 1.0, size limits).
const LIMIT_BYTES: usize = 64 * 1024;

/// Headers that make the signature and the event what they are.
const OWN_HEADERS: [&str; 6] = [
    "content-type",
    "content-length",
    "host",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// An HTTP POST of the alert as a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Webhook {
    /// Address that takes the POST; a reference to a secret where whoever knows the address may post.
    pub url: Address,
    /// Key of the signature that proves where a notice comes from: any text, or `whsec_` and the key in base64.
    #[serde(default)]
    pub secret: Option<SecretRef>,
    /// Further headers.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "header-name"}))]
    pub headers: BTreeMap<String, TextOrSecret>,
}

/// An address, or where it is kept when it is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Address {
    /// No secret.
    Plain(#[schemars(with = "String", extend("format" = "web-address"))] Url),
    /// Where the secret is kept.
    Secret(SecretRef),
}

impl Kind for Webhook {
    fn needs(&self) -> String {
        match &self.url {
            Address::Plain(url) => host(url),
            Address::Secret(secret) => secret.to_string(),
        }
    }

    fn server(&self) -> Server {
        match &self.url {
            Address::Plain(url) => Server::At(url.clone()),
            Address::Secret(secret) => Server::Kept(secret.clone()),
        }
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        let secret = self.secret.iter_mut();
        let mut secrets: Vec<_> = secret.map(|it| ("secret".to_owned(), it)).collect();
        if let Address::Secret(secret) = &mut self.url {
            secrets.push(("url".to_owned(), secret));
        }
        secrets.extend(header_secrets(&mut self.headers));
        secrets
    }

    fn addresses(&self) -> Vec<(String, &Url)> {
        match &self.url {
            Address::Plain(url) => vec![("url".to_owned(), url)],
            Address::Secret(_) => Vec::new(),
        }
    }

    fn faults(&self) -> Vec<Fault> {
        header_faults(&self.headers, &OWN_HEADERS)
    }

    fn compose(&self, message: &Message<'_>) -> Payload {
        Payload::Json(event(message))
    }

    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        _: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>> {
        async move {
            let secrets = Secrets::default();
            let url = match &self.url {
                Address::Plain(url) => url.clone(),
                Address::Secret(secret) => secrets.url(secret).await?,
            };
            let body = notice.json()?.to_string();
            let id = notice.key.to_string();
            let mut call = Call::new("POST", url, body.clone().into_bytes());
            for (name, value) in &self.headers {
                call = call.header(name, secrets.text(value).await?);
            }
            call = call
                .header("content-type", "application/cloudevents+json")
                .header("webhook-id", &id);
            if let Some(secret) = &self.secret {
                let key = secrets.get(secret).await?;
                let at = clock::now().as_second();
                call = call
                    .header("webhook-timestamp", at.to_string())
                    .header("webhook-signature", sign(&key, &id, at, &body));
            }
            let answer = call.send(edge, &secrets).await?;
            Ok(wire::receipt(&answer, &secrets, None))
        }
        .boxed()
    }
}

/// The references among headers.
pub(super) fn header_secrets(
    headers: &mut BTreeMap<String, TextOrSecret>,
) -> Vec<(String, &mut SecretRef)> {
    let headers = headers.iter_mut();
    headers
        .filter_map(|(name, value)| Some((format!("headers/{name}"), value.secret_mut()?)))
        .collect()
}

/// Header names that are set here, and secrets in clear.
pub(super) fn header_faults(headers: &BTreeMap<String, TextOrSecret>, own: &[&str]) -> Vec<Fault> {
    let fault = |(name, value): (&String, &TextOrSecret)| {
        let pointer = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
        if own.contains(&name.to_lowercase().as_str()) {
            return Some(Fault {
                pointer,
                message: "the channel sets this by itself",
                help: "leave it out",
                is_secret: false,
            });
        }
        let is_open = matches!(value, TextOrSecret::Text(_)) && names_a_secret(name);
        is_open.then_some(Fault {
            pointer,
            message: "a secret must not stand in the file",
            help: "write where it is kept: {env: NAME}, {file: …}, {credential: …} or {command: […]}",
            is_secret: true,
        })
    };
    headers.iter().filter_map(fault).collect()
}

/// The CloudEvent of a notice: what a webhook and a program get.
pub(super) fn event(message: &Message<'_>) -> Value {
    let fits = |event: &Value| event.to_string().len() <= LIMIT_BYTES;
    limit::shrink(|longest| event_of(message, longest), fits)
}

fn event_of(message: &Message<'_>, longest: usize) -> Value {
    let Message {
        news, key, origin, ..
    } = message;
    let source = origin.public_url.as_ref().map_or_else(
        || format!("authcanary/{}", origin.location),
        |url| url.as_str().to_owned(),
    );
    let story = story::Story::of(message, longest);
    json!({
        "specversion": "1.0",
        "id": key.to_string(),
        "source": source,
        "type": format!("authcanary.alert.{}", news.event.as_str()),
        "subject": news.alert.fingerprint,
        "time": news.at,
        "datacontenttype": "application/json",
        "data": {
            "event": news.event,
            "test": news.is_test,
            "location": origin.location,
            "title": story.title,
            "note": limit::units(&news.note, longest),
            "alert": shortened(&news.alert, longest, longest / 10),
            "links": {
                "alert": story::alert_page(&news.alert, origin),
                "runbook": story::runbook(&news.alert, origin),
                "evidence": story::evidence(&news.alert, origin).first(),
                "trace": story::trace(&news.alert, origin),
                "silence": story::silence(&news.alert, origin),
            },
        },
    })
}

/// The alert with no text longer than `longest`, and no list longer than `most`.
fn shortened(alert: &Alert, longest: usize, most: usize) -> Alert {
    let mut alert = alert.clone();
    let cut = |text: &mut String| *text = limit::units(text, longest);
    cut(&mut alert.summary);
    cut(&mut alert.reason);
    if let Some(verdict) = &mut alert.verdict {
        cut(&mut verdict.detail);
    }
    for deploy in &mut alert.deploys {
        for text in [&mut deploy.id, &mut deploy.note, &mut deploy.by] {
            cut(text);
        }
    }
    alert.labels.values_mut().for_each(cut);
    for names in [
        &mut alert.scope.provider,
        &mut alert.scope.environment,
        &mut alert.scope.location,
        &mut alert.evidence,
    ] {
        names.truncate(most);
    }
    alert.scope.probe.truncate(most);
    alert
}

/// `v1,` and the HMAC-SHA256 of id, time and body in base64 (Standard Webhooks 1.0, symmetric signatures).
fn sign(secret: &Secret, id: &str, at: i64, body: &str) -> String {
    let text = secret.expose();
    let decoded = text
        .strip_prefix("whsec_")
        .and_then(|key| STANDARD.decode(key).ok());
    let key = decoded.unwrap_or_else(|| text.as_bytes().to_vec());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tag = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // Computed with Python's hmac module.
        let body = r#"{"test": 2432232314}"#;
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(
            sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
