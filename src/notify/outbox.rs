//! What is still to be told, to whom, and when: pure. One [`Thread`] an alert holds what each channel knows of it and
//! what it is still owed; it is stored before anything is sent.
//!
//! A channel is owed one thing at most, the newest, because what is older is no longer true: a page that could not be
//! delivered takes up the newer state of its alert and keeps its key, an update takes the place of an older update, and
//! the end takes the place of everything. The end goes to each channel that may have heard of the beginning, and to no
//! other.
//!
//! Where the process dies between sending and noting the result, the same notice goes out again under the same key.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Event, Failure, Key, News, Receipt};
use crate::alert::{Alert, Fingerprint, Severity};
use crate::store;

/// Wait after the first attempt that failed; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(5);

/// No wait of ours is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// What was refused is refused again until somebody changes something, so it is tried less often.
const REFUSED_WAIT: Duration = Duration::from_secs(10 * 60);

/// A channel that asks for a longer wait does not get it: the page would be of no use.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30 * 60);

/// What could not be told within a weekend is no news.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(72);

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

/// What becomes of a thread when there is news for the channels in `routed`. A page for a thread that is open already
/// says nothing new and changes nothing, so that whoever is not sure whether it was told may tell it again.
pub fn tell(
    thread: Option<Thread>,
    news: &News,
    routed: impl IntoIterator<Item = String>,
) -> Option<Thread> {
    let is_open = thread.as_ref().is_some_and(|thread| thread.is_open);
    match (news.event, is_open) {
        (Event::Fired, true) => None,
        (Event::Updated | Event::Reminder, false) if is_same(thread.as_ref(), news) => {
            Some(reopen(thread?, news))
        }
        // Nobody was told of its beginning, as after the loss of a store: this is the beginning.
        (Event::Fired | Event::Updated | Event::Reminder, false) => {
            Some(begin(thread, news, routed))
        }
        (Event::Acknowledged | Event::Resolved, false) => None,
        (Event::Updated | Event::Reminder | Event::Acknowledged, true) => {
            let mut thread = next(thread?, news);
            let routed = match news.event {
                Event::Acknowledged => Vec::new(),
                _ => routed.into_iter().collect(),
            };
            for channel in routed {
                thread.lines.entry(channel).or_default();
            }
            for line in thread.lines.values_mut() {
                go_on(line, news, thread.sequence);
            }
            Some(thread)
        }
        (Event::Resolved, true) => {
            let mut thread = next(thread?, news);
            thread.is_open = false;
            end(&mut thread, news);
            Some(thread)
        }
    }
}

fn next(mut thread: Thread, news: &News) -> Thread {
    thread.sequence += 1;
    thread.alert = news.alert.clone();
    thread.changed_at = news.at;
    thread
}

fn begin(before: Option<Thread>, news: &News, routed: impl IntoIterator<Item = String>) -> Thread {
    let news = News {
        event: Event::Fired,
        ..news.clone()
    };
    let mut thread = next(Thread::new(&news), &news);
    if let Some(before) = before {
        thread.history = before.history;
        // Who still waits for the end of the one before believes that it goes on, and is told of this one instead.
        let waiting = before
            .lines
            .into_iter()
            .filter(|(_, line)| line.pending.is_some());
        for (channel, _) in waiting {
            let pending = Pending {
                may_have_arrived: true,
                ..Pending::new(news.clone(), thread.sequence)
            };
            let line = Line {
                told: None,
                pending: Some(pending),
            };
            thread.lines.insert(channel, line);
        }
    }
    for channel in routed {
        let line = thread.lines.entry(channel).or_default();
        if line.pending.is_none() {
            line.pending = Some(Pending::new(news.clone(), thread.sequence));
        }
    }
    thread
}

/// Whether the thread that has ended is about the very alert of the news, which is back.
fn is_same(thread: Option<&Thread>, news: &News) -> bool {
    let fired_at = thread.and_then(|thread| thread.alert.fired_at);
    fired_at.is_some() && fired_at == news.alert.fired_at
}

/// Who was told of the end hears that it was none; who was not goes on as if nothing had been.
fn reopen(thread: Thread, news: &News) -> Thread {
    let mut thread = next(thread, news);
    thread.is_open = true;
    for line in thread.lines.values_mut() {
        if line.may_know() {
            let may_have_arrived = line.pending.as_ref().is_some_and(|it| it.may_have_arrived);
            let is_told = line.told.is_some();
            let event = if is_told { news.event } else { Event::Fired };
            let news = News {
                event,
                ..news.clone()
            };
            line.pending = Some(Pending {
                may_have_arrived,
                ..Pending::new(news, thread.sequence)
            });
        }
    }
    thread
}

