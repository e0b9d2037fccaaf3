//! `replay` as people run it: recorded runs in, alerts out. `detection/` holds simulated weeks with what really happened
//! in them; the names in it are invented.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};

const WEEKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/detection");

fn replay(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .arg("replay")
        .args(arguments)
        .env_remove("AUTHCANARY_CONFIG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that does not read its stdin, or stops early, closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn alerts(arguments: &[&str], input: &[u8]) -> Vec<Alert> {
    let output = replay(&[arguments, &["--format", "json"]].concat(), input);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn unpacked(week: &str) -> String {
    let mut runs = String::new();
    let file = fs::File::open(format!("{WEEKS}/{week}.runs.jsonl.gz")).unwrap();
    GzDecoder::new(file).read_to_string(&mut runs).unwrap();
    runs
}

/// Runs every five minutes in the short form: so many that are good, then so many that are bad.
fn short_runs(good: usize, bad: usize) -> String {
    let line = |index: usize| {
        let (outcome, class) = if index < good {
            ("ok", None)
        } else {
            ("failed", Some("server_error"))
        };
        json!({
            "t": 1_800_000_000 + 300 * index, "probe": "generic/prod", "provider": "generic", "environment": "prod",
            "location": "fra1", "interval_s": 300, "outcome": outcome, "class": class,
            "stage": class.map(|_| "token_exchange"), "duration_ms": 900,
        })
    };
    let lines: Vec<String> = (0..good + bad)
        .map(|index| line(index).to_string())
        .collect();
    lines.join("\n")
}

/// An alert as a line of JSON.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Alert {
    t_fired: f64,
    t_resolved: Option<f64>,
    kind: String,
    provider: Vec<String>,
    environment: Vec<String>,
    location: Vec<String>,
    probe: Vec<String>,
    text: String,
}

impl Alert {
    fn names(&self, probe: &Probe) -> bool {
        let fits = |names: &[String], name: &String| names.is_empty() || names.contains(name);
        fits(&self.provider, &probe.provider)
            && fits(&self.environment, &probe.environment)
            && fits(&self.location, &probe.location)
            && fits(&self.probe, &probe.probe)
    }
}

/// What really happened in some weeks.
#[derive(Deserialize)]
struct Labels {
    start: f64,
    end: f64,
    probes: Vec<Probe>,
    incidents: Vec<Incident>,
}

#[derive(Deserialize)]
struct Probe {
    probe: String,
    provider: String,
    environment: String,
    location: String,
    interval_s: f64,
}

#[derive(Deserialize)]
struct Incident {
    start: f64,
    end: Option<f64>,
    /// From here on it may be found: a creeping one is due only later.
    onset: Option<f64>,
    first_run: f64,
    probes: BTreeSet<String>,
    /// `page`: an alert is due; `optional`: it is neither right nor wrong; `no_page`: it is false.
    expect: String,
    alert_kind: Option<String>,
}

/// What alerts are worth.
#[derive(Debug, Default)]
struct Score {
    due: usize,
    found: usize,
    pages: usize,
    false_pages: usize,
    right_kinds: usize,
    probe_months: f64,
    /// In intervals of the fastest probe of the incident.
    delays: Vec<f64>,
}

impl Score {
    /// Counts each alert for the incident that it fits best: its time, at least half of its probes, then its kind and
    /// its scope. One that fits none is false.
    fn add(&mut self, labels: &Labels, alerts: &[Alert]) {
        self.probe_months +=
            labels.probes.len() as f64 * (labels.end - labels.start) / 86_400.0 / 30.0;
        let mut hits: Vec<Vec<&Alert>> = vec![Vec::new(); labels.incidents.len()];
        for alert in alerts {
            let named: BTreeSet<String> = labels
                .probes
                .iter()
                .filter(|probe| alert.names(probe))
                .map(|probe| probe.probe.clone())
                .collect();
            let best = labels
                .incidents
                .iter()
                .enumerate()
                .filter(|(_, incident)| fits(labels, incident, alert, &named))
                .max_by_key(|(_, incident)| {
                    let both = named.intersection(&incident.probes).count();
                    let any = named.union(&incident.probes).count();
                    let is_kind = incident.alert_kind.as_ref() == Some(&alert.kind);
                    (incident.expect == "page", is_kind, 1000 * both / any)
                });
            match best {
                Some((index, _)) => hits[index].push(alert),
                None => self.false_pages += 1,
            }
        }
        for (incident, hits) in labels.incidents.iter().zip(&hits) {
            if incident.expect != "page" {
                continue;
            }
            self.due += 1;
            self.pages += hits.len();
            if let Some(first) = hits.first() {
                let fastest = intervals(labels, incident).fold(f64::MAX, f64::min);
                self.found += 1;
                self.right_kinds += usize::from(incident.alert_kind.as_ref() == Some(&first.kind));
                self.delays
                    .push((first.t_fired - incident.start).max(0.0) / fastest);
            }
        }
    }

    fn median_delay(&mut self) -> f64 {
        self.delays.sort_by(f64::total_cmp);
        self.delays[(self.delays.len() - 1) / 2]
    }
}

fn intervals(labels: &Labels, incident: &Incident) -> impl Iterator<Item = f64> {
    labels
        .probes
        .iter()
        .filter(|probe| incident.probes.contains(&probe.probe))
        .map(|probe| probe.interval_s)
}

fn fits(labels: &Labels, incident: &Incident, alert: &Alert, named: &BTreeSet<String>) -> bool {
    let slowest = intervals(labels, incident).fold(0.0, f64::max);
    let from = incident.onset.unwrap_or(incident.first_run);
    let until = incident.end.unwrap_or(labels.end) + slowest + 60.0;
    let both = named.intersection(&incident.probes).count();
    incident.expect != "no_page"
        && (from..=until).contains(&alert.t_fired)
        && both > 0
        && 2 * both >= named.len()
}

#[test]
fn recorded_weeks_page_rarely_rightly_and_once() {
    let mut score = Score::default();
    let mut weeks = 0;
    for entry in fs::read_dir(WEEKS).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let Some(week) = name.strip_suffix(".labels.json") else {
            continue;
        };
        let labels: Labels = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let runs = format!("{WEEKS}/{week}.runs.jsonl.gz");
        score.add(&labels, &alerts(&["--runs", &runs], b""));
        weeks += 1;
    }
    assert_eq!(weeks, 7);
    let median_delay = score.median_delay();
    assert!(score.found as f64 >= 0.95 * score.due as f64, "{score:?}");
    assert!(
        score.false_pages as f64 <= 0.05 * score.probe_months,
        "{score:?}"
    );
    assert!(score.pages as f64 <= 1.15 * score.found as f64, "{score:?}");
    assert_eq!(score.right_kinds, score.found, "{score:?}");
    assert!(median_delay <= 4.2, "{median_delay} {score:?}");
}

