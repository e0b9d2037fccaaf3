//! What the store costs: writing a run, a million good runs on disk, and opening and asking a store with five million,
//! by itself and in a daemon. `cargo bench --bench store [-- --runs 5000000 --leave FOLDER]`
//!
//! Time is made up: the runs of months are written in minutes, and the store is looked after once for each hour of them.
#![expect(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/runs.rs"]
mod runs;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use authcanary::clock;
use authcanary::run::{Run, RunId};
use authcanary::store::{Batch, Intent, Limits, Query, Span, Store};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use daemon::{Daemon, pss_kib};
use runs::Load;

/// Runs that share a transaction while a store is filled.
const TOGETHER: usize = 64;

/// The argument that makes another process of this program look at a store; its memory is then its own.
const LOOK: &str = "--look-at";

/// The argument that sets how many runs the large store gets.
const RUNS: &str = "--runs";

/// The argument that names a folder to leave both stores in, as `million` and `large`; they go otherwise.
const LEAVE: &str = "--leave";

const DAY: Duration = Duration::from_secs(86_400);

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(store) = argument(LOOK) {
        return runtime.block_on(look(Path::new(&store)));
    }
    let runs = argument(RUNS).map_or(5_000_000, |runs| runs.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let folder = argument(LEAVE).map_or(folder.path().to_owned(), PathBuf::from);
    runtime.block_on(async {
        append().await;
        million(&folder.join("million")).await;
        many_millions(&folder.join("large"), runs).await;
    });
}

/// What follows this argument.
fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|it| it != name).nth(1)
}

/// What a run costs on its way to the disk: one after the other, and many that end together.
async fn append() {
    const ALONE: usize = 2_000;
    const AT_ONCE: usize = 64;
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap().store;
    let mut load = Load::new(AT_ONCE, Duration::from_secs(300), clock::now());
    let began = Instant::now();
    for run in load.by_ref().take(ALONE) {
        begin_and_append(&store, &run).await;
    }
    let alone = each(began, ALONE);
    let began = Instant::now();
    let rounds = 200;
    for _ in 0..rounds {
        let runs: Vec<Run> = load.by_ref().take(AT_ONCE).collect();
        let writes = runs.iter().map(|run| begin_and_append(&store, run));
        futures::future::join_all(writes).await;
    }
    let together = each(began, rounds * AT_ONCE);
    store.close().await;

    let lines: Vec<String> = load
        .take(ALONE)
        .map(|run| serde_json::to_string(&run).unwrap())
        .collect();
    let other = TempDir::new().unwrap();
    let plain = sled::Config::new()
        .path(other.path())
        .flush_every_ms(None)
        .open()
        .unwrap();
    let began = Instant::now();
    for (n, line) in lines.iter().enumerate() {
        plain.insert(n.to_be_bytes(), line.as_bytes()).unwrap();
        plain.flush().unwrap();
    }
    let inserted = each(began, ALONE);
    let mut file = File::create(other.path().join("runs.jsonl")).unwrap();
    let began = Instant::now();
    for line in &lines {
        file.write_all(line.as_bytes()).unwrap();
        file.sync_data().unwrap();
    }
    let written = each(began, ALONE);
    println!(
        "a run begun, then appended with its evidence and counted in its rollups, each durable:"
    );
    println!("  one after the other: {:.2} ms", ms(alone));
    println!("  {AT_ONCE} at once: {:.3} ms a run", ms(together));
    println!(
        "  against one line of JSON written and synced: {:.1} and {:.2}; against one insert and flush of plain sled: {:.1} and {:.2}",
        ratio(alone, written),
        ratio(together, written),
        ratio(alone, inserted),
        ratio(together, inserted),
    );
}

async fn begin_and_append(store: &Store, run: &Run) {
    store.begin(&intent(run)).await.unwrap();
    store.append(run).await.unwrap();
}

fn intent(run: &Run) -> Intent {
    Intent {
        version: run.version,
        id: run.id,
        probe: run.probe.clone(),
        provider: run.provider.clone(),
        environment: run.environment.clone(),
        location: run.location.clone(),
        scheduled_at: run.scheduled_at,
        started_at: run.started_at,
    }
}

/// Disk of a million good runs of ten steps: 100 probes, every five minutes for five weeks.
async fn million(store_path: &Path) {
    const RUNS: usize = 1_000_000;
    let every = Duration::from_secs(300);
    let limits = Limits {
        runs: 40 * DAY,
        ..Limits::default()
    };
    let store = open(store_path);
    let mut filling = Filling::new(100, every, RUNS);
    filling.go_on(&store, limits, RUNS).await;
    store.close().await;
    println!("a million good runs of 100 probes over 35 days:");
    disk(store_path, RUNS);
    filling.tell();
    against_others(&filling);
}

