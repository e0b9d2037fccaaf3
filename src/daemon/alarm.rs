//! What keeps the desk of alerts going: time, the things that stand, and the figures of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{MissedTickBehavior, interval};

use crate::alert::{Deploy, Finding, Kind, Scope, Severity, State, Stream};
use crate::board::Board;
use crate::clock;
use crate::desk::{Condition, Plan, Ward};
use crate::duty::Duty;
use crate::expiry::{self, Expiry};
use crate::notify::outbox::{self, Thread};
use crate::phrase;
use crate::probe::{Probe, ProbeId};
use crate::taxonomy::{Class, Stage};
use crate::telemetry::Telemetry;

/// How often time comes to the desk.
const TICK: Duration = Duration::from_secs(5);

/// What ends so soon is told, and then told again as urgent.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
const ENDS_NOW: SignedDuration = SignedDuration::from_hours(2 * 24);

/// A notice that could not be delivered for so long is a fault of its own, told through the channels that work.
const STUCK_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Starts that come so late say that this machine has too much to do, where so many of the last minutes did: every fifth,
/// and not only a few.
const LATE: SignedDuration = SignedDuration::from_secs(10);
const LATELY: SignedDuration = SignedDuration::from_mins(10);
const LEAST_LATE: usize = 3;

/// What the configuration says about alerts.
pub(super) fn plan<'a>(
    location: &str,
    settle: SignedDuration,
    probes: impl IntoIterator<Item = &'a Probe>,
) -> Plan {
    let probes = probes.into_iter();
    Plan {
        location: location.to_owned(),
        settle,
        probes: probes
            .map(|probe| (probe.id.clone(), Ward::from(probe)))
            .collect(),
    }
}

/// Goes round until it is dropped. `quarantined` tells that a broken store was put aside at the start.
pub(super) async fn keep_watch(
    duty: Duty,
    board: Arc<Board>,
    telemetry: Arc<Telemetry>,
    quarantined: Option<String>,
) {
    let began = clock::now();
    let mut pulse = interval(TICK);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pulse.tick().await;
        let now = clock::now();
        let threads = duty.outbox().threads().await.unwrap_or_default();
        let mut conditions = endings(&board, now);
        conditions.extend(stuck(&threads, now));
        conditions.extend(late(&board.lateness(now - LATELY), now));
        conditions.extend(refused(board.config_refused()));
        conditions.extend(quarantined.iter().map(|folder| put_aside(folder, began)));
        if let Err(error) = duty.tick(conditions).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "alerts cannot be stored or told"
            );
        }
        show(&duty, &board, &telemetry, &threads).await;
    }
}

/// The figures of alerts, notices and baselines.
async fn show(duty: &Duty, board: &Board, telemetry: &Telemetry, threads: &[Thread]) {
    let cases = duty.alerts().await;
    let firing = cases
        .iter()
        .filter(|case| case.alert.state == State::Firing);
    telemetry.set_alerts_firing(firing.map(|case| (case.alert.severity, case.alert.kind)));
    telemetry.set_notification_oldest_pending(outbox::oldest_pending(threads));
    let probes: Vec<Arc<Probe>> = board
        .read()
        .values()
        .map(|slot| Arc::clone(&slot.probe))
        .collect();
    let deploys = duty.deploys().await;
    for probe in probes {
        telemetry.set_last_deploy(&probe, last_deploy(&deploys, &probe));
        let explained = duty.explain(&probe.id).await;
        let failed = explained.iter().find(|it| it.stream == Stream::Failed);
        telemetry.set_baseline_failure_ratio(&probe, failed.map(|it| it.baseline));
        let ratio = failed.map(|it| it.window.as_ref().map_or(0.0, |window| window.rate()));
        telemetry.set_failure_ratio(&probe, ratio);
    }
}

/// When the newest marker was set that a probe goes through.
fn last_deploy(deploys: &[Deploy], probe: &Probe) -> Option<Timestamp> {
    let all_or =
        |names: &[String], name: &str| names.is_empty() || names.iter().any(|it| it == name);
    let touches = |deploy: &&Deploy| {
        let scope = &deploy.scope;
        let is_probe = scope.probe.is_empty() || scope.probe.contains(&probe.id);
        let is_provider = all_or(&scope.provider, &probe.provider);
        is_probe && is_provider && all_or(&scope.environment, &probe.environment)
    };
    deploys.iter().filter(touches).map(|deploy| deploy.at).max()
}

/// Certificates, secrets and passwords that end soon. What ends at several probes on the same day is one alert.
fn endings(board: &Board, now: Timestamp) -> Vec<Condition> {
    let mut ends = BTreeMap::<String, (Expiry, Vec<Arc<Probe>>)>::new();
    let probes: Vec<Arc<Probe>> = board
        .read()
        .values()
        .map(|slot| Arc::clone(&slot.probe))
        .collect();
    for probe in probes {
        for expiry in board.expiries(&probe.id) {
            // A refresh token is renewed by the runs themselves; runs that failed have an alert of their own.
            let is_told_elsewhere = expiry.kind == expiry::Kind::RefreshToken || expiry.is_refusal;
            let is_near = expiry.at.duration_since(now) < ENDS_SOON;
            if is_told_elsewhere || !is_near {
                continue;
            }
            let kind = expiry.kind.as_str();
            let key = format!("{kind} {} {}", probe.provider, expiry.what);
            let (_, named) = ends.entry(key).or_insert_with(|| (expiry, Vec::new()));
            named.push(Arc::clone(&probe));
        }
    }
    ends.into_iter()
        .map(|(key, (expiry, probes))| ending(key, &expiry, &probes, now))
        .collect()
}

