//! What is still to be told, to whom, and when: pure. One [`Thread`] an alert holds what each channel knows of it and
//! what it is still owed; it is stored before anything is sent.
//!
//! A channel is owed one thing at most, the newest, because what is older is no longer true: a page that could not be
//! delivered takes up the newer state of its alert and keeps its key, an update takes the place of an older update, and
//! the end takes the place of everything. The end goes to each channel that may have heard of the beginning, and to no
//! other.
//!
//! Where the process dies between sending and noting the result, the same notice goes out again under the same key.

mod send;
mod tell;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Event, Key, News, Receipt};
use crate::alert::{Alert, Fingerprint};
use crate::store;

pub use send::{attempt, due, next_at, oldest_pending, repetition, settle, take_up};
pub use tell::tell;

/// A thread that has ended is kept so long, for people who ask what was sent.
const KEEP_ENDED: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Entries of the history of a thread.
const HISTORY: usize = 50;

/// All that is told of one alert. One record of the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    pub fingerprint: Fingerprint,
    /// When the alert fired; sets it apart from an earlier one of the same fingerprint.
    pub opened_at: Timestamp,
    /// Number of the newest thing to tell.
    pub sequence: u32,
    /// The newest state.
    pub alert: Alert,
    /// Whether the alert is not over yet.
    pub is_open: bool,
    /// By name of the channel.
    pub lines: BTreeMap<String, Line>,
    /// What came of each attempt, newest last.
    pub history: Vec<Entry>,
    pub changed_at: Timestamp,
}

/// What one channel knows, and what it is still owed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Line {
    pub told: Option<Told>,
    pub pending: Option<Pending>,
}

/// What a channel took last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Sequence of the first notice of this alert that it took.
    pub first: u32,
    pub sequence: u32,
    pub event: Event,
    pub at: Timestamp,
    pub receipt: Receipt,
}

/// What a channel is owed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    pub news: News,
    /// Part of the key: stays while the news takes up a newer state.
    pub sequence: u32,
    /// Counts the states that the news has taken up.
    pub revision: u32,
    /// When this channel was first owed something that it has not got.
    pub since: Timestamp,
    pub attempts: u32,
    /// No attempt before.
    pub next_at: Timestamp,
    /// An attempt has begun, and nothing is known of its end.
    pub is_under_way: bool,
    /// An earlier attempt may have arrived.
    pub may_have_arrived: bool,
    /// What came of the last attempt.
    pub why: Option<String>,
}

/// How an attempt, or the waiting for one, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at: Timestamp,
    pub channel: String,
    pub key: Key,
    pub event: Event,
    pub result: Outcome,
    /// What the channel said, or why not; without secrets.
    pub said: String,
}

/// How it ended, as in the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The channel took it.
    Delivered,
    /// Tried again later.
    Failed,
    /// The channel will not have it.
    Refused,
    /// Never sent, because the alert was over before.
    Superseded,
    /// Not tried any more.
    GivenUp,
}

/// One notice to send now.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub channel: String,
    pub key: Key,
    pub revision: u32,
    pub news: News,
    /// Sequence of the first notice that the channel took, where it took one.
    pub first: Option<u32>,
    /// Its last receipt.
    pub earlier: Option<Receipt>,
}

impl store::Record for Thread {
    const KIND: store::Kind = store::Kind::Outbox;
    const VERSION: u16 = 1;
}

impl Thread {
    fn new(news: &News) -> Self {
        Self {
            fingerprint: news.alert.fingerprint.clone(),
            opened_at: news.at,
            sequence: 0,
            alert: news.alert.clone(),
            is_open: true,
            lines: BTreeMap::new(),
            history: Vec::new(),
            changed_at: news.at,
        }
    }

    /// The name of number `sequence` of what is told.
    pub fn key(&self, sequence: u32) -> Key {
        Key {
            fingerprint: self.fingerprint.clone(),
            opened_at: self.opened_at,
            sequence,
        }
    }

    /// Whether a channel is owed something.
    pub fn is_pending(&self) -> bool {
        self.lines.values().any(|line| line.pending.is_some())
    }

    /// Whether nobody needs this thread any longer.
    pub fn is_forgotten(&self, now: Timestamp) -> bool {
        let is_old = now.duration_since(self.changed_at) > KEEP_ENDED;
        !self.is_open && !self.is_pending() && is_old
    }

    fn note(&mut self, entry: Entry) {
        self.changed_at = self.changed_at.max(entry.at);
        self.history.push(entry);
        let over = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..over);
    }
}

impl Line {
    /// Whether the channel may have heard of the alert.
    fn may_know(&self) -> bool {
        let is_possible = |it: &Pending| it.is_under_way || it.may_have_arrived;
        self.told.is_some() || self.pending.as_ref().is_some_and(is_possible)
    }
}

impl Pending {
    fn new(news: News, sequence: u32) -> Self {
        let at = news.at;
        Self {
            news,
            sequence,
            revision: 0,
            since: at,
            attempts: 0,
            next_at: at,
            is_under_way: false,
            may_have_arrived: false,
            why: None,
        }
    }
}

#[cfg(test)]
mod tests;
