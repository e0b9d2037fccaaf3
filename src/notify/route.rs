//! Who is told of what.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::alert::Alert;

/// Who is told of what. The first route that matches decides, unless it says to go on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Route {
    /// Labels that an alert must carry, each with a value or a list of them: `provider`, `environment`, `probe`,
    /// `location`, `stage`, `class`, `cause`, `severity`, `kind`, or a label of a probe. Everything when left out.
    #[serde(default, rename = "match")]
    pub matches: BTreeMap<String, OneOrMany>,
    /// Channels by name.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub to: Vec<String>,
    /// Whether the routes after this one are asked as well.
    #[serde(default, rename = "continue")]
    pub goes_on: bool,
}

/// A text, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Any of several.
    Many(Vec<String>),
}

/// Labels that every alert has.
pub const ALERT_LABELS: [&str; 9] = [
    "provider",
    "environment",
    "probe",
    "location",
    "stage",
    "class",
    "cause",
    "severity",
    "kind",
];

/// The channels that are told of an alert, by name. `all` are those there are: they are told of an alert that no route
/// matches, so that none is lost for want of a route.
pub fn channels<'a>(
    alert: &Alert,
    routes: &[Route],
    all: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    let mut is_routed = false;
    for route in routes {
        if !fits(alert, &route.matches) {
            continue;
        }
        is_routed = true;
        told.extend(route.to.iter().cloned());
        if !route.goes_on {
            break;
        }
    }
    if is_routed {
        return told;
    }
    all.into_iter().map(str::to_owned).collect()
}

/// Whether an alert carries every label with one of the values wanted.
pub fn fits(alert: &Alert, matches: &BTreeMap<String, OneOrMany>) -> bool {
    let mut wanted = matches.iter();
    wanted.all(|(label, values)| has(alert, label, values.texts()))
}

impl OneOrMany {
    /// The texts, one or many.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

fn has(alert: &Alert, label: &str, wanted: &[String]) -> bool {
    let is = |value: &str| wanted.iter().any(|wanted| wanted == value);
    // An empty list in a scope stands for all, so whatever is wanted is among them.
    let among = |names: &[String]| names.is_empty() || names.iter().any(|name| is(name));
    let verdict = alert.verdict.as_ref();
    match label {
        "fingerprint" => is(&alert.fingerprint.0),
        "provider" => among(&alert.scope.provider),
        "environment" => among(&alert.scope.environment),
        "probe" => {
            let probes = &alert.scope.probe;
            probes.is_empty() || probes.iter().any(|probe| is(probe.as_str()))
        }
        "location" => among(&alert.scope.location),
        "stage" => verdict.is_some_and(|it| is(it.stage.as_str())),
        "class" => verdict.is_some_and(|it| is(it.class.as_str())),
        "cause" => verdict.is_some_and(|it| is(it.cause.as_str())),
        "severity" => is(alert.severity.as_str()),
        "kind" => is(alert.kind.as_str()),
        label => alert.labels.get(label).is_some_and(|value| is(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::sample;

    fn check(routes: &str, expected: &[&str]) {
        let routes: Vec<Route> = serde_json::from_str(routes).unwrap();
        let told = channels(&sample::alert(), &routes, ["mail", "oncall", "chat"]);
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        assert_eq!(told, expected, "{routes:?}");
    }

    #[test]
    fn the_first_route_that_matches_decides_unless_it_goes_on() {
        let prod = r#"{"match": {"environment": "prod"}, "to": ["oncall"]"#;
        check(&format!(r#"[{prod}}}, {{"to": ["mail"]}}]"#), &["oncall"]);
        check(
            &format!(r#"[{prod}, "continue": true}}, {{"to": ["mail"]}}]"#),
            &["mail", "oncall"],
        );
        check(
            r#"[{"match": {"environment": "staging"}, "to": ["oncall"]}, {"to": ["mail"]}]"#,
            &["mail"],
        );
    }

    #[test]
    fn every_label_of_a_route_must_fit_with_any_of_its_values() {
        check(
            r#"[{"match": {"provider": ["auth0", "keycloak"], "severity": "page", "kind": "failure_rate",
                 "stage": "token_exchange", "class": "client_secret_expired", "cause": "credential",
                 "probe": "keycloak/prod", "location": "fra1", "team": "identity"}, "to": ["oncall"]}]"#,
            &["oncall"],
        );
        check(
            r#"[{"match": {"team": "identity", "severity": "ticket"}, "to": ["oncall"]}, {"to": ["mail"]}]"#,
            &["mail"],
        );
        check(
            r#"[{"match": {"owner": "anybody"}, "to": ["oncall"]}, {"to": ["mail"]}]"#,
            &["mail"],
        );
    }

    #[test]
    fn an_alert_that_no_route_takes_goes_to_every_channel() {
        check("[]", &["chat", "mail", "oncall"]);
        check(
            r#"[{"match": {"environment": "staging"}, "to": ["mail"]}]"#,
            &["chat", "mail", "oncall"],
        );
    }

    #[test]
    fn a_scope_of_all_matches_whatever_is_asked_for() {
        let mut alert = sample::alert();
        alert.scope.environment.clear();
        let routes: Vec<Route> =
            serde_json::from_str(r#"[{"match": {"environment": "staging"}, "to": ["x"]}]"#)
                .unwrap();
        assert_eq!(channels(&alert, &routes, []).len(), 1);
    }
}
