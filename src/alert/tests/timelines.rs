//! Timelines: runs go in at their times, changes are expected between.

use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::probe::AlertRule;

#[test]
fn a_login_that_never_failed_alerts_at_the_third_failure() {
    let mut timeline = learned(&[PROD]);
    timeline.go(&[PROD], 600, |who, second, _| bad(who, second));
    timeline.expect(&[]);
    timeline.go(&[PROD], 300, |who, second, _| bad(who, second));
    timeline.expect(&["opened failure [acme/prod]"]);
    let incident = timeline.detector.open().remove(0);
    assert_eq!(
        (incident.figures.bad, incident.figures.runs),
        (3, 3),
        "{incident:?}"
    );
    assert_eq!(
        incident.reason(),
        "3 of the last 3 runs failed in 10 min; baseline 0.05 %; odds of this by chance 1 in 537,067"
    );
    assert_eq!(
        incident.summary(),
        "acme/prod at fra1: sign-in fails, http_server_error at token_exchange"
    );
    timeline.all_good(&[PROD], 3600);
    timeline.expect(&["resolved failure [acme/prod]"]);
}

#[test]
fn a_fault_that_does_not_pass_by_itself_alerts_at_the_second_run() {
    let mut timeline = learned(&[PROD]);
    let expired = |who, second, _| {
        run(
            who,
            second,
            Outcome::Failed,
            Some(Class::ClientSecretExpired),
        )
    };
    timeline.go(&[PROD], 300, expired).expect(&[]);
    timeline
        .go(&[PROD], 300, expired)
        .expect(&["opened failure [acme/prod]"]);
    assert_eq!(timeline.detector.open()[0].figures.test, Test::Streak);
}

#[test]
fn a_noisy_sandbox_does_not_alert_and_a_dead_one_does() {
    let noisy = |who, second: i64, round: usize| {
        // About one in eight, without a pattern that repeats soon.
        if (round * round + round / 7) % 8 == 3 {
            bad(who, second)
        } else {
            good(who, second)
        }
    };
    let mut timeline = Timeline::new();
    timeline.go(&[SANDBOX], 10 * DAY, noisy).expect(&[]);
    timeline.go(&[SANDBOX], 3600, |who, second, _| bad(who, second));
    timeline.expect(&["opened failure [acme/sandbox]"]);
    timeline.go(&[SANDBOX], 4 * 3600, noisy);
    timeline.expect(&["resolved failure [acme/sandbox]"]);
}

#[test]
fn a_new_probe_that_is_dead_alerts_within_the_hour() {
    let mut timeline = Timeline::new();
    timeline.go(&[PROD], 3000, |who, second, _| bad(who, second));
    timeline.expect(&["opened failure [acme/prod]"]);
}

#[test]
fn a_minute_that_hits_everything_is_no_alert() {
    let everyone = [PROD, STAGING, OTHER, OTHER_STAGING];
    let mut timeline = learned(&everyone);
    timeline
        .go(&everyone, 300, |who, second, _| bad(who, second))
        .expect(&[]);
    timeline.all_good(&everyone, 7200).expect(&[]);
}

#[test]
fn one_cause_is_one_alert_for_the_provider() {
    let mut timeline = learned(&[PROD, STAGING, OTHER, OTHER_STAGING]);
    let acme_fails = |who: Who, second, _| {
        if who.0 == "acme" {
            bad(who, second)
        } else {
            good(who, second)
        }
    };
    let everyone = [PROD, STAGING, OTHER, OTHER_STAGING];
    timeline.go(&everyone, 3600, acme_fails);
    timeline.expect(&["opened failure [acme]"]);
    timeline.all_good(&everyone, 3600);
    timeline.expect(&["resolved failure [acme]"]);
}

