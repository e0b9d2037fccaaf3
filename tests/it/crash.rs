//! The real daemon, killed again and again under load: what it said it had done is done, and nothing is counted twice.
//!
//! A life is one process from its start to its kill. What it promised is read from its answers and its log; what became
//! of that is read from the store once the last life is over. Meanwhile a probe fails and a channel is told of it, and
//! between two lives runs of earlier days are put into the store, which the next life has to pack, or to take away, and
//! the database is made to take so much that the next life has to write it anew.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use authcanary::loopback::{self, Config};
use authcanary::probe::ProbeId;
use authcanary::run::{RUN_VERSION, Run, RunId, StepRecord};
use authcanary::store::{Batch, Kind, Limits, Query, Record, Rollup, Span, Store};
use authcanary::taxonomy::{Outcome, Stage};
use jiff::Timestamp;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::common::until;
use crate::notify::receiver::{Call, Receiver};

/// Kills altogether, and stores that are hit at the same time.
const KILLS: (usize, usize) = (200, 2);

/// Probes of each store; all are due every second, each at a moment of its own.
const PROBES: usize = 8;

/// The probes that clients ask for without pause.
const PRESSED: usize = 2;

/// Between how many lives something old is put into the store.
const LIVES: usize = 4;

/// How many days ago these runs began: some are packed, some go.
const DAYS_AGO: [i64; 4] = [1, 2, 5, 40];

/// How many of each day.
const OF_A_DAY: usize = 15;

/// How often a record is written that is taken away again, and how many bytes it takes.
const LONG: (usize, usize) = (8, 2 << 20);

/// What the database takes in the end, at most: far less than all these records.
const IN_THE_END: u64 = 12 << 20;

/// Milliseconds that a life lasts at most, from its start or from when it serves.
const LONGEST: u64 = 900;

/// Long enough for a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_nothing_that_was_promised() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let lanes = (0..KILLS.1).map(|lane| {
        let issuer = provider.issuer().to_owned();
        tokio::spawn(async move {
            let lane = Lane::new(&issuer, lane, Receiver::start().await);
            lane.live(KILLS.0 / KILLS.1).await;
        })
    });
    for lane in futures::future::join_all(lanes).await {
        lane.unwrap();
    }
    provider.stop().await;
}

/// One store, and the daemons that come and go on it.
struct Lane {
    folder: TempDir,
    issuer: String,
    /// Hears of the probe that fails.
    receiver: Receiver,
    /// What the lives promised.
    promised: Promised,
    /// Runs of earlier days that are to stay, and such that are to go.
    old: (Vec<RunId>, Vec<RunId>),
    /// When each life began.
    births: Vec<Timestamp>,
    /// Kills that came while the database was being written anew.
    torn: usize,
    dice: Dice,
}

/// What has been said to whoever listened.
#[derive(Default)]
struct Promised {
    /// Runs that were sure to end in a record.
    begun: Vec<RunId>,
    /// Runs that were told to have ended, with their outcome.
    ended: HashMap<RunId, String>,
}

impl Promised {
    fn take(&mut self, life: Self) {
        self.begun.extend(life.begun);
        self.ended.extend(life.ended);
    }

    /// From a line of the log.
    fn hear(&mut self, line: &str) {
        let Ok(line) = serde_json::from_str::<Json>(line) else {
            // The last line may be cut off.
            return;
        };
        let fields = &line["fields"];
        let Some(id) = fields["run.id"].as_str().and_then(|id| id.parse().ok()) else {
            return;
        };
        match fields["message"].as_str() {
            Some("run began") => self.begun.push(RunId(id)),
            Some("run ended") => {
                let outcome = fields["outcome"].as_str().unwrap().to_owned();
                self.ended.insert(RunId(id), outcome);
            }
            _ => (),
        }
    }
}

/// A record that is there for its size.
#[derive(serde::Serialize, serde::Deserialize)]
struct Long(String);

impl Record for Long {
    const KIND: Kind = Kind::Grants;
    const VERSION: u16 = 1;
}

