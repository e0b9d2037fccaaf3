//! What is judged: one answer of a provider, or of something in front of it, with what the probe knows around it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::taxonomy::{Action, Cause, Class, Outcome, Stage};

/// One answer as the probe sees it. Exactly one of body, callback and page is there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Line")]
pub struct Case {
    /// Provider that the target is configured with; `generic` where none fits.
    pub provider: String,
    /// The step that the probe was at.
    pub stage: Stage,
    /// Status of the answer; absent for redirect parameters, and for pages where it was not noted.
    pub status: Option<u16>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub answer: Answer,
    /// Facts that the probe knows.
    pub context: Context,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// A response body, exactly as sent.
    Body(String),
    /// What followed the redirect URI, still encoded; a leading `#` means that it was the fragment.
    Callback(String),
    /// A page that the browser shows.
    Page(Page),
}

/// A page that the browser shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Page {
    pub url: String,
    pub title: String,
    /// Visible text.
    pub text: String,
}

/// Facts by name, as far as they are known. A fact of the wrong type counts as unknown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Context(pub Map<String, Value>);

impl Context {
    /// A fact that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// A fact that is a list of texts, or one text with spaces between its words.
    pub fn words(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(list)) => list
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// A fact that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64()
    }

    /// A fact that is true or false.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// A fact that is a point in time.
    pub fn moment(&self, name: &str) -> Option<Timestamp> {
        match self.0.get(name)? {
            Value::String(text) => text.parse().ok(),
            Value::Number(seconds) => Timestamp::from_second(seconds.as_i64()?).ok(),
            _ => None,
        }
    }

    /// Whether the fact is known at all.
    pub fn knows(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judgement {
    pub outcome: Outcome,
    pub stage: Stage,
    /// Absent, like cause and action, exactly when the outcome is `ok`.
    pub class: Option<Class>,
    pub cause: Option<Cause>,
    pub action: Option<Action>,
    /// Whether the daemon may try again by itself.
    pub retryable: bool,
    /// The rule that decided: `microsoft-entra/AADSTS7000222`, `code/invalid_grant`, `status/503`.
    pub rule: String,
}

/// A case as a line of JSON has it.
#[derive(Deserialize)]
struct Line {
    provider: Option<String>,
    stage: Stage,
    http_status: Option<u16>,
    headers: Option<BTreeMap<String, Value>>,
    body: Option<String>,
    callback_query: Option<String>,
    page: Option<Page>,
    context: Option<Context>,
}

/// Why a line is no case.
#[derive(Debug, thiserror::Error)]
#[error("exactly one of body, callback_query and page must be there")]
struct NotOneAnswer;

impl TryFrom<Line> for Case {
    type Error = NotOneAnswer;

    fn try_from(line: Line) -> Result<Self, NotOneAnswer> {
        let answer = match (line.body, line.callback_query, line.page) {
            (Some(body), None, None) => Answer::Body(body),
            (None, Some(parameters), None) => Answer::Callback(parameters),
            (None, None, Some(page)) => Answer::Page(page),
            _ => return Err(NotOneAnswer),
        };
        Ok(Self {
            provider: line.provider.unwrap_or_else(|| "generic".to_owned()),
            stage: line.stage,
            status: line.http_status,
            headers: headers(line.headers.unwrap_or_default()),
            answer,
            context: line.context.unwrap_or_default(),
        })
    }
}

/// Header values may be texts, lists of texts, or numbers.
fn headers(raw: BTreeMap<String, Value>) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, value) in raw {
        let name = name.to_ascii_lowercase();
        let values = match value {
            Value::Null => Vec::new(),
            Value::Array(list) => list,
            one => vec![one],
        };
        headers.extend(values.into_iter().map(|value| match value {
            Value::String(text) => (name.clone(), text),
            other => (name.clone(), other.to_string()),
        }));
    }
    headers
}