fn ending(key: String, expiry: &Expiry, probes: &[Arc<Probe>], now: Timestamp) -> Condition {
    let left = expiry.at.duration_since(now);
    let when = match left > SignedDuration::ZERO {
        // What became of a key is said by its name already.
        _ if expiry.kind == expiry::Kind::SigningKey => String::new(),
        true => format!(" ends {}", phrase::until(expiry.at, now)),
        false => format!(" ended {}", phrase::ago(expiry.at, now)),
    };
    let is_urgent = left < ENDS_NOW;
    let names: Vec<ProbeId> = probes.iter().map(|probe| probe.id.clone()).collect();
    let place = names
        .iter()
        .map(|id| id.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let unique = |values: Vec<String>| {
        let mut values = values;
        values.sort();
        values.dedup();
        values
    };
    Condition {
        key,
        kind: match expiry.kind {
            expiry::Kind::SigningKey => Kind::Drift,
            _ => Kind::Expiry,
        },
        severity: match is_urgent && expiry.kind != expiry::Kind::SigningKey {
            true => Severity::Page,
            false => Severity::Ticket,
        },
        scope: Scope {
            provider: unique(probes.iter().map(|it| it.provider.clone()).collect()),
            environment: unique(probes.iter().map(|it| it.environment.clone()).collect()),
            probe: names,
            location: Vec::new(),
        },
        finding: None,
        summary: format!("{place}: {}{when}", expiry.what),
        reason: format!("it is {}", phrase::instant(expiry.at)),
        since: now,
    }
}

/// Notices that a channel has not taken for long.
fn stuck(threads: &[Thread], now: Timestamp) -> Option<Condition> {
    let since = outbox::oldest_pending(threads)?;
    (now.duration_since(since) > STUCK_AFTER).then(|| Condition {
        key: "outbox".to_owned(),
        kind: Kind::Monitor,
        severity: Severity::Page,
        scope: Scope::default(),
        finding: None,
        summary: "notices of this monitor do not arrive: a channel has not taken any for long"
            .to_owned(),
        reason: format!("the oldest waits since {}", phrase::instant(since)),
        since,
    })
}

/// Runs begin late, or so late that they are left out.
fn late(lateness: &[SignedDuration], now: Timestamp) -> Option<Condition> {
    let late = lateness.iter().filter(|it| **it >= LATE).count();
    let worst = lateness.iter().max()?;
    let is_more_than_chance = late >= LEAST_LATE && late * 5 >= lateness.len();
    is_more_than_chance.then(|| Condition {
        key: "lateness".to_owned(),
        kind: Kind::Monitor,
        severity: Severity::Ticket,
        scope: Scope::default(),
        finding: Some(finding(
            Class::Overloaded,
            "runs wait for their turn on this machine".to_owned(),
        )),
        summary: "runs of this monitor begin late: it has too much to do".to_owned(),
        reason: format!(
            "{late} of {} starts in the last {} came {} or more after their time, the latest {}",
            lateness.len(),
            phrase::rough(LATELY),
            phrase::rough(LATE),
            phrase::rough(*worst),
        ),
        since: now,
    })
}

/// The files were changed, and what is in force is older than what they say.
fn refused(faults: Option<(Timestamp, String)>) -> Option<Condition> {
    let (since, faults) = faults?;
    let first = faults.lines().find(|line| !line.trim().is_empty());
    let first = first.unwrap_or_default().trim().to_owned();
    Some(Condition {
        key: "configuration".to_owned(),
        kind: Kind::Monitor,
        severity: Severity::Ticket,
        scope: Scope::default(),
        finding: None,
        summary:
            "the changed configuration of this monitor has faults: the one before is still in force"
                .to_owned(),
        reason: format!("`authcanary validate` lists them all; the first: {first}"),
        since,
    })
}

fn finding(class: Class, detail: String) -> Finding {
    Finding {
        stage: Stage::Monitor,
        class,
        cause: class.cause(),
        action: class.action(),
        detail,
    }
}

fn put_aside(folder: &str, since: Timestamp) -> Condition {
    Condition {
        key: "store".to_owned(),
        kind: Kind::Monitor,
        severity: Severity::Ticket,
        scope: Scope::default(),
        finding: None,
        summary:
            "the store of this monitor could not be read and was put aside: history begins anew"
                .to_owned(),
        reason: format!(
            "what was there is kept in {folder} until you take it away; this alert ends at the next start"
        ),
        since,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_that_come_late_again_and_again_are_told() {
        let check = |late: usize, in_time: usize, is_told: bool| {
            let mut all = vec![SignedDuration::from_secs(25); late];
            all.extend(vec![SignedDuration::from_millis(3); in_time]);
            let told = self::late(&all, Timestamp::UNIX_EPOCH);
            assert_eq!(told.is_some(), is_told, "{late} late, {in_time} in time");
        };
        check(0, 0, false);
        check(2, 0, false);
        check(3, 12, true);
        check(3, 13, false);
        check(40, 0, true);
        let told = late(&[SignedDuration::from_secs(61); 3], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            told.reason,
            "3 of 3 starts in the last 10 min came 10 s or more after their time, the latest 1 min 1 s"
        );
    }
}
