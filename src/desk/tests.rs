//! Timelines: something happens at a minute, and then people hear something or nothing.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use std::time::Duration;

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

fn other_probe() -> ProbeId {
    ProbeId::new("acme", "staging", None)
}

fn plan(maintenance: &[Window]) -> Plan {
    let ward = |environment: &str| Ward {
        provider: "acme".to_owned(),
        environment: environment.to_owned(),
        cadence: Cadence::Every(Duration::from_secs(300)),
        alerts: Alerts {
            labels: [("team".to_owned(), "identity".to_owned())].into(),
            runbook: Some("https://wiki.example.com/{class}".to_owned()),
            ..Alerts::default()
        },
        maintenance: maintenance.to_vec(),
    };
    Plan {
        location: "here".to_owned(),
        settle: SignedDuration::from_secs(60),
        probes: [(probe(), ward("prod")), (other_probe(), ward("staging"))].into(),
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
        Self::with(&[])
    }

    fn with(maintenance: &[Window]) -> Self {
        let none = (Vec::new(), Vec::new());
        let start = minute(-60);
        let (plan, memory) = (plan(maintenance), Memory::default());
        let desk = Desk::open(plan, memory, none.0, none.1, Vec::new(), start);
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

    /// A tick when all that was seen in one moment is told.
    fn gathered(&mut self, at: i64) -> Vec<Event> {
        events(&self.desk.tick(&self.conditions, minute(at) + GATHER))
    }

    fn run(&mut self, at: i64, class: Option<Class>, metadata: &str) -> Vec<Event> {
        self.runs += 1;
        let run = run(self.runs, minute(at), class, metadata);
        let turn = self.desk.observe(&run, minute(at));
        events(&turn)
    }

    /// A run of the other probe.
    fn other_run(&mut self, at: i64, class: Option<Class>, metadata: &str) -> Vec<Event> {
        self.runs += 1;
        let run = Run {
            probe: other_probe(),
            environment: "staging".to_owned(),
            ..run(self.runs, minute(at), class, metadata)
        };
        let turn = self.desk.observe(&run, minute(at));
        events(&turn)
    }

    fn only_case(&self) -> &Case {
        let mut cases = self.desk.cases();
        let case = cases.next().unwrap();
        assert!(cases.next().is_none());
        case
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
            plan(&[]),
            serde_json::from_str(&memory).unwrap(),
            cases,
            silences,
            deploys,
            minute(at),
        );
        let turn = self.desk.resume(minute(at));
        assert_eq!(events(&turn), [], "a restart tells nobody anything");
    }
}

fn events(turn: &Turn) -> Vec<Event> {
    turn.news.iter().map(|news| news.event).collect()
}

