use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::run::{Exchange, PageEvidence, RUN_VERSION, StepRecord, Timings};
use crate::taxonomy::{Class, Stage};

const START: &str = "2026-06-01T00:00:00Z";

pub(super) fn probe(name: &str) -> ProbeId {
    ProbeId::new("acme", name, None)
}

pub(super) fn at(second: u64) -> Timestamp {
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(second.cast_signed())
}

/// The id of the run that begins at this second.
pub(super) fn id(second: u64) -> RunId {
    let mut bytes = record::first_key_at(at(second));
    bytes[6] = 0x70;
    bytes[8] = 0x80;
    RunId(Uuid::from_bytes(bytes))
}

fn intent(name: &str, second: u64) -> Intent {
    Intent {
        version: RUN_VERSION,
        id: id(second),
        probe: probe(name),
        provider: "acme".to_owned(),
        environment: name.to_owned(),
        location: "here".to_owned(),
        scheduled_at: Some(at(second)),
        started_at: at(second),
    }
}

pub(super) fn run(name: &str, second: u64, outcome: Outcome) -> Run {
    let run = intent(name, second).unknown(Class::RequestTimeout, "no answer".to_owned());
    let exchange = Exchange {
        stage: Stage::TokenExchange,
        span_id: None,
        started_at: at(second),
        method: "POST".to_owned(),
        url: "https://acme.example/token".to_owned(),
        request_headers: vec![],
        request_body: "grant_type=authorization_code".to_owned(),
        protocol: None,
        status: Some(200),
        response_headers: vec![],
        response_body: "{}".to_owned(),
        response_size_bytes: 2,
        timings: Timings::default(),
        peer: None,
        error: None,
    };
    let evidence = Evidence {
        exchanges: vec![exchange],
        ..Evidence::default()
    };
    let verdict = run.verdict.filter(|_| outcome != Outcome::Ok);
    Run {
        outcome,
        verdict,
        evidence: Some(evidence),
        duration_ms: second,
        ..run
    }
}

pub(super) fn open(folder: &TempDir) -> Opened {
    Store::open(folder.path()).unwrap()
}

/// Limits that keep runs and evidence so many seconds.
fn keep(runs: u64, evidence: u64) -> Limits {
    Limits {
        runs: Duration::from_secs(runs),
        evidence: Duration::from_secs(evidence),
        ..Limits::default()
    }
}

pub(super) fn all() -> Query {
    Query {
        probe: None,
        outcome: None,
        before: None,
        limit: 1000,
    }
}

async fn ids(store: &Store, query: Query) -> Vec<RunId> {
    store
        .list(query)
        .await
        .unwrap()
        .iter()
        .map(|run| run.id)
        .collect()
}

#[tokio::test]
async fn lists_newest_first_by_probe_outcome_and_place() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    for second in 1..=6 {
        let outcome = if second % 2 == 0 {
            Outcome::Failed
        } else {
            Outcome::Ok
        };
        let name = if second <= 3 { "prod" } else { "prod2" };
        store.append(&run(name, second, outcome)).await.unwrap();
    }
    let query = |name: Option<&str>, outcome, before: Option<u64>, limit| Query {
        probe: name.map(probe),
        outcome,
        before: before.map(id),
        limit,
    };
    let cases = [
        (all(), vec![6, 5, 4, 3, 2, 1]),
        (query(None, None, Some(4), 2), vec![3, 2]),
        (query(None, Some(Outcome::Failed), None, 2), vec![6, 4]),
        (query(Some("prod"), None, None, 9), vec![3, 2, 1]),
        (query(Some("prod"), Some(Outcome::Ok), Some(3), 9), vec![1]),
        (query(Some("prod2"), None, Some(6), 1), vec![5]),
        (query(Some("other"), None, None, 9), vec![]),
    ];
    for (query, expected) in cases {
        let expected: Vec<RunId> = expected.into_iter().map(id).collect();
        assert_eq!(ids(&store, query.clone()).await, expected, "{query:?}");
    }
    let briefs = store
        .newest(vec![probe("prod")], 2)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        briefs.iter().map(|brief| brief.id).collect::<Vec<_>>(),
        [id(3), id(2)]
    );
    assert_eq!(
        briefs[1].verdict.as_ref().map(|verdict| verdict.class),
        Some(Class::RequestTimeout)
    );
}

