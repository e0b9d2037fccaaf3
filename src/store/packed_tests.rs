//! Whatever is packed answers as it did before.

use std::time::Duration;

use tempfile::TempDir;

use super::tests::{all, at, id, open, probe, run, store_of};
use super::*;
use crate::run::{StepRecord, Warning};
use crate::taxonomy::{Class, Stage};

const DAY: u64 = 86_400;

/// Nothing is too old or too much.
fn everything() -> Limits {
    Limits {
        runs: Duration::from_secs(1000 * DAY),
        evidence: Duration::from_secs(1000 * DAY),
        ..Limits::default()
    }
}

/// A run of one of three probes, of any outcome.
fn sample(second: u64) -> Run {
    let outcome = [
        Outcome::Ok,
        Outcome::Ok,
        Outcome::Failed,
        Outcome::Ok,
        Outcome::Degraded,
        Outcome::Ok,
        Outcome::Unknown,
    ][(second / 11 % 7) as usize];
    let name = ["prod", "prod2", "staging"][(second % 3) as usize];
    let mut run = run(name, second, outcome);
    if outcome == Outcome::Degraded {
        run.verdict = None;
        run.warnings.push(Warning {
            stage: Stage::IdToken,
            class: Class::MalformedResponse,
            detail: "odd".to_owned(),
        });
    }
    for stage in [Stage::Discovery, Stage::TokenExchange] {
        run.steps.push(StepRecord {
            stage,
            outcome: Outcome::Ok,
            duration_ms: second % 83,
        });
    }
    run.steps.truncate((second % 5) as usize);
    run
}

/// Everything that one can ask, as text.
async fn answers(store: &Store, seconds: &[u64]) -> Vec<String> {
    let mut answers = Vec::new();
    let names = ["prod", "prod2", "staging", "other"];
    let last = seconds.iter().max().unwrap();
    for name in [None].into_iter().chain(names.map(Some)) {
        for outcome in [None, Some(Outcome::Failed), Some(Outcome::Degraded)] {
            for (before, limit) in [(None, 1000), (None, 7), (Some(last / 2), 5), (Some(1), 9)] {
                let query = Query {
                    probe: name.map(probe),
                    outcome,
                    before: before.map(id),
                    limit,
                };
                let runs = store.list(query.clone()).await.unwrap();
                let runs = serde_json::to_string(&runs).unwrap();
                answers.push(format!("{query:?}: {runs}"));
            }
        }
    }
    let newest = store.newest(names.map(probe).to_vec(), 50).await.unwrap();
    answers.push(format!("{newest:?}"));
    for &second in seconds.iter().step_by(17) {
        let run = store.get(id(second)).await.unwrap();
        answers.push(serde_json::to_string(&run).unwrap());
        let evidence = store.evidence(id(second)).await.unwrap();
        assert!(evidence.is_some());
        answers.push(format!("{evidence:?}"));
    }
    assert!(store.get(id(last + 1)).await.unwrap().is_none());
    for (from, to) in [
        (0, *last),
        (60, 3600),
        (DAY - 61, DAY + 61),
        (last / 3, last / 2),
    ] {
        let span = Span::new(at(from), at(to));
        for name in names {
            let stats = store.stats(probe(name), span).await.unwrap();
            answers.push(format!("{name} {span:?} {:?}", counts(&stats)));
        }
        let all = store.overview(span).await.unwrap();
        let all: BTreeMap<_, _> = all.iter().map(|(name, sum)| (name, counts(sum))).collect();
        answers.push(format!("{span:?} {all:?}"));
    }
    answers
}

/// What does not depend on the order in which it was added up.
fn counts(sum: &Rollup) -> String {
    let of = |latency: &Latency| {
        (
            latency.count(),
            latency.quantile_ms(0.5),
            latency.quantile_ms(0.95),
        )
    };
    let stages: Vec<_> = sum
        .stages
        .iter()
        .map(|(stage, latency)| (stage, of(latency)))
        .collect();
    format!(
        "{:?} {:?} {:?} {stages:?}",
        sum.outcomes,
        sum.classes,
        of(&sum.duration)
    )
}

