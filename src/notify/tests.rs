//! What each channel composes: whole payloads as snapshots, and what holds for all of them.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::alert::{Deploy, Fingerprint, Scope, Severity, State};
use crate::probe::ProbeId;

/// One of each kind.
fn channels() -> Vec<Channel> {
    let secret = json!({"env": "NO_SUCH_SECRET"});
    let settings = json!([
        {"email": {"smtp": "smtps://mail.example.com", "from": "authcanary <canary@example.com>", "to": ["sre@example.com"]}},
        {"webhook": {"url": "https://hooks.example.com/alerts", "secret": secret}},
        {"slack": {"token": secret, "channel": "C0123456789"}},
        {"teams": {"url": secret}},
        {"discord": {"url": secret}},
        {"pagerduty": {"routing_key": secret}},
        {"opsgenie": {"api_key": secret}},
        {"alertmanager": {"urls": ["http://alertmanager:9093"]}},
        {"ntfy": {"topic": secret}},
        {"exec": {"command": ["/usr/local/bin/page"]}},
    ]);
    serde_json::from_value(settings).unwrap()
}

fn origin() -> Origin {
    Origin {
        location: "fra1".to_owned(),
        public_url: Some("https://canary.example.com/".parse().unwrap()),
        trace_url: Some("https://grafana.example.com/trace/{trace_id}".to_owned()),
    }
}

fn news(event: Event) -> News {
    let mut alert = sample::alert();
    let at = alert.started_at + SignedDuration::from_mins(14);
    if event == Event::Resolved {
        alert.state = State::Resolved;
        alert.resolved_at = Some(at);
    }
    News {
        alert,
        event,
        at,
        note: String::new(),
        is_test: false,
    }
}

fn composed(channel: &Channel, news: &News, origin: &Origin) -> Value {
    let first = (news.event != Event::Fired).then_some(1);
    let sequence = if first.is_some() { 2 } else { 1 };
    let notice = channel.compose(news, &sample::key(news, sequence), first, origin);
    match notice.payload {
        Payload::Json(value) => value,
        Payload::Mail(mail) => serde_json::to_value(mail).unwrap(),
    }
}

#[test]
fn payloads_are_as_they_were() {
    for channel in channels() {
        for event in [Event::Fired, Event::Resolved] {
            let name = format!("{}_{}", channel.name(), event.as_str());
            insta::assert_json_snapshot!(name, composed(&channel, &news(event), &origin()));
        }
    }
}

#[test]
fn acknowledged_alerts_are_acknowledged_where_the_vendor_knows_that() {
    let mut news = news(Event::Acknowledged);
    "taken on by anna".clone_into(&mut news.note);
    for channel in channels() {
        let payload = composed(&channel, &news, &origin());
        match channel.name() {
            "pagerduty" => assert_eq!(payload["event_action"], "acknowledge"),
            _ => assert!(
                payload.to_string().contains("taken on by anna"),
                "{}",
                channel.name()
            ),
        }
    }
}

/// The facts that a tired person needs stand in every channel that shows a text.
#[test]
fn every_text_says_what_where_whose_why_since_when_and_what_to_do() {
    let origin = origin();
    let news = news(Event::Fired);
    for channel in channels() {
        let text = composed(&channel, &news, &origin).to_string();
        for fact in [
            "nobody can sign in at keycloak/prod",
            "prod",
            "client_secret_expired",
            "credential",
            "renew the secret",
            "3 of the last 3 runs",
            "https://canary.example.com/runbooks/client_secret_expired",
            "https://canary.example.com/runs/019e8340-1000-7000-8000-000000000003",
            "https://grafana.example.com/trace/019e8340100070008000000000000003",
            "gateway 2026.6.1",
            "https://canary.example.com/alerts/4f2c91d07a3be658#silence",
            "2026-06-01",
        ] {
            // Programs get the fields of the alert instead of sentences.
            let is_for_programs = matches!(channel.name(), "webhook" | "exec");
            let field = match fact {
                "renew the secret" => "rotate_credentials",
                fact => fact,
            };
            let fact = if is_for_programs { field } else { fact };
            assert!(
                text.contains(fact),
                "{} does not say {fact}: {text}",
                channel.name()
            );
        }
    }
}

#[test]
fn without_a_public_address_notices_name_commands() {
    let news = news(Event::Fired);
    for channel in channels() {
        let text = composed(&channel, &news, &Origin::default()).to_string();
        let text = text.replace('\\', "");
        assert!(!text.contains("canary.example.com/"), "{}", channel.name());
        if !matches!(channel.name(), "webhook" | "exec") {
            assert!(
                text.contains("authcanary explain client_secret_expired"),
                "{text}"
            );
            assert!(text.contains("authcanary silence add"), "{text}");
        }
    }
}

