//! Dashboards and rules with a real Prometheus that scrapes a real daemon: everything they ask for is there. The probes need
//! no browser: one passes until its provider breaks, one is refused, one cannot be judged.

mod panels;
mod prometheus;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use authcanary::loopback::{self, Config, Endpoint, Fault, Kind, Loopback};
use regex::{Captures, Regex};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::canary::Canary;
use crate::service::Service;
use prometheus::{Prometheus, has_data, now};

/// For everything together, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(600);

const DASHBOARDS: [&str; 4] = ["overview", "provider", "release", "monitor"];
const PROBES: [&str; 3] = ["good", "bad", "blind"];

fn canary(provider: &Loopback) -> Canary {
    let issuer = provider.issuer();
    let client = |secret: &str| format!("{{id: demo-basic, secret: {{env: {secret}}}}}");
    let environment = |name: &str, secret: &str| {
        format!(
            "  {name}: {{issuer: \"{issuer}\", client: {}}}\n",
            client(secret)
        )
    };
    let probe = format!(
        "version: 1\nprovider: loopback\nflow: client_credentials\nevery: 5s\nexpires: {{client_secret: 2099-01-01}}\nenvironments:\n{}{}{}",
        environment("good", "SECRET"),
        environment("bad", "OTHER"),
        environment("blind", "NOWHERE"),
    );
    let more =
        "channels: {oncall: {webhook: {url: \"http://127.0.0.1:9/\"}}}\nroutes: [{to: [oncall]}]\n";
    Canary::with_daemon(&probe, more)
        .variable("SECRET", "demo-basic-secret")
        .variable("OTHER", "not-the-secret")
}

/// A daemon, its provider, and a Prometheus beside it.
struct Scene {
    provider: Loopback,
    service: Service,
    prometheus: Prometheus,
    began: u64,
    end: Instant,
    _canary: Canary,
}

impl Scene {
    async fn start() -> Self {
        let provider = loopback::start(Config::demo()).await.unwrap();
        let canary = canary(&provider);
        let service = Service::start(&canary).await;
        let prometheus = Prometheus::start(&service.address).await;
        Self {
            provider,
            service,
            prometheus,
            began: now(),
            end: Instant::now() + PATIENCE,
            _canary: canary,
        }
    }

    /// Runs all probes again and again until Prometheus finds something.
    async fn run_until(&self, what: &str, expr: &str) {
        let mut told = Err(String::new());
        while Instant::now() < self.end {
            for probe in PROBES {
                let url = format!(
                    "{}/api/v1/probes/loopback/{probe}/runs",
                    self.service.address
                );
                // Refused where a run is under way, which is as good.
                let _ = reqwest::Client::new().post(url).send().await;
            }
            sleep(Duration::from_millis(300)).await;
            told = self.prometheus.query(expr).await;
            if told.as_ref().is_ok_and(has_data) {
                return;
            }
        }
        panic!("waited in vain for {what}: {expr} gives {told:?}");
    }