#[test]
fn two_hundred_probes_with_one_cause_are_one_alert_that_names_all() {
    let environments: Vec<&'static str> = (0..200)
        .map(|number| &*Box::leak(format!("tenant-{number:03}").into_boxed_str()))
        .collect();
    let mut timeline = Timeline::new();
    let day = DAY / 300;
    for round in 0..day + 12 {
        for (index, environment) in environments.iter().enumerate() {
            let second = 300 * round + index as i64;
            let who = Who("acme", environment, "fra1");
            let fails = round >= day;
            timeline.put(&if fails {
                bad(who, second)
            } else {
                good(who, second)
            });
            timeline.put(&good(Who("zenith", environment, "fra1"), second));
        }
    }
    timeline.expect(&["opened failure [acme]"]);
    let incident = timeline.detector.open().remove(0);
    assert_eq!(incident.members.len(), 200);
}

#[test]
fn providers_that_fail_together_are_our_own_fault() {
    let everyone = [PROD, STAGING, OTHER, OTHER_STAGING];
    let mut timeline = learned(&everyone);
    timeline.go(&everyone, 1800, |who, second, _| bad(who, second));
    timeline.expect(&["opened monitor []"]);
}

#[test]
fn an_alert_that_reaches_further_is_widened_and_not_repeated() {
    let mut timeline = learned(&[PROD, STAGING, OTHER, OTHER_STAGING]);
    let everyone = [PROD, STAGING, OTHER, OTHER_STAGING];
    let only = |failing: Who| {
        move |who: Who, second, _| {
            if who == failing {
                bad(who, second)
            } else {
                good(who, second)
            }
        }
    };
    timeline.go(&everyone, 1500, only(PROD));
    timeline.expect(&["opened failure [acme/prod]"]);
    timeline.go(&everyone, 3600, |who: Who, second, _| {
        if who.0 == "acme" {
            bad(who, second)
        } else {
            good(who, second)
        }
    });
    timeline.expect(&["widened failure [acme]"]);
}

#[test]
fn runs_that_cannot_be_judged_are_our_fault_and_no_failure() {
    let mut timeline = learned(&[PROD, OTHER]);
    timeline.go(&[PROD, OTHER], 1800, |who: Who, second, _| {
        if who == PROD {
            unknown(who, second)
        } else {
            good(who, second)
        }
    });
    timeline.expect(&["opened monitor [acme/prod]"]);
    timeline.all_good(&[PROD, OTHER], 3600);
    timeline.expect(&["resolved monitor [acme/prod]"]);
}

#[test]
fn a_probe_that_stops_running_is_noticed_and_let_go_when_it_is_gone() {
    let mut timeline = learned(&[PROD, OTHER]);
    timeline.all_good(&[OTHER], 2 * 3600);
    timeline.expect(&["opened monitor [acme/prod]"]);
    assert_eq!(
        timeline.detector.open()[0].summary(),
        "acme/prod at fra1: runs do not happen"
    );
    timeline.all_good(&[OTHER], 4 * DAY);
    timeline.expect(&["resolved monitor [acme/prod]"]);
}

#[test]
fn a_pause_of_the_daemon_is_no_silence_of_its_probes() {
    let mut timeline = learned(&[PROD, OTHER]);
    timeline.now += 6 * 3600;
    timeline.detector.resume(at(timeline.now));
    timeline.all_good(&[PROD, OTHER], 3600).expect(&[]);
}

/// Counted one by one, the missing runs of probes that run every second take minutes.
#[test]
fn a_silence_of_any_length_is_noted_at_once() {
    let mut timeline = Timeline::new();
    let environments: Vec<String> = (0..5).map(|n| format!("e{n}")).collect();
    let run = |environment: &str, second: i64| Observation {
        probe: ProbeId::new("acme", environment, None),
        environment: environment.to_owned(),
        interval: Duration::from_secs(1),
        ..good(PROD, second)
    };
    for second in 0..1000 {
        for environment in &environments {
            timeline.put(&run(environment, second));
        }
    }
    timeline.changes.extend(timeline.detector.tick(at(2 * DAY)));
    timeline.expect(&["opened monitor [acme]"]);
    timeline
        .changes
        .extend(timeline.detector.tick(at(40 * DAY)));
    timeline.expect(&["resolved monitor [acme]"]);
}