impl Lane {
    fn new(issuer: &str, number: usize, receiver: Receiver) -> Self {
        let folder = TempDir::new().unwrap();
        probe_file(folder.path(), issuer, "1s");
        let file = format!(
            "version: 1\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {{path: {}}}\n\
             channels: {{hook: {{webhook: {{url: \"{}\"}}}}}}\nroutes: [{{to: [hook]}}]\n",
            folder.path().join("store").display(),
            receiver.url("/hook"),
        );
        std::fs::write(folder.path().join("authcanary.yaml"), file).unwrap();
        Self {
            folder,
            issuer: issuer.to_owned(),
            receiver,
            promised: Promised::default(),
            old: (Vec::new(), Vec::new()),
            births: Vec::new(),
            torn: 0,
            dice: Dice::new(number),
        }
    }

    async fn live(mut self, kills: usize) {
        for number in 0..kills {
            if number % LIVES == 0 {
                self.put_old_runs().await;
            }
            self.life().await;
        }
        self.last_life().await;
        self.check().await;
        self.receiver.stop().await;
    }

    /// While nobody has the store open.
    async fn put_old_runs(&mut self) {
        let store = Store::open(&self.store()).unwrap().store;
        let mut batch = Batch::new();
        for days in DAYS_AGO {
            for n in 0..OF_A_DAY {
                let run = old_run(n % PROBES, days, &mut self.dice);
                batch.append(&run);
                let horizon = Limits::default().runs.as_secs() / 86_400;
                let is_to_go = days > horizon.cast_signed();
                let (stay, go) = (&mut self.old.0, &mut self.old.1);
                if is_to_go { go } else { stay }.push(run.id);
            }
        }
        store.commit(batch).await.unwrap();
        for n in 0..LONG.0 {
            let long = Long(n.to_string().repeat(LONG.1));
            store.put("long", &long).await.unwrap();
        }
        store.remove::<Long>("long").await.unwrap();
        store.close().await;
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// One process, killed at a random moment: now and then while it starts.
    async fn life(&mut self) {
        let (early, delay) = (self.dice.below(5) == 0, self.dice.below(LONGEST));
        let mut life = Life::start(self.folder.path());
        self.births.push(life.born);
        let moment = Duration::from_millis(delay);
        if !early && let Some((base, _)) = life.serving().await {
            let clients = (0..PRESSED)
                .map(|n| press(&base, &format!("loopback/e{n}")))
                .chain([watch(&base)]);
            let clients: Vec<JoinHandle<Promised>> = clients.collect();
            tokio::time::sleep(moment).await;
            life.kill().await;
            for client in clients {
                self.promised.take(client.await.unwrap());
            }
        } else {
            tokio::time::sleep(moment).await;
            life.kill().await;
        }
        self.promised.take(life.log.await.unwrap());
        let halves = ["db.new", "db.old"].map(|half| self.store().join(half));
        self.torn += usize::from(halves.iter().any(|half| half.exists()));
    }

    /// One that runs only what it is asked to, so that it can be asked what it counted; stopped as a service is.
    async fn last_life(&mut self) {
        probe_file(self.folder.path(), &self.issuer, "30d");
        let mut life = Life::start(self.folder.path());
        let born = life.born;
        self.births.push(born);
        let (base, closed) = life.serving().await.expect("it starts after all the kills");
        let client = client();
        for n in 0..PROBES {
            let url = format!("{base}/api/v1/probes/loopback/e{n}/runs");
            let answer = client.post(url).send().await.unwrap();
            assert_eq!(answer.status(), 202);
        }
        until(|| async {
            let get = async |path: &str| {
                let answer = client.get(format!("{base}{path}")).send().await.unwrap();
                answer.text().await.unwrap()
            };
            let list: Json = serde_json::from_str(&get("/api/v1/runs?limit=1000").await).unwrap();
            let ids = list["runs"].as_array().unwrap().iter();
            let ids = ids.map(|run| RunId(run["id"].as_str().unwrap().parse().unwrap()));
            let own = ids.filter(|id| made_at(*id) >= born).count();
            // A run is counted once it is stored.
            let counted = runs_total(&get("/metrics").await);
            (own >= PROBES && counted == closed + own).then_some(())
        })
        .await;
        // Held back for a minute after the start of a process, and that over many of them.
        let heard = |calls: &[_]| calls.iter().any(is_fired);
        self.receiver.until(heard).await;
        life.terminate().await;
        self.promised.take(life.log.await.unwrap());
    }

    /// Who was told of a failing probe may have been told twice, but under one key.
    fn check_notices(&self) {
        let calls = self.receiver.calls();
        let fired = calls.iter().filter(|call| is_fired(call));
        let keys: BTreeSet<&str> = fired.map(|call| call.header("webhook-id")).collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
    }

    async fn check(&self) {
        self.check_notices();
        let packed = std::fs::read_dir(self.store().join("packs")).unwrap();
        let packed = packed.map(|file| file.unwrap().path());
        let packed = packed.filter(|path| path.extension().is_some_and(|it| it == "runs"));
        assert!(packed.count() > 0, "nothing was packed in all these lives");
        let opened = Store::open(&self.store()).unwrap();
        assert_eq!(opened.quarantined, None);
        assert!(
            opened.cut_off.is_empty(),
            "the last life closed all its runs"
        );
        // What the last life began to look after.
        let now = authcanary::clock::now();
        opened.store.tend(Limits::default(), now).await.unwrap();
        let database = size_of(&self.store().join("db"));
        assert!(database < IN_THE_END, "{database}");
        let runs = all_runs(&opened.store).await;
        let by_id: HashMap<RunId, &Run> = runs.iter().map(|run| (run.id, run)).collect();
        assert_eq!(by_id.len(), runs.len(), "a run has two records");

        assert!(
            self.promised.begun.len() > self.births.len(),
            "hardly any run began"
        );
        for id in &self.promised.begun {
            assert!(by_id.contains_key(id), "run {id} began and is lost");
        }
        for (id, outcome) in &self.promised.ended {
            let run = by_id.get(id).unwrap_or_else(|| panic!("run {id} is lost"));
            assert_eq!(run.outcome.as_str(), outcome, "run {id} has changed");
        }
        let (stay, go) = &self.old;
        for id in stay {
            assert!(by_id.contains_key(id), "the old run {id} is lost");
        }
        for id in go {
            assert!(!by_id.contains_key(id), "the old run {id} is still there");
        }
        self.check_schedule(&runs);
        check_rollups(&opened.store, &runs).await;
        println!(
            "{} lives: {} records, of which {} were cut off; {} runs were promised, {} were told to have ended; \
             {} kills came while the database was being written anew, which takes {database} bytes",
            self.births.len(),
            runs.len(),
            runs.iter().filter(|run| was_cut_off(run)).count(),
            self.promised.begun.len(),
            self.promised.ended.len(),
            self.torn,
        );
    }

    /// No start has two records, within a life and across a kill. (A machine that is too busy passes over starts.)
    fn check_schedule(&self, runs: &[Run]) {
        let starts = runs
            .iter()
            .filter_map(|run| Some((run.scheduled_at?, &run.probe)));
        let mut seen = HashSet::new();
        for (due, probe) in starts {
            let first = seen.insert((due, probe));
            assert!(first, "{probe} has two records of its start at {due}");
        }
        assert!(seen.len() > PROBES, "hardly any start came due");
    }
}

fn probe_file(folder: &Path, issuer: &str, every: &str) {
    let mut probe = format!(
        "version: 1\nprovider: loopback\nflow: client_credentials\nevery: {every}\ntimeout: 1s\nenvironments:\n"
    );
    for n in 0..PROBES {
        let client = "{id: demo-basic, auth: client_secret_basic, secret: {env: CRASH_SECRET}}";
        writeln!(probe, "  e{n}: {{issuer: \"{issuer}\", client: {client}}}").unwrap();
    }
    // Told of at the first time: there is no such issuer.
    let wrong = issuer.replace("127.0.0.1", "localhost");
    let client = "{id: demo-basic, auth: client_secret_basic, secret: {env: CRASH_SECRET}}";
    writeln!(probe, "  wrong: {{issuer: \"{wrong}\", client: {client}}}").unwrap();
    std::fs::write(folder.join("probe.yaml"), probe).unwrap();
}

fn size_of(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    let sizes = entries.map(|entry| entry.unwrap().metadata().unwrap().len());
    sizes.sum()
}

fn was_cut_off(run: &Run) -> bool {
    let verdict = run.verdict.as_ref();
    verdict.is_some_and(|verdict| verdict.detail.starts_with("cut off"))
}

/// What the rollups count is what the runs say, over spans of any kind.
async fn check_rollups(store: &Store, runs: &[Run]) {
    let first = runs.iter().map(|run| run.started_at).min().unwrap();
    let last = runs.iter().map(|run| run.started_at).max().unwrap();
    let mut spans = vec![Span::new(first, last), Span::new(last, last)];
    spans.push(Span::last(jiff::SignedDuration::from_hours(72), last));
    let minute = jiff::SignedDuration::from_mins(1);
    let starts = runs.iter().map(|run| run.started_at.as_second() / 60 * 60);
    for start in starts.collect::<BTreeSet<i64>>() {
        let start = Timestamp::from_second(start).unwrap();
        spans.push(Span::new(start, start + minute));
    }
    for span in spans {
        let mut expected = BTreeMap::<String, Rollup>::new();
        for run in runs {
            if (span.from..span.to).contains(&run.started_at) {
                let sum = expected.entry(run.probe.to_string()).or_default();
                sum.merge(&Rollup::of(run));
            }
        }
        let counted = store.overview(span).await.unwrap();
        let names = |sums: &BTreeMap<String, Rollup>| sums.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&counted), names(&expected), "{span:?}");
        for (probe, sum) in &counted {
            let expected = &expected[probe];
            assert_eq!(sum.outcomes, expected.outcomes, "{probe} {span:?}");
            assert_eq!(sum.classes, expected.classes, "{probe} {span:?}");
            assert_eq!(sum.duration.count(), expected.duration.count());
            for (stage, latency) in &expected.stages {
                assert_eq!(sum.stages[stage].count(), latency.count(), "{stage}");
            }
        }
    }
}