#[test]
fn no_secret_and_no_address_of_a_person_is_in_any_notice() {
    let mut news = news(Event::Fired);
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl";
    let verdict = news.alert.verdict.as_mut().unwrap();
    verdict.detail = format!("user anna@example.com: access_token={token}");
    news.alert.reason = format!("Authorization: Bearer {token}");
    news.alert.summary = "login of anna@example.com failed".to_owned();
    news.note = "call bob@example.org".to_owned();
    let deploy = &mut news.alert.deploys[0];
    deploy.by = "anna@example.com".to_owned();
    deploy.note = format!("client_secret={token}");
    deploy.url = Some(format!(
        "https://user:hunter2hunter2@ci.example.com/x?token={token}"
    ));
    for channel in channels() {
        let text = composed(&channel, &news, &origin()).to_string();
        for secret in ["eyJ", "c2lnbmF0dXJl", "hunter2", "anna@", "bob@"] {
            assert!(
                !text.contains(secret),
                "{} tells {secret}: {text}",
                channel.name()
            );
        }
    }
}

#[test]
fn the_name_of_a_commit_is_shown() {
    let commit = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b";
    let mut news = news(Event::Fired);
    news.alert.deploys[0].id = commit.to_owned();
    for channel in channels() {
        let text = composed(&channel, &news, &origin()).to_string();
        assert!(text.contains(commit), "{}: {text}", channel.name());
    }
}

#[test]
fn what_providers_say_calls_nobody_and_formats_nothing() {
    let mut news = news(Event::Fired);
    let nasty = "<!channel> @everyone <https://evil.example|here> [a](https://evil.example) *b* <script>alert(1)</script>\r\nBcc: x\u{202e}";
    news.alert.verdict.as_mut().unwrap().detail = nasty.to_owned();
    nasty.clone_into(&mut news.alert.summary);
    for channel in channels() {
        let payload = composed(&channel, &news, &origin());
        let text = payload.to_string();
        assert!(!text.contains('\u{202e}'), "{}", channel.name());
        match channel.name() {
            "slack" => assert!(
                !text.contains("<!") && !text.contains("<https://evil"),
                "{text}"
            ),
            "discord" => {
                assert_eq!(payload["allowed_mentions"], json!({"parse": []}));
                assert!(!text.contains("[a]("), "{text}");
            }
            "email" => {
                let html = payload["html"].as_str().unwrap();
                assert!(!html.contains("<script>"), "{html}");
                let subject = payload["subject"].as_str().unwrap();
                assert!(!subject.contains(['\r', '\n']), "{subject}");
            }
            _ => {}
        }
    }
}

/// Limits of the vendors, as their references give them. See docs/channels.md.
fn check_limits(channel: &Channel, payload: &Value) {
    let units = |value: &Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
    let bytes = payload.to_string().len();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let most = |value: &Value, limit: usize, what: &str| {
        assert!(
            units(value) <= limit,
            "{what} has {} of {limit}",
            units(value)
        );
    };
    match channel.name() {
        "email" => {
            most(&payload["subject"], 200, "subject");
            assert!(bytes < 256 * 1024);
        }
        "webhook" | "exec" => assert!(bytes <= 64 * 1024, "{bytes}"),
        "slack" => {
            most(&payload["text"], 4000, "text");
            let blocks = list(&payload["attachments"][0]["blocks"]);
            assert!(blocks.len() <= 50);
            for block in blocks {
                most(&block["text"]["text"], 3000, "section");
                assert!(units(&block["text"]["text"]) > 0);
            }
        }
        "teams" => assert!(bytes <= 28 * 1024, "{bytes}"),
        "discord" => {
            most(&payload["content"], 2000, "content");
            let embed = &payload["embeds"][0];
            most(&embed["title"], 256, "title");
            let fields = list(&embed["fields"]);
            assert!(fields.len() <= 25);
            let mut all = units(&embed["title"]);
            for field in &fields {
                most(&field["name"], 256, "name");
                most(&field["value"], 1024, "value");
                assert!(units(&field["value"]) > 0);
                all += units(&field["name"]) + units(&field["value"]);
            }
            assert!(all <= 6000, "{all}");
        }
        "pagerduty" => {
            most(&payload["dedup_key"], 255, "dedup_key");
            most(&payload["payload"]["summary"], 1024, "summary");
            assert!(bytes <= 512 * 1024, "{bytes}");
        }
        "opsgenie" => {
            most(&payload["message"], 130, "message");
            most(&payload["alias"], 512, "alias");
            most(&payload["description"], 15_000, "description");
            most(&payload["entity"], 512, "entity");
            most(&payload["source"], 100, "source");
            most(&payload["user"], 100, "user");
            most(&payload["note"], 25_000, "note");
            let tags = list(&payload["tags"]);
            assert!(tags.len() <= 20);
            tags.iter().for_each(|tag| most(tag, 50, "tag"));
            let details = payload["details"].as_object().cloned().unwrap_or_default();
            let all: usize = details
                .iter()
                .map(|(name, value)| name.encode_utf16().count() + units(value))
                .sum();
            assert!(all <= 8000, "{all}");
        }
        "alertmanager" => {
            for (name, value) in payload[0]["labels"].as_object().unwrap() {
                let mut chars = name.chars();
                let first = chars.next().unwrap();
                assert!(first.is_ascii_alphabetic() || first == '_', "{name}");
                assert!(
                    chars.all(|c| c.is_ascii_alphanumeric() || c == '_'),
                    "{name}"
                );
                assert_ne!(value, "");
            }
        }
        "ntfy" => {
            let size = |value: &Value| value.as_str().map_or(0, str::len);
            assert!(size(&payload["message"]) <= 4096);
            assert!(size(&payload["title"]) <= 1024);
            assert!(list(&payload["actions"]).len() <= 3);
            assert!(bytes + 100 <= 8192, "{bytes}");
        }
        other => panic!("what are the limits of {other}?"),
    }
}

fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        3 => "[a-z &<>*_|\\\\@#\"]{0,40}",
        1 => "\\PC{0,20}",
        1 => Just("😀".repeat(700)),
        1 => Just("<".repeat(3000)),
        1 => Just("ü\u{301}".repeat(1500)),
        1 => Just("\"\\\n".repeat(1000)),
    ];
    proptest::collection::vec(part, 1..3).prop_map(|parts| parts.concat())
}

/// Prints nothing of it: the texts are long and nasty.
struct Quiet(News);

impl fmt::Debug for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.event.as_str())
    }
}

prop_compose! {
    /// Long and nasty.
    fn any_news()(
        texts in proptest::array::uniform6(text()),
        event in proptest::sample::select(vec![
            Event::Fired, Event::Updated, Event::Reminder, Event::Acknowledged, Event::Resolved,
        ]),
        probes in 0_usize..300,
        labels in 0_usize..30,
        deploys in 0_usize..4,
        has_verdict: bool,
        is_page: bool,
    ) -> Quiet {
        let [summary, reason, detail, note, label, name] = texts;
        let mut news = news(event);
        let alert = &mut news.alert;
        alert.fingerprint.0.clone_from(&name);
        alert.summary = summary;
        alert.reason = reason;
        alert.severity = if is_page { Severity::Page } else { Severity::Ticket };
        match has_verdict {
            true => alert.verdict.as_mut().unwrap().detail = detail,
            false => alert.verdict = None,
        }
        alert.scope = Scope {
            probe: (0..probes).map(|n| ProbeId::new("provider", &format!("{n}-{label:.200}"), None)).collect(),
            environment: vec![name.clone()],
            ..Scope::default()
        };
        alert.labels = (0..labels).map(|n| (format!("{n}{name}"), label.clone())).collect();
        alert.deploys = (0..deploys).map(|n| Deploy {
            id: format!("{n} {name}"),
            at: alert.started_at,
            scope: Scope::default(),
            by: label.clone(),
            url: Some(format!("https://ci.example.com/{}", "x".repeat(n * 400))),
            note: note.clone(),
        }).collect();
        alert.evidence = vec![format!("https://canary.example.com/{label}"); 5];
        alert.runbook_url = Some("https://wiki.example.com/{class}?a|b".to_owned());
        news.note = note;
        Quiet(news)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_payload_is_larger_than_its_vendor_takes(Quiet(news) in any_news()) {
        for channel in channels() {
            let payload = composed(&channel, &news, &origin());
            check_limits(&channel, &payload);
        }
    }
}

#[test]
fn names_of_incidents_are_plain_and_short_whatever_the_fingerprint() {
    let key = |name: &str| Key {
        fingerprint: Fingerprint(name.to_owned()),
        opened_at: Timestamp::UNIX_EPOCH,
        sequence: 3,
    };
    assert_eq!(key("4f2c").incident(), "authcanary-4f2c");
    assert_eq!(key("4f2c").to_string(), "authcanary-4f2c.0.3");
    let long = "x".repeat(54);
    for name in ["", "a b", "ü", "a/b\r\n", long.as_str()] {
        let incident = key(name).incident();
        assert!(incident.len() <= 64 && incident.is_ascii(), "{incident}");
        assert!(!incident.contains([' ', '\r', '\n', '/']), "{incident}");
    }
    assert_ne!(key("a b").incident(), key("a c").incident());
}
