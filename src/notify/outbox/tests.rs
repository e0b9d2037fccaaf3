//! Timelines: tell news, send what is due, answer it, and look at who was sent what.

use std::time::Duration;

use super::send::back_off;
use super::*;
use crate::alert::{Severity, State};
use crate::notify::{Failure, sample};

const MINUTE: i64 = 60;

/// A thread, a clock and channels that answer as they are told.
struct Line {
    thread: Option<Thread>,
    routed: Vec<&'static str>,
}

fn at(seconds: i64) -> Timestamp {
    sample::alert().started_at + SignedDuration::from_secs(seconds)
}

fn news(event: Event, seconds: i64) -> News {
    let mut alert = sample::alert();
    if event == Event::Resolved {
        alert.state = State::Resolved;
        alert.resolved_at = Some(at(seconds));
    }
    alert.reason = format!("as of {seconds}");
    News {
        alert,
        event,
        at: at(seconds),
        note: String::new(),
        is_test: false,
    }
}

fn taken() -> Result<Receipt, Failure> {
    Ok(Receipt {
        said: "ok".to_owned(),
        handle: Some("m1".to_owned()),
    })
}

fn down() -> Result<Receipt, Failure> {
    Err(Failure::retry("connection refused"))
}

fn silent() -> Result<Receipt, Failure> {
    Err(Failure::Retry {
        why: "no answer".to_owned(),
        after: None,
        may_have_arrived: true,
    })
}

fn refused() -> Result<Receipt, Failure> {
    Err(Failure::refused("status 401"))
}

impl Line {
    fn to(routed: &[&'static str]) -> Self {
        Self {
            thread: None,
            routed: routed.to_vec(),
        }
    }

    fn tell(&mut self, event: Event, seconds: i64) -> &mut Self {
        let routed = self.routed.iter().map(ToString::to_string);
        if let Some(thread) = tell(self.thread.clone(), &news(event, seconds), routed) {
            self.thread = Some(thread);
        }
        self
    }

    fn due(&self, seconds: i64) -> Vec<Job> {
        due(&self.thread, |_| false, at(seconds))
    }

    fn begin(&mut self, seconds: i64) -> Vec<Job> {
        let jobs = self.due(seconds);
        for job in &jobs {
            attempt(self.thread.as_mut().unwrap(), job);
        }
        jobs
    }

    fn end(&mut self, job: &Job, seconds: i64, result: &Result<Receipt, Failure>) -> Outcome {
        settle(self.thread.as_mut().unwrap(), job, result, at(seconds), 0.0)
    }

    /// Sends all that is due, and gives what was sent: channel, event and sequence.
    fn send(
        &mut self,
        seconds: i64,
        result: impl Fn(&str) -> Result<Receipt, Failure>,
    ) -> Vec<String> {
        let jobs = self.begin(seconds);
        for job in &jobs {
            self.end(job, seconds, &result(&job.channel));
        }
        let line = |job: &Job| {
            format!(
                "{} {} {}",
                job.channel,
                job.news.event.as_str(),
                job.key.sequence
            )
        };
        let mut sent: Vec<String> = jobs.iter().map(line).collect();
        sent.sort();
        sent
    }

    fn results(&self) -> Vec<String> {
        let entry = |entry: &Entry| {
            format!(
                "{} {} {:?}",
                entry.channel,
                entry.event.as_str(),
                entry.result
            )
        };
        self.thread
            .as_ref()
            .unwrap()
            .history
            .iter()
            .map(entry)
            .collect()
    }
}

#[test]
fn a_page_and_its_end_go_to_every_channel_once() {
    let mut line = Line::to(&["mail", "oncall"]);
    line.tell(Event::Fired, 0);
    assert_eq!(
        line.send(0, |_| taken()),
        ["mail fired 1", "oncall fired 1"]
    );
    assert!(line.send(HOUR, |_| taken()).is_empty());
    // Routes have changed meanwhile: the end goes to whoever heard of the beginning.
    line.routed = vec!["chat"];
    line.tell(Event::Resolved, HOUR);
    assert_eq!(
        line.send(HOUR, |_| taken()),
        ["mail resolved 2", "oncall resolved 2"]
    );
    assert!(!line.thread.as_ref().unwrap().is_pending());
    line.tell(Event::Resolved, HOUR + 1);
    assert!(
        line.send(HOUR + 1, |_| taken()).is_empty(),
        "it was over already"
    );
}

const HOUR: i64 = 60 * MINUTE;

#[test]
fn what_is_told_twice_is_sent_once() {
    let mut line = Line::to(&["mail"]);
    line.tell(Event::Fired, 0).tell(Event::Fired, 0);
    assert_eq!(line.send(0, |_| taken()), ["mail fired 1"]);
    line.tell(Event::Fired, 60);
    assert!(line.send(60, |_| taken()).is_empty());
}

#[test]
fn a_channel_that_is_down_is_tried_again_ever_less_often_with_the_same_key() {
    let mut line = Line::to(&["mail"]);
    line.tell(Event::Fired, 0);
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert_eq!(line.send(now, |_| down()), ["mail fired 1"]);
        let next = next_at(&line.thread, |_| false).unwrap();
        let wait = next.duration_since(at(now)).as_secs();
        assert!(line.send(now + wait - 1, |_| taken()).is_empty());
        waits.push(wait);
        now += wait;
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]);
    assert_eq!(oldest_pending(&line.thread), Some(at(0)));
    assert_eq!(line.send(now, |_| taken()), ["mail fired 1"]);
    assert_eq!(oldest_pending(&line.thread), None);
}