#[track_caller]
fn same(found: &[String], expected: &[String]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn packed_runs_answer_as_they_did_before() {
    let folder = TempDir::new().unwrap();
    let mut store = open(&folder).store;
    let seconds: Vec<u64> = (1..=400_u64).map(|n| n * 700 + n % 7).collect();
    for &second in &seconds {
        store.append(&sample(second)).await.unwrap();
    }
    let expected = answers(&store, &seconds).await;
    // The first day is over, then all days, then rollups are old as well.
    let mut packed = 0;
    for now in [DAY + 7200, 4 * DAY, 7 * DAY] {
        packed += store.tend(everything(), at(now)).await.unwrap().packed;
        same(&answers(&store, &seconds).await, &expected);
        drop(store);
        store = open(&folder).store;
        same(&answers(&store, &seconds).await, &expected);
    }
    assert_eq!(packed, seconds.len());
}

#[tokio::test]
async fn what_ends_late_finds_its_place_and_days_are_packed_together() {
    let (whole, parts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (whole, store) = (open(&whole).store, open(&parts).store);
    let seconds: Vec<u64> = (1..=200_u64).map(|n| n * 901).collect();
    for &second in &seconds {
        whole.append(&sample(second)).await.unwrap();
    }
    // Every third one comes when its day is packed already.
    for late in [false, true] {
        for &second in seconds
            .iter()
            .filter(|second| (*second % 2703 == 0) == late)
        {
            store.append(&sample(second)).await.unwrap();
        }
        store.tend(everything(), at(8 * DAY)).await.unwrap();
    }
    let expected = answers(&whole, &seconds).await;
    same(&answers(&store, &seconds).await, &expected);
    for _ in 0..5 {
        store.tend(everything(), at(8 * DAY)).await.unwrap();
    }
    same(&answers(&store, &seconds).await, &expected);
    let blocks = |day| move |trees: &Trees| trees.blocks(packs::Content::Runs, day, None);
    let first = packs::day_of(block::made_ms(id(1)));
    for day in [first, first + 1] {
        let blocks = store.read(blocks(day)).await.unwrap();
        assert_eq!(blocks.len(), 3, "one for each probe");
    }
    let files = std::fs::read_dir(parts.path().join("packs")).unwrap();
    let runs = files.filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_str().unwrap().ends_with(".runs")
    });
    assert_eq!(runs.count(), 3, "one for each day");
}

/// Blocks of two files of a day once had one key in the index.
#[tokio::test]
async fn runs_that_end_late_again_and_again_take_nobodys_place() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    let seconds: Vec<u64> = (1..=60_u64).map(|n| n * 901).collect();
    let (waves, mut known) = (5, Vec::new());
    for wave in 0..waves {
        for &second in seconds.iter().filter(|second| *second % waves == wave) {
            store.append(&sample(second)).await.unwrap();
            known.push(second);
        }
        for _ in 0..2 {
            store.tend(everything(), at(8 * DAY)).await.unwrap();
        }
        for &second in &known {
            let run = store.get(id(second)).await.unwrap();
            assert!(run.is_some(), "{second} after wave {wave}");
        }
    }
    assert_eq!(known.len(), seconds.len());
}

#[tokio::test]
async fn many_runs_of_one_day_are_packed_before_it_is_over() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    let seconds: Vec<u64> = (1..=600_u64).map(|n| n * 50).collect();
    for chunk in seconds.chunks(500) {
        let mut batch = Batch::new();
        for &second in chunk {
            batch.append(&sample(second));
        }
        store.commit(batch).await.unwrap();
    }
    let probes = store.shared.slot.read(Trees::fresh_probes);
    assert_eq!(probes.unwrap(), 3);
    let now = at(30_000);
    let span = Span::new(at(0), now);
    let expected = store.overview(span).await.unwrap();
    let tended = store.tend(everything(), now).await.unwrap();
    assert_eq!(
        tended.packed,
        29_400 / 50 - 1,
        "all but those of the last ten minutes"
    );
    let found = store.overview(span).await.unwrap();
    for (probe, sum) in &expected {
        assert_eq!(counts(&found[probe]), counts(sum));
    }
    let list = store.list(all()).await.unwrap();
    let expected: Vec<RunId> = seconds
        .iter()
        .rev()
        .take(1000)
        .map(|second| id(*second))
        .collect();
    assert_eq!(list.iter().map(|run| run.id).collect::<Vec<_>>(), expected);
}

/// A run with so many bytes of evidence that nothing presses.
fn noisy(second: u64, bytes: usize) -> Run {
    let mut run = run("prod", second, Outcome::Failed);
    let mut noise = second + 1;
    let noise = std::iter::repeat_with(|| {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        char::from(b'a' + (noise >> 33) as u8 % 26)
    });
    let noise = noise.take(bytes).collect();
    run.evidence.as_mut().unwrap().exchanges[0].response_body = noise;
    run
}

