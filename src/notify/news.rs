//! The words between an alert and a channel: what happened, the name it goes by, the notice, and what became of it.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, EnumString, IntoStaticStr};
use url::Url;

use super::email;
use crate::alert::{Alert, Fingerprint};

/// What happened to an alert that people are told of.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    /// It began: people have not heard of it before.
    Fired,
    /// It changed: its scope grew, its cause became clear.
    Updated,
    /// It is still true, and nobody should forget it.
    Reminder,
    /// Somebody took it on.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl Event {
    /// The name in payloads and labels.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct News {
    pub alert: Alert,
    pub event: Event,
    /// When it happened.
    pub at: Timestamp,
    /// A line beyond the alert itself, such as who acknowledged it; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Whether somebody only tries out a channel.
    #[serde(default)]
    pub is_test: bool,
}

/// The stable name of one thing told: the same for each attempt, at each channel, before and after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    pub fingerprint: Fingerprint,
    /// When the alert fired; sets two alerts of the same fingerprint apart.
    pub opened_at: Timestamp,
    /// Counts what was told of it: 1 is the first.
    pub sequence: u32,
}

impl Key {
    /// The same for all that is told of an alert, in characters that every vendor takes, and at most 64 of them.
    pub fn incident(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name = &self.fingerprint.0;
        if !name.is_empty() && name.len() <= 53 && name.chars().all(plain) {
            return format!("authcanary-{name}");
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
        let hex: String = digest.as_ref()[..20]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("authcanary-{hex}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let incident = self.incident();
        write!(
            f,
            "{incident}.{}.{}",
            self.opened_at.as_millisecond(),
            self.sequence
        )
    }
}

/// Where notices come from, and where their links lead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    pub location: String,
    /// Where people reach the pages of this daemon; without it notices name commands in place of links.
    pub public_url: Option<Url>,
    /// Where a trace is shown: `{trace_id}` stands for its id.
    pub trace_url: Option<String>,
}

/// One notice, ready for one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub key: Key,
    pub event: Event,
    pub payload: Payload,
}

/// What a channel sends. No secret is part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    Json(serde_json::Value),
    Mail(email::Mail),
}

/// The word of a channel that it took a notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What it answered, in one line, without secrets.
    pub said: String,
    /// What a later notice needs to change this one in place, in the channel's own form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
}

/// Why a channel did not take a notice. No text holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Trying again can help.
    #[error("{why}")]
    Retry {
        why: String,
        /// The channel's own word on when.
        after: Option<Duration>,
        /// Whether it may have arrived all the same, so that trying again may repeat it.
        may_have_arrived: bool,
    },
    /// The same notice will be refused again until somebody changes something.
    #[error("{why}")]
    Refused { why: String },
}

impl Failure {
    /// Trying again can help, and nothing has arrived.
    pub(super) fn retry(why: impl Into<String>) -> Self {
        Self::Retry {
            why: why.into(),
            after: None,
            may_have_arrived: false,
        }
    }

    /// Somebody has to change something first.
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }
}

impl Notice {
    /// The body of channels that send JSON.
    pub(super) fn json(&self) -> Result<&serde_json::Value, Failure> {
        match &self.payload {
            Payload::Json(value) => Ok(value),
            Payload::Mail(_) => Err(Failure::refused("this notice was composed as a mail")),
        }
    }
}