#[test]
fn what_comes_and_goes_is_one_alert() {
    let mut timeline = learned(&[PROD]);
    // Twenty minutes down, fifteen up.
    timeline.go(&[PROD], 4 * 3600, |who, second, round| {
        if round % 7 < 4 {
            bad(who, second)
        } else {
            good(who, second)
        }
    });
    timeline.expect(&["opened failure [acme/prod]"]);
    timeline.all_good(&[PROD], 2 * 3600);
    timeline.expect(&["resolved failure [acme/prod]"]);
}

#[test]
fn what_is_back_soon_is_the_same() {
    let mut timeline = learned(&[PROD]);
    timeline.go(&[PROD], 1800, |who, second, _| bad(who, second));
    timeline.all_good(&[PROD], 2400);
    timeline.go(&[PROD], 1800, |who, second, _| bad(who, second));
    timeline.expect(&[
        "opened failure [acme/prod]",
        "resolved failure [acme/prod]",
        "reopened failure [acme/prod]",
    ]);
    timeline.all_good(&[PROD], 3 * 3600);
    timeline.go(&[PROD], 1800, |who, second, _| bad(who, second));
    timeline.expect(&["resolved failure [acme/prod]", "opened failure [acme/prod]"]);
}

#[test]
fn a_slow_burn_is_found_over_the_days() {
    let mut timeline = learned(&[PROD]);
    // One in eighteen, far from each other.
    timeline.go(&[PROD], 3 * DAY, |who, second, round| {
        if round % 18 == 5 {
            bad(who, second)
        } else {
            good(who, second)
        }
    });
    let said = timeline.said();
    assert_eq!(said.first().unwrap(), "opened failure [acme/prod]");
    assert_eq!(
        said.iter()
            .filter(|word| word.starts_with("opened"))
            .count(),
        1
    );
}

#[test]
fn maintenance_is_no_evidence() {
    let mut timeline = learned(&[PROD]);
    timeline.go(&[PROD], 7200, |who, second, _| Observation {
        maintenance: true,
        ..bad(who, second)
    });
    timeline.expect(&[]);
    assert!(
        timeline
            .detector
            .explain(&ProbeId::new("acme", "prod", None))[0]
            .window
            .is_none()
    );
}

#[test]
fn a_probe_file_can_say_otherwise() {
    let rule = |rule: AlertRule| Rules {
        failure_rate: rule,
        ..Rules::default()
    };
    let off = rule(AlertRule {
        off: true,
        ..AlertRule::default()
    });
    let later = rule(AlertRule {
        minimum: Some(8),
        severity: Severity::Ticket,
        ..AlertRule::default()
    });
    let tolerant = rule(AlertRule {
        objective: Some(80.0),
        ..AlertRule::default()
    });
    let whole_hour = |rules: Rules| {
        let mut timeline = Timeline::with(&[(PROD, rules)]);
        timeline.all_good(&[PROD], 14 * DAY).expect(&[]);
        timeline.go(&[PROD], 2100, |who, second, _| bad(who, second));
        timeline
    };
    whole_hour(off).expect(&[]);
    let mut timeline = whole_hour(later);
    timeline.expect(&[]);
    timeline.go(&[PROD], 300, |who, second, _| bad(who, second));
    timeline.expect(&["opened failure [acme/prod]"]);
    assert_eq!(timeline.detector.open()[0].severity, Severity::Ticket);
    let mut timeline = Timeline::with(&[(PROD, tolerant)]);
    timeline.all_good(&[PROD], 14 * DAY);
    timeline.go(&[PROD], 2 * DAY, |who, second, round| {
        if round % 6 == 0 {
            bad(who, second)
        } else {
            good(who, second)
        }
    });
    timeline.expect(&[]);
}

