//! What a scrape of `/metrics` costs with 1,000 probes of a whole journey, a tenth of which fail: against one with 100
//! probes, and against the time that Prometheus' own tool takes to read the same text. `cargo bench --bench scrape`
#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use authcanary::clock;
use authcanary::config;
use authcanary::pipeline::new_run_id;
use authcanary::probe::Probe;
use authcanary::run::{RUN_VERSION, Run, StepRecord, Verdict};
use authcanary::taxonomy::{Class, Outcome, Stage};
use authcanary::telemetry::{Format, Telemetry};
use tempfile::TempDir;

const STAGES: [Stage; 12] = [
    Stage::Discovery,
    Stage::Jwks,
    Stage::Authorize,
    Stage::Login,
    Stage::Consent,
    Stage::Callback,
    Stage::TokenExchange,
    Stage::IdToken,
    Stage::Userinfo,
    Stage::Refresh,
    Stage::Revocation,
    Stage::Logout,
];

const TIMES: u32 = 10;

fn main() {
    let folder = TempDir::new().unwrap();
    let few = busy(&folder, 100);
    let many = busy(&folder, 1000);
    let base = mean(|| drop(few.exposition(Format::Text)));
    for format in [Format::Text, Format::OpenMetrics] {
        let text = many.exposition(format);
        let took = mean(|| drop(many.exposition(format)));
        println!(
            "a scrape of 1,000 probes, {format:?}: {:.0} ms, {} lines, {:.1} MB; {:.2} % of a core when scraped every 15 s",
            took.as_secs_f64() * 1e3,
            text.lines().count(),
            text.len() as f64 / 1e6,
            took.as_secs_f64() / 15.0 * 100.0,
        );
        println!(
            "  as a multiple of 100 probes in text: {:.1}",
            ratio(took, base)
        );
        if format == Format::Text {
            let read = promtool(&folder, &text);
            println!(
                "  against `promtool check metrics` on it: {:.2}",
                ratio(took, read)
            );
        }
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn mean(work: impl Fn()) -> Duration {
    let began = Instant::now();
    (0..TIMES).for_each(|_| work());
    began.elapsed() / TIMES
}

/// Figures of so many probes that each ran a few times.
fn busy(folder: &TempDir, count: usize) -> Telemetry {
    let probes = probes(folder, count);
    let telemetry = Telemetry::new("fra1").unwrap();
    telemetry.watch(&probes);
    for (n, probe) in probes.iter().enumerate() {
        for turn in 0..4_u64 {
            let class = (n % 10 == 0 && turn == 3).then_some(Class::InvalidClient);
            telemetry.observe(&run(probe, class, 40 + 300 * turn));
        }
    }
    telemetry
}

fn probes(folder: &TempDir, count: usize) -> Vec<Probe> {
    let mut text = "version: 1\nprovider: generic\nflow: client_credentials\nissuer: https://sso.example.com\nclient: {id: canary, secret: {env: SECRET}}\nenvironments:\n".to_owned();
    (0..count).for_each(|n| text.push_str(&format!("  environment-{n}: {{}}\n")));
    let path = folder.path().join(format!("{count}.yaml"));
    std::fs::write(&path, text).unwrap();
    match config::load(&path) {
        Ok(daemon) => daemon.probes,
        Err(faults) => panic!("{faults}"),
    }
}

fn run(probe: &Probe, class: Option<Class>, duration_ms: u64) -> Run {
    let step = |stage| StepRecord {
        stage,
        outcome: Outcome::Ok,
        duration_ms,
    };
    Run {
        version: RUN_VERSION,
        id: new_run_id(),
        probe: probe.id.clone(),
        provider: probe.provider.clone(),
        environment: probe.environment.clone(),
        location: "fra1".to_owned(),
        scheduled_at: None,
        started_at: clock::now(),
        duration_ms: 12 * duration_ms,
        outcome: class.map_or(Outcome::Ok, Class::outcome),
        verdict: class.map(|class| Verdict {
            stage: Stage::TokenExchange,
            class,
            cause: class.cause(),
            action: class.action(),
            detail: String::new(),
            rule: None,
            raw: None,
        }),
        steps: STAGES.map(step).to_vec(),
        warnings: vec![],
        evidence: None,
    }
}

/// How long the tool takes; it is part of what `make setup` installs.
fn promtool(folder: &TempDir, text: &str) -> Duration {
    let path: PathBuf = folder.path().join("metrics.txt");
    File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    mean(|| {
        let mut tool = Command::new("promtool");
        tool.args(["check", "metrics"])
            .stdin(File::open(&path).unwrap());
        let told = tool
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert!(
            told.status.success(),
            "{}",
            String::from_utf8_lossy(&told.stderr)
        );
    })
}