#[tokio::test]
async fn keeps_evidence_apart() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    let mut failed = run("prod", 1, Outcome::Failed);
    failed.evidence.as_mut().unwrap().page = Some(PageEvidence {
        screenshot: Some(b"png".to_vec()),
        ..PageEvidence::default()
    });
    store.append(&failed).await.unwrap();
    store.append(&run("prod", 2, Outcome::Ok)).await.unwrap();

    assert_eq!(store.get(id(1)).await.unwrap().unwrap().evidence, None);
    let evidence = store.evidence(id(1)).await.unwrap().unwrap();
    assert_eq!(evidence.exchanges[0].response_body, "{}");
    assert_eq!(
        store.screenshot(id(1)).await.unwrap().as_deref(),
        Some(&b"png"[..])
    );
    assert_eq!(store.screenshot(id(2)).await.unwrap(), None);
}

#[tokio::test]
async fn a_run_that_was_cut_off_is_closed_once_at_the_next_start() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    for second in 1..=2 {
        store.begin(&intent("prod", second)).await.unwrap();
    }
    store.append(&run("prod", 1, Outcome::Ok)).await.unwrap();
    assert_eq!(
        store.under_way(id(2)).await.unwrap(),
        Some(intent("prod", 2))
    );
    drop(store);

    let opened = open(&folder);
    assert_eq!(
        opened.cut_off.iter().map(|run| run.id).collect::<Vec<_>>(),
        [id(2)]
    );
    let closed = opened.store.get(id(2)).await.unwrap().unwrap();
    assert_eq!(closed.outcome, Outcome::Unknown);
    let verdict = closed.verdict.unwrap();
    assert_eq!(
        (verdict.stage, verdict.class),
        (Stage::Monitor, Class::Internal)
    );
    assert!(verdict.detail.starts_with("cut off"), "{}", verdict.detail);
    assert_eq!(closed.scheduled_at, Some(at(2)));
    assert_eq!(ids(&opened.store, all()).await, [id(2), id(1)]);
    drop(opened);

    assert!(open(&folder).cut_off.is_empty());
}

#[tokio::test]
async fn many_runs_at_once_are_all_there_after_a_reopen() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    let runs = (1..=300).map(|second| {
        let store = store.clone();
        async move {
            store.begin(&intent("prod", second)).await.unwrap();
            store
                .append(&run("prod", second, Outcome::Ok))
                .await
                .unwrap();
        }
    });
    futures::future::join_all(runs).await;
    drop(store);
    let opened = open(&folder);
    assert!(opened.cut_off.is_empty());
    assert_eq!(ids(&opened.store, all()).await.len(), 300);
}

#[tokio::test]
async fn what_is_older_than_it_is_kept_goes_and_nothing_else() {
    const HOUR: u64 = 3600;
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    for hour in 1..=6 {
        let mut run = run("prod", hour * HOUR, Outcome::Failed);
        run.evidence.as_mut().unwrap().page = Some(PageEvidence {
            screenshot: Some(vec![1]),
            ..PageEvidence::default()
        });
        store.append(&run).await.unwrap();
    }
    let limits = keep(7 * HOUR, 5 * HOUR);
    let tended = store.tend(limits, at(10 * HOUR)).await.unwrap();
    assert_eq!(tended.runs, 2);
    let hours = |hours: &[u64]| hours.iter().map(|hour| id(hour * HOUR)).collect::<Vec<_>>();
    assert_eq!(ids(&store, all()).await, hours(&[6, 5, 4, 3]));
    let newest = store.newest(vec![probe("prod")], 9).await.unwrap();
    assert_eq!(newest[0].len(), 4);
    for (hour, there) in [(4, false), (5, true)] {
        let id = id(hour * HOUR);
        assert_eq!(store.evidence(id).await.unwrap().is_some(), there);
        assert_eq!(store.screenshot(id).await.unwrap().is_some(), there);
    }
    let tended = store.tend(limits, at(10 * HOUR)).await.unwrap();
    assert_eq!((tended.runs, tended.rollups), (0, 0));
}

