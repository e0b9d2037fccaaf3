//! The protocol: OAuth 2.0 and OpenID Connect as pure decisions over values. Requests are built here and answers are
//! read here; sending is somebody else's work. Reads no clock, socket, file or random source: `now` and random bytes
//! come in as values.
//!
//! Whatever a provider answers ends as a good value or as a [`Fault`], never as a panic.

pub mod authorization;
pub mod callback;
pub mod client_auth;
pub mod form;
pub mod id_token;
pub mod introspection;
pub mod jwks;
pub mod jwt;
pub mod logout;
pub mod metadata;
pub mod problem;
pub mod refusal;
pub mod revocation;
pub mod scope;
pub mod signature;
pub mod token;
pub mod userinfo;
pub mod values;

use serde_json::{Map, Value};

use crate::run::{Fault, Finding, Raw};
use crate::taxonomy::Class;

/// A provider's answer: as it came, for reading, and as it may be kept, for evidence.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// HTTP status.
    pub status: u16,
    /// Response headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// Body as it came.
    pub body: &'a [u8],
    /// The same answer, redacted when it was captured.
    pub kept: Kept<'a>,
}

/// The redacted twin of an answer; the only part of it that reaches a [`Fault`].
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// Response headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// Body.
    pub body: &'a str,
}

impl Reply<'_> {
    /// Whether the status says success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether a success status hides an error in its body, as some APIs have it.
    pub fn hides_an_error(&self) -> bool {
        let body = str::from_utf8(self.body).unwrap_or_default();
        self.is_success() && problem::in_json(body).is_some()
    }

    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.headers, name)
    }

    /// The answer itself as the fault; `verdict` names its class.
    pub fn fault(&self) -> Fault {
        let problem = problem::read(self.kept.headers, self.kept.body).unwrap_or_default();
        Fault::Answer(Raw {
            status: Some(self.status),
            headers: self.kept.headers.to_vec(),
            body: self.kept.body.to_owned(),
            error: problem.error,
            error_description: problem.description,
        })
    }

    /// The body as a JSON object. `what` names the answer in messages.
    fn object(&self, what: &str) -> Result<Map<String, Value>, Fault> {
        match serde_json::from_slice(self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(other) => Err(refuse(
                Class::MalformedResponse,
                format!("{what} is {}, not a JSON object", kind(&other)),
            )),
            Err(_) if self.body.is_empty() => Err(refuse(
                Class::MalformedResponse,
                format!("{what} is empty (status {})", self.status),
            )),
            Err(error) => Err(refuse(
                Class::MalformedResponse,
                format!("{what} is not JSON: {error}{}", self.looks_like()),
            )),
        }
    }

    /// The same for documents that describe the provider: one that cannot be read is one that is broken.
    fn document(&self, what: &str) -> Result<Map<String, Value>, Fault> {
        self.object(what).map_err(|fault| match fault {
            Fault::Check(finding) => refuse(Class::MetadataInvalid, finding.detail),
            other => other,
        })
    }

    /// What the body is instead, for a message.
    fn looks_like(&self) -> &'static str {
        let start = self.body.trim_ascii_start();
        if start.starts_with(b"<") {
            "; it looks like a web page"
        } else {
            ""
        }
    }
}

/// The first header of this (lower-case) name.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// A check that did not hold.
fn refuse(class: Class, detail: impl Into<String>) -> Fault {
    Fault::Check(Finding::new(class, detail))
}

/// A non-empty text member.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str().filter(|text| !text.is_empty())
}

/// A list of texts; members of other types are left out.
pub(crate) fn texts(object: &Map<String, Value>, name: &str) -> Vec<String> {
    let Some(list) = object.get(name).and_then(Value::as_array) else {
        return Vec::new();
    };
    list.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Foreign text inside a message: one line, in quotes, not too long.
pub(crate) fn quoted(text: &str) -> String {
    const LIMIT: usize = 200;
    let line: String = text
        .chars()
        .take(LIMIT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(LIMIT).is_some() {
        format!("`{line}…`")
    } else {
        format!("`{line}`")
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A reply whose kept twin is itself.
    pub(crate) fn reply<'a>(
        status: u16,
        headers: &'a [(String, String)],
        body: &'a str,
    ) -> Reply<'a> {
        Reply {
            status,
            headers,
            body: body.as_bytes(),
            kept: Kept { headers, body },
        }
    }

    /// The class that a fault carries by itself; `None` where `verdict` names it.
    pub(crate) fn class_of(fault: &Fault) -> Option<Class> {
        match fault {
            Fault::Check(finding)
            | Fault::Transport(finding)
            | Fault::Page(finding)
            | Fault::Monitor(finding) => Some(finding.class),
            Fault::Answer(_) | Fault::Callback(_) => None,
        }
    }
}
