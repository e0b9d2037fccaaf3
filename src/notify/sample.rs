//! An alert that looks like one and is none: to try a channel, and to test with.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Event, Key, News};
use crate::alert::{Alert, Deploy, Finding, Fingerprint, Kind, Scope, Severity, State};
use crate::probe::ProbeId;
use crate::run::RunId;
use crate::taxonomy::{Class, Stage};

/// A page about a client secret that has expired, at a time of no matter.
pub fn alert() -> Alert {
    let started_at = Timestamp::from_second(1_780_315_200).expect("a time within range");
    let later = |minutes| started_at + SignedDuration::from_mins(minutes);
    let run = |last: u128| {
        RunId(Uuid::from_u128(
            0x019e_8340_1000_7000_8000_0000_0000_0000 + last,
        ))
    };
    let class = Class::ClientSecretExpired;
    Alert {
        fingerprint: Fingerprint("4f2c91d07a3be658".to_owned()),
        state: State::Firing,
        severity: Severity::Page,
        kind: Kind::FailureRate,
        scope: Scope {
            provider: vec!["keycloak".to_owned()],
            environment: vec!["prod".to_owned()],
            probe: vec![ProbeId::new("keycloak", "prod", None)],
            location: vec!["fra1".to_owned()],
        },
        verdict: Some(Finding {
            stage: Stage::TokenExchange,
            class,
            cause: class.cause(),
            action: class.action(),
            detail: "the provider says invalid_client: client secret has expired".to_owned(),
        }),
        summary: "nobody can sign in at keycloak/prod: client secret expired at token exchange".to_owned(),
        reason: "3 of the last 3 runs failed within 2 min; baseline 1 in 400; odds by chance 1 in 64,000,000".to_owned(),
        runbook_url: None,
        evidence: Vec::new(),
        runs: vec![run(3), run(2), run(1)],
        deploys: vec![Deploy {
            id: "gateway 2026.6.1".to_owned(),
            at: started_at - SignedDuration::from_mins(4),
            scope: Scope::default(),
            by: "release pipeline".to_owned(),
            url: Some("https://ci.example.com/deploys/4711".to_owned()),
            note: String::new(),
        }],
        labels: [("team".to_owned(), "identity".to_owned())].into(),
        started_at,
        fired_at: Some(later(2)),
        resolved_at: None,
    }
}

/// News of an alert that is none, to try a channel with: first [`Event::Fired`], then [`Event::Resolved`]. `id` sets
/// one trial apart from the next, which began at `began`.
pub fn trial(event: Event, id: &str, began: Timestamp, at: Timestamp) -> News {
    let mut alert = alert();
    alert.fingerprint = Fingerprint(format!("test-{id}"));
    alert.severity = Severity::Ticket;
    "this is a test, nothing is wrong".clone_into(&mut alert.summary);
    "somebody ran `authcanary notify test`".clone_into(&mut alert.reason);
    alert.deploys.clear();
    alert.runs.clear();
    alert.labels = [("test".to_owned(), "true".to_owned())].into();
    alert.scope = Scope {
        provider: vec!["test".to_owned()],
        ..Scope::default()
    };
    alert.verdict = None;
    alert.kind = Kind::Monitor;
    alert.started_at = began;
    alert.fired_at = Some(began);
    if event == Event::Resolved {
        alert.state = State::Resolved;
        alert.resolved_at = Some(at);
    }
    News {
        alert,
        event,
        at,
        note: String::new(),
        is_test: true,
    }
}

/// The key of such news.
pub fn key(news: &News, sequence: u32) -> Key {
    Key {
        fingerprint: news.alert.fingerprint.clone(),
        opened_at: news.alert.started_at,
        sequence,
    }
}