#[test]
fn jitter_makes_a_wait_at_most_half_as_long_again() {
    assert_eq!(back_off(1, 0.0), Duration::from_secs(5));
    assert_eq!(back_off(1, 1.0), Duration::from_millis(7500));
    assert_eq!(back_off(u32::MAX, 0.5), Duration::from_secs(375));
}

#[test]
fn a_channel_that_says_when_to_come_back_is_heard_within_reason() {
    for (after, expected) in [(90, 90), (1, 5), (86_400, 1800)] {
        let mut line = Line::to(&["chat"]);
        line.tell(Event::Fired, 0);
        line.send(0, |_| {
            Err(Failure::Retry {
                why: "status 429".to_owned(),
                after: Some(Duration::from_secs(after)),
                may_have_arrived: false,
            })
        });
        let next = next_at(&line.thread, |_| false).unwrap();
        assert_eq!(next.duration_since(at(0)).as_secs(), expected);
    }
}

#[test]
fn a_page_that_was_never_sent_is_superseded_by_its_end() {
    let mut line = Line::to(&["mail", "oncall"]);
    line.tell(Event::Fired, 0);
    // One is down, and so has certainly not got it.
    line.send(
        0,
        |channel| if channel == "mail" { taken() } else { down() },
    );
    line.tell(Event::Resolved, 3);
    assert_eq!(line.send(600, |_| taken()), ["mail resolved 2"]);
    assert_eq!(
        line.results(),
        [
            "mail fired Delivered",
            "oncall fired Failed",
            "oncall fired Superseded",
            "mail resolved Delivered"
        ]
    );
    assert!(!line.thread.as_ref().unwrap().is_pending());
}

#[test]
fn the_end_goes_wherever_the_page_may_have_arrived() {
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0);
    line.send(0, |_| silent());
    line.tell(Event::Resolved, 3);
    assert_eq!(line.send(3, |_| taken()), ["oncall resolved 2"]);

    // The process died while it was sending.
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0);
    line.begin(0);
    assert!(take_up(
        line.thread.as_mut().unwrap(),
        |_| true,
        |_| false,
        at(1)
    ));
    line.tell(Event::Resolved, 3);
    assert_eq!(line.send(3, |_| taken()), ["oncall resolved 2"]);

    // It is being sent just now.
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0);
    let jobs = line.begin(0);
    line.tell(Event::Resolved, 3);
    assert_eq!(line.end(&jobs[0], 4, &taken()), Outcome::Delivered);
    assert_eq!(line.send(4, |_| taken()), ["oncall resolved 2"]);
}

#[test]
fn after_a_crash_the_same_notice_goes_out_under_the_same_key() {
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0);
    let before = line.begin(0);
    let stored = serde_json::to_string(&line.thread).unwrap();
    let mut line = Line {
        thread: serde_json::from_str(&stored).unwrap(),
        routed: vec!["oncall"],
    };
    take_up(line.thread.as_mut().unwrap(), |_| true, |_| false, at(1));
    assert_eq!(line.due(1)[0].key, before[0].key);
    // An update that comes meanwhile does not give it another name.
    line.tell(Event::Updated, 2);
    let after = line.begin(2);
    assert_eq!(after[0].key, before[0].key);
    assert_eq!(after[0].news.event, Event::Fired);
    assert_eq!(after[0].news.alert.reason, "as of 2");
}

#[test]
fn a_page_that_waits_takes_up_the_newer_state_and_is_told_once() {
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0);
    line.send(0, |_| down());
    line.tell(Event::Updated, 1).tell(Event::Updated, 2);
    let jobs = line.begin(600);
    assert_eq!(jobs.len(), 1);
    assert_eq!(
        (jobs[0].news.event, jobs[0].key.sequence),
        (Event::Fired, 1)
    );
    assert_eq!(jobs[0].news.alert.reason, "as of 2");
    line.end(&jobs[0], 600, &taken());
    assert!(line.send(601, |_| taken()).is_empty());
}

