//! Numbers of panels, worked out by the engine of Prometheus over series that are made up: what a scrape of a few minutes
//! cannot show, such as a counter that begins with a one and begins anew with the daemon.

use std::fs;
use std::process::Command;

use regex::{Captures, Regex};
use serde_json::{Value, json};

/// Born at 10 min with its first failure, two more at 35 min, a restart at 41 min, and again two.
const FAILURES: &str = "_x10 1 1x23 2 3 3x3 0x4 1 2 2x40";
const LABELS: &str = r#"provider="acme",environment="prod",probe="acme/prod",location="fra1""#;
const VERDICT: &str = r#"stage="token_exchange",class="invalid_client",cause="credential""#;
const KIND: &str =
    r#"{probe="acme/prod",stage="token_exchange",class="invalid_client",cause="credential"}"#;

/// The first expression of a panel, with everything chosen.
fn expression(dashboard: &str, title: &str, deploy_s: u32) -> String {
    let text = fs::read_to_string(format!("dashboards/{dashboard}.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let panel = panels.iter().find(|panel| panel["title"] == title);
    let panel = panel.unwrap_or_else(|| panic!("there is no panel {title}"));
    let value = |found: &Captures<'_>| match &found[1] {
        "window" => "30m".to_owned(),
        "__interval" => "5m".to_owned(),
        "deploy" => deploy_s.to_string(),
        _ => ".*".to_owned(),
    };
    let variable = Regex::new(r"\$(\w+)").unwrap();
    let asked = panel["targets"][0]["expr"].as_str().unwrap();
    variable.replace_all(asked, value).into_owned()
}

/// What an expression is to give at a minute.
fn case(expr: &str, minute: u32, labels: &str, value: Option<u32>) -> Value {
    let samples: Vec<Value> = value
        .map(|value| json!({"labels": labels, "value": value}))
        .into_iter()
        .collect();
    json!({"expr": expr, "eval_time": format!("{minute}m"), "exp_samples": samples})
}

#[test]
fn failures_are_counted_from_the_first_on_and_over_a_restart() {
    let what_failed = expression("overview", "What failed", 0);
    let classes = expression("provider", "Classes", 0);
    let class = r#"{stage="token_exchange",class="invalid_client"}"#;
    let new_after = |minute: u32| expression("release", "New since the deploy", minute * 60);
    let cases = [
        case(&what_failed, 10, KIND, Some(1)),
        case(&what_failed, 36, KIND, Some(3)),
        case(&what_failed, 60, KIND, Some(4)),
        case(&what_failed, 79, KIND, None),
        case(&classes, 14, class, Some(1)),
        case(&classes, 20, class, None),
        case(&classes, 39, class, Some(2)),
        case(&classes, 44, class, None),
        case(&classes, 49, class, Some(2)),
        // A deploy before the first of all, one after it, and one after the restart.
        case(&new_after(9), 60, KIND, Some(3)),
        case(&new_after(33), 70, KIND, None),
        case(&new_after(43), 75, KIND, None),
    ];
    let tests = json!({"rule_files": [], "evaluation_interval": "1m", "tests": [{
        "interval": "1m",
        "input_series": [{
            "series": format!(r#"authcanary_failures_total{{{LABELS},{VERDICT},instance="canary:8420"}}"#),
            "values": FAILURES,
        }],
        "promql_expr_test": cases,
    }]});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("panels.yaml");
    // JSON is YAML as well.
    fs::write(&file, tests.to_string()).unwrap();
    let ended = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .expect("promtool is installed: make setup");
    let told = [&ended.stdout, &ended.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(ended.status.success(), "{}", told.concat());
}
