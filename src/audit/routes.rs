//! Routes: conditions that no alert can meet, alerts that no route takes, labels that mean two things.

use std::str::FromStr;

use strum::IntoEnumIterator;

use crate::alert::Kind;
use crate::notify::route::{ALERT_LABELS, OneOrMany, Route};
use crate::probe::{Probe, Severity as AlertSeverity};
use crate::taxonomy::{Cause, Class, Stage};

use super::Severity::{Error, Warning};
use super::alerts::can_have;
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Error,
        "route-never-fires",
        "a route waits for a value that no alert can have, or for values that no alert has together",
        "write values of your probes and words of the taxonomy",
        Check::Files(never_fires),
    ),
    Rule::of(
        Warning,
        "probe-unrouted",
        "no route takes the alerts of a probe, so that they go to every channel",
        "add a route without `match` at the end, or one for this probe",
        Check::Files(unrouted),
    ),
    Rule::of(
        Warning,
        "label-shadowed",
        "a label of a probe has the name of one that every alert has anyway, so that routes cannot tell them apart",
        "choose another name",
        Check::Files(shadowed),
    ),
];

fn known<T: FromStr>(value: &str) -> bool {
    T::from_str(value).is_ok()
}

/// Whether any alert can carry this value of a label that tells what happened, not where; `None` for other labels.
fn is_word(label: &str, value: &str) -> Option<bool> {
    match label {
        "stage" => Some(known::<Stage>(value)),
        "class" => Some(known::<Class>(value)),
        "cause" => Some(known::<Cause>(value)),
        "severity" => Some(known::<AlertSeverity>(value)),
        "kind" => Some(known::<Kind>(value)),
        _ => None,
    }
}

/// Whether alerts of this probe can carry this value of a label that tells where.
fn is_of(subject: &Subject<'_>, probe: &Probe, label: &str, value: &str) -> bool {
    match label {
        "provider" => probe.provider == value,
        "environment" => probe.environment == value,
        "probe" => probe.id.as_str() == value,
        "location" => subject.daemon.location == value,
        own => probe
            .alerts
            .labels
            .get(own)
            .is_some_and(|label| label == value),
    }
}

/// The words of one label that a route takes; all of them when it does not name the label.
fn wanted<T: FromStr + IntoEnumIterator>(route: &Route, label: &str) -> Vec<T> {
    match route.matches.get(label) {
        Some(wanted) => wanted
            .texts()
            .iter()
            .filter_map(|value| value.parse().ok())
            .collect(),
        None => T::iter().collect(),
    }
}

/// Whether a route takes some alert of this probe.
fn takes(subject: &Subject<'_>, route: &Route, probe: &Probe) -> bool {
    let severities: Vec<AlertSeverity> = wanted(route, "severity");
    let kinds: Vec<Kind> = wanted(route, "kind");
    let is_possible = |kind: &Kind| {
        severities
            .iter()
            .any(|severity| can_have(probe, *kind, *severity))
    };
    if !kinds.iter().any(is_possible) {
        return false;
    }
    route.matches.iter().all(|(label, wanted)| {
        let fits = |value: &String| {
            is_word(label, value).unwrap_or_else(|| is_of(subject, probe, label, value))
        };
        wanted.texts().iter().any(fits)
    })
}

fn never_fires(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (index, route) in subject.daemon.routes.iter().enumerate() {
        let route_index = index.to_string();
        let before = hits.len();
        for (label, wanted) in &route.matches {
            for (item, value) in wanted.texts().iter().enumerate() {
                let of_any = |probe| is_of(subject, probe, label, value);
                if is_word(label, value).unwrap_or_else(|| subject.probes().any(of_any)) {
                    continue;
                }
                let item = item.to_string();
                let mut path = vec!["routes", &route_index, "match", label];
                if let OneOrMany::Many(_) = wanted {
                    path.push(&item);
                }
                let message = format!("no alert has {label} {}", crate::oauth::quoted(value));
                hits.push(subject.at_daemon(&path, message));
            }
        }
        let takes_any = subject.probes().any(|probe| takes(subject, route, probe));
        if before == hits.len() && !takes_any && !subject.daemon.probes.is_empty() {
            let message =
                "each of these values is good by itself, and no probe has alerts with all of them";
            hits.push(subject.at_daemon(&["routes", &route_index, "match"], message));
        }
    }
    hits
}

fn unrouted(subject: &Subject<'_>) -> Vec<Hit> {
    // Without any channel there is another rule to say so.
    if subject.daemon.channels.is_empty() {
        return Vec::new();
    }
    let routes = &subject.daemon.routes;
    let taken = |probe: &Probe| routes.iter().any(|route| takes(subject, route, probe));
    let left: Vec<&str> = subject
        .probes()
        .filter(|probe| !taken(probe))
        .map(|probe| probe.id.as_str())
        .collect();
    if left.is_empty() {
        return Vec::new();
    }
    let message = format!("no route takes alerts of {}", left.join(", "));
    vec![subject.at_daemon(&["routes"], message)]
}

fn shadowed(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        for label in probe
            .alerts
            .labels
            .keys()
            .filter(|label| ALERT_LABELS.contains(&label.as_str()))
        {
            let message = format!("every alert has a `{label}` of its own");
            hits.push(subject.at(probe, &["alerts", "labels", label], message));
        }
    }
    hits
}