#[test]
fn a_state_that_comes_while_a_page_is_under_way_is_told_after_it() {
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0);
    let jobs = line.begin(0);
    line.tell(Event::Updated, 1);
    line.end(&jobs[0], 2, &taken());
    assert_eq!(line.send(2, |_| taken()), ["oncall updated 1"]);
    assert!(line.send(3, |_| taken()).is_empty());
}

#[test]
fn updates_reminders_and_acknowledgements_go_to_those_who_know_and_begin_for_those_newly_routed() {
    let mut line = Line::to(&["mail"]);
    line.tell(Event::Fired, 0).send(0, |_| taken());
    line.routed = vec!["mail", "oncall"];
    line.tell(Event::Updated, 60);
    let jobs = line.due(60);
    let mail = jobs.iter().find(|job| job.channel == "mail").unwrap();
    assert_eq!((mail.first, mail.news.event), (Some(1), Event::Updated));
    assert_eq!(mail.earlier.as_ref().unwrap().handle.as_deref(), Some("m1"));
    assert_eq!(
        line.send(60, |_| taken()),
        ["mail updated 2", "oncall fired 2"]
    );
    line.tell(Event::Reminder, HOUR);
    assert_eq!(
        line.send(HOUR, |_| taken()),
        ["mail reminder 3", "oncall reminder 3"]
    );
    line.routed = vec!["chat"];
    line.tell(Event::Acknowledged, HOUR);
    assert_eq!(
        line.send(HOUR, |_| taken()),
        ["mail acknowledged 4", "oncall acknowledged 4"]
    );
}

#[test]
fn the_louder_of_what_waits_is_told() {
    let mut line = Line::to(&["mail"]);
    line.tell(Event::Fired, 0).send(0, |_| taken());
    line.tell(Event::Reminder, 60).tell(Event::Updated, 61);
    assert_eq!(line.send(61, |_| taken()), ["mail reminder 3"]);
    line.tell(Event::Updated, 62).tell(Event::Reminder, 63);
    assert_eq!(line.send(63, |_| taken()), ["mail reminder 5"]);
}

#[test]
fn a_page_that_is_refused_is_tried_until_somebody_mends_the_channel_and_an_update_is_not() {
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0);
    line.send(0, |_| refused());
    assert_eq!(next_at(&line.thread, |_| false), Some(at(600)));
    line.send(600, |_| taken());
    line.tell(Event::Updated, 700);
    line.send(700, |_| refused());
    assert_eq!(next_at(&line.thread, |_| false), None);
    assert_eq!(
        line.results(),
        [
            "oncall fired Refused",
            "oncall fired Delivered",
            "oncall updated GivenUp"
        ]
    );
}

#[test]
fn after_a_weekend_it_is_no_news() {
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0);
    line.send(0, |_| silent());
    line.send(72 * HOUR, |_| down());
    assert!(line.thread.as_ref().unwrap().is_pending());
    line.send(73 * HOUR, |_| down());
    assert!(!line.thread.as_ref().unwrap().is_pending());
    assert_eq!(line.results().last().unwrap(), "oncall fired GivenUp");
    // It still fires, and people are reminded: for this channel, that is the beginning.
    line.tell(Event::Reminder, 74 * HOUR);
    assert_eq!(line.send(74 * HOUR, |_| taken()), ["oncall fired 2"]);
}

#[test]
fn an_alert_that_fires_again_is_another_one_with_another_key() {
    let mut line = Line::to(&["mail"]);
    line.tell(Event::Fired, 0).send(0, |_| taken());
    let first = line.thread.as_ref().unwrap().key(1);
    line.tell(Event::Resolved, 60).send(60, |_| taken());
    line.tell(Event::Fired, HOUR);
    let jobs = line.begin(HOUR);
    assert_eq!((jobs[0].key.sequence, jobs[0].first), (1, None));
    assert_ne!(jobs[0].key.to_string(), first.to_string());
    assert_eq!(jobs[0].key.incident(), first.incident());
}

#[test]
fn an_end_that_could_not_be_told_gives_way_to_the_next_beginning() {
    let mut line = Line::to(&["oncall"]);
    line.tell(Event::Fired, 0).send(0, |_| taken());
    line.tell(Event::Resolved, 60).send(60, |_| down());
    line.routed = vec!["mail"];
    line.tell(Event::Fired, HOUR);
    assert_eq!(
        line.send(HOUR, |_| down()),
        ["mail fired 1", "oncall fired 1"]
    );
    // It may believe that the first one goes on, so it hears of the end whatever it heard of the second.
    line.tell(Event::Resolved, HOUR + 60);
    assert_eq!(line.send(2 * HOUR, |_| taken()), ["oncall resolved 2"]);
}

