use serde_json::{Value as Json, json};

use super::*;

/// Milliseconds after the run's start, as a record has times.
fn at(ms: u64) -> Json {
    let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    at_ms(start, ms).to_string().into()
}

fn step(stage: &str, duration_ms: u64) -> Json {
    json!({"stage": stage, "outcome": "ok", "duration_ms": duration_ms})
}

fn exchange(stage: &str, ms: u64, status: u16) -> Json {
    json!({
        "stage": stage, "started_at": at(ms), "method": "GET", "url": format!("https://sso.example/{stage}"),
        "request_headers": [], "request_body": "", "status": status, "protocol": "HTTP/2.0",
        "response_headers": [], "response_body": "", "response_size_bytes": 11,
        "timings": {"dns_us": null, "connect_us": 1500, "tls_us": null, "first_byte_us": 20, "total_us": 20_000},
        "peer": {"address": "[::1]:8443", "certificates": []}, "error": null,
    })
}

fn hop(ms: u64, status: Option<u16>) -> Json {
    json!({"method": "GET", "url": "https://sso.example/login", "status": status, "at_ms": ms, "error": null})
}

/// A sign-in whose browser opened 300 ms after the start.
fn run() -> Json {
    json!({
        "version": 1, "id": "019ab3a2-7e30-7d5c-9a0b-ffffffffff01", "probe": "acme/prod", "provider": "acme",
        "environment": "prod", "location": "here", "scheduled_at": null, "started_at": at(0), "duration_ms": 2000,
        "outcome": "ok", "verdict": null, "warnings": [],
        "steps": [
            step("discovery", 100), step("jwks", 50), step("authorize", 400), step("login", 300), step("callback", 1),
            step("token_exchange", 120), step("userinfo", 80),
        ],
        "evidence": {
            "exchanges": [
                exchange("discovery", 10, 200), exchange("jwks", 111, 200), exchange("token_exchange", 1300, 200),
                exchange("userinfo", 1425, 200),
            ],
            "browser_started_at": at(300),
            "hops": [hop(5, Some(302)), hop(40, Some(200)), hop(960, None)],
        },
    })
}

fn spans_of(run: Json) -> Vec<SpanData> {
    spans(
        &serde_json::from_value(run).unwrap(),
        Some("https://canary.example/"),
    )
}

/// A span as a line: path of names, start and end in milliseconds after the run's start.
fn lines(spans: &[SpanData]) -> Vec<String> {
    let zero: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
    let ms = |time: SystemTime| time.duration_since(system(zero)).unwrap().as_millis();
    let line = |span: &SpanData| {
        let mut path = vec![span.name.to_string()];
        let mut above = span.parent_span_id;
        while let Some(parent) = spans.iter().find(|it| it.span_context.span_id() == above) {
            path.insert(0, parent.name.to_string());
            above = parent.parent_span_id;
        }
        format!(
            "{} {}-{}",
            path.join("/"),
            ms(span.start_time),
            ms(span.end_time)
        )
    };
    spans.iter().map(line).collect()
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    spans.iter().find(|span| span.name == name).unwrap()
}

fn say(span: &SpanData, key: &str) -> String {
    let found = span.attributes.iter().find(|it| it.key.as_str() == key);
    found.map_or_else(String::new, |it| it.value.to_string())
}

#[test]
fn steps_and_requests_stand_where_they_took_place() {
    let expected = [
        "run acme/prod 0-2000",
        "run acme/prod/discovery 10-110",
        "run acme/prod/jwks 111-161",
        "run acme/prod/authorize 300-999",
        "run acme/prod/login 999-1299",
        "run acme/prod/callback 1299-1300",
        "run acme/prod/token_exchange 1300-1420",
        "run acme/prod/userinfo 1425-1505",
        "run acme/prod/discovery/GET 10-30",
        "run acme/prod/jwks/GET 111-131",
        "run acme/prod/token_exchange/GET 1300-1320",
        "run acme/prod/userinfo/GET 1425-1445",
        "run acme/prod/authorize/GET 305-340",
        "run acme/prod/authorize/GET 340-999",
        "run acme/prod/login/GET 1260-1299",
    ];
    assert_eq!(lines(&spans_of(run())), expected);
}

#[test]
fn all_spans_are_of_the_trace_of_the_run_and_have_ids_of_their_own() {
    let spans = spans_of(run());
    let mut ids: Vec<SpanId> = spans
        .iter()
        .map(|span| span.span_context.span_id())
        .collect();
    for span in &spans {
        let trace = span.span_context.trace_id();
        assert_eq!(trace.to_string(), "019ab3a27e307d5c9a0bffffffffff01");
        assert_eq!(say(span, "user_agent.synthetic.type"), "test");
    }
    ids.sort_by_key(|id| id.to_bytes());
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
    let root = &spans[0];
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    assert_eq!(
        say(root, "authcanary.run.url"),
        "https://canary.example/runs/019ab3a2-7e30-7d5c-9a0b-ffffffffff01"
    );
}

