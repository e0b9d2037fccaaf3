//! A real Prometheus beside a daemon, with the rules that are shipped.

use std::fs;
use std::process::Stdio;
use std::time::SystemTime;

use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::PATIENCE;

/// A Prometheus of our own, with its data in a temporary folder; killed when dropped.
pub(super) struct Prometheus {
    _process: Child,
    address: String,
    _folder: TempDir,
}

impl Prometheus {
    pub(super) async fn start(daemon: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["recording.yaml", "alerts.yaml"] {
            let rules = fs::read_to_string(format!("dashboards/prometheus/{name}")).unwrap();
            // Rules are worked out as often as there is something new.
            let rules = rules.replace("interval: 1m", "interval: 1s");
            fs::write(folder.path().join(name), rules).unwrap();
        }
        let target = daemon.strip_prefix("http://").unwrap();
        let config = format!(
            "global: {{scrape_interval: 2s, evaluation_interval: 1s}}\nrule_files: [recording.yaml, alerts.yaml]\nscrape_configs: [{{job_name: authcanary, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut process = Command::new("prometheus")
            .arg(format!("--config.file={}", at("prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", at("data")))
            .args([
                "--web.listen-address=127.0.0.1:0",
                "--enable-feature=exemplar-storage",
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus is installed: make setup");
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        let listening = Regex::new(r#"msg="Listening on" address=(\S+)"#).unwrap();
        let address = timeout(PATIENCE, async {
            loop {
                let line = log
                    .next_line()
                    .await
                    .unwrap()
                    .expect("Prometheus says where it listens");
                if let Some(found) = listening.captures(&line) {
                    return format!("http://{}", &found[1]);
                }
            }
        });
        let address = address.await.expect("Prometheus listens in time");
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self {
            _process: process,
            address,
            _folder: folder,
        }
    }

    /// What an address of its API gives as `data`, or the words of its refusal.
    pub(super) async fn ask(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Value, String> {
        let url =
            url::Url::parse_with_params(&format!("{}{path}", self.address), parameters).unwrap();
        // While it starts it refuses all.
        let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let mut answer: Value = serde_json::from_str(&text).map_err(|_| text)?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(answer["error"].to_string()),
        }
    }

    pub(super) async fn query(&self, expr: &str) -> Result<Value, String> {
        self.ask("/api/v1/query", &[("query", expr)]).await
    }

    /// As a graph of the last minutes asks.
    pub(super) async fn range(&self, expr: &str, since: u64) -> Result<Value, String> {
        let (start, end) = (since.to_string(), now().to_string());
        let parameters = [
            ("query", expr),
            ("start", &start),
            ("end", &end),
            ("step", "1"),
        ];
        self.ask("/api/v1/query_range", &parameters).await
    }
}

/// Whether an answer to a query holds a number.
pub(super) fn has_data(data: &Value) -> bool {
    let is_number = |value: &Value| value.as_str().is_some_and(|text| text != "NaN");
    match (data["resultType"].as_str(), data["result"].as_array()) {
        (Some("scalar"), Some(pair)) => is_number(&pair[1]),
        (Some("vector"), Some(series)) => series.iter().any(|one| is_number(&one["value"][1])),
        (Some("matrix"), Some(series)) => {
            let values = series.iter().filter_map(|one| one["values"].as_array());
            values.flatten().any(|value| is_number(&value[1]))
        }
        _ => false,
    }
}

pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