#[tokio::test]
async fn limits_hold_while_runs_come_in() {
    const MOST: u64 = 24 << 20;
    const DAYS: u64 = 15;
    const A_DAY: u64 = 256;
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    let limits = Limits {
        runs: Duration::from_secs(10 * DAY),
        size_bytes: MOST,
        ..everything()
    };
    let mut biggest = 0;
    for day in 0..DAYS {
        let writing = async {
            for n in 0..A_DAY / 64 {
                let mut batch = Batch::new();
                for n in n * 64..(n + 1) * 64 {
                    batch.append(&noisy(day * DAY + n * (DAY / A_DAY), 16_000));
                }
                store.commit(batch).await.unwrap();
            }
        };
        let tending = async {
            for hour in [2, 23] {
                let now = at(day * DAY + hour * 3600);
                store.tend(limits, now).await.unwrap();
            }
        };
        futures::join!(writing, tending);
        let tended = store.tend(limits, at((day + 1) * DAY)).await.unwrap();
        assert!(tended.bytes <= MOST, "day {day}: {}", tended.bytes);
        biggest = biggest.max(tended.bytes);
    }
    assert!(
        biggest > MOST / 2,
        "it never came near the limit: {biggest}"
    );
    // Days go as a whole.
    let first = (DAYS - 10) * DAY;
    let span = Span::new(at(0), at(DAYS * DAY));
    let mut ends = store.by_end(at(0), span.to, None);
    let mut runs = Vec::new();
    while let Some(more) = ends.next().await.unwrap() {
        runs.extend(more);
    }
    assert!(runs.iter().all(|run| run.started_at >= at(first)));
    assert_eq!(runs.len() as u64, 10 * A_DAY, "evidence went, not runs");
    let newest = store.evidence(runs.last().unwrap().id).await.unwrap();
    let oldest = store.evidence(runs[0].id).await.unwrap();
    assert!(newest.is_some() && oldest.is_none());
}

#[tokio::test]
async fn evidence_goes_first_then_history_and_never_the_daemons_own_state() {
    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    struct State(String);
    impl Record for State {
        const KIND: Kind = Kind::AlertStates;
        const VERSION: u16 = 1;
    }
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    store
        .put("page", &State("firing".to_owned()))
        .await
        .unwrap();
    let seconds: Vec<u64> = (0..60).map(|n| n * 3600 + 5).collect();
    for &second in &seconds {
        store.append(&noisy(second, 40_000)).await.unwrap();
    }
    let now = at(10 * DAY);
    let all_bytes = store.tend(everything(), now).await.unwrap().bytes;
    let left = async || {
        let mut evidence = Vec::new();
        for &second in &seconds {
            evidence.push(store.evidence(id(second)).await.unwrap().is_some());
        }
        (evidence, store.list(all()).await.unwrap().len())
    };
    assert_eq!(left().await, (vec![true; 60], 60));
    // A little too much: some of the oldest evidence goes.
    let tight = |size_bytes| Limits {
        size_bytes,
        ..everything()
    };
    let tended = store.tend(tight(all_bytes - 8192), now).await.unwrap();
    assert!(tended.bytes <= all_bytes - 8192);
    let (evidence, runs) = left().await;
    assert_eq!(runs, 60);
    assert!(!evidence[0] && evidence[59]);
    assert!(evidence.is_sorted(), "the oldest first: {evidence:?}");
    // Far too much: all evidence and all packed history go, the state stays.
    store.tend(tight(1), now).await.unwrap();
    assert_eq!(left().await, (vec![false; 60], 0));
    let span = Span::new(at(0), now);
    assert_eq!(
        store
            .stats(probe("prod"), span)
            .await
            .unwrap()
            .outcomes
            .total(),
        0
    );
    let state = store.record("page").await.unwrap();
    assert_eq!(state, Some(State("firing".to_owned())));
    store
        .append(&run("prod", 10 * DAY, Outcome::Ok))
        .await
        .unwrap();
    assert_eq!(store.list(all()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_broken_block_is_told_and_costs_itself_only() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).store;
    for second in [5, DAY + 5] {
        store.append(&sample(second * 3)).await.unwrap();
    }
    store.tend(everything(), at(9 * DAY)).await.unwrap();
    let packs = folder.path().join("packs");
    let mut files: Vec<_> = std::fs::read_dir(&packs)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "runs"))
        .collect();
    files.sort();
    let mut bytes = std::fs::read(&files[0]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&files[0], bytes).unwrap();
    let runs = store.list(all()).await.unwrap();
    assert_eq!(runs.len(), 1);
}

/// What format 2 wrote of forty samples, those of the first day packed.
const FORMAT_2: &str = include_str!("../../tests/store/v2.jsonl");

#[tokio::test]
async fn a_store_of_format_2_answers_as_one_of_today() {
    let seconds: Vec<u64> = (0..40).map(|n| n * 977 * 3 + n % 3).collect();
    let folder = TempDir::new().unwrap();
    let today = open(&folder).store;
    for &second in &seconds {
        today.append(&sample(second)).await.unwrap();
    }
    let expected = answers(&today, &seconds).await;
    let old = store_of(FORMAT_2);
    for _ in 0..2 {
        let opened = open(&old);
        assert_eq!(opened.quarantined, None);
        same(&answers(&opened.store, &seconds).await, &expected);
        // The second time with both days packed, one by each version.
        opened.store.tend(everything(), at(3 * DAY)).await.unwrap();
        same(&answers(&opened.store, &seconds).await, &expected);
    }
}
