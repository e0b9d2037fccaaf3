//! What is sent and what comes back.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use url::Url;

use crate::taxonomy::Stage;

/// A request that the probe sends by itself.
#[derive(Debug, Clone)]
pub struct Request {
    /// The step it belongs to.
    pub stage: Stage,
    pub method: Method,
    pub url: Url,
    /// Of the same name, the last one counts.
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

/// Methods that probes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

impl Method {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// Body of a request.
#[derive(Debug, Clone)]
pub enum Body {
    None,
    /// `application/x-www-form-urlencoded`
    Form(Vec<(String, String)>),
}

impl Request {
    /// A GET without headers of its own.
    pub fn get(stage: Stage, url: Url) -> Self {
        Self {
            stage,
            method: Method::Get,
            url,
            headers: Vec::new(),
            body: Body::None,
        }
    }

    /// A POST of a form.
    pub fn post_form(stage: Stage, url: Url, form: Vec<(String, String)>) -> Self {
        Self {
            stage,
            method: Method::Post,
            url,
            headers: Vec::new(),
            body: Body::Form(form),
        }
    }

    /// With one more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body as it is sent.
    pub(super) fn text(&self) -> String {
        match &self.body {
            Body::None => String::new(),
            Body::Form(pairs) => form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .finish(),
        }
    }
}

/// A whole answer, raw. It may hold tokens: it is read and dropped, never kept or logged.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case, in the order sent. Bytes beyond ASCII are replaced.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// Address that answered; differs from the request's after a followed redirect.
    pub url: Url,
    /// When the head of the answer came.
    pub received_at: Timestamp,
    /// From the request on an open connection to the head of the answer.
    pub waited: Duration,
}

impl Reply {
    /// First header of this name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({}, {} bytes)", self.status, self.body.len())
    }
}

/// Names are lower case already; values are made readable.
pub(super) fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}
