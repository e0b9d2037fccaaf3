//! Dashboards and rules against the table of figures: they ask for what there is, under its very names and labels, and
//! nothing that is published goes unused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use authcanary::telemetry::{Kind, figures};
use regex::Regex;
use serde_json::Value;

const DASHBOARDS: [&str; 4] = ["overview", "provider", "release", "monitor"];
const RULES: [&str; 2] = ["recording", "alerts"];

fn dashboard(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(format!("dashboards/{name}.json")).unwrap()).unwrap()
}

fn rules(name: &str) -> String {
    fs::read_to_string(format!("dashboards/prometheus/{name}.yaml")).unwrap()
}

/// Every text in a document that holds a query.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if ["expr", "query"].contains(&key.as_str()) => {
                        found.push(text.clone());
                    }
                    other => queries(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The text of every query by the file it stands in. Rules are taken whole: what is not a query names no figure either.
fn asked() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for name in DASHBOARDS {
        let mut found = Vec::new();
        queries(&dashboard(name), &mut found);
        assert!(found.len() > 10, "{name} asks nothing");
        all.extend(found.into_iter().map(|query| (name.to_owned(), query)));
    }
    all.extend(RULES.map(|name| (name.to_owned(), rules(name))));
    all
}

/// Labels of every series that can be asked for.
fn series() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut series = BTreeMap::new();
    for figure in figures() {
        let mut labels: BTreeSet<&str> = figure.all_labels().into_iter().collect();
        labels.insert("instance");
        if figure.kind == Kind::Histogram {
            series.insert(format!("{}_sum", figure.name), labels.clone());
            series.insert(format!("{}_count", figure.name), labels.clone());
            labels.insert("le");
            series.insert(format!("{}_bucket", figure.name), labels);
        } else {
            series.insert(figure.name.to_owned(), labels);
        }
    }
    series
}

#[test]
fn only_figures_and_labels_that_exist_are_asked_for() {
    let series = series();
    let selector = Regex::new(r"(?:^|[^:\w])(authcanary_\w+)(?:\{([^}]*)\})?").unwrap();
    let matcher = Regex::new(r"(\w+)\s*(?:=~|!~|!=|=)").unwrap();
    for (file, text) in asked() {
        for found in selector.captures_iter(&text) {
            let labels = series
                .get(&found[1])
                .unwrap_or_else(|| panic!("{file}: nothing is called {}: {text}", &found[1]));
            for label in matcher.captures_iter(found.get(2).map_or("", |labels| labels.as_str())) {
                assert!(
                    labels.contains(&label[1]),
                    "{file}: {} has no label {}",
                    &found[1],
                    &label[1]
                );
            }
        }
    }
}

#[test]
fn only_labels_that_exist_are_grouped_by() {
    let all: BTreeSet<&str> = series().into_values().flatten().collect();
    let grouping = Regex::new(r"\b(?:by|on|without|ignoring) \(([^)]*)\)").unwrap();
    let legend = Regex::new(r"\{\{(?:\s*\$labels\.)?(\w+)\s*\}\}").unwrap();
    let texts = asked().into_iter().chain(DASHBOARDS.map(|name| {
        (
            name.to_owned(),
            fs::read_to_string(format!("dashboards/{name}.json")).unwrap(),
        )
    }));
    for (file, text) in texts {
        let grouped = grouping.captures_iter(&text).flat_map(|found| {
            let labels = found[1].split(',').map(|label| label.trim().to_owned());
            let labels = labels.filter(|label| !label.is_empty());
            labels.collect::<Vec<_>>()
        });
        let shown = legend.captures_iter(&text).map(|found| found[1].to_owned());
        for label in grouped.chain(shown) {
            assert!(
                all.contains(label.as_str()),
                "{file}: nothing has a label {label:?}"
            );
        }
    }
}

#[test]
fn recorded_figures_are_asked_for_by_the_names_that_they_have() {
    let recorded: BTreeSet<String> = Regex::new(r"record: (\S+)")
        .unwrap()
        .captures_iter(&rules("recording"))
        .map(|found| found[1].to_owned())
        .collect();
    assert!(recorded.len() > 5);
    let name = Regex::new(r"\b\w+:authcanary_\w+:\w+").unwrap();
    for text in RULES.map(rules) {
        for found in name.find_iter(&text) {
            assert!(
                recorded.contains(found.as_str()),
                "{} is not recorded",
                found.as_str()
            );
        }
    }
}

#[test]
fn every_figure_is_on_a_dashboard_or_in_a_rule() {
    let all: Vec<String> = asked().into_iter().map(|(_, text)| text).collect();
    for figure in figures() {
        let is_asked = all.iter().any(|text| text.contains(figure.name));
        assert!(is_asked, "nothing asks for {}", figure.name);
    }
}

