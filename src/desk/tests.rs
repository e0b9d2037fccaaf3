//! Timelines: something happens at a minute, and then people hear something or nothing.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::alert::Kind;
use crate::notify::route::OneOrMany;
use crate::run::{Evidence, Exchange, RUN_VERSION, Verdict};
use crate::taxonomy::{Class, Outcome, Stage};

/// A desk, and what it said so far.
struct Timeline {
    desk: Desk,
    conditions: Vec<Condition>,
    runs: u128,
}

fn minute(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

fn probe() -> ProbeId {
    ProbeId::new("acme", "prod", None)
}

fn plan(maintenance: Vec<Window>) -> Plan {
    let ward = Ward {
        alerts: Alerts {
            labels: [("team".to_owned(), "identity".to_owned())].into(),
            runbook: Some("https://wiki.example.com/{class}".to_owned()),
            ..Alerts::default()
        },
        maintenance,
    };
    Plan {
        location: "here".to_owned(),
        probes: [(probe(), ward)].into(),
        routes: Vec::new(),
        channels: vec!["mail".to_owned()],
    }
}

fn condition(severity: Severity) -> Condition {
    Condition {
        key: "certificate".to_owned(),
        kind: Kind::Expiry,
        severity,
        scope: Scope {
            probe: vec![probe()],
            ..Scope::default()
        },
        finding: None,
        summary: "the certificate ends in 3 days".to_owned(),
        reason: "it ends at noon".to_owned(),
        since: minute(0),
    }
}

fn silence(from: i64, until: i64, label: (&str, &str)) -> Silence {
    Silence {
        id: "s1".to_owned(),
        matches: [(label.0.to_owned(), OneOrMany::One(label.1.to_owned()))].into(),
        starts_at: minute(from),
        ends_at: minute(until),
        author: "ann".to_owned(),
        reason: "planned".to_owned(),
    }
}

impl Timeline {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    fn with(maintenance: Vec<Window>) -> Self {
        let none = (Vec::new(), Vec::new());
        let start = minute(-60);
        let mut desk = Desk::open(Memory::default(), none.0, none.1, Vec::new(), start);
        let _ = desk.configure(plan(maintenance), start);
        Self {
            desk,
            conditions: Vec::new(),
            runs: 0,
        }
    }

    fn tick(&mut self, at: i64) -> Vec<Event> {
        let turn = self.desk.tick(&self.conditions, minute(at));
        events(&turn)
    }

    fn run(&mut self, at: i64, class: Option<Class>, metadata: &str) -> Vec<Event> {
        self.runs += 1;
        let run = run(self.runs, minute(at), class, metadata);
        let turn = self
            .desk
            .observe(&run, Duration::from_secs(300), minute(at));
        events(&turn)
    }

    /// As after a restart: everything through its written form.
    fn restart(&mut self, at: i64) {
        let desk = &self.desk;
        let memory = serde_json::to_string(desk.memory()).unwrap();
        let cases = serde_json::to_string(&desk.cases().collect::<Vec<_>>()).unwrap();
        let silences = serde_json::to_string(&desk.silences().collect::<Vec<_>>()).unwrap();
        let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
        let silences: Vec<Silence> = serde_json::from_str(&silences).unwrap();
        let deploys = desk.deploys().to_vec();
        self.desk = Desk::open(
            serde_json::from_str(&memory).unwrap(),
            cases,
            silences,
            deploys,
            minute(at),
        );
        let turn = self.desk.configure(plan(Vec::new()), minute(at));
        assert_eq!(events(&turn), [], "a restart tells nobody anything");
    }
}

fn events(turn: &Turn) -> Vec<Event> {
    turn.news.iter().map(|telling| telling.news.event).collect()
}

fn run(number: u128, at: Timestamp, class: Option<Class>, metadata: &str) -> Run {
    let exchange = Exchange {
        stage: Stage::Discovery,
        status: Some(200),
        response_body: metadata.to_owned(),
        ..crate::run::sample::exchange(at)
    };
    Run {
        version: RUN_VERSION,
        id: RunId(uuid::Uuid::from_u128(number)),
        probe: probe(),
        provider: "acme".to_owned(),
        environment: "prod".to_owned(),
        location: "here".to_owned(),
        scheduled_at: None,
        started_at: at,
        duration_ms: 0,
        outcome: class.map_or(Outcome::Ok, Class::outcome),
        verdict: class.map(|class| Verdict {
            stage: Stage::IdToken,
            class,
            cause: class.cause(),
            action: class.action(),
            detail: "seen".to_owned(),
            rule: None,
            raw: None,
        }),
        steps: Vec::new(),
        warnings: Vec::new(),
        evidence: Some(Evidence {
            exchanges: vec![exchange],
            ..Evidence::default()
        }),
    }
}