#[test]
fn nobody_knows_what_came_later() {
    let runs = unpacked("slow-cold");
    let whole = alerts(&["--runs", "-"], runs.as_bytes());
    let time = |line: &str| {
        serde_json::from_str::<Value>(line).unwrap()["t"]
            .as_f64()
            .unwrap()
    };
    let last = time(runs.lines().last().unwrap());
    let first = time(runs.lines().next().unwrap());
    for part in [0.2, 0.5, 0.77] {
        let cut = first + part * (last - first);
        let lines: Vec<&str> = runs.lines().take_while(|line| time(line) < cut).collect();
        let key = |alert: &Alert| {
            let Alert {
                kind,
                provider,
                environment,
                location,
                probe,
                ..
            } = alert.clone();
            (
                alert.t_fired.to_bits(),
                kind,
                provider,
                environment,
                location,
                probe,
            )
        };
        let known: Vec<_> = alerts(&["--runs", "-"], lines.join("\n").as_bytes())
            .iter()
            .map(key)
            .collect();
        let all: Vec<_> = whole
            .iter()
            .filter(|alert| alert.t_fired < cut)
            .map(key)
            .collect();
        assert_eq!(known, all);
    }
}

#[test]
fn a_summary_says_what_happened_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.jsonl");
    fs::write(&file, short_runs(300, 6) + "\n\n").unwrap();
    let output = replay(&["--runs", file.to_str().unwrap()], b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = text(&output.stdout);
    for line in [
        "failure, still open  generic/prod at fra1: sign-in fails, server_error at token_exchange",
        "4 of the last 4 runs failed in 15 min; baseline 0.7 %; odds of this by chance 1 in",
        "runs              306 of 1 probes over 25.4 h",
        "alerts            1: 1 failure; 1 still open",
        "time to detect    median 15 min",
        "noisiest          generic/prod at fra1 in 1 alert",
    ] {
        assert!(summary.contains(line), "{line}\n{summary}");
    }
}