#[test]
fn dashboards_import_cleanly() {
    let baked = Regex::new(r#""uid":"([^"]*)""#).unwrap();
    let variable = Regex::new(r"\$\{?([a-z]\w*)").unwrap();
    let mut uids = BTreeSet::new();
    for name in DASHBOARDS {
        let dashboard = dashboard(name);
        assert_eq!(dashboard["id"], Value::Null);
        assert_eq!(dashboard["schemaVersion"], 42);
        assert!(
            dashboard["title"]
                .as_str()
                .unwrap()
                .starts_with("authcanary: ")
        );
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()));
        let text = dashboard.to_string();
        for found in baked.captures_iter(&text) {
            let is_free = [
                "${datasource}",
                "-- Grafana --",
                &format!("authcanary-{name}"),
            ]
            .contains(&&found[1]);
            assert!(is_free, "{name}: the data source {} is baked in", &found[1]);
        }
        let variables: BTreeSet<&str> = dashboard["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| variable["name"].as_str().unwrap())
            .collect();
        for found in variable.captures_iter(&text) {
            assert!(
                variables.contains(&found[1]),
                "{name}: there is no variable {}",
                &found[1]
            );
        }
        check_panels(name, dashboard["panels"].as_array().unwrap());
    }
}

/// An address whose parts are cut apart at the wrong places leads nowhere.
#[test]
fn links_to_traces_ask_for_what_a_span_carries() {
    let document = fs::read_to_string("docs/telemetry.md").unwrap();
    let attribute = Regex::new(r"span\.([a-z._]+)=").unwrap();
    let placeholder = Regex::new(r"\$\{[^}]*\}").unwrap();
    let mut links = 0;
    for name in DASHBOARDS {
        let text = fs::read_to_string(format!("dashboards/{name}.json")).unwrap();
        for line in text.lines().filter(|line| line.contains("\"/explore?")) {
            let line = line.split_once(": ").unwrap().1.trim_end_matches(',');
            let url: String = serde_json::from_str(line).unwrap();
            let filled = placeholder.replace_all(&url, "x");
            let base = url::Url::parse("https://grafana.example.com").unwrap();
            let query: BTreeMap<String, String> = base
                .join(&filled)
                .unwrap()
                .query_pairs()
                .into_owned()
                .collect();
            assert_eq!(query.len(), 2, "{name}: {query:?}");
            let panes: Value = serde_json::from_str(&query["panes"])
                .unwrap_or_else(|error| panic!("{name}: {error}: {query:?}"));
            let asked = panes["a"]["queries"][0]["query"].as_str().unwrap();
            for found in attribute.captures_iter(asked) {
                let known = format!("`{}`", &found[1]);
                assert!(document.contains(&known), "{name}: no span has {known}");
                links += 1;
            }
        }
    }
    assert!(links > 3, "{links}");
}

/// The alerts of the rules, each as its lines.
fn alerts() -> Vec<(String, String)> {
    let text = rules("alerts");
    let alerts: Vec<_> = text
        .split("- alert: ")
        .skip(1)
        .map(|rest| {
            let (name, body) = rest.split_once('\n').unwrap();
            (name.to_owned(), body.to_owned())
        })
        .collect();
    assert!(alerts.len() > 15, "{}", alerts.len());
    alerts
}

/// Whoever is told knows what to do, and where more of it stands.
#[test]
fn every_alert_says_what_to_do_and_leads_to_its_section() {
    let document = fs::read_to_string("docs/prometheus.md").unwrap();
    let sections = document.matches("\n## ").count();
    assert_eq!(sections, alerts().len(), "sections without an alert");
    for (name, body) in alerts() {
        let is_severe = ["page", "ticket"].map(|word| format!("labels: {{severity: {word}}}"));
        let is_severe = is_severe.iter().any(|labels| body.contains(labels));
        assert!(is_severe, "{name} has no severity");
        for annotation in ["summary: ", "description: "] {
            assert!(body.contains(annotation), "{name} has no {annotation}");
        }
        let anchor = format!("/runbooks/prometheus#{}'", name.to_lowercase());
        assert!(body.contains(&anchor), "{name} does not lead to {anchor}");
        let heading = format!("\n## {name}\n\n");
        assert!(document.contains(&heading), "no section on {name}");
    }
}

/// `promtool test rules` says whether they pass; this says that none is left out, neither as it fires nor as it does not.
#[test]
fn every_alert_is_tested_firing_and_quiet() {
    let tests = fs::read_to_string("dashboards/prometheus/tests.yaml").unwrap();
    for (name, _) in alerts() {
        let case = Regex::new(&format!(
            r"alertname: {name}(?:,|\n)\s*eval_time: \w+(?:,|\n)\s*exp_alerts:(.*)"
        ))
        .unwrap();
        let (quiet, firing): (Vec<_>, Vec<_>) = case
            .captures_iter(&tests)
            .partition(|found| found[1].trim().starts_with("[]"));
        assert!(!firing.is_empty(), "{name} is never seen firing");
        assert!(!quiet.is_empty(), "{name} is never seen quiet");
    }
}

/// Each has a number, a title and a place of its own.
fn check_panels(name: &str, panels: &[Value]) {
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}");
        let side = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{name}: {title} stands out");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(
                    taken.insert((x, y)),
                    "{name}: {title} lies on another panel"
                );
            }
        }
    }
}

#[test]
fn dashboards_are_what_their_script_writes() {
    let ended = Command::new("python3")
        .args(["dashboards/build.py", "--check"])
        .output()
        .expect("python3 is there");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success(),
        "{told}run python3 dashboards/build.py"
    );
}