#[test]
fn requests_follow_the_semantic_conventions() {
    let mut run = run();
    run["evidence"]["exchanges"][0]["method"] = "BREW".into();
    run["evidence"]["exchanges"][1]["span_id"] = "00f067aa0ba902b7".into();
    run["evidence"]["exchanges"][2]["method"] = "QUERY".into();
    run["evidence"]["exchanges"][2]["url"] = "https://[2001:db8::1]:8443/token".into();
    let spans = spans_of(run);
    let request = named(&spans, "GET");
    assert_eq!(request.span_kind, SpanKind::Client);
    // The span that the provider was told.
    assert_eq!(
        request.span_context.span_id().to_string(),
        "00f067aa0ba902b7"
    );
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", "11"),
        ("url.full", "https://sso.example/jwks"),
        ("server.address", "sso.example"),
        ("server.port", "443"),
        ("network.peer.address", "::1"),
        ("network.peer.port", "8443"),
        ("network.protocol.version", "2"),
        ("authcanary.connect.duration", "0.0015"),
        ("authcanary.dns.duration", ""),
        ("authcanary.sender", "probe"),
        ("error.type", ""),
    ] {
        assert_eq!(say(request, key), value, "{key}");
    }
    // What has no name of its own gives no name to a span either.
    let odd = named(&spans, "HTTP");
    assert_eq!(say(odd, "http.request.method"), "_OTHER");
    assert_eq!(say(odd, "http.request.method_original"), "BREW");
    let query = named(&spans, "QUERY");
    assert_eq!(say(query, "http.request.method_original"), "");
    assert_eq!(say(query, "server.address"), "2001:db8::1");
}

#[test]
fn a_failure_is_told_where_it_happened_and_by_the_run() {
    let mut run = run();
    run["outcome"] = "failed".into();
    run["verdict"] = json!({
        "stage": "userinfo", "class": "http_server_error", "cause": "provider", "action": "retry",
        "detail": "503 from userinfo",
    });
    run["steps"][6]["outcome"] = "failed".into();
    run["evidence"]["exchanges"][3]["status"] = 503.into();
    let spans = spans_of(run);
    let root = &spans[0];
    assert_eq!(root.status, Status::error("503 from userinfo"));
    assert_eq!(say(root, "error.type"), "http_server_error");
    assert_eq!(root.events.len(), 0, "the step has it");
    let step = named(&spans, "userinfo");
    assert_eq!(step.status, Status::error("503 from userinfo"));
    let event = &step.events[0];
    assert_eq!(event.name, "exception");
    assert_eq!(
        event.attributes[0],
        KeyValue::new("exception.type", "http_server_error")
    );
    let of_step = spans
        .iter()
        .find(|span| span.parent_span_id == step.span_context.span_id())
        .unwrap();
    assert_eq!(say(of_step, "error.type"), "503");
    let untouched = spans.iter().filter(|span| span.status == Status::Unset);
    assert_eq!(untouched.count(), spans.len() - 3);
}

#[test]
fn a_refusal_that_a_step_asked_for_is_no_error() {
    let mut run = run();
    run["evidence"]["exchanges"][3]["status"] = 401.into();
    let spans = spans_of(run);
    assert!(spans.iter().all(|span| span.status == Status::Unset));
}

#[test]
fn a_request_that_got_no_answer_is_an_exception() {
    let mut run = run();
    run["outcome"] = "failed".into();
    run["verdict"] = json!({
        "stage": "connect", "class": "connect_refused", "cause": "network", "action": "fix_network", "detail": "refused",
    });
    run["steps"] = json!([step("discovery", 3)]);
    run["steps"][0]["outcome"] = "failed".into();
    let mut failed = exchange("discovery", 1, 200);
    failed["status"] = Json::Null;
    failed["error"] = "connection refused".into();
    run["evidence"]["exchanges"] = json!([failed]);
    run["evidence"]["hops"] = json!([]);
    let spans = spans_of(run);
    let request = named(&spans, "GET");
    assert_eq!(say(request, "error.type"), "connect_refused");
    assert_eq!(request.status, Status::error("connection refused"));
    assert_eq!(
        request.events[0].attributes[1].value.as_str(),
        "connection refused"
    );
}

#[test]
fn a_run_that_never_began_is_one_span() {
    let mut run = run();
    run["outcome"] = "unknown".into();
    run["verdict"] = json!({
        "stage": "monitor", "class": "overloaded", "cause": "monitor", "action": "fix_monitor", "detail": "too late",
    });
    run["steps"] = json!([]);
    run["duration_ms"] = 0.into();
    run.as_object_mut().unwrap().remove("evidence");
    run["warnings"] = json!([{"stage": "monitor", "class": "overloaded", "detail": "so"}]);
    let spans = spans_of(run);
    assert_eq!(lines(&spans), ["run acme/prod 0-0"]);
    let names: Vec<&str> = spans[0]
        .events
        .iter()
        .map(|event| event.name.as_ref())
        .collect();
    assert_eq!(names, ["authcanary.warning", "exception"]);
}

#[test]
fn long_texts_are_cut_between_characters() {
    let text = "ü".repeat(5000);
    assert_eq!(attributes::limited(&text).len(), 2048);
    assert_eq!(attributes::limited("short"), "short");
}
