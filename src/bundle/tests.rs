use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::probe::ProbeId;
use crate::run::{
    BrowserVersion, CorrelationId, Evidence, PageEvidence, Part, Peer, RUN_VERSION, RunId, Timings,
    Verdict,
};
use crate::taxonomy::{Class, Outcome};

fn start() -> Timestamp {
    "2026-11-21T15:00:00.123Z".parse().unwrap()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let list = list.iter();
    list.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn hop(method: &str, url: &str, status: Option<u16>, at_ms: u64) -> Hop {
    Hop {
        method: method.to_owned(),
        url: url.to_owned(),
        status,
        response_headers: pairs(&[("set-cookie", "sid=[redacted-9-chars-a1b2]; Path=/")]),
        at_ms,
        took_ms: status.map(|_| 20),
        error: None,
    }
}

fn exchange(id: RunId) -> Exchange {
    Exchange {
        stage: Stage::TokenExchange,
        span_id: Some(id.trace_id().span(Part::Exchange(0))),
        started_at: start() + SignedDuration::from_secs(2),
        method: "POST".to_owned(),
        url: "https://op.example.com/token?tenant=o'neil&ticket=[redacted-9-chars-a1b2]".to_owned(),
        request_headers: pairs(&[
            ("user-agent", "authcanary/0.1.0 (+synthetic)"),
            ("content-type", "application/x-www-form-urlencoded"),
            ("traceparent", "00-1-2-01"),
            ("authorization", "Basic [redacted-40-chars-0001]"),
            ("x-odd", "$HOME `id` \"x\" 'y'"),
            ("x-empty", ""),
        ]),
        request_body: "grant_type=authorization_code&code=[redacted-43-chars-0002]&redirect_uri=https%3A%2F%2Fapp%2Fcb&code_verifier=[redacted-43-chars-0003]".to_owned(),
        protocol: Some("HTTP/2.0".to_owned()),
        status: Some(400),
        response_headers: pairs(&[("content-type", "application/json"), ("x-request-id", "r-1")]),
        response_body: r#"{"error":"invalid_grant","error_description":"```| x"}"#.to_owned(),
        response_size_bytes: 40,
        timings: Timings {
            dns_us: Some(1000),
            connect_us: Some(2000),
            tls_us: Some(3000),
            first_byte_us: Some(10_000),
            total_us: 12_500,
        },
        peer: Some(Peer {
            address: Some("192.0.2.1:443".to_owned()),
            certificates: Vec::new(),
        }),
        error: None,
    }
}

fn run(stage: Stage, class: Class) -> Run {
    let id = RunId(Uuid::parse_str("019ab3a2-7e30-7d5c-9a0b-1234567890ab").unwrap());
    let hops = vec![
        hop(
            "GET",
            "https://op.example.com/authorize?client_id=canary&state=[redacted-43-chars-0004]&prompt=consent",
            Some(302),
            10,
        ),
        hop("POST", "https://op.example.com/login", Some(302), 900),
        hop(
            "GET",
            "https://app/cb?code=[redacted-43-chars-0002]",
            None,
            950,
        ),
    ];
    Run {
        version: RUN_VERSION,
        id,
        probe: ProbeId::new("acme", "prod", None),
        provider: "acme".to_owned(),
        environment: "prod".to_owned(),
        location: "fra1".to_owned(),
        scheduled_at: None,
        started_at: start(),
        duration_ms: 2500,
        outcome: Outcome::Failed,
        verdict: Some(Verdict {
            stage,
            class,
            cause: class.cause(),
            action: class.action(),
            detail: "token endpoint answered 400 invalid_grant: ```| x".to_owned(),
            rule: Some("code/invalid_grant".to_owned()),
            raw: None,
        }),
        steps: Vec::new(),
        warnings: Vec::new(),
        evidence: Some(Evidence {
            exchanges: vec![exchange(id)],
            hops,
            browser_started_at: Some(start() + SignedDuration::from_millis(500)),
            page: Some(PageEvidence {
                title: "Sign | in".to_owned(),
                text: "````\n# not a title\n````".to_owned(),
                ..PageEvidence::default()
            }),
            correlation: vec![CorrelationId {
                stage: Stage::TokenExchange,
                exchange: Some(0),
                hop: None,
                name: "x-request-id".to_owned(),
                value: "r-1".to_owned(),
            }],
            browser: Some(BrowserVersion {
                browser: "chrome 156.0.1".to_owned(),
                driver: "chromedriver 156.0.1".to_owned(),
            }),
            ..Evidence::default()
        }),
    }
}

#[test]
fn an_archive_holds_what_was_asked_in_order() {
    let har = har(&run(Stage::TokenExchange, Class::InvalidGrant));
    let log = &har["log"];
    assert_eq!(
        (&log["version"], &log["browser"]["version"]),
        (&json!("1.2"), &json!("156.0.1"))
    );
    let entries = log["entries"].as_array().unwrap();
    let told: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{} {} {}",
                entry["startedDateTime"], entry["pageref"], entry["response"]["status"]
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    "2026-11-21T15:00:00.633Z" "browser" 302
    "2026-11-21T15:00:01.523Z" "browser" 302
    "2026-11-21T15:00:01.573Z" "browser" 0
    "2026-11-21T15:00:02.123Z" "token_exchange" 400
    "#);
    let pages = log["pages"].as_array().unwrap();
    for entry in entries {
        let page = pages.iter().find(|page| page["id"] == entry["pageref"]);
        let page = page.expect("each entry has its page");
        assert!(page["startedDateTime"].as_str() <= entry["startedDateTime"].as_str());
        let timings = entry["timings"].as_object().unwrap();
        let parts = timings.iter().filter(|(name, _)| *name != "ssl");
        let sum: f64 = parts
            .filter_map(|(_, ms)| ms.as_f64())
            .filter(|&ms| ms > 0.0)
            .sum();
        assert!(
            (sum - entry["time"].as_f64().unwrap()).abs() < 1e-9,
            "{entry:#}"
        );
    }
    let token = &entries[3];
    assert_eq!(
        token["timings"],
        json!({"blocked": -1, "dns": 1.0, "connect": 5.0, "ssl": 3.0, "send": 0, "wait": 4.0, "receive": 2.5})
    );
    assert_eq!(
        token["request"]["postData"]["params"][0]["value"],
        "authorization_code"
    );
    assert_eq!(
        (&token["serverIPAddress"], &token["connection"]),
        (&json!("192.0.2.1"), &json!("443"))
    );
}

/// What a shell makes of a script, with `curl` replaced by one that tells its arguments, then what it reads.
fn told(script: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let told = format!("curl() {{ printf '<%s>\\n' \"$@\"; cat; }}\n{script}");
    let ran = Command::new("sh")
        .arg("-c")
        .arg(told)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .envs(variables.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    (ran.status.success(), String::from_utf8(ran.stdout).unwrap())
}

#[test]
fn commands_say_to_a_shell_exactly_what_was_sent() {
    let script = curl(&run(Stage::TokenExchange, Class::InvalidGrant));
    assert!(!told(&script, &[]).0, "it stops where a secret is not set");
    let variables = [
        ("CLIENT_SECRET", "s&c $(id) 'x' \"y\" \\z"),
        ("CODE", "c&d"),
        ("CODE_VERIFIER", "v"),
        ("TICKET", "t"),
    ];
    let (good, text) = told(&script, &variables);
    assert!(good, "{script}");
    insta::assert_snapshot!(text, @r##"
    <--include>
    <--silent>
    <--show-error>
    <--globoff>
    <--max-time>
    <60>
    <--config>
    <->
    <--header>
    <user-agent: authcanary/0.1.0 (+synthetic)>
    <--header>
    <content-type: application/x-www-form-urlencoded>
    <--header>
    <x-odd: $HOME `id` "x" 'y'>
    <--header>
    <x-empty;>
    <--data-raw>
    <grant_type=authorization_code&redirect_uri=https%3A%2F%2Fapp%2Fcb>
    url = "https://op.example.com/token?tenant=o'neil&ticket=t"
    user = "canary:s&c $(id) 'x' \"y\" \\z"
    data-urlencode = "code=c&d"
    data-urlencode = "code_verifier=v"
    "##);
}

#[test]
fn what_failed_in_the_browser_begins_at_the_authorization_request() {
    let check = |stage: Stage, class: Class, expected: &[&str]| {
        let run = run(stage, class);
        let sent: Vec<&str> = failing(&run)
            .iter()
            .map(|sent| sent.url().split('?').next().unwrap())
            .collect();
        assert_eq!(sent, expected, "{stage} {class}");
    };
    let (authorize, login) = (
        "https://op.example.com/authorize",
        "https://op.example.com/login",
    );
    check(Stage::Callback, Class::AccessDenied, &[authorize, login]);
    check(Stage::Logout, Class::HttpClientError, &[login]);
    check(Stage::Connect, Class::ConnectRefused, &[]);
    check(
        Stage::IdToken,
        Class::NonceMismatch,
        &["https://op.example.com/token"],
    );
    check(Stage::Monitor, Class::Internal, &[]);
    let (good, text) = told(&curl(&run(Stage::Callback, Class::AccessDenied)), &[]);
    assert!(good);
    assert!(text.contains(
        "<https://op.example.com/authorize?client_id=canary&state=any-value-will-do&prompt=consent>"
    ));
}

#[test]
fn a_page_for_a_ticket_tells_all_and_nothing_in_it_breaks_out() {
    let page = markdown(&run(Stage::TokenExchange, Class::InvalidGrant));
    for line in [
        "# acme/prod: failed at token_exchange, invalid_grant",
        "| started | 2026-11-21T15:00:00.123Z |",
        "| rule | `code/invalid_grant` |",
        "| ours | trace id | 019ab3a27e307d5c9a0b1234567890ab | the run |",
        "| ours | traceparent, as sent | 00-019ab3a27e307d5c9a0b1234567890ab-9a0b1234567b90ab-01 | the request that failed |",
        "CLIENT_ID='canary'",
        "| browser | chrome 156.0.1 |",
    ] {
        assert!(
            page.lines().any(|it| it == line),
            "{line} is missing in\n{page}"
        );
    }
    assert!(page.contains(
        "| theirs | x-request-id | r-1 | `token_exchange at 2026-11-21T15:00:02.123Z, span "
    ));
    let html = {
        let options = pulldown_cmark::Options::ENABLE_TABLES;
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new_ext(&page, options));
        html
    };
    assert_eq!(html.matches("<h1>").count(), 1, "{html}");
    assert!(!html.contains("not a title</h1>"));
    // A table whose cells broke would not be one any more.
    let tables = page
        .lines()
        .filter(|line| {
            line.starts_with("| ---") || line.starts_with("|-") || line.contains("--- |")
        })
        .count();
    assert_eq!(html.matches("<table>").count(), tables, "{page}");
    assert!(html.contains("token endpoint answered 400 invalid_grant: ```| x"));
}

#[test]
fn runs_without_evidence_or_verdict_are_told_as_well() {
    let mut bare = run(Stage::Monitor, Class::Internal);
    bare.evidence = None;
    assert_eq!(har(&bare)["log"]["entries"], json!([]));
    assert!(markdown(&bare).contains("internal"));
    assert!(curl(&bare).contains("no request of the run can be asked again"));

    let mut good = run(Stage::TokenExchange, Class::InvalidGrant);
    good.verdict = None;
    good.outcome = Outcome::Ok;
    assert!(curl(&good).contains("option data-urlencode 'code='\"$CODE\""));
    assert!(!markdown(&good).contains("Ask again"));
    assert_ne!(har(&good)["log"]["entries"], Value::Null);
}
