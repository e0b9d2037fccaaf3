//! Requests that are no part of a probe, such as notices: nothing of them is kept, measured or redacted. What goes
//! wrong is told without the address, which may be a secret.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use tokio::time::timeout;
use url::Url;

use super::{Http, HttpError};

/// Of a longer answer only the beginning is read.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024;

/// Sends by the trusted certificates and the proxy of [`Http`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Courier {
    client: reqwest::Client,
    user_agent: HeaderValue,
}

/// One request with a body.
#[derive(Debug)]
pub struct Letter {
    pub method: &'static str,
    pub url: Url,
    /// Of the same name, the last one counts.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// At most the first 64 KiB.
    pub body: Vec<u8>,
}

/// Why there is no answer. Never holds the address.
#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    /// The other side has not got it.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The other side may have got it.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl Http {
    /// For requests that are no part of a probe.
    pub fn courier(&self) -> Result<Courier, HttpError> {
        Ok(Courier {
            client: self.client()?,
            user_agent: HeaderValue::from_str(&self.0.user_agent)
                .map_err(|_| HttpError::UserAgent)?,
        })
    }
}

impl Courier {
    /// Sends, and reads the answer within `limit`. Any status is an answer; redirects are not followed.
    pub async fn send(&self, letter: Letter, limit: Duration) -> Result<Answer, CourierError> {
        let request = self.build(letter)?;
        match timeout(limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(CourierError::NoAnswer(format!(
                "nothing within {} s",
                limit.as_secs()
            ))),
        }
    }

    fn build(&self, letter: Letter) -> Result<reqwest::Request, CourierError> {
        let invalid = |what: &str| CourierError::NotSent(format!("{what} cannot be sent"));
        let method = letter.method.parse().map_err(|_| invalid("the method"))?;
        let mut request = reqwest::Request::new(method, letter.url);
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, self.user_agent.clone());
        for (name, value) in &letter.headers {
            let invalid = || invalid(&format!("header {name}"));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        *request.headers_mut() = headers;
        *request.body_mut() = Some(letter.body.into());
        Ok(request)
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<Answer, CourierError> {
        let mut response = self.client.execute(request).await.map_err(|error| {
            let error = error.without_url();
            if error.is_connect() || error.is_builder() {
                CourierError::NotSent(chain(&error))
            } else {
                CourierError::NoAnswer(chain(&error))
            }
        })?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let mut body = Vec::new();
        // The status is the answer; a body that is cut short says less, and no more.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER_LIMIT_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() >= room {
                break;
            }
        }
        Ok(Answer {
            status,
            retry_after,
            body,
        })
    }
}

/// An error and its causes as one text.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