/// An open alert has changed, is still there, or was acknowledged.
fn go_on(line: &mut Line, news: &News, sequence: u32) {
    let Some(pending) = &mut line.pending else {
        let is_told = line.told.is_some();
        if news.event == Event::Acknowledged && !is_told {
            return;
        }
        let event = if is_told { news.event } else { Event::Fired };
        let news = News {
            event,
            ..news.clone()
        };
        line.pending = Some(Pending::new(news, sequence));
        return;
    };
    let loudness = |event: Event| match event {
        Event::Updated => 0,
        Event::Acknowledged => 1,
        Event::Reminder => 2,
        Event::Fired => 3,
        Event::Resolved => 4,
    };
    // The louder of both: a page stays a page.
    let is_louder = loudness(news.event) > loudness(pending.news.event);
    let event = if is_louder {
        news.event
    } else {
        pending.news.event
    };
    // What may have gone out keeps its name; what has not may take the newer one.
    if pending.news.event != Event::Fired && pending.attempts == 0 {
        pending.sequence = sequence;
    }
    pending.revision += 1;
    pending.news = News {
        event,
        ..news.clone()
    };
}

fn end(thread: &mut Thread, news: &News) {
    let mut never_sent = Vec::new();
    for (channel, line) in &mut thread.lines {
        if line.may_know() {
            let since = line
                .pending
                .as_ref()
                .map_or(news.at, |pending| pending.since);
            line.pending = Some(Pending {
                since,
                ..Pending::new(news.clone(), thread.sequence)
            });
        } else if let Some(pending) = line.pending.take() {
            never_sent.push((channel.clone(), pending));
        }
    }
    for (channel, pending) in never_sent {
        let entry = Entry {
            at: news.at,
            channel,
            key: thread.key(pending.sequence),
            event: pending.news.event,
            result: Outcome::Superseded,
            said: "the alert was over before it could be sent".to_owned(),
        };
        thread.note(entry);
    }
}

/// The notices that may be sent at `now`, the most urgent first; at most one a channel, and none for `busy` ones.
pub fn due<'a>(
    threads: impl IntoIterator<Item = &'a Thread>,
    busy: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Vec<Job> {
    let mut waiting: Vec<(&Thread, &String, &Line, &Pending)> = Vec::new();
    for thread in threads {
        for (channel, line) in &thread.lines {
            if let Some(pending) = &line.pending
                && pending.next_at <= now
                && !busy(channel)
            {
                waiting.push((thread, channel, line, pending));
            }
        }
    }
    waiting.sort_by_key(|(thread, _, _, pending)| {
        let is_page = thread.alert.severity == Severity::Page;
        let is_first = pending.news.event == Event::Fired;
        // What failed before must not stand in the way of what was not tried.
        (pending.attempts.min(1), !is_page, !is_first, pending.since)
    });
    let mut jobs: Vec<Job> = Vec::new();
    for (thread, channel, line, pending) in waiting {
        if jobs.iter().all(|job| job.channel != *channel) {
            jobs.push(job(thread, channel, line, pending));
        }
    }
    jobs
}

fn job(thread: &Thread, channel: &str, line: &Line, pending: &Pending) -> Job {
    Job {
        channel: channel.to_owned(),
        key: thread.key(pending.sequence),
        revision: pending.revision,
        news: pending.news.clone(),
        first: line.told.as_ref().map(|told| told.first),
        earlier: line.told.as_ref().map(|told| told.receipt.clone()),
    }
}

/// When the next notice may be sent; absent when none waits.
pub fn next_at<'a>(
    threads: impl IntoIterator<Item = &'a Thread>,
    busy: impl Fn(&str) -> bool,
) -> Option<Timestamp> {
    threads
        .into_iter()
        .flat_map(|thread| &thread.lines)
        .filter(|(channel, _)| !busy(channel))
        .filter_map(|(_, line)| Some(line.pending.as_ref()?.next_at))
        .min()
}

/// Since when the channel that waits longest has waited; absent when none waits.
pub fn oldest_pending<'a>(threads: impl IntoIterator<Item = &'a Thread>) -> Option<Timestamp> {
    threads
        .into_iter()
        .flat_map(|thread| thread.lines.values())
        .filter_map(|line| Some(line.pending.as_ref()?.since))
        .min()
}

/// Notes that a job is about to be sent. To be stored before it is.
pub fn attempt(thread: &mut Thread, job: &Job) {
    let line = thread.lines.get_mut(&job.channel);
    if let Some(pending) = line.and_then(|line| line.pending.as_mut()) {
        pending.attempts += 1;
        pending.is_under_way = true;
    }
}

/// Notes how a job ended, and when to try again. `jitter` lies between 0 and 1, and sets the waits of several channels
/// apart.
pub fn settle(
    thread: &mut Thread,
    job: &Job,
    result: &Result<Receipt, Failure>,
    now: Timestamp,
    jitter: f64,
) -> Outcome {
    // The answer to something told of an alert that is over, where a new one has begun since.
    if thread.opened_at != job.key.opened_at {
        return match result {
            Ok(_) => Outcome::Delivered,
            Err(Failure::Retry { .. }) => Outcome::Failed,
            Err(Failure::Refused { .. }) => Outcome::Refused,
        };
    }
    let line = thread.lines.entry(job.channel.clone()).or_default();
    let (outcome, said) = match result {
        Ok(receipt) => {
            delivered(line, job, receipt, now);
            (Outcome::Delivered, receipt.said.clone())
        }
        Err(failure) => {
            let outcome = failed(line, job, failure, now, jitter);
            (outcome, failure.to_string())
        }
    };
    thread.note(Entry {
        at: now,
        channel: job.channel.clone(),
        key: job.key.clone(),
        event: job.news.event,
        result: outcome,
        said,
    });
    outcome
}