/// A good run of a whole day ago or more, at one of a few minutes of that day, of a probe that is no longer there.
fn old_run(probe: usize, days: i64, dice: &mut Dice) -> Run {
    let today = authcanary::clock::now().as_second() / 86_400 * 86_400;
    let second = today - days * 86_400 + dice.below(6) as i64 * 14_000 + dice.below(60) as i64;
    let started_at = Timestamp::from_second(second).unwrap();
    let mut random = [0; 10];
    random.fill_with(|| dice.below(256) as u8);
    let id = uuid::Builder::from_unix_timestamp_millis(second as u64 * 1000, &random);
    let step = |stage, duration_ms| StepRecord {
        stage,
        outcome: Outcome::Ok,
        duration_ms,
    };
    Run {
        version: RUN_VERSION,
        id: RunId(id.into_uuid()),
        probe: ProbeId::new("loopback", &format!("gone{probe}"), None),
        provider: "loopback".to_owned(),
        environment: format!("gone{probe}"),
        location: "here".to_owned(),
        scheduled_at: None,
        started_at,
        duration_ms: 30,
        outcome: Outcome::Ok,
        verdict: None,
        steps: vec![
            step(Stage::Discovery, 10),
            step(Stage::TokenExchange, 5 + dice.below(15)),
        ],
        warnings: vec![],
        evidence: None,
    }
}