/// A run as it is stored, that began at `second`.
fn stored_run(index: u64, second: i64, duration_ms: u64, is_good: bool) -> String {
    let at = jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
    let verdict = json!({
        "stage": "token_exchange", "class": "client_secret_expired", "cause": "credential",
        "action": "rotate_credentials", "detail": "token endpoint answered 401",
    });
    json!({
        "version": 1, "id": format!("00000000-0000-7000-8000-{index:012}"), "probe": "generic/prod",
        "provider": "generic", "environment": "prod", "location": "fra1", "scheduled_at": at, "started_at": at,
        "duration_ms": duration_ms, "outcome": if is_good { "ok" } else { "failed" },
        "verdict": if is_good { Value::Null } else { verdict }, "steps": [], "warnings": [],
    })
    .to_string()
}

#[test]
fn stored_runs_are_read_as_well_and_a_probe_file_changes_the_rules() {
    // The last good one takes so long that it ends after the first bad one.
    let lines: Vec<String> = (0..200)
        .map(|index| stored_run(index, 300 * index as i64, 2000, true))
        .chain([stored_run(200, 60_000, 400_000, true)])
        .chain((201..204).map(|index| stored_run(index, 300 * index as i64, 2000, false)))
        .collect();
    let input = lines.join("\n");
    let found = alerts(&["--runs", "-"], input.as_bytes());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].t_fired, 1_800_000_000.0 + 300.0 * 203.0 + 2.0);
    assert!(
        found[0].text.contains("the same fault 2 times in a row"),
        "{}",
        found[0].text
    );

    let folder = tempfile::tempdir().unwrap();
    let probe = folder.path().join("generic.yaml");
    let settings = "version: 1\nprovider: generic\nflow: client_credentials\nenvironments:\n  prod:\n    \
        issuer: https://sso.example.com\n    client: {id: canary, secret: {env: SECRET}}\n";
    fs::write(
        &probe,
        format!("{settings}alerts: {{failure_rate: {{off: true}}}}\n"),
    )
    .unwrap();
    let arguments = ["--runs", "-", "-c", probe.to_str().unwrap()];
    assert_eq!(alerts(&arguments, input.as_bytes()), []);
    fs::write(
        &probe,
        format!("{settings}alerts: {{failure_rate: {{minimum: 4}}}}\n"),
    )
    .unwrap();
    assert_eq!(alerts(&arguments, input.as_bytes()).len(), 0);
    fs::write(&probe, "version: 1\nprovider: generic\nnonsense: 1\n").unwrap();
    let output = replay(&arguments, input.as_bytes());
    assert_eq!(output.status.code(), Some(78), "{}", text(&output.stderr));
}

#[track_caller]
fn check_refused(input: &str, expected: &str) {
    let output = replay(&["--runs", "-"], input.as_bytes());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains(expected), "{said}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_line_that_is_no_run_is_named() {
    let good = short_runs(3, 0);
    check_refused(
        &format!("{good}\nnonsense\n"),
        "-:4: not a run: expected ident",
    );
    check_refused(
        &format!("{good}\n{{}}"),
        "-:4: not a run: neither `t`, when it ended, nor `started_at`",
    );
    check_refused(
        &good.replacen("\"ok\"", "\"fine\"", 1),
        "-:1: not a run: unknown variant `fine`",
    );
    check_refused(
        &good.replacen(",\"location\":\"fra1\"", "", 1),
        "-:1: not a run: missing field `location`",
    );
    check_refused(
        &good.replacen("\"interval_s\":300", "\"interval_s\":-3", 1),
        "-:1: `interval_s` is no interval: -3",
    );
    check_refused(
        &good.replacen("1800000000", "1e300", 1),
        "-:1: `t` is no time in unix seconds",
    );
    let backwards: Vec<&str> = good.lines().rev().collect();
    check_refused(
        &backwards.join("\n"),
        "-:2: ends before a run of an earlier line",
    );
    check_refused(
        &stored_run(1, 0, 5, true).replace("\"duration_ms\":5", "\"duration_ms\":\"x\""),
        "-:1: not a run: invalid type: string \"x\"",
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = PathBuf::from("no/such/runs.jsonl");
    let output = replay(&["--runs", missing.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot read no/such/runs.jsonl"));
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.gz");
    let whole = fs::read(Path::new(WEEKS).join("slow-cold.runs.jsonl.gz")).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let output = replay(&["--runs", cut.to_str().unwrap()], b"");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(alerts(&["--runs", "-"], b"").is_empty());
}