#[test]
fn one_that_is_back_goes_on_in_its_thread() {
    let mut line = Line::to(&["mail", "oncall"]);
    line.tell(Event::Fired, 0).send(0, |_| taken());
    line.tell(Event::Resolved, 60).send(
        60,
        |channel| if channel == "mail" { taken() } else { down() },
    );
    line.tell(Event::Updated, 90);
    let sent = line.send(600, |_| taken());
    assert_eq!(sent, ["mail updated 3", "oncall updated 3"]);
    line.tell(Event::Resolved, 700);
    assert_eq!(
        line.send(700, |_| taken()),
        ["mail resolved 4", "oncall resolved 4"]
    );
}

#[test]
fn news_of_an_unknown_alert_are_its_beginning_and_its_end_is_none() {
    let mut line = Line::to(&["mail"]);
    line.tell(Event::Resolved, 0).tell(Event::Acknowledged, 0);
    assert!(line.thread.is_none());
    line.tell(Event::Reminder, 0);
    assert_eq!(line.send(0, |_| taken()), ["mail fired 1"]);
}

#[test]
fn pages_go_first_and_one_at_a_time_to_each_channel() {
    let thread = |name: &str, severity, seconds| {
        let mut news = news(Event::Fired, seconds);
        news.alert.fingerprint = Fingerprint(name.to_owned());
        news.alert.severity = severity;
        tell(None, &news, ["mail".to_owned(), "oncall".to_owned()]).unwrap()
    };
    let mut threads = [
        thread("old ticket", Severity::Ticket, 0),
        thread("page", Severity::Page, 10),
        thread("older page", Severity::Page, 5),
    ];
    let names = |jobs: &[Job]| -> Vec<String> {
        jobs.iter()
            .map(|job| format!("{} {}", job.channel, job.key.fingerprint))
            .collect()
    };
    let jobs = due(&threads, |_| false, at(20));
    assert_eq!(names(&jobs), ["mail older page", "oncall older page"]);
    assert_eq!(
        names(&due(&threads, |name| name == "mail", at(20))),
        ["oncall older page"]
    );
    // One that failed waits behind those that were not tried.
    attempt(&mut threads[2], &jobs[0]);
    settle(&mut threads[2], &jobs[0], &down(), at(20), 0.0);
    assert_eq!(
        names(&due(&threads, |_| false, at(40)))[..1],
        ["oncall older page".to_owned()]
    );
    assert!(names(&due(&threads, |_| false, at(40))).contains(&"mail page".to_owned()));
}

#[test]
fn a_channel_that_is_gone_is_owed_nothing_and_known_of() {
    let mut line = Line::to(&["mail", "oncall"]);
    line.tell(Event::Fired, 0);
    assert!(take_up(
        line.thread.as_mut().unwrap(),
        |name| name == "mail",
        |_| false,
        at(1)
    ));
    assert_eq!(line.send(1, |_| taken()), ["mail fired 1"]);
    assert_eq!(
        line.results(),
        ["oncall fired GivenUp", "mail fired Delivered"]
    );
}

#[test]
fn what_a_channel_knows_can_be_repeated_until_the_end() {
    let mut line = Line::to(&["am"]);
    line.tell(Event::Fired, 0);
    assert_eq!(repetition(line.thread.as_ref().unwrap(), "am", at(1)), None);
    line.send(0, |_| taken());
    let job = repetition(line.thread.as_ref().unwrap(), "am", at(60)).unwrap();
    assert_eq!(
        (job.news.event, job.news.at, job.key.sequence),
        (Event::Fired, at(60), 1)
    );
    line.tell(Event::Resolved, 90);
    assert_eq!(
        repetition(line.thread.as_ref().unwrap(), "am", at(91)),
        None
    );
}

#[test]
fn a_thread_is_forgotten_a_week_after_its_end() {
    let mut line = Line::to(&["mail"]);
    line.tell(Event::Fired, 0).send(0, |_| taken());
    assert!(!line.thread.as_ref().unwrap().is_forgotten(at(1000 * HOUR)));
    line.tell(Event::Resolved, 60);
    assert!(!line.thread.as_ref().unwrap().is_forgotten(at(1000 * HOUR)));
    line.send(60, |_| taken());
    assert!(
        !line
            .thread
            .as_ref()
            .unwrap()
            .is_forgotten(at(7 * 24 * HOUR))
    );
    assert!(
        line.thread
            .as_ref()
            .unwrap()
            .is_forgotten(at(7 * 24 * HOUR + 61))
    );
}