fn is_fired(call: &Call) -> bool {
    let data = &call.json()["data"];
    let is_of_wrong = data["alert"]["verdict"]["class"] == "issuer_mismatch";
    data["event"] == "fired" && is_of_wrong
}

async fn all_runs(store: &Store) -> Vec<Run> {
    let mut runs = Vec::new();
    loop {
        let query = Query {
            probe: None,
            outcome: None,
            before: runs.last().map(|run: &Run| run.id),
            limit: 500,
        };
        let page = store.list(query).await.unwrap();
        if page.is_empty() {
            return runs;
        }
        runs.extend(page);
    }
}

/// When a run id was made.
fn made_at(id: RunId) -> Timestamp {
    let (seconds, nanos) = id.0.get_timestamp().unwrap().to_unix();
    Timestamp::new(seconds.cast_signed(), nanos.cast_signed()).unwrap()
}

/// One process.
struct Life {
    born: Timestamp,
    process: Child,
    serving: Option<oneshot::Receiver<(String, usize)>>,
    /// Ends with the process.
    log: JoinHandle<Promised>,
}

impl Life {
    fn start(folder: &Path) -> Self {
        // Ids of runs hold whole milliseconds.
        let now = authcanary::clock::now();
        let born = Timestamp::from_millisecond(now.as_millisecond()).unwrap();
        let mut process = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_authcanary")))
            .args(["--log", "authcanary=debug", "--log-format", "json", "-c"])
            .arg(folder.join("authcanary.yaml"))
            .arg("serve")
            .env("CRASH_SECRET", "demo-basic-secret")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (tell, serving) = oneshot::channel();
        let log = tokio::spawn(async move {
            let mut promised = Promised::default();
            let mut tell = Some(tell);
            let mut closed = 0;
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, rest)) = line.split_once("serving on ") {
                    let base = rest
                        .split(['/', '"'])
                        .find(|part| part.contains(':') && part.contains('.'));
                    let base = format!("http://{}", base.unwrap());
                    let _ = tell.take().map(|tell| tell.send((base, closed)));
                }
                closed +=
                    usize::from(line.contains("a run was cut off when the last process died"));
                promised.hear(&line);
            }
            promised
        });
        Self {
            born,
            process,
            serving: Some(serving),
            log,
        }
    }

    /// Where it serves, as soon as it does, and how many runs it has closed before.
    async fn serving(&mut self) -> Option<(String, usize)> {
        let serving = tokio::time::timeout(PATIENCE, self.serving.take()?).await;
        Some(
            serving
                .expect("it serves in time")
                .expect("it says where it serves"),
        )
    }

    async fn kill(&mut self) {
        self.process.start_kill().unwrap();
        self.process.wait().await.unwrap();
    }

    async fn terminate(&mut self) {
        use nix::sys::signal::{Signal, kill};
        let pid = nix::unistd::Pid::from_raw(self.process.id().unwrap().cast_signed());
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(self.process.wait().await.unwrap().success());
    }
}

