//! Notices against receivers that take them, fail, hang, limit and drop.

mod kill;
mod outbox;
pub(crate) mod receiver;
mod vendors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use authcanary::clock;
use authcanary::http::{Http, Settings};
use authcanary::notify::{
    Channel, Edge, Event, Failure, Key, News, Notice, Origin, Receipt, sample,
};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use receiver::{Answer, Receiver};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What only the other side may see.
const SECRET: &str = "s3cr3t-k3y-of-the-channel";

/// Secrets in files, and the way out.
struct Desk {
    folder: tempfile::TempDir,
    edge: Edge,
}

impl Desk {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Http::new(&Settings::default()).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            edge: Edge::new(&http, None).unwrap().with_patience(PATIENCE),
        }
    }

    fn impatient(mut self) -> Self {
        self.edge = self.edge.with_patience(Duration::from_millis(500));
        self
    }

    /// A reference to `value`.
    fn secret(&self, value: &str) -> Value {
        let path = self.path(&format!("secret-{}", value.len()));
        std::fs::write(&path, value).unwrap();
        json!({"file": path})
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn deliver(&self, channel: &Channel, event: Event) -> Result<Receipt, Failure> {
        self.follow(channel, event, None).await
    }

    async fn follow(
        &self,
        channel: &Channel,
        event: Event,
        earlier: Option<&Receipt>,
    ) -> Result<Receipt, Failure> {
        channel
            .deliver(&notice(channel, event), earlier, &self.edge)
            .await
    }
}

fn channel(settings: Value) -> Channel {
    serde_json::from_value(settings).unwrap()
}

fn news(event: Event) -> News {
    News {
        alert: sample::alert(),
        event,
        at: sample::alert().started_at,
        note: String::new(),
        is_test: false,
    }
}

fn key(event: Event) -> Key {
    sample::key(&news(event), if event == Event::Fired { 1 } else { 2 })
}

fn notice(channel: &Channel, event: Event) -> Notice {
    let first = (event != Event::Fired).then_some(1);
    channel.compose(&news(event), &key(event), first, &Origin::default())
}

#[track_caller]
fn why(result: Result<Receipt, Failure>) -> String {
    let why = result.unwrap_err().to_string();
    assert!(!why.contains(SECRET), "{why}");
    why
}

#[tokio::test]
async fn a_webhook_gets_a_signed_event() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let hook = channel(json!({"webhook": {
        "url": receiver.url("/hook"),
        "secret": desk.secret(&format!("whsec_{}", STANDARD.encode(SECRET))),
        "headers": {"X-Team": "identity"},
    }}));
    let receipt = desk.deliver(&hook, Event::Fired).await.unwrap();
    assert_eq!(receipt.said, "status 200: ok");

    let call = receiver.only();
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("POST", "/hook")
    );
    assert_eq!(call.header("content-type"), "application/cloudevents+json");
    assert_eq!(call.header("x-team"), "identity");
    assert_eq!(call.header("webhook-id"), key(Event::Fired).to_string());
    assert_eq!(call.json()["id"], key(Event::Fired).to_string());
    assert_eq!(call.json()["specversion"], "1.0");
    assert_eq!(call.json()["type"], "authcanary.alert.fired");

    let at = call.header("webhook-timestamp");
    let age = clock::now().as_second() - at.parse::<i64>().unwrap();
    assert!((0..600).contains(&age), "{age}");
    let signed = format!("{}.{at}.{}", call.header("webhook-id"), call.body);
    let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = call.header("webhook-signature").replace("v1,", "");
    let signature = STANDARD.decode(signature).unwrap();
    hmac::verify(&hmac_key, signed.as_bytes(), &signature).unwrap();
}