fn run(number: u128, at: Timestamp, class: Option<Class>, metadata: &str) -> Run {
    let exchange: Exchange = serde_json::from_value(serde_json::json!({
        "stage": "discovery", "started_at": at, "method": "GET", "url": "https://acme.example.com/",
        "request_headers": [], "request_body": "", "status": 200, "response_headers": [],
        "response_body": metadata, "response_size_bytes": 0, "timings": {"total_us": 1},
    }))
    .unwrap();
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

#[test]
fn a_page_is_told_once_remembered_at_growing_distances_and_ended() {
    let mut line = Timeline::new();
    line.conditions = vec![condition(Severity::Page)];
    assert_eq!(line.tick(0), [Event::Fired]);
    let told: Vec<i64> = (1..60 * 72)
        .filter(|minute| line.tick(*minute) == [Event::Reminder])
        .collect();
    let hours: Vec<i64> = told.iter().map(|minute| minute / 60).collect();
    assert_eq!(hours, [1, 4, 12, 36, 60]);
    line.conditions.clear();
    assert_eq!(line.tick(60 * 72), [Event::Resolved]);
    assert_eq!(line.tick(60 * 73), []);
    line.conditions = vec![condition(Severity::Page)];
    assert_eq!(
        line.tick(60 * 74),
        [Event::Fired],
        "it is back: a new alert"
    );
}

#[test]
fn a_ticket_has_no_reminders_and_is_told_again_when_it_grows_urgent() {
    let mut line = Timeline::new();
    line.conditions = vec![condition(Severity::Ticket)];
    assert_eq!(line.tick(0), [Event::Fired]);
    assert_eq!(line.tick(60 * 48), []);
    line.conditions = vec![condition(Severity::Page)];
    assert_eq!(line.tick(60 * 49), [Event::Updated]);
}

#[test]
fn who_takes_it_on_is_not_reminded() {
    let mut line = Timeline::new();
    line.conditions = vec![condition(Severity::Page)];
    let _ = line.tick(0);
    let fingerprint = line.conditions[0].fingerprint();
    let by_ann = || Acknowledgement {
        by: "ann".to_owned(),
        at: minute(5),
        note: String::new(),
    };
    let turn = line.desk.acknowledge(&fingerprint, by_ann()).unwrap();
    assert_eq!(events(&turn), [Event::Acknowledged]);
    assert_eq!(turn.news[0].note, "ann has taken it on");
    assert_eq!(line.tick(60 * 10), []);
    line.conditions.clear();
    assert_eq!(line.tick(60 * 11), [Event::Resolved]);
    let again = line.desk.acknowledge(&fingerprint, by_ann());
    assert_eq!(again.unwrap_err(), Refused::IsOver);
}

#[test]
fn a_silence_keeps_the_beginning_back_until_it_ends_but_never_an_end() {
    let mut line = Timeline::new();
    let quiet = silence(-5, 30, ("probe", "acme/prod"));
    let _ = line.desk.silence(quiet, minute(-5)).unwrap();
    line.conditions = vec![condition(Severity::Page)];
    assert_eq!(line.tick(0), []);
    assert_eq!(line.tick(31), [Event::Fired], "it outlived the silence");
    let late = silence(32, 90, ("team", "identity"));
    let _ = line.desk.silence(late, minute(32)).unwrap();
    assert_eq!(line.tick(89), [], "no reminder");
    line.conditions.clear();
    assert_eq!(
        line.tick(89),
        [Event::Resolved],
        "who heard of it hears the end"
    );
}

#[test]
fn what_began_and_ended_in_silence_is_told_to_nobody() {
    let mut line = Timeline::new();
    let _ = line
        .desk
        .silence(silence(-5, 30, ("kind", "expiry")), minute(-5))
        .unwrap();
    line.conditions = vec![condition(Severity::Page)];
    assert_eq!(line.tick(0), []);
    line.conditions.clear();
    assert_eq!((line.tick(10), line.tick(40)), (vec![], vec![]));
}

#[test]
fn a_silence_of_one_probe_leaves_a_wider_alert_loud() {
    let other = ProbeId::new("acme", "staging", None);
    let alert = |probes: Vec<ProbeId>| {
        let mut condition = condition(Severity::Page);
        condition.scope.probe = probes;
        condition
    };
    let mut line = Timeline::new();
    let _ = line
        .desk
        .silence(silence(-5, 30, ("probe", "acme/prod")), minute(-5))
        .unwrap();
    line.conditions = vec![alert(vec![probe(), other])];
    assert_eq!(line.tick(0), [Event::Fired]);
}

#[test]
fn silences_that_could_not_be_meant_are_refused() {
    let mut line = Timeline::new();
    let mut all = silence(0, 5, ("probe", "x"));
    all.matches.clear();
    let past = silence(-10, -5, ("probe", "x"));
    assert_eq!(
        line.desk.silence(all, minute(0)).unwrap_err(),
        Refused::MatchesAll
    );
    assert_eq!(
        line.desk.silence(past, minute(0)).unwrap_err(),
        Refused::EndsTooEarly
    );
    let gone = line.desk.unsilence("nobody", minute(0));
    assert_eq!(gone.unwrap_err(), Refused::NoSuchSilence);
}

#[test]
fn planned_work_is_quiet() {
    let begin = minute(0).to_zoned(TimeZone::UTC);
    let window = Window {
        pattern: format!("{} {} * * *", begin.minute(), begin.hour()),
        timezone: TimeZone::UTC,
        lasts: Duration::from_secs(30 * 60),
    };
    let mut line = Timeline::with(&[window]);
    line.conditions = vec![condition(Severity::Page)];
    assert_eq!(line.tick(0), []);
    assert_eq!(line.tick(29), []);
    assert_eq!(line.tick(30), [Event::Fired]);
    assert!(line.desk.in_maintenance(&probe(), minute(29)));
    assert!(!line.desk.in_maintenance(&probe(), minute(31)));
}

#[test]
fn a_security_finding_is_told_at_once_and_ends_after_good_runs() {
    let mut line = Timeline::new();
    assert_eq!(
        line.run(0, Some(Class::SignatureInvalid), ""),
        [Event::Fired]
    );
    assert_eq!(line.run(5, Some(Class::SignatureInvalid), ""), []);
    for at in [10, 15, 20] {
        assert_eq!((line.tick(at), line.run(at, None, "")), (vec![], vec![]));
    }
    assert_eq!(line.tick(20), [Event::Resolved]);
}

#[test]
fn what_several_probes_of_a_provider_see_is_one_security_alert() {
    let mut line = Timeline::new();
    let wrong = Some(Class::SignatureInvalid);
    assert_eq!(line.run(0, wrong, ""), [Event::Fired]);
    assert_eq!(line.other_run(1, wrong, ""), [Event::Updated]);
    assert_eq!(line.other_run(2, wrong, ""), []);
    let alert = &line.only_case().alert;
    assert!(
        alert.summary.starts_with("acme/prod, acme/staging: "),
        "{}",
        alert.summary
    );
    assert_eq!(alert.scope.environment, ["prod", "staging"]);
    line.restart(3);
    for at in 4..10 {
        let told = (line.run(at, None, ""), line.tick(at));
        assert_eq!(told, (vec![], vec![]), "the other probe has not passed");
    }
    for at in 10..13 {
        assert_eq!(
            (line.tick(at), line.other_run(at, None, "")),
            (vec![], vec![])
        );
    }
    assert_eq!(line.tick(12), [Event::Resolved]);
}

#[test]
fn of_many_probes_that_see_the_same_people_hear_a_few_times() {
    let mut line = Timeline::new();
    let mut plan = plan(&[]);
    let ward = plan.probes[&probe()].clone();
    let name = |number: usize| ProbeId::new("acme", "prod", Some(&number.to_string()));
    plan.probes = (0..200)
        .map(|number| (name(number), ward.clone()))
        .collect();
    let _ = line.desk.configure(plan, minute(-1));
    let mut told = Vec::new();
    for number in 0..200 {
        let run = Run {
            probe: name(number),
            ..run(number as u128, minute(0), Some(Class::StateMismatch), "")
        };
        told.extend(events(&line.desk.observe(&run, minute(0))));
    }
    assert_eq!(told[0], Event::Fired);
    assert_eq!(told.len(), 8, "{told:?}");
    assert_eq!(line.only_case().alert.scope.probe.len(), 200);
    let words = &line.only_case().alert.summary;
    assert!(words.contains("and 197 more: state mismatch"), "{words}");
}

#[test]
fn a_change_that_all_probes_of_a_provider_see_is_one_ticket() {
    let mut line = Timeline::new();
    let (one, other) = (r#"{"issuer": "a"}"#, r#"{"issuer": "b"}"#);
    for metadata in [one, other] {
        let told = (
            line.run(0, None, metadata),
            line.other_run(0, None, metadata),
        );
        let first = if metadata == other {
            vec![Event::Fired]
        } else {
            vec![]
        };
        assert_eq!(told, (first, vec![]));
    }
    assert_eq!(line.only_case().alert.scope.probe, [probe(), other_probe()]);
}

#[test]
fn changed_metadata_is_a_ticket_that_names_what_changed() {
    let mut line = Timeline::new();
    let one = r#"{"issuer": "a", "scopes_supported": ["x", "y"]}"#;
    let same = r#"{"scopes_supported": ["y", "x"], "issuer": "a"}"#;
    let other = r#"{"issuer": "a", "scopes_supported": ["x"], "jwks_uri": "b"}"#;
    assert_eq!(line.run(0, None, one), []);
    assert_eq!(line.run(5, None, same), []);
    assert_eq!(line.run(10, None, other), [Event::Fired]);
    let alert = &line.desk.cases().next().unwrap().alert;
    assert!(
        alert
            .summary
            .ends_with("changed: jwks_uri, scopes_supported"),
        "{}",
        alert.summary
    );
    assert_eq!(alert.severity, Severity::Ticket);
    assert_eq!(line.run(15, None, other), []);
    for number in 4..290 {
        assert_eq!(line.run(number * 5, None, other), []);
    }
    assert_eq!(line.tick(60 * 24 + 11), [Event::Resolved]);
}

#[test]
fn an_outage_is_one_page_with_its_deploy_runbook_and_figures() {
    let mut line = Timeline::new();
    for number in 0..40 {
        assert_eq!(line.run(number * 5, None, ""), []);
    }
    let deploy = Deploy {
        id: "v7".to_owned(),
        at: minute(198),
        scope: Scope::default(),
        by: "ci".to_owned(),
        url: None,
        note: String::new(),
    };
    let _ = line.desk.deploy(deploy, minute(198));
    let mut told = Vec::new();
    for number in 40..60 {
        told.extend(line.run(number * 5, Some(Class::ServerError), ""));
        told.extend(line.tick(number * 5));
    }
    assert_eq!(told[0], Event::Fired);
    assert_eq!(
        told.iter().filter(|event| **event == Event::Fired).count(),
        1
    );
    let case = line.desk.cases().next().unwrap();
    let alert = &case.alert;
    assert_eq!(alert.deploys[0].id, "v7");
    assert_eq!(
        alert.runbook_url.as_deref(),
        Some("https://wiki.example.com/server_error")
    );
    assert_eq!(alert.labels["team"], "identity");
    assert!(
        alert
            .summary
            .starts_with("acme/prod: nobody can sign in: server error"),
        "{}",
        alert.summary
    );
    assert!(
        alert.reason.contains("odds of this by chance 1 in"),
        "{}",
        alert.reason
    );
    let mut after = Vec::new();
    for number in 60..100 {
        after.extend(line.run(number * 5, None, ""));
        after.extend(line.tick(number * 5));
    }
    assert_eq!(after, [Event::Resolved]);
}

#[test]
fn a_run_that_is_taken_twice_counts_once() {
    let mut line = Timeline::new();
    let _ = line.run(0, None, "");
    let before = serde_json::to_string(line.desk.memory()).unwrap();
    line.runs -= 1;
    let _ = line.run(0, None, "");
    assert_eq!(serde_json::to_string(line.desk.memory()).unwrap(), before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_anywhere_changes_nothing(
        outcomes in proptest::collection::vec(0u8..10, 30..80),
        restart in 0usize..80,
    ) {
        let mut plain = Timeline::new();
        let mut restarted = Timeline::new();
        for (index, outcome) in outcomes.iter().enumerate() {
            let at = i64::try_from(index).unwrap() * 5;
            let class = (*outcome < 6).then_some(Class::ServerError);
            if index == restart {
                restarted.restart(at - 1);
            }
            let told = (plain.run(at, class, ""), plain.gathered(at));
            let told_after = (restarted.run(at, class, ""), restarted.gathered(at));
            // What comes up within the settle time of a start is told when it is over.
            if index.abs_diff(restart) > 1 {
                prop_assert_eq!(told, told_after);
            }
        }
    }

    #[test]
    fn the_order_of_runs_of_one_instant_does_not_matter(
        outcomes in proptest::collection::vec((0u8..8, 0u8..8), 20..60),
        swaps in proptest::collection::vec(any::<bool>(), 60),
    ) {
        let class = |outcome: u8| match outcome {
            0..4 => Some(Class::ServerError),
            4 => Some(Class::SignatureInvalid),
            _ => None,
        };
        let (mut plain, mut swapped) = (Timeline::new(), Timeline::new());
        for (index, (one, other)) in outcomes.iter().enumerate() {
            let at = i64::try_from(index).unwrap() * 5;
            let ids = (plain.runs, plain.runs + 1);
            let _ = (plain.run(at, class(*one), ""), plain.other_run(at, class(*other), ""));
            match swaps[index] {
                false => {
                    let _ = (swapped.run(at, class(*one), ""), swapped.other_run(at, class(*other), ""));
                }
                true => {
                    swapped.runs = ids.1;
                    let _ = swapped.other_run(at, class(*other), "");
                    swapped.runs = ids.0;
                    let _ = swapped.run(at, class(*one), "");
                    swapped.runs = ids.1 + 1;
                }
            }
            // Time moves on, and with it what belongs to one instant is settled.
            let _ = (plain.tick(at + 1), swapped.tick(at + 1));
            let open = |line: &Timeline| -> Vec<(Fingerprint, Scope, State)> {
                let cases = line.desk.cases();
                cases.map(|it| (it.alert.fingerprint.clone(), it.alert.scope.clone(), it.alert.state)).collect()
            };
            prop_assert_eq!(open(&plain), open(&swapped));
        }
    }

    #[test]
    fn nobody_hears_of_anything_without_a_reason(outcomes in proptest::collection::vec(0u8..4, 20..80)) {
        let mut line = Timeline::new();
        for (index, outcome) in outcomes.iter().enumerate() {
            let at = i64::try_from(index).unwrap() * 5;
            let class = match outcome {
                0 => Some(Class::ServerError),
                1 => Some(Class::NonceMismatch),
                _ => None,
            };
            line.runs += 1;
            let run = run(line.runs, minute(at), class, "");
            let mut turn = line.desk.observe(&run, minute(at));
            turn.news.extend(line.desk.tick(&[], minute(at)).news);
            for news in turn.news {
                prop_assert!(!news.alert.summary.is_empty() && !news.alert.reason.is_empty());
                prop_assert!(news.alert.started_at <= news.at);
                prop_assert!(news.alert.kind != Kind::FailureRate || !news.alert.runs.is_empty());
            }
        }
    }

    #[test]
    fn who_heard_a_beginning_hears_one_end(outcomes in proptest::collection::vec(0u8..3, 20..80)) {
        let mut line = Timeline::new();
        let mut open = 0i32;
        let mut at = 0;
        // What begins with the last failure may be told a moment after it.
        let calm = std::iter::repeat_n(1, 600);
        for outcome in outcomes.into_iter().chain(calm) {
            at += 5;
            let mut told = line.run(at, (outcome == 0).then_some(Class::ServerError), "");
            told.extend(line.tick(at));
            for event in told {
                match event {
                    Event::Fired => open += 1,
                    Event::Resolved => open -= 1,
                    _ => (),
                }
                prop_assert!((0..=2).contains(&open));
            }
        }
        prop_assert_eq!(open, 0);
    }
}

#[test]
fn a_pause_of_the_process_is_no_silence_however_long_it_was() {
    for days in [2, 40] {
        let mut line = Timeline::new();
        for round in 0..300 {
            line.run(5 * round, None, "");
            line.other_run(5 * round + 1, None, "");
        }
        let back = 5 * 300 + days * 24 * 60;
        line.restart(back);
        for round in 0..12 {
            assert_eq!(line.tick(back + 5 * round), []);
            assert_eq!(line.run(back + 5 * round, None, ""), []);
            line.other_run(back + 5 * round + 1, None, "");
        }
        assert_eq!(line.desk.cases().count(), 0, "{days} days");
    }
}

/// A desk that remembers nothing learns from stored runs: what was wrong then is told if it still is.
#[test]
fn what_is_learned_from_old_runs_is_told_only_if_it_is_still_so() {
    let learned = |bad: std::ops::Range<i64>| {
        let mut line = Timeline::new();
        for round in 0..600 {
            let class = bad.contains(&round).then_some(Class::HttpServerError);
            line.runs += 1;
            let run = run(line.runs, minute(5 * round - 5 * 600 - 60), class, "");
            line.desk.learn(&run);
        }
        let turn = line.desk.resume(minute(-60));
        assert_eq!(events(&turn), [], "held back right after the start");
        line
    };
    let mut over = learned(100..200);
    assert_eq!(over.tick(-58), []);
    assert_eq!(over.desk.cases().count(), 0);
    let usual = &over.desk.explain(&probe())[0];
    assert!(usual.baseline > 0.0, "{usual:?}");
    let mut open = learned(500..600);
    assert_eq!(open.tick(-58), [Event::Fired]);
    open.restart(-57);
    assert_eq!(open.tick(-50), []);
}

#[test]
fn an_alert_that_nobody_remembers_is_over() {
    let mut line = Timeline::new();
    for round in 0..20 {
        line.run(5 * round, Some(Class::HttpServerError), "");
    }
    assert_eq!(line.tick(100), []);
    let cases: Vec<Case> = line.desk.cases().cloned().collect();
    assert!(cases.iter().any(Case::is_open));
    line.desk = Desk::open(
        plan(&[]),
        Memory::default(),
        cases,
        Vec::new(),
        Vec::new(),
        minute(101),
    );
    let turn = line.desk.resume(minute(101));
    assert_eq!(events(&turn), [Event::Resolved]);
}

/// Two probes of a provider with a fault that does not pass by itself, seen by both within a second.
#[test]
fn what_siblings_see_in_one_moment_is_one_notice_that_names_both() {
    for apart_ms in [0, 700] {
        let mut line = Timeline::new();
        let second_at = |at: i64| minute(at) + SignedDuration::from_millis(apart_ms);
        let mut told = Vec::new();
        for number in 0..303 {
            let class = (number >= 300).then_some(Class::RedirectUriMismatch);
            let at = number * 5;
            told.extend(line.run(at, class, ""));
            line.runs += 1;
            let other = Run {
                probe: other_probe(),
                environment: "staging".to_owned(),
                ..run(line.runs, second_at(at), class, "")
            };
            let turn = line.desk.observe(&other, second_at(at));
            told.extend(events(&turn));
            told.extend(events(&line.desk.judge(second_at(at))));
            let turn = line.desk.tick(&[], second_at(at) + GATHER);
            for news in &turn.news {
                assert_ne!(news.alert.scope.environment.len(), 1, "{:?}", news.alert);
            }
            told.extend(events(&turn));
        }
        assert_eq!(told, [Event::Fired], "{apart_ms} ms apart");
    }
}
