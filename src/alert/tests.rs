//! Tests of detection: timelines, properties, and what they share.

mod properties;
mod timelines;

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::taxonomy::{Class, Outcome, Stage};

const DAY: i64 = 86_400;

/// A probe of a timeline; its name says where it belongs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Who(&'static str, &'static str, &'static str);

const PROD: Who = Who("acme", "prod", "fra1");
const STAGING: Who = Who("acme", "staging", "fra1");
const SANDBOX: Who = Who("acme", "sandbox", "fra1");
const OTHER: Who = Who("zenith", "prod", "fra1");
const OTHER_STAGING: Who = Who("zenith", "staging", "fra1");

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn run(who: Who, second: i64, outcome: Outcome, class: Option<Class>) -> Observation {
    let Who(provider, environment, location) = who;
    Observation {
        at: at(second),
        run: None,
        probe: ProbeId::new(provider, environment, None),
        provider: provider.to_owned(),
        environment: environment.to_owned(),
        location: location.to_owned(),
        interval: Duration::from_secs(300),
        outcome,
        finding: class.map(|class| Finding {
            stage: Stage::TokenExchange,
            class,
            cause: class.cause(),
            action: class.action(),
            detail: "it broke".to_owned(),
        }),
        duration: Duration::from_millis(900),
        stages: Vec::new(),
        maintenance: false,
    }
}

fn good(who: Who, second: i64) -> Observation {
    run(who, second, Outcome::Ok, None)
}

fn bad(who: Who, second: i64) -> Observation {
    run(who, second, Outcome::Failed, Some(Class::HttpServerError))
}

fn unknown(who: Who, second: i64) -> Observation {
    run(who, second, Outcome::Unknown, Some(Class::BrowserCrashed))
}

/// Time that goes on as runs are put in.
struct Timeline {
    detector: Detector,
    changes: Vec<Change>,
    now: i64,
}

impl Timeline {
    fn new() -> Self {
        Self {
            detector: Detector::new(),
            changes: Vec::new(),
            now: 0,
        }
    }

    fn with(rules: &[(Who, Rules)]) -> Self {
        let mut timeline = Self::new();
        let rules: Vec<(ProbeId, Rules)> = rules
            .iter()
            .map(|(who, rules)| (ProbeId::new(who.0, who.1, None), *rules))
            .collect();
        timeline
            .detector
            .configure(rules.iter().map(|(probe, rules)| (probe, *rules)));
        timeline
    }

    fn put(&mut self, run: &Observation) {
        self.now = run.at.as_second() - 1_800_000_000;
        self.changes.extend(self.detector.observe(run));
    }

    /// For a span, a run of each every five minutes, some seconds apart, as `make` says.
    fn go(
        &mut self,
        who: &[Who],
        span: i64,
        make: impl Fn(Who, i64, usize) -> Observation,
    ) -> &mut Self {
        let (from, until) = (self.now, self.now + span);
        for round in 0.. {
            for (index, &who) in who.iter().enumerate() {
                let second = from + 300 * (round + 1) - 200 + 17 * index as i64;
                if second > until {
                    self.now = until;
                    self.changes.extend(self.detector.tick(at(until)));
                    return self;
                }
                self.put(&make(who, second, round as usize));
            }
        }
        unreachable!()
    }

    fn all_good(&mut self, who: &[Who], span: i64) -> &mut Self {
        self.go(who, span, |who, second, _| good(who, second))
    }
    /// What has changed since the last call, in words.
    fn said(&mut self) -> Vec<String> {
        let changes = std::mem::take(&mut self.changes);
        changes
            .iter()
            .map(|change| {
                let kind = match change.incident.kind {
                    Kind::FailureRate => "failure",
                    Kind::Latency => "latency",
                    Kind::Monitor => "monitor",
                    Kind::Expiry | Kind::Drift | Kind::Security => "other",
                };
                let Scope {
                    provider,
                    environment,
                    probe,
                    location,
                } = &change.incident.scope;
                let names = match probe.len() {
                    0 => [&provider[..], &environment[..], &location[..]]
                        .concat()
                        .join(" "),
                    _ => probe
                        .iter()
                        .map(ProbeId::as_str)
                        .collect::<Vec<_>>()
                        .join(" "),
                };
                format!("{:?} {kind} [{names}]", change.what).to_lowercase()
            })
            .collect()
    }

    #[track_caller]
    fn expect(&mut self, expected: &[&str]) -> &mut Self {
        assert_eq!(self.said(), expected);
        self
    }
}

fn learned(who: &[Who]) -> Timeline {
    let mut timeline = Timeline::new();
    timeline.all_good(who, 14 * DAY).expect(&[]);
    timeline
}
