//! A process that tells and sends, killed again and again at random moments: whatever it said it had taken in arrives,
//! and what arrives twice does so under one key.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use authcanary::alert::Fingerprint;
use authcanary::notify::outbox::{Outcome, Thread};
use authcanary::notify::sender::{self, Outbox};
use authcanary::store::{Batch, Store};
use authcanary::telemetry::Telemetry;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{sleep, timeout};

use super::*;

const KILLS: usize = 200;

/// Alerts that each life fires and resolves.
const ALERTS: usize = 3;

/// Milliseconds from the first thing that a life has taken in to its kill, at most.
const LONGEST: u64 = 60;

/// What a life needs to know.
const STORE: &str = "AUTHCANARY_TEST_STORE";
const URL: &str = "AUTHCANARY_TEST_URL";
const LIFE: &str = "AUTHCANARY_TEST_LIFE";

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_around_sending_lose_nothing() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    for life in 0..KILLS {
        // Some answers get lost, and some are no.
        match life % 7 {
            3 => receiver.answer(Answer::Drop),
            5 => receiver.answer(Answer::status(500)),
            _ => {}
        }
        told.extend(live(&desk, &receiver, life, Some(random(LONGEST))).await);
    }
    told.extend(live(&desk, &receiver, KILLS, None).await);

    let threads = threads(&desk).await;
    assert!(
        threads.values().all(|thread| !thread.is_pending()),
        "all is sent or given up"
    );
    let mut arrived: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for call in receiver.calls() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let what = (
            text(&call.json["subject"]),
            text(&call.json["data"]["event"]),
        );
        arrived
            .entry(what)
            .or_default()
            .insert(text(&call.json["id"]));
    }
    for (what, keys) in &arrived {
        assert_eq!(keys.len(), 1, "{what:?} came under {keys:?}");
    }
    for (alert, event) in &told {
        let has_come = |event: &str| arrived.contains_key(&(alert.clone(), event.to_owned()));
        let history = &threads[alert].history;
        let never_sent = history
            .iter()
            .any(|entry| entry.result == Outcome::Superseded);
        match never_sent {
            // It was over before it could be sent: nobody hears of its beginning, nor of its end.
            true => assert!(
                !has_come("fired") && !has_come("resolved"),
                "{alert}: {history:#?}"
            ),
            // Where the process died over the beginning, and the end came first after it, that says it all.
            false => assert!(
                has_come(event) || has_come("resolved"),
                "{alert} {event}: {history:#?}"
            ),
        }
    }
    let sent = arrived.len();
    assert!(
        told.len() > KILLS && sent > KILLS,
        "{} told, {sent} arrived",
        told.len()
    );
}

/// One process: killed `moment` milliseconds after it began to promise, or left to finish. What it promised.
async fn live(
    desk: &Desk,
    receiver: &Receiver,
    life: usize,
    moment: Option<u64>,
) -> Vec<(String, String)> {
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "notify::kill::a_life",
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env(STORE, desk.path("store"))
        .env(URL, receiver.url("/"))
        .env(LIFE, life.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut promised = Vec::new();
    let mut hear = |line: Option<String>| match line {
        Some(line) => {
            if let Some((alert, event)) =
                line.strip_prefix("told ").and_then(|it| it.split_once(' '))
            {
                promised.push((alert.to_owned(), event.to_owned()));
            }
            true
        }
        None => false,
    };
    let work = async {
        // The first line that it says by itself.
        loop {
            let line = lines.next_line().await.unwrap();
            let is_first = line.as_ref().is_some_and(|line| line.starts_with("told "));
            if !hear(line) || is_first {
                break;
            }
        }
        if let Some(moment) = moment {
            sleep(Duration::from_millis(moment)).await;
            // It may have come to its end before.
            let _ = child.start_kill();
        }
        while hear(lines.next_line().await.unwrap()) {}
        child.wait().await.unwrap()
    };
    let ended = timeout(Duration::from_secs(300), work).await.unwrap();
    let was_killed = moment.is_some() && ended.code().is_none();
    assert!(
        was_killed || ended.success(),
        "life {life} ends well, or by our hand: {ended}"
    );
    promised
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}

async fn threads(desk: &Desk) -> BTreeMap<String, Thread> {
    let opened = Store::open(&desk.path("store")).unwrap();
    assert_eq!(opened.quarantined, None, "the store was whole");
    let store = opened.store;
    let records = store.records::<Thread>("").await.unwrap();
    store.close().await;
    records.into_iter().collect()
}

/// Not a test: what the test above starts as a process of its own. First the ends of what earlier lives fired, then
/// alerts of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of another test"]
async fn a_life() {
    let Ok(folder) = std::env::var(STORE) else {
        return;
    };
    let (url, life) = (std::env::var(URL).unwrap(), std::env::var(LIFE).unwrap());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let opened = Store::open(Path::new(&folder)).unwrap();
    assert_eq!(opened.quarantined, None, "the store was whole");
    let store = opened.store;
    let settings = sender::Settings {
        channels: named(vec![("hook", channel(json!({"webhook": {"url": url}})))]),
        routes: Vec::new(),
        origin: Origin::default(),
        edge: Edge::new(&Http::new(&Settings::default()).unwrap(), None).unwrap(),
    };
    let telemetry = Arc::new(Telemetry::new("fra1").unwrap());
    let opened = Outbox::open(store.clone(), telemetry, settings).await;
    let (outbox, worker) = opened.unwrap();
    let work = tokio::spawn(worker.run());
    for thread in outbox.threads().await.unwrap() {
        if thread.is_open {
            tell(&outbox, &thread.fingerprint.0, Event::Resolved).await;
        }
    }
    for number in 0..ALERTS {
        let alert = format!("{life}-{number}");
        tell(&outbox, &alert, Event::Fired).await;
        // Some end right away, some later, some in the next life.
        if number == 1 {
            tell(&outbox, &alert, Event::Resolved).await;
        }
    }
    tell(&outbox, &format!("{life}-0"), Event::Resolved).await;
    while outbox
        .threads()
        .await
        .unwrap()
        .iter()
        .any(Thread::is_pending)
    {
        sleep(Duration::from_millis(5)).await;
    }
    drop(outbox);
    work.await.unwrap();
    store.close().await;
}

async fn tell(outbox: &Outbox, alert: &str, event: Event) {
    let mut news = news(event);
    news.alert.fingerprint = Fingerprint(alert.to_owned());
    news.at = clock::now();
    outbox.tell(vec![news], Batch::new()).await.unwrap();
    // From here on it is promised.
    let mut out = std::io::stdout().lock();
    writeln!(out, "told {alert} {}", event.as_str()).unwrap();
    out.flush().unwrap();
}
