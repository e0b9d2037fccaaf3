//! News come in: what each channel is owed from now on.

use super::{Entry, Line, Outcome, Pending, Thread};
use crate::notify::{Event, News};

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