fn delivered(line: &mut Line, job: &Job, receipt: &Receipt, now: Timestamp) {
    let before = line.told.as_ref();
    line.told = Some(Told {
        first: before.map_or(job.key.sequence, |told| told.first),
        sequence: job.key.sequence,
        event: job.news.event,
        at: now,
        receipt: Receipt {
            said: receipt.said.clone(),
            handle: receipt
                .handle
                .clone()
                .or_else(|| before.and_then(|told| told.receipt.handle.clone())),
        },
    });
    let Some(pending) = &mut line.pending else {
        return;
    };
    if pending.sequence != job.key.sequence {
        return;
    }
    if pending.revision == job.revision {
        line.pending = None;
        return;
    }
    // It took up a newer state on the way: that is an update now.
    if pending.news.event == Event::Fired {
        pending.news.event = Event::Updated;
    }
    pending.attempts = 0;
    pending.is_under_way = false;
    pending.may_have_arrived = false;
    pending.since = pending.news.at;
    pending.next_at = now;
}

fn failed(line: &mut Line, job: &Job, failure: &Failure, now: Timestamp, jitter: f64) -> Outcome {
    let (wait, may_have_arrived, outcome) = match failure {
        Failure::Retry {
            after,
            may_have_arrived,
            ..
        } => (*after, *may_have_arrived, Outcome::Failed),
        Failure::Refused { .. } => (Some(REFUSED_WAIT), false, Outcome::Refused),
    };
    let is_told = line.told.is_some();
    let Some(pending) = &mut line.pending else {
        return outcome;
    };
    // Its end came while it was under way; that stays to be told.
    if pending.sequence != job.key.sequence {
        return outcome;
    }
    pending.is_under_way = false;
    pending.may_have_arrived |= may_have_arrived;
    pending.why = Some(failure.to_string());
    let wait = wait.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    let wait = wait.max(back_off(pending.attempts, jitter));
    pending.next_at = now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    let is_late = now.duration_since(pending.since) > GIVE_UP_AFTER;
    // A page and its end are worth trying until somebody mends the channel; the rest is not.
    let is_vital = matches!(pending.news.event, Event::Fired | Event::Resolved);
    if is_late || (outcome == Outcome::Refused && !is_vital && is_told) {
        line.pending = None;
        return Outcome::GivenUp;
    }
    outcome
}

/// Twice as long after each attempt, and up to half as long again by `jitter`.
fn back_off(attempts: u32, jitter: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(10));
    let wait = doubled.min(LONGEST_WAIT);
    wait.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// What was under way when an earlier process died may have arrived; `is_ours` names the channels that this process is
/// sending to. Channels that are no more are owed nothing. Says whether anything changed.
pub fn take_up(
    thread: &mut Thread,
    is_known: impl Fn(&str) -> bool,
    is_ours: impl Fn(&str) -> bool,
    now: Timestamp,
) -> bool {
    let mut is_changed = false;
    let mut gone = Vec::new();
    for (channel, line) in &mut thread.lines {
        let Some(pending) = &mut line.pending else {
            continue;
        };
        if !is_known(channel) {
            gone.push((channel.clone(), pending.sequence, pending.news.event));
            line.pending = None;
        } else if pending.is_under_way && !is_ours(channel) {
            pending.is_under_way = false;
            pending.may_have_arrived = true;
            is_changed = true;
        }
    }
    is_changed |= !gone.is_empty();
    for (channel, sequence, event) in gone {
        let entry = Entry {
            at: now,
            channel,
            key: thread.key(sequence),
            event,
            result: Outcome::GivenUp,
            said: "the channel is no longer configured".to_owned(),
        };
        thread.note(entry);
    }
    is_changed
}

/// A repetition of what the channel knows, for those that forget an alert which nobody repeats. It is no news, so it
/// changes nothing here.
pub fn repetition(thread: &Thread, channel: &str, now: Timestamp) -> Option<Job> {
    let line = thread.lines.get(channel)?;
    let told = line.told.as_ref()?;
    if !thread.is_open || line.pending.is_some() {
        return None;
    }
    Some(Job {
        channel: channel.to_owned(),
        key: thread.key(told.sequence),
        revision: 0,
        news: News {
            alert: thread.alert.clone(),
            event: told.event,
            at: now,
            note: String::new(),
            is_test: false,
        },
        first: Some(told.first),
        earlier: Some(told.receipt.clone()),
    })
}

#[cfg(test)]
mod tests;
