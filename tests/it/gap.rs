//! A start long after the last run: the pause between two processes is no silence of the probes, however long it was.

use std::path::Path;

use authcanary::clock;
use authcanary::desk::{Desk, Plan, Ward};
use authcanary::probe::Probe;
use authcanary::run::{RUN_VERSION, Run, RunId};
use authcanary::store::{Batch, Store};
use authcanary::taxonomy::Outcome;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::common::{every, quick, settings, start};

/// Good runs of a probe up to a moment, as its cadence has it.
fn runs(probe: &Probe, every_s: i64, until: Timestamp) -> Vec<Run> {
    let run = |n: i64| {
        let started_at = until - SignedDuration::from_secs(n * every_s);
        let ms = started_at.as_millisecond().cast_unsigned();
        let random = [(ms % 251) as u8; 10];
        let mut id = *uuid::Builder::from_unix_timestamp_millis(ms, &random).as_uuid();
        // The name tells probes of one moment apart.
        let mut bytes = id.into_bytes();
        bytes[15] = probe.environment.bytes().next_back().unwrap();
        id = uuid::Uuid::from_bytes(bytes);
        Run {
            version: RUN_VERSION,
            id: RunId(id),
            probe: probe.id.clone(),
            provider: probe.provider.clone(),
            environment: probe.environment.clone(),
            location: "here".to_owned(),
            scheduled_at: Some(started_at),
            started_at,
            duration_ms: 30,
            outcome: Outcome::Ok,
            verdict: None,
            steps: vec![],
            warnings: vec![],
            evidence: None,
        }
    };
    (0..200).rev().map(run).collect()
}

/// What a process leaves that was killed then: its runs, and what it remembered.
async fn leave(store: &Path, probes: &[Probe], every_s: i64, at: Timestamp) {
    let wards = probes
        .iter()
        .map(|probe| (probe.id.clone(), Ward::from(probe)));
    let plan = Plan {
        location: "here".to_owned(),
        settle: SignedDuration::ZERO,
        probes: wards.collect(),
    };
    let began = at - SignedDuration::from_secs(200 * every_s);
    let mut desk = Desk::open(plan, Default::default(), [], [], vec![], began);
    let mut all: Vec<Run> = probes
        .iter()
        .flat_map(|probe| runs(probe, every_s, at))
        .collect();
    all.sort_by_key(|run| (run.started_at, run.id));
    let mut batch = Batch::new();
    for run in &all {
        let _ = desk.observe(run, run.started_at);
        batch.append(run);
    }
    batch.put("memory", desk.memory());
    let store = Store::open(store).unwrap().store;
    store.commit(batch).await.unwrap();
    store.close().await;
}

async fn check(every_s: u64, gap: SignedDuration) {
    let folder = TempDir::new().unwrap();
    let probes: Vec<Probe> = ["e0", "e1", "e2", "e3"]
        .map(|name| every(every_s, name))
        .into();
    let left_at = clock::now() - gap;
    leave(folder.path(), &probes, every_s.cast_signed(), left_at).await;
    let daemon = start(settings(folder.path(), probes), quick(None)).await;
    assert_eq!(daemon.get("/readyz").await.0, 200);
    daemon.run_now("acme/e0").await;
    daemon
        .runs_until("/api/v1/runs", |runs| {
            let new = |run: &&serde_json::Value| {
                let at: Timestamp = run["started_at"].as_str().unwrap().parse().unwrap();
                at > left_at
            };
            runs.iter().any(|run| new(&run))
        })
        .await;
    let alerts = daemon.json("/api/v1/alerts").await;
    assert_eq!(alerts["alerts"].as_array().unwrap().len(), 0, "{alerts:#}");
    daemon.stop().await;
}

#[tokio::test]
async fn of_forty_days_between_runs_of_every_second() {
    check(1, SignedDuration::from_hours(40 * 24)).await;
}

#[tokio::test]
async fn of_two_days_between_runs_of_every_minute() {
    check(60, SignedDuration::from_hours(48)).await;
}