/// The same runs as lines of JSON, and as records of plain sled.
fn against_others(filling: &Filling) {
    const SOME: usize = 100_000;
    let folder = TempDir::new().unwrap();
    let plain = sled::Config::new()
        .path(folder.path())
        .flush_every_ms(None)
        .open()
        .unwrap();
    let mut bytes = 0;
    for mut run in Load::new(100, Duration::from_secs(300), filling.first).take(SOME) {
        run.evidence = None;
        let line = serde_json::to_string(&run).unwrap();
        bytes += line.len() + 1;
        plain.insert(run.id.0.as_bytes(), line.as_bytes()).unwrap();
    }
    plain.flush().unwrap();
    drop(plain);
    println!(
        "  the same as lines of JSON: {} bytes a run; as records of plain sled: {}",
        bytes / SOME,
        used(folder.path()) / SOME as u64
    );
}

/// A store of 1,000 probes over 90 days: opening, memory, questions; then what it takes after days have gone.
async fn many_millions(folder: &Path, runs: usize) {
    const PROBES: usize = 1000;
    let path = folder.join("store");
    let every = 90 * DAY / u32::try_from(runs / PROBES).unwrap();
    let limits = Limits {
        runs: 91 * DAY,
        ..Limits::default()
    };
    let store = open(&path);
    // Ten days more will follow, and end now.
    let more = runs / 9;
    let mut filling = Filling::new(PROBES, every, runs + more);
    filling.go_on(&store, limits, runs).await;
    store.close().await;
    drop(store);
    println!("{runs} good runs of {PROBES} probes over 90 days:");
    disk(&path, runs);
    filling.tell();
    look_from_outside(&path);

    let store = open(&path);
    let limits = Limits {
        runs: 80 * DAY,
        ..limits
    };
    filling.go_on(&store, limits, more).await;
    let left = runs / 90 * 80;
    store.close().await;
    drop(store);
    println!("ten days later, with 80 days kept:");
    disk(&path, left);
    in_a_daemon(folder, PROBES).await;
}

fn open(folder: &Path) -> Store {
    Store::open(folder).unwrap().store
}

/// A store that is being filled.
struct Filling {
    load: Load,
    first: Timestamp,
    gap: Duration,
    writing: Duration,
    tending: Duration,
    written: usize,
    rounds: usize,
    /// What looking after it took when there was little to do.
    idle: Duration,
}

impl Filling {
    /// Of so many runs, the last of which ends about now.
    fn new(probes: usize, every: Duration, runs: usize) -> Self {
        let gap = every / u32::try_from(probes).unwrap();
        let first = clock::now() - gap * u32::try_from(runs).unwrap();
        Self {
            load: Load::new(probes, every, first),
            first,
            gap,
            writing: Duration::ZERO,
            tending: Duration::ZERO,
            written: 0,
            rounds: 0,
            idle: Duration::ZERO,
        }
    }

    async fn go_on(&mut self, store: &Store, limits: Limits, runs: usize) {
        let an_hour = (3600.0 / self.gap.as_secs_f64()) as usize;
        let end = self.written + runs;
        let mut tend_at = self.written + an_hour;
        while self.written < end {
            let count = TOGETHER.min(end - self.written);
            let runs: Vec<Run> = self.load.by_ref().take(count).collect();
            let began = Instant::now();
            let mut batch = Batch::new();
            for run in &runs {
                batch.append(run);
            }
            store.commit(batch).await.unwrap();
            self.writing += began.elapsed();
            self.written += count;
            if self.written >= tend_at {
                tend_at += an_hour;
                self.tend(store, limits).await;
            }
        }
        self.tend(store, limits).await;
        let began = Instant::now();
        store.tend(limits, self.now()).await.unwrap();
        self.idle = began.elapsed();
    }

    async fn tend(&mut self, store: &Store, limits: Limits) {
        let began = Instant::now();
        store.tend(limits, self.now()).await.unwrap();
        self.tending += began.elapsed();
        self.rounds += 1;
    }

    fn now(&self) -> Timestamp {
        self.first + self.gap * u32::try_from(self.written).unwrap()
    }

    fn tell(&self) {
        println!(
            "  written in {:.0} s, {:.3} ms a run when {TOGETHER} come together; {} rounds of packing and looking after it took {:.0} s, one with nothing to do {:.0} ms",
            self.writing.as_secs_f64(),
            ms(self.writing) / self.written as f64,
            self.rounds,
            self.tending.as_secs_f64(),
            ms(self.idle),
        );
    }
}

/// What a store takes, as `du` counts.
fn disk(store: &Path, runs: usize) {
    let of = |ending: &str| -> u64 {
        let files = fs::read_dir(store.join("packs")).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|it| it == ending))
            .map(|path| used(&path))
            .sum()
    };
    let (database, packed, rollups) = (used(&store.join("db")), of("runs"), of("rollups"));
    let a_run = |bytes: u64| bytes as f64 / runs as f64;
    println!(
        "  {:.1} bytes a run: packed {:.1}, rollups {:.1}, database with the index {:.1}; {:.0} MB in all, and {:.0} MB of evidence",
        a_run(database + packed + rollups),
        a_run(packed),
        a_run(rollups),
        a_run(database),
        (database + packed + rollups) as f64 / 1e6,
        of("evidence") as f64 / 1e6,
    );
}