#[tokio::test]
async fn a_second_owner_is_refused_in_words_and_may_come_later() {
    let folder = TempDir::new().unwrap();
    let first = open(&folder);
    let refused = Store::open(folder.path()).err().unwrap();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    drop(first);
    open(&folder);
}

/// Opens a store with runs in it after `damage`, and tells what was made of it.
async fn after(damage: impl FnOnce(&Path)) -> (TempDir, Opened) {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    for second in 1..=50 {
        store
            .append(&run("prod", second, Outcome::Failed))
            .await
            .unwrap();
    }
    drop(store);
    damage(&folder.path().join("db"));
    let opened = open(&folder);
    (folder, opened)
}

async fn check_quarantined((folder, opened): (TempDir, Opened)) {
    let aside = opened.quarantined.as_ref().expect("moved aside");
    assert!(aside.starts_with(folder.path()) && aside.exists());
    assert!(ids(&opened.store, all()).await.is_empty());
    opened
        .store
        .append(&run("prod", 99, Outcome::Ok))
        .await
        .unwrap();
    drop(opened);
    let again = open(&folder);
    assert_eq!(again.quarantined, None);
    assert_eq!(ids(&again.store, all()).await, [id(99)]);
}

#[tokio::test]
async fn a_store_of_garbage_is_moved_aside() {
    check_quarantined(after(|db| std::fs::write(db.join("db"), [0x5a; 70_000]).unwrap()).await)
        .await;
}

#[tokio::test]
async fn a_store_that_lost_its_beginning_is_moved_aside() {
    let cut = |db: &Path| {
        let mut bytes = std::fs::read(db.join("db")).unwrap();
        bytes[..4096].fill(0);
        std::fs::write(db.join("db"), bytes).unwrap();
    };
    check_quarantined(after(cut).await).await;
}

#[tokio::test]
async fn a_store_that_is_intact_is_not_moved_aside() {
    let (_folder, opened) = after(|_| ()).await;
    assert_eq!(opened.quarantined, None);
    assert_eq!(ids(&opened.store, all()).await.len(), 50);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open(&folder));
    let db = sled::open(folder.path().join("db")).unwrap();
    db.insert("format", "4").unwrap();
    drop(db);
    let refused = Store::open(folder.path()).err().unwrap();
    assert!(matches!(refused, Error::Newer { .. }), "{refused}");
}

#[tokio::test]
async fn rollups_say_what_the_runs_say_over_any_span() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    // Two days, with gaps and with minutes that hold several runs.
    let seconds: Vec<u64> = (0..700_u64).map(|n| n * n * 7 / 20).collect();
    for &second in &seconds {
        let name = if second % 3 == 0 { "prod" } else { "staging" };
        let outcome = [Outcome::Ok, Outcome::Failed, Outcome::Ok, Outcome::Unknown];
        let mut run = run(name, second, outcome[second as usize % 4]);
        run.steps.push(StepRecord {
            stage: Stage::TokenExchange,
            outcome: run.outcome,
            duration_ms: second % 97,
        });
        store.append(&run).await.unwrap();
    }
    let runs = store.list(all()).await.unwrap();
    let spans = [
        (0, 200_000),
        (59, 61),
        (86_399, 90_000),
        (4000, 4000),
        (3601, 172_799),
    ];
    for (from, to) in spans {
        let span = Span::new(at(from), at(to));
        let mut expected = BTreeMap::<String, Rollup>::new();
        for run in &runs {
            if (span.from..span.to).contains(&run.started_at) {
                let sum = expected.entry(run.probe.to_string()).or_default();
                sum.merge(&Rollup::of(run));
            }
        }
        let overview = store.overview(span).await.unwrap();
        assert_eq!(overview, expected, "{span:?}");
        for name in ["prod", "staging", "other"] {
            let stats = store.stats(probe(name), span).await.unwrap();
            let expected = expected.get(probe(name).as_str()).cloned();
            assert_eq!(stats, expected.unwrap_or_default(), "{name} {span:?}");
        }
    }
}