#[tokio::test]
async fn answers_say_whether_trying_again_can_help() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let hook = channel(json!({"webhook": {"url": receiver.url("/hook")}}));
    let retry = |after: Option<u64>, may_have_arrived| Some((after, may_have_arrived));
    let cases = [
        (Answer::status(500), retry(None, true)),
        (
            Answer::status(503).retry_after("120"),
            retry(Some(120), true),
        ),
        (Answer::status(429).retry_after("7"), retry(Some(7), false)),
        (Answer::status(429), retry(None, false)),
        (Answer::status(408), retry(None, false)),
        (Answer::Drop, retry(None, true)),
        (Answer::status(301), None),
        (Answer::status(400), None),
        (Answer::status(401), None),
        (Answer::status(404), None),
        (Answer::status(410), None),
    ];
    for (answer, expected) in cases {
        let what = format!("{answer:?}");
        receiver.answer(answer);
        let found = match desk.deliver(&hook, Event::Fired).await.unwrap_err() {
            Failure::Retry {
                after,
                may_have_arrived,
                ..
            } => Some((after.map(|after| after.as_secs()), may_have_arrived)),
            Failure::Refused { .. } => None,
        };
        assert_eq!(found, expected, "{what}");
    }
}

#[tokio::test]
async fn a_receiver_that_hangs_or_is_not_there_is_tried_again() {
    let receiver = Receiver::start().await;
    let desk = Desk::new().impatient();
    let hook = channel(json!({"webhook": {"url": receiver.url("/hook")}}));
    receiver.answer(Answer::Hang);
    let hung = desk.deliver(&hook, Event::Fired).await.unwrap_err();
    assert!(
        matches!(
            hung,
            Failure::Retry {
                may_have_arrived: true,
                ..
            }
        ),
        "{hung:?}"
    );

    let desk = Desk::new();
    let url = receiver.url("/hook");
    receiver.stop().await;
    let hook = channel(json!({"webhook": {"url": url}}));
    let gone = desk.deliver(&hook, Event::Fired).await.unwrap_err();
    assert!(
        matches!(
            gone,
            Failure::Retry {
                may_have_arrived: false,
                ..
            }
        ),
        "{gone:?}"
    );
}

#[tokio::test]
async fn an_address_that_is_a_secret_stands_in_no_error_and_no_receipt() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let url = receiver.url(&format!(
        "/workflows/{SECRET}/invoke?sig=0123456789-{SECRET}"
    ));
    let teams = channel(json!({"teams": {"url": desk.secret(&url)}}));
    let telltale = format!("no {SECRET} at {url}, sig 0123456789-{SECRET}");
    receiver.answer(Answer::status(400).body(&telltale));
    let refused = why(desk.deliver(&teams, Event::Fired).await);
    assert!(refused.starts_with("status 400: no "), "{refused}");
    receiver.answer(Answer::status(200).body(&telltale));
    let receipt = desk.deliver(&teams, Event::Fired).await.unwrap();
    assert!(!receipt.said.contains(SECRET), "{receipt:?}");
    receiver.stop().await;
    why(desk.deliver(&teams, Event::Fired).await);

    // Nor does what is no address at all.
    let teams = channel(json!({"teams": {"url": desk.secret(&format!("ftp://{SECRET}"))}}));
    why(desk.deliver(&teams, Event::Fired).await);
}

#[tokio::test]
async fn a_secret_that_is_missing_is_named_and_may_be_there_later() {
    let desk = Desk::new();
    let path = desk.path("not-yet");
    let oncall = channel(json!({"pagerduty": {"routing_key": {"file": path}}}));
    let failure = desk.deliver(&oncall, Event::Fired).await.unwrap_err();
    assert!(matches!(failure, Failure::Retry { .. }), "{failure:?}");
    assert!(
        failure.to_string().contains(&path.display().to_string()),
        "{failure}"
    );
}

/// A program that does as `script` says.
fn program(desk: &Desk, script: &str) -> Channel {
    channel(json!({"exec": {"command": ["/bin/sh", "-c", script, "page", desk.path("out")]}}))
}