/// Asks for runs of one probe until the daemon is gone; each that was accepted is a promise.
fn press(base: &str, probe: &str) -> JoinHandle<Promised> {
    let (client, url) = (client(), format!("{base}/api/v1/probes/{probe}/runs"));
    tokio::spawn(async move {
        let mut promised = Promised::default();
        while let Ok(answer) = client.post(&url).send().await {
            let accepted = answer.status() == 202;
            let Ok(body) = answer.text().await else {
                break;
            };
            if accepted {
                let body: Json = serde_json::from_str(&body).unwrap();
                promised
                    .begun
                    .push(RunId(body["id"].as_str().unwrap().parse().unwrap()));
            }
        }
        promised
    })
}

/// Lists runs until the daemon is gone, so that reads stand in the way. A run may be shown a moment before it is durable,
/// so nothing is promised here.
fn watch(base: &str) -> JoinHandle<Promised> {
    let (client, url) = (client(), format!("{base}/api/v1/runs?limit=20"));
    tokio::spawn(async move {
        while let Ok(answer) = client.get(&url).send().await {
            let Ok(body) = answer.text().await else {
                break;
            };
            let body: Json = serde_json::from_str(&body).unwrap();
            assert!(body["runs"].is_array(), "{body}");
        }
        Promised::default()
    })
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn runs_total(metrics: &str) -> usize {
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("authcanary_runs_total{"));
    let counts = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    counts.sum::<f64>() as usize
}

/// Moments that nobody chose, and that a log can repeat.
struct Dice(u64);

impl Dice {
    fn new(number: usize) -> Self {
        let seed = authcanary::clock::now().as_nanosecond() as u64 ^ number as u64;
        println!("lane {number}: seed {seed}");
        Self(seed | 1)
    }

    /// A number from 0 up to `end`, by xorshift.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