#[test]
fn a_stage_that_becomes_slow_is_named() {
    let staged = |who, second, token_ms| Observation {
        stages: vec![
            (Stage::Authorize, Duration::from_millis(800)),
            (Stage::TokenExchange, Duration::from_millis(token_ms)),
        ],
        duration: Duration::from_millis(800 + token_ms),
        ..good(who, second)
    };
    let mut timeline = Timeline::new();
    timeline.go(&[PROD], 4 * DAY, |who, second, round| {
        staged(who, second, 180 + (round as u64 * 37) % 50)
    });
    timeline.expect(&[]);
    timeline.go(&[PROD], 2 * 3600, |who, second, _| staged(who, second, 480));
    timeline.expect(&["opened latency [acme/prod]"]);
    let incident = timeline.detector.open().remove(0);
    assert_eq!(incident.stream, Stream::SlowStage(Stage::TokenExchange));
    assert!(
        incident.summary().contains("token_exchange is slow, 2."),
        "{}",
        incident.summary()
    );
    timeline.go(&[PROD], 3 * 3600, |who, second, _| staged(who, second, 200));
    timeline.expect(&["resolved latency [acme/prod]"]);
}

#[test]
fn a_page_can_show_what_is_usual_and_how_far_an_alert_is() {
    let mut timeline = learned(&[PROD]);
    timeline.go(&[PROD], 300, |who, second, _| bad(who, second));
    let explained = timeline
        .detector
        .explain(&ProbeId::new("acme", "prod", None));
    let failed = explained
        .iter()
        .find(|one| one.stream == Stream::Failed)
        .unwrap();
    assert!(
        failed.baseline < 0.001 && failed.learned_from > 3900,
        "{failed:?}"
    );
    assert_eq!(failed.bad_runs_to_alert, Some(2));
    let window = failed.window.unwrap();
    assert_eq!((window.bad, window.runs), (1, 1));
    assert_eq!(failed.incident, None);
    let slow = explained
        .iter()
        .find(|one| one.stream == Stream::Slow)
        .unwrap();
    assert_eq!(slow.typical, Some(Duration::from_millis(900)));
}

#[test]
fn a_first_failure_that_may_pass_is_worth_confirming() {
    let timeouts =
        |who, second, _: usize| run(who, second, Outcome::Failed, Some(Class::RequestTimeout));
    let probe = ProbeId::new("acme", "prod", None);
    let mut timeline = learned(&[PROD]);
    assert_eq!(timeline.detector.trouble(&probe, "fra1"), None);
    timeline.go(&[PROD], 300, timeouts);
    let trouble = timeline.detector.trouble(&probe, "fra1").unwrap();
    assert_eq!((trouble.runs_since, trouble.is_retryable), (0, true));
    let next = trouble.last_run + SignedDuration::from_secs(300);
    let budget = crate::probe::Budget::default();
    let due = confirmation(&trouble, &budget, next);
    assert_eq!(due, Some(trouble.last_run + SignedDuration::from_secs(60)));
    // Every confirmation fails: the alert comes with the last of them, five minutes after the first failure.
    for minute in 1..=4 {
        let second = timeline.now - 200 + 60 * minute;
        timeline
            .changes
            .extend(timeline.detector.observe(&timeouts(PROD, second, 0)));
        timeline.changes.extend(timeline.detector.tick(at(second)));
    }
    timeline.expect(&["opened failure [acme/prod]"]);
    assert_eq!(timeline.detector.trouble(&probe, "fra1"), None);
}

#[test]
fn the_state_of_a_probe_stays_small() {
    let mut timeline = Timeline::new();
    timeline.go(&[PROD], 30 * DAY, |who, second, round| {
        if round % 9 == 0 {
            bad(who, second)
        } else {
            good(who, second)
        }
    });
    let size = serde_json::to_string(&timeline.detector).unwrap().len();
    assert!(size < 24_000, "{size} bytes");
}