fn used(path: &Path) -> u64 {
    let found = fs::symlink_metadata(path).unwrap();
    let within = if found.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| used(&entry.unwrap().path())).sum()
    } else {
        0
    };
    found.blocks() * 512 + within
}

/// Opens and asks a store in another process, and prints what that took.
fn look_from_outside(store: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg(LOOK)
        .arg(store)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let told: Json = serde_json::from_slice(&output.stdout).unwrap();
    println!(
        "  opened in {} ms; {} KiB then, {} KiB after all questions (proportional set size)",
        told["open_ms"], told["opened_kib"], told["asked_kib"]
    );
    println!(
        "  percentiles of one probe over 90 days: {} ms ({} runs; reading these runs: {} ms)",
        told["stats_ms"], told["stats_runs"], told["list_ms"]
    );
    println!(
        "  overview of {} probes over a day: {} ms, over 90 days: {} ms",
        told["probes"], told["overview_day_ms"], told["overview_90d_ms"]
    );
    println!(
        "  the newest 50 runs: {} ms; of one probe: {} ms; the oldest run of all: {} ms",
        told["newest_ms"], told["newest_of_one_ms"], told["one_ms"]
    );
}

/// In a process of its own.
async fn look(path: &Path) {
    let took = |began: Instant| (ms(began.elapsed()) * 10.0).round() / 10.0;
    let began = Instant::now();
    let store = Store::open(path).unwrap().store;
    let open_ms = took(began);
    let opened_kib = pss_kib(std::process::id());
    let query = |probe, limit| Query {
        probe,
        outcome: None,
        before: None,
        limit,
    };
    let began = Instant::now();
    let newest = store.list(query(None, 50)).await.unwrap();
    let newest_ms = took(began);
    assert_eq!(newest.len(), 50);
    let (now, probe) = (newest[0].started_at, newest[0].probe.clone());

    let began = Instant::now();
    let last = store.list(query(Some(probe.clone()), 50)).await.unwrap();
    let newest_of_one_ms = took(began);
    assert_eq!(last.len(), 50);

    let days = |days: i64| Span::last(SignedDuration::from_hours(24 * days), now);
    let began = Instant::now();
    let sum = store.stats(probe.clone(), days(90)).await.unwrap();
    let stats_ms = took(began);
    assert!(sum.stages.values().all(|it| it.quantile_ms(0.99).is_some()));

    let began = Instant::now();
    let (mut at, mut listed) = (None, 0);
    loop {
        let page = Query {
            before: at,
            ..query(Some(probe.clone()), 500)
        };
        let runs = store.list(page).await.unwrap();
        let Some(oldest) = runs.last() else {
            break;
        };
        at = Some(oldest.id);
        listed += runs.len();
    }
    let list_ms = took(began);

    let oldest: RunId = at.unwrap();
    let began = Instant::now();
    assert!(store.get(oldest).await.unwrap().is_some());
    let one_ms = took(began);

    let began = Instant::now();
    store.overview(days(1)).await.unwrap();
    let overview_day_ms = took(began);
    let began = Instant::now();
    let probes = store.overview(days(90)).await.unwrap().len();
    let overview_90d_ms = took(began);
    let told = json!({
        "open_ms": open_ms, "opened_kib": opened_kib, "asked_kib": pss_kib(std::process::id()),
        "newest_ms": newest_ms, "newest_of_one_ms": newest_of_one_ms, "one_ms": one_ms,
        "stats_ms": stats_ms, "stats_runs": sum.outcomes.total(), "list_ms": list_ms, "listed": listed,
        "overview_day_ms": overview_day_ms, "overview_90d_ms": overview_90d_ms, "probes": probes,
    });
    println!("{told}");
    store.close().await;
}

/// The store as a daemon has it that starts on it.
async fn in_a_daemon(folder: &Path, probes: usize) {
    let start = async |folder: &Path| {
        let began = Instant::now();
        let daemon = Daemon::start(folder, &Load::probe_file(probes), "90d").await;
        let started = began.elapsed();
        daemon.get("/metrics").await;
        let kib = daemon.pss_kib();
        daemon.stop().await;
        (ms(started), kib)
    };
    let other = TempDir::new().unwrap();
    let (first, first_kib) = start(folder).await;
    let (again, again_kib) = start(folder).await;
    let (empty, empty_kib) = start(other.path()).await;
    println!(
        "  a daemon of {probes} probes serves on it after {first:.0} ms with {first_kib} KiB the first time, when it learns what is usual, after {again:.0} ms with {again_kib} KiB from then on, and on an empty store after {empty:.0} ms with {empty_kib} KiB"
    );
}

fn each(began: Instant, count: usize) -> Duration {
    began.elapsed() / u32::try_from(count).unwrap()
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
