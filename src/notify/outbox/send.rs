//! Notices go out: which one is next, and what comes of it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Entry, Job, Line, Outcome, Pending, Thread, Told};
use crate::alert::Severity;
use crate::notify::{Event, Failure, News, Receipt};

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
pub(super) fn back_off(attempts: u32, jitter: f64) -> Duration {
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