    /// Asks until there is data. What Prometheus does not understand fails at once.
    async fn data(&self, what: &str, expr: &str, is_range: bool) -> Value {
        loop {
            let told = match is_range {
                true => self.prometheus.range(expr, self.began).await,
                false => self.prometheus.query(expr).await,
            };
            let data = told.unwrap_or_else(|error| panic!("{what}: {error}\n{expr}"));
            if has_data(&data) {
                return data;
            }
            assert!(
                Instant::now() < self.end,
                "{what} has no data: {data}\n{expr}"
            );
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// Asks the API until the answer has what is looked for. On a busy machine a scrape may fail now and then.
    async fn asked<T>(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
        look: impl Fn(&Value) -> Option<T>,
    ) -> T {
        loop {
            let told = self.prometheus.ask(path, parameters).await;
            if let Some(found) = told.as_ref().ok().and_then(&look) {
                return found;
            }
            assert!(Instant::now() < self.end, "{path} gives {told:#?}");
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// Posts a marker as a release team does, and gives its second once Prometheus knows it.
    async fn deploy(&self) -> u64 {
        let at = now();
        let marker = r#"{"id": "v2", "by": "the test"}"#;
        let request = reqwest::Client::new()
            .post(format!("{}/api/v1/deploys", self.service.address))
            .header("content-type", "application/json");
        let answer = request.body(marker).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let figure = "authcanary_last_deploy_timestamp_seconds";
        self.run_until("the marker", figure).await;
        at
    }

    /// A history that fills every panel: a while that passes, a deploy, then failures of a kind that was not there before.
    async fn make_history(&self) {
        let increase = |outcome: &str, probe: &str, more: &str| {
            format!(
                r#"increase(authcanary_runs_total{{outcome="{outcome}",probe="loopback/{probe}"}}[30m]{more}) >= 2"#
            )
        };
        for (outcome, probe) in [("ok", "good"), ("failed", "bad"), ("unknown", "blind")] {
            self.run_until("runs before the deploy", &increase(outcome, probe, ""))
                .await;
        }
        let deploy = self.deploy().await;
        let after = format!(" @ {deploy} offset -30m");
        self.run_until(
            "good runs after the deploy",
            &increase("ok", "good", &after),
        )
        .await;
        let fault = Fault::new(Endpoint::Token, Kind::Status(503));
        self.provider.faults().put(fault).unwrap();
        let new = r#"increase(authcanary_failures_total{probe="loopback/good"}[30m]) >= 2"#;
        self.run_until("failures of a new kind", new).await;
        self.run_until(
            "scheduled starts",
            "sum(increase(authcanary_start_lateness_seconds_count[30m])) >= 2",
        )
        .await;
    }
}

/// Variables as Grafana puts them into a query.
fn substitute(text: &str, variables: &BTreeMap<String, String>) -> String {
    let variable = Regex::new(r"\$\{(\w+)(?::[\w:]+)?\}|\$(\w+)").unwrap();
    let value = |found: &Captures<'_>| {
        let name = found.get(1).or(found.get(2)).unwrap().as_str();
        variables
            .get(name)
            .unwrap_or_else(|| panic!("no variable {name} in {text}"))
            .clone()
    };
    variable.replace_all(text, value).into_owned()
}

/// The values of a dashboard's variables: everything where that can be chosen, else the first that is found.
async fn variables(scene: &Scene, dashboard: &Value) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = [
        ("__interval", "5s".to_owned()),
        ("__rate_interval", "5s".to_owned()),
        ("__from", scene.began.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let label_values = Regex::new(r"^label_values\((.*), (\w+)\)$").unwrap();
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        let value = match variable["type"].as_str().unwrap() {
            "query" => {
                let query = variable["query"]["query"].as_str().unwrap();
                let query = substitute(query, &values);
                let found = if let Some(parts) = label_values.captures(&query) {
                    let path = format!("/api/v1/label/{}/values", &parts[2]);
                    let found = scene
                        .prometheus
                        .ask(&path, &[("match[]", &parts[1])])
                        .await
                        .unwrap();
                    found[0].as_str().expect("a value to choose").to_owned()
                } else {
                    // As Grafana writes a result, for the pattern of the variable to read.
                    let expr = query
                        .strip_prefix("query_result(")
                        .unwrap()
                        .strip_suffix(')')
                        .unwrap();
                    let sample = scene.data(name, expr, false).await["result"][0]["value"].clone();
                    let text = format!("{{}} {} {}000", sample[1].as_str().unwrap(), sample[0]);
                    let pattern = variable["regex"].as_str().unwrap().trim_matches('/');
                    Regex::new(pattern)
                        .unwrap()
                        .captures(&text)
                        .expect("a value")[1]
                        .to_owned()
                };
                match variable["includeAll"].as_bool() {
                    Some(true) => variable["allValue"].as_str().unwrap().to_owned(),
                    _ => found,
                }
            }
            "custom" => variable["current"]["value"].as_str().unwrap().to_owned(),
            _ => continue,
        };
        values.insert(name.to_owned(), value);
    }
    values
}

#[tokio::test]
async fn everything_that_dashboards_and_rules_ask_for_is_there() {
    let scene = Scene::start().await;
    scene.make_history().await;
    let mut asked = 0;
    for name in DASHBOARDS {
        let text = fs::read_to_string(format!("dashboards/{name}.json")).unwrap();
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let variables = variables(&scene, &dashboard).await;
        // The daemon itself says where its pages are.
        let canary = variables["canary"].as_str();
        assert_eq!(canary, scene.service.address.trim_end_matches('/'));
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            for target in panel["targets"].as_array().into_iter().flatten() {
                let what = format!("{name}, {title}, {}", target["refId"]);
                let expr = substitute(target["expr"].as_str().unwrap(), &variables);
                scene.data(&what, &expr, target["range"] == true).await;
                asked += 1;
            }
        }
        for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
            if let Some(expr) = annotation["expr"].as_str() {
                scene.data(name, &substitute(expr, &variables), false).await;
            }
        }
    }
    assert!(asked > 60, "only {asked} queries");
    check_links(&scene).await;
    check_rules(&scene).await;
    check_scrape(&scene).await;
    check_text(&scene).await;
}

/// Every address of a page that dashboards and alerts link to, with what a series or a row would put into it.
async fn check_links(scene: &Scene) {
    let mut links = BTreeSet::new();
    let values = [("probe", "loopback/good"), ("class", "server_error")];
    let link = Regex::new(r#""(\$\{canary:raw\}[^"]*)""#).unwrap();
    for name in DASHBOARDS {
        let text = fs::read_to_string(format!("dashboards/{name}.json")).unwrap();
        for found in link.captures_iter(&text) {
            let mut url =
                found[1].replace("${canary:raw}", scene.service.address.trim_end_matches('/'));
            for (label, value) in values {
                for place in ["__field.labels", "__data.fields"] {
                    url = url.replace(&format!("${{{place}.{label}}}"), value);
                }
            }
            assert!(!url.contains('$'), "{name}: {url}");
            links.insert(url);
        }
    }
    // Alerts that wait for their time have their annotations already.
    let alerts = scene
        .asked("/api/v1/alerts", &[], |data| {
            let alerts = data["alerts"].as_array()?;
            let leads = |alert: &Value| {
                alert["annotations"]["runbook_url"]
                    .as_str()
                    .map(str::to_owned)
            };
            let leads: Vec<String> = alerts.iter().filter_map(leads).collect();
            (!leads.is_empty()).then_some(leads)
        })
        .await;
    links.extend(alerts);
    assert!(links.len() > 3, "{links:?}");
    for url in links {
        let page = reqwest::get(&url).await.unwrap();
        assert_eq!(page.status(), 200, "{url}");
        let page = page.text().await.unwrap();
        if let Some((_, anchor)) = url.split_once('#') {
            assert!(page.contains(&format!("id=\"{anchor}\"")), "{url}");
        }
    }
}

/// Every rule is worked out without a fault, what is recorded has data, and so has everything that alerts look at.
async fn check_rules(scene: &Scene) {
    let selector = Regex::new(r"[\w:]*\bauthcanary_[\w:]+(?:\{[^}]*\})?").unwrap();
    let of_kind = Regex::new(r"\{kind[^}]*\}").unwrap();
    let rules = scene
        .asked("/api/v1/rules", &[], |data| {
            let groups = data["groups"].as_array()?.iter();
            let rules = groups
                .filter_map(|group| group["rules"].as_array())
                .flatten();
            let rules: Vec<Value> = rules.cloned().collect();
            let is_sound = rules.iter().all(|rule| rule["health"] == "ok");
            is_sound.then_some(rules)
        })
        .await;
    assert!(rules.len() > 20, "{} rules", rules.len());
    for rule in rules {
        let name = rule["name"].as_str().unwrap();
        if rule["type"] == "recording" {
            scene.data(name, name, false).await;
        }
        for found in selector.find_iter(rule["query"].as_str().unwrap()) {
            // These probes have one kind of end; tests of the radar show the others.
            let any_kind = of_kind.replace(found.as_str(), "");
            scene.data(name, &any_kind, false).await;
        }
    }
}

/// The scrape is OpenMetrics without a complaint, and its exemplars lead to runs of the daemon.
async fn check_scrape(scene: &Scene) {
    scene
        .asked("/api/v1/targets", &[], |data| {
            let target = &data["activeTargets"][0];
            (target["health"] == "up" && target["lastError"] == "").then_some(())
        })
        .await;
    // Only OpenMetrics tells units.
    let metric = [("metric", "authcanary_run_duration_seconds")];
    scene
        .asked("/api/v1/targets/metadata", &metric, |data| {
            (data[0]["type"] == "histogram" && data[0]["unit"] == "seconds").then_some(())
        })
        .await;
    let start = scene.began.to_string();
    for figure in ["run", "step"] {
        let query = format!("authcanary_{figure}_duration_seconds_bucket");
        let parameters = [
            ("query", query.as_str()),
            ("start", &start),
            ("end", "4102444800"),
        ];
        let labels = scene
            .asked("/api/v1/query_exemplars", &parameters, |data| {
                let labels = &data[0]["exemplars"][0]["labels"];
                labels.is_object().then(|| labels.clone())
            })
            .await;
        assert_eq!(labels["trace_id"].as_str().unwrap().len(), 32);
        let run = labels["run_id"].as_str().unwrap();
        let page = reqwest::get(format!("{}/runs/{run}", scene.service.address)).await;
        assert_eq!(page.unwrap().status(), 200);
    }
}

/// The text format, by the tool that Prometheus has for it.
async fn check_text(scene: &Scene) {
    let answer = reqwest::get(format!("{}/metrics", scene.service.address))
        .await
        .unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let text = answer.text().await.unwrap();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    let ended = promtool.wait_with_output().await.unwrap();
    assert!(ended.status.success(), "{}", told(&ended));
    assert_eq!(told(&ended), "", "promtool has remarks");
}

fn told(ended: &Output) -> String {
    [&ended.stdout, &ended.stderr]
        .map(|bytes| String::from_utf8_lossy(bytes))
        .concat()
}

#[tokio::test]
async fn rules_are_sound_and_their_tests_pass() {
    let folder = Path::new("dashboards/prometheus");
    let cases = [
        vec![
            "check",
            "rules",
            "--lint-fatal",
            "recording.yaml",
            "alerts.yaml",
        ],
        vec!["test", "rules", "tests.yaml"],
    ];
    for arguments in cases {
        let ended = Command::new("promtool")
            .args(&arguments)
            .current_dir(folder)
            .output()
            .await;
        let ended = ended.expect("promtool is installed: make setup");
        assert!(
            ended.status.success(),
            "promtool {arguments:?}: {}",
            told(&ended)
        );
    }
}

/// No Grafana is at hand; the types that it publishes for dashboards and panels are.
#[tokio::test]
async fn dashboards_fit_the_types_that_grafana_publishes() {
    let files = DASHBOARDS.map(|name| format!("dashboards/{name}.json"));
    let check = "tests/live/grafana/check.mjs";
    let ended = Command::new("node").arg(check).args(files).output().await;
    let ended = ended.expect("node is installed");
    assert!(ended.status.success(), "{}", told(&ended));
}