#[tokio::test]
async fn a_run_that_is_written_again_counts_once() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    for _ in 0..2 {
        store
            .append(&run("prod", 1, Outcome::Failed))
            .await
            .unwrap();
    }
    let span = Span::new(at(0), at(60));
    let stats = store.stats(probe("prod"), span).await.unwrap();
    assert_eq!(stats.outcomes.total(), 1);
}

#[tokio::test]
async fn rollups_outlive_their_runs_but_for_those_by_the_minute() {
    const DAY: u64 = 86_400;
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    for second in [10, 4000, DAY + 10] {
        let run = run("prod", second, Outcome::Failed);
        store.append(&run).await.unwrap();
    }
    let counted = async |from, to| {
        let stats = store.stats(probe("prod"), Span::new(at(from), at(to)));
        stats.await.unwrap().outcomes.failed
    };
    // First from the database, then from packs.
    for now in [DAY + 100, 5 * DAY] {
        let limits = keep(now - DAY, DAY);
        store.tend(limits, at(now)).await.unwrap();
        assert_eq!(ids(&store, all()).await, [id(DAY + 10)]);
        assert_eq!(counted(0, DAY).await, 2);
        assert_eq!(counted(3600, 7200).await, 1);
        assert_eq!(counted(3960, 4080).await, 0);
        assert_eq!(counted(DAY, DAY + 60).await, 1);
    }
    let limits = Limits {
        rollups: Duration::from_secs(4 * DAY),
        ..keep(DAY, DAY)
    };
    store.tend(limits, at(5 * DAY)).await.unwrap();
    assert_eq!(counted(0, DAY).await, 0);
    assert_eq!(counted(DAY, 2 * DAY).await, 1);
}

/// Every record of a store as format 1 wrote it in the middle of a run, a line each.
const FORMAT_1: &str = include_str!("../../tests/store/v1.jsonl");

/// A store as an earlier version left it: records of the database, and files beside it.
pub(super) fn store_of(lines: &str) -> TempDir {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Line {
        Record {
            tree: String,
            key: String,
            value: String,
        },
        File {
            pack: String,
            bytes: String,
        },
    }
    let folder = TempDir::new().unwrap();
    let packs = folder.path().join("packs");
    std::fs::create_dir(&packs).unwrap();
    let db = sled::open(folder.path().join("db")).unwrap();
    for line in lines.lines() {
        match serde_json::from_str(line).unwrap() {
            Line::Record { tree, key, value } => {
                let digits = key.as_bytes().chunks(2);
                let byte = |digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16);
                let key: Vec<u8> = digits.map(|digits| byte(digits).unwrap()).collect();
                let tree = db.open_tree(tree).unwrap();
                tree.insert(key, value.as_bytes()).unwrap();
            }
            Line::File { pack, bytes } => {
                let bytes = BASE64_STANDARD.decode(bytes).unwrap();
                std::fs::write(packs.join(pack), bytes).unwrap();
            }
        }
    }
    folder
}

#[tokio::test]
async fn a_store_of_format_1_is_taken_over_whole() {
    let folder = store_of(FORMAT_1);
    for starts in 0..2 {
        let opened = open(&folder);
        assert_eq!(opened.quarantined, None);
        assert_eq!(opened.cut_off.len(), usize::from(starts == 0));
        let store = opened.store;
        let runs = store.list(all()).await.unwrap();
        assert_eq!(runs.len(), 13);
        let failed = runs
            .iter()
            .find(|run| run.outcome == Outcome::Failed)
            .unwrap();
        let verdict = failed.verdict.as_ref().unwrap();
        assert_eq!(verdict.class, Class::InvalidClient);
        assert_eq!(verdict.raw.as_ref().unwrap().status, Some(401));
        assert!(store.evidence(failed.id).await.unwrap().is_some());
        let mut expected = BTreeMap::<String, Rollup>::new();
        for run in &runs {
            let sum = expected.entry(run.probe.to_string()).or_default();
            sum.merge(&Rollup::of(run));
        }
        let span = Span::new(at(0), at(10_000));
        assert_eq!(store.overview(span).await.unwrap(), expected);
        assert_eq!(expected.len(), 2);
        // The second time from packs.
        store
            .tend(keep(864_000, 864_000), at(200_000))
            .await
            .unwrap();
    }
}
