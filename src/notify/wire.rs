//! What the channels over HTTP have in common: secrets on their way in, requests out, answers judged.

use std::time::Duration;

use jiff::fmt::rfc2822;
use serde_json::Value;
use url::Url;

use super::{Edge, Failure, Receipt, clean};
use crate::clock;
use crate::http::{Answer, CourierError, Letter};
use crate::redact::Redactor;
use crate::secret::{Secret, SecretRef, TextOrSecret};
use crate::vault;

/// Of what a channel answers so much is kept.
const SAID_LIMIT: usize = 200;

/// The secrets of one delivery, and the means to take them out of whatever comes back.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    redactor: Redactor,
}

impl Secrets {
    /// Fetches a secret. One that is not to be had now may be there later.
    pub(super) async fn get(&self, secret: &SecretRef) -> Result<Secret, Failure> {
        let value = vault::resolve(secret).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Failure::retry(format!("{error}{}", cause.unwrap_or_default()))
        })?;
        self.redactor.learn(value.expose());
        Ok(value)
    }

    /// Fetches an address that is a secret. Whoever gets a part of it may guess the rest, so the parts go as well.
    pub(super) async fn url(&self, secret: &SecretRef) -> Result<Url, Failure> {
        let value = self.get(secret).await?;
        let url = Url::parse(value.expose().trim()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| {
            Failure::refused(format!("{secret} does not hold an http or https address"))
        })?;
        self.redactor.learn(url.as_str());
        self.redactor.learn(url.path());
        for part in url.path_segments().into_iter().flatten() {
            self.redactor.learn(part);
        }
        for (_, value) in url.query_pairs() {
            self.redactor.learn(&value);
        }
        Ok(url)
    }

    /// A text of the settings, or the secret that stands in its place.
    pub(super) async fn text(&self, value: &TextOrSecret) -> Result<String, Failure> {
        match value {
            TextOrSecret::Text(text) => Ok(text.clone()),
            TextOrSecret::Secret(secret) => Ok(self.get(secret).await?.expose().to_owned()),
        }
    }

    /// One line without secrets.
    pub(super) fn clean(&self, text: &str) -> String {
        clean::line(&self.redactor.text(text), SAID_LIMIT)
    }
}

/// A request of a channel.
#[derive(Debug)]
pub(super) struct Call {
    letter: Letter,
}

impl Call {
    /// A POST of JSON.
    pub(super) fn post(url: Url, body: &Value) -> Self {
        Self::new("POST", url, body.to_string().into_bytes())
    }

    /// Any method, with JSON of which every byte counts.
    pub(super) fn new(method: &'static str, url: Url, body: Vec<u8>) -> Self {
        let kind = ("content-type".to_owned(), "application/json".to_owned());
        Self {
            letter: Letter {
                method,
                url,
                headers: vec![kind],
                body,
            },
        }
    }

    /// With one more header; of the same name, the last one counts.
    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.letter.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sends it. Any answer that is no success is a failure that says whether trying again can help.
    pub(super) async fn send(self, edge: &Edge, secrets: &Secrets) -> Result<Answer, Failure> {
        let answer = edge.courier.send(self.letter, edge.patience).await;
        let answer = answer.map_err(|error| Failure::Retry {
            may_have_arrived: matches!(error, CourierError::NoAnswer(_)),
            why: secrets.clean(&error.to_string()),
            after: None,
        })?;
        judge(answer, secrets)
    }
}

/// An address below a base, whether or not that ends with a slash.
pub(super) fn below(base: &Url, path: &str) -> Result<Url, Failure> {
    let text = format!("{}/{path}", base.as_str().trim_end_matches('/'));
    Url::parse(&text).map_err(|error| Failure::refused(format!("not an address: {error}")))
}

/// What an answer says in one line.
pub(super) fn said(answer: &Answer, secrets: &Secrets) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let text = match body.trim() {
        "" => format!("status {}", answer.status),
        body => format!("status {}: {body}", answer.status),
    };
    secrets.clean(&text)
}

/// The answer as JSON; null where it is none.
pub(super) fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

/// A receipt that says what the answer says.
pub(super) fn receipt(answer: &Answer, secrets: &Secrets, handle: Option<String>) -> Receipt {
    Receipt {
        said: said(answer, secrets),
        handle,
    }
}

fn judge(answer: Answer, secrets: &Secrets) -> Result<Answer, Failure> {
    match answer.status {
        200..300 => Ok(answer),
        // Too many, not yet, or a fault of theirs. Of the latter nobody knows how far they got.
        408 | 425 | 429 | 500.. => Err(Failure::Retry {
            why: said(&answer, secrets),
            after: answer.retry_after.as_deref().and_then(retry_after),
            may_have_arrived: answer.status >= 500,
        }),
        300..400 => Err(Failure::refused(format!(
            "{}; redirects are not followed, give the address it leads to",
            said(&answer, secrets)
        ))),
        _ => Err(Failure::refused(said(&answer, secrets))),
    }
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(at.duration_since(clock::now())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after(" 120 "), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(retry_after("-1"), None);
        assert_eq!(retry_after("soon"), None);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        let later = retry_after("Fri, 31 Dec 2100 23:59:59 GMT").unwrap();
        assert!(later > Duration::from_secs(86_400));
    }
}