#[tokio::test]
async fn a_program_gets_the_event_and_says_by_its_status_how_it_went() {
    let desk = Desk::new();
    let page = program(&desk, "cat > \"$1\"; env > \"$1.env\"; echo noted >&2");
    let receipt = desk.deliver(&page, Event::Fired).await.unwrap();
    assert_eq!(receipt.said, "/bin/sh ended with exit status: 0: noted");
    let event: Value = read(&desk.path("out"));
    assert_eq!(event["type"], "authcanary.alert.fired");
    assert_eq!(
        event["data"]["alert"]["verdict"]["class"],
        "client_secret_expired"
    );
    let environment = std::fs::read_to_string(desk.path("out.env")).unwrap();
    assert!(
        environment.contains("PATH=") && !environment.contains("CARGO"),
        "{environment}"
    );

    for (status, is_refused) in [(1, false), (64, true), (75, false), (78, true), (79, false)] {
        // Without reading what it is given.
        let page = program(&desk, &format!("exit {status}"));
        let failure = desk.deliver(&page, Event::Fired).await.unwrap_err();
        assert_eq!(
            matches!(failure, Failure::Refused { .. }),
            is_refused,
            "{status}: {failure:?}"
        );
    }
    let missing = channel(json!({"exec": {"command": ["/nonexistent/page"]}}));
    let failure = desk.deliver(&missing, Event::Fired).await.unwrap_err();
    assert!(
        failure
            .to_string()
            .starts_with("/nonexistent/page cannot be started"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_program_that_hangs_or_floods_holds_up_nobody_and_is_ended_with_all_it_started() {
    let desk = Desk::new();
    let page = program(&desk, "yes noise | head -c 1000000 >&2; exit 0");
    let receipt = desk.deliver(&page, Event::Fired).await.unwrap();
    assert!(receipt.said.len() < 400, "{}", receipt.said.len());

    let desk = Desk::new().impatient();
    // Trying until it got as far as to note who is to go: a busy machine may end it earlier.
    let script = "sleep 600 & echo $! $$ > \"$1\"; wait";
    let pids = loop {
        let failure = desk
            .deliver(&program(&desk, script), Event::Fired)
            .await
            .unwrap_err();
        assert!(
            matches!(
                failure,
                Failure::Retry {
                    may_have_arrived: true,
                    ..
                }
            ),
            "{failure:?}"
        );
        match std::fs::read_to_string(desk.path("out")) {
            Ok(pids) if pids.ends_with('\n') => break pids,
            _ => {}
        }
    };
    for pid in pids.split_whitespace() {
        let is_gone = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The command as people run it.
fn notify_test(file: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .args(["notify", "test"])
        .args(arguments)
        .arg("-c")
        .arg(file)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_sends_a_marked_notice_and_its_end_and_prints_the_receipts() {
    let receiver = Receiver::start().await;
    let desk = Desk::new();
    let file = desk.path("authcanary.yaml");
    let channels = json!({
        "hook": {"webhook": {"url": receiver.url("/hook")}},
        "script": {"exec": {"command": ["/bin/sh", "-c", "exit 78"]}},
    });
    std::fs::write(&file, format!("version: 1\nchannels: {channels}\n")).unwrap();

    let (code, out, err) = notify_test(&file, &["hook"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(
        out,
        "hook (webhook)\n  fired     delivered: status 200: ok\n  resolved  delivered: status 200: ok\n"
    );
    let calls = receiver.calls();
    let events: Vec<&Value> = calls.iter().map(|call| &call.json["data"]).collect();
    assert_eq!(events[0]["event"], "fired");
    assert_eq!(events[1]["event"], "resolved");
    for event in events {
        assert_eq!(event["test"], true);
        assert!(
            event["title"].as_str().unwrap().starts_with("[TEST] "),
            "{event}"
        );
    }

    let (code, out, _) = notify_test(&file, &["script", "--format", "json"]);
    assert_eq!(code, Some(1));
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(result["notices"][0]["result"], "refused", "{out}");

    let (code, out, err) = notify_test(&file, &["hok"]);
    assert_eq!((code, out.as_str()), (Some(64), ""));
    assert_eq!(
        err,
        "authcanary: there is no channel hok; known are hook, script\n"
    );
}

/// Routes and channels by name, for the outbox.
fn named(channels: Vec<(&str, Channel)>) -> BTreeMap<String, Channel> {
    channels
        .into_iter()
        .map(|(name, channel)| (name.to_owned(), channel))
        .collect()
}
