//! What a probe says about its own alerts: rules that cannot fire, and settings without effect.

use std::time::Duration;

use crate::alert::Kind;
use crate::probe::{AlertRule, Probe, Severity as AlertSeverity};

use super::Severity::Warning;
use super::{Check, Hit, Rule, Subject, intervals};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Warning,
        "alert-never-fires",
        "an alert needs more bad runs than the probe makes in the six hours that detection looks back",
        "lower `minimum`, or let the probe run more often",
        Check::Files(never_fires),
    ),
    Rule::of(
        Warning,
        "alert-rule-unused",
        "a rule of `alerts` is `off` and has settings all the same, which then mean nothing",
        "leave `off` out, or the settings",
        Check::Files(unused),
    ),
    Rule::of(
        Warning,
        "failure-alerts-off",
        "alerts on failed runs are off, so that nobody is told when sign-in breaks",
        "leave `off` out; `severity: ticket` or `minimum` make an alert quieter, and silences pass",
        Check::Files(failure_off),
    ),
];

/// Detection compares the runs of at most so long.
const LOOKS_BACK: Duration = Duration::from_secs(6 * 3600);

/// The rules of a probe by the keys that they stand at.
fn rules(probe: &Probe) -> [(&'static str, &AlertRule); 3] {
    [
        ("failure_rate", &probe.alerts.failure_rate),
        ("latency", &probe.alerts.latency),
        ("monitor", &probe.alerts.monitor),
    ]
}

fn never_fires(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        let runs = intervals::most_within(subject, probe, LOOKS_BACK);
        for (key, rule) in rules(probe) {
            let needed = rule
                .minimum
                .filter(|&minimum| !rule.off && minimum as usize > runs);
            if let Some(needed) = needed {
                let message =
                    format!("needs {needed} bad runs within six hours, and the probe makes {runs}");
                hits.push(subject.at(probe, &["alerts", key, "minimum"], message));
            }
        }
    }
    hits
}

fn unused(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        for (key, rule) in rules(probe) {
            let plain = AlertRule {
                off: true,
                ..AlertRule::default()
            };
            if rule.off && *rule != plain {
                let message = "these alerts are off, so that the other settings mean nothing";
                hits.push(subject.at(probe, &["alerts", key, "off"], message));
            }
        }
    }
    hits
}

fn failure_off(subject: &Subject<'_>) -> Vec<Hit> {
    subject
        .probes()
        .filter(|probe| probe.alerts.failure_rate.off)
        .map(|probe| {
            let message = format!("nobody is told when {} fails", probe.id);
            subject.at(probe, &["alerts", "failure_rate", "off"], message)
        })
        .collect()
}

/// Whether this probe can have an alert of this kind and severity.
pub(super) fn can_have(probe: &Probe, kind: Kind, severity: AlertSeverity) -> bool {
    let rule = match kind {
        Kind::FailureRate => &probe.alerts.failure_rate,
        Kind::Latency => &probe.alerts.latency,
        Kind::Monitor => &probe.alerts.monitor,
        Kind::Expiry | Kind::Drift | Kind::Security => return true,
    };
    let is_too_loud = severity == AlertSeverity::Page && rule.severity == AlertSeverity::Ticket;
    !rule.off && !is_too_loud
}
