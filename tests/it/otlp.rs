//! Telemetry over OTLP, from the real binary to a receiver.

mod away;
mod encrypted;
mod figures;
mod gate;
mod receiver;

use std::fs;
use std::path::Path;

use authcanary::loopback::{self, Loopback};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tempfile::TempDir;

use crate::common::until;
use crate::serving::Serving;

use encrypted::Front;
use receiver::{Kept, Protocol, Receiver, attribute, hex, text};

/// What must not be found anywhere but in the header of a request.
const COLLECTOR_KEY: &str = "collector-key-4711";
const CLIENT_SECRET: &str = "demo-basic-secret";
const WRONG_SECRET: &str = "wrong-secret-0815";

/// Quick exports: the usual pauses are longer than a test should take.
const QUICK: [(&str, &str); 4] = [
    ("COLLECTOR_KEY", COLLECTOR_KEY),
    ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
];

/// A section that says nothing.
const NOTHING: &str = "telemetry: {}";

/// A provider and a folder with a probe that passes and one that fails, none of them ever due by itself.
struct Scene {
    folder: TempDir,
    provider: Loopback,
}

impl Scene {
    async fn new(telemetry: &str) -> Self {
        let provider = loopback::start(loopback::Config::demo()).await.unwrap();
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("good", CLIENT_SECRET);
        write("bad", WRONG_SECRET);
        let client = |secret: &str| {
            format!("{{id: demo-basic, auth: client_secret_basic, secret: {{file: {secret}}}}}")
        };
        let issuer = provider.issuer();
        write(
            "probe.yaml",
            &format!(
                "version: 1\nprovider: loopback\nflow: client_credentials\ncron: 0 0 29 2 *\nscopes: [api]\n\
                 environments:\n  good: {{issuer: \"{issuer}\", client: {}}}\n  bad: {{issuer: \"{issuer}\", client: {}}}\n",
                client("good"),
                client("bad"),
            ),
        );
        write(
            "authcanary.yaml",
            &format!(
                "version: 1\nlocation: here\nlisten: 127.0.0.1:0\nprobes: [probe.yaml]\nstore: {{path: store}}\n{telemetry}\n"
            ),
        );
        Self { folder, provider }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn serve(&self) -> Serving {
        Serving::start_with(self.path(), QUICK)
    }
}

fn section(endpoint: &str, more: &str) -> String {
    format!("telemetry: {{otlp: {{endpoint: \"{endpoint}\"{more}}}}}")
}

fn id(run: &serde_json::Value) -> &str {
    run["id"].as_str().unwrap()
}

/// Waits until what came satisfies `enough`.
async fn kept_until(receiver: &Receiver, enough: impl Fn(&Kept) -> bool) -> Kept {
    until(|| async {
        let kept = receiver.kept();
        enough(&kept).then_some(kept)
    })
    .await
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans
        .iter()
        .find(|span| span.name == name)
        .unwrap_or_else(|| panic!("no span {name:?} among {:?}", names(spans)))
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn children<'a>(spans: &'a [Span], of: &Span) -> Vec<&'a Span> {
    spans
        .iter()
        .filter(|span| span.parent_span_id == of.span_id)
        .collect()
}

async fn everything_arrives(protocol: Protocol) {
    let receiver = Receiver::start(protocol).await;
    let more = format!(
        ", protocol: {}, headers: {{x-key: {{env: COLLECTOR_KEY}}, x-team: identity}}",
        protocol.name()
    );
    let scene = Scene::new(&section(&receiver.url(), &more)).await;
    let daemon = scene.serve();
    let good = daemon.run("loopback/good").await;
    let bad = daemon.run("loopback/bad").await;
    assert_eq!(
        (&good["outcome"], &bad["outcome"]),
        (&"ok".into(), &"failed".into())
    );
    let outcome = |outcome| [("probe", "loopback/good"), ("outcome", outcome)];
    let kept = kept_until(&receiver, |kept| {
        !kept.spans(id(&good)).is_empty()
            && !kept.spans(id(&bad)).is_empty()
            && kept.figure("authcanary_runs_total", &outcome("ok")) == Some(1.0)
            && kept
                .log()
                .iter()
                .filter(|it| !it.trace_id.is_empty())
                .count()
                >= 2
    })
    .await;

    let spans = kept.spans(id(&good));
    let root = named(&spans, "run loopback/good");
    assert!(root.parent_span_id.is_empty());
    let say = |span: &Span, key: &str| attribute(&span.attributes, key).unwrap_or_default();
    assert_eq!(say(root, "authcanary.run.id"), id(&good));
    assert_eq!(say(root, "authcanary.outcome"), "ok");
    assert_eq!(
        say(root, "authcanary.run.url"),
        format!("{}/runs/{}", daemon.base, id(&good))
    );
    let steps: Vec<&str> = good["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["stage"].as_str().unwrap())
        .collect();
    let of_root = children(&spans, root);
    assert_eq!(
        of_root
            .iter()
            .map(|span| span.name.as_str())
            .collect::<Vec<_>>(),
        steps
    );
    let exchange = children(&spans, named(&spans, "token_exchange"))[0];
    assert_eq!(
        (exchange.name.as_str(), exchange.kind()),
        ("POST", SpanKind::Client)
    );
    assert_eq!(say(exchange, "http.request.method"), "POST");
    assert_eq!(say(exchange, "http.response.status_code"), "200");
    assert_eq!(say(exchange, "server.address"), "127.0.0.1");
    assert!(say(exchange, "url.full").starts_with(scene.provider.issuer()));
    for span in &spans {
        assert_eq!(
            say(span, "user_agent.synthetic.type"),
            "test",
            "{}",
            span.name
        );
        assert_eq!(
            span.status.clone().unwrap_or_default().code(),
            StatusCode::Unset
        );
        let parent = spans
            .iter()
            .find(|parent| parent.span_id == span.parent_span_id)
            .unwrap_or(root);
        let holds = parent.start_time_unix_nano <= span.start_time_unix_nano
            && span.start_time_unix_nano <= span.end_time_unix_nano
            && span.end_time_unix_nano <= parent.end_time_unix_nano;
        assert!(holds, "{span:?} in {parent:?}");
    }

    let spans = kept.spans(id(&bad));
    let root = named(&spans, "run loopback/bad");
    let step = named(&spans, "token_exchange");
    for span in [root, step] {
        assert_eq!(span.status.clone().unwrap().code(), StatusCode::Error);
        assert_eq!(say(span, "error.type"), "invalid_client");
    }
    let exception = &step.events[0];
    assert_eq!(exception.name, "exception");
    assert_eq!(
        attribute(&exception.attributes, "exception.type").as_deref(),
        Some("invalid_client")
    );
    let exchange = children(&spans, step)[0];
    assert_eq!(say(exchange, "error.type"), "401");

    for resource in kept.resources() {
        let say = |key| attribute(&resource, key).unwrap_or_default();
        assert_eq!(say("service.name"), "authcanary");
        assert_eq!(say("service.version"), env!("CARGO_PKG_VERSION"));
        assert_eq!(say("authcanary.location"), "here");
    }
    let failed = [("probe", "loopback/bad"), ("class", "invalid_client")];
    kept_until(&receiver, |kept| {
        kept.figure("authcanary_failures_total", &failed) == Some(1.0)
    })
    .await;
    let log = kept.log();
    // A message has no name of its own: where it stands in the source would be another one with each release.
    assert!(
        log.iter()
            .all(|record| record.time_unix_nano > 0 && record.event_name.is_empty())
    );
    let ended = log
        .iter()
        .find(|record| hex(&record.trace_id) == id(&good).replace('-', ""))
        .unwrap();
    assert_eq!(text(ended.body.as_ref()).as_deref(), Some("run ended"));
    let root = kept.spans(id(&good))[0].span_id.clone();
    assert_eq!(ended.span_id, root);

    let (status, _) = daemon.stop();
    assert!(status.success(), "{status}");
    let kept = receiver.kept();
    every_attribute_is_documented(&kept);
    assert!(
        kept.log()
            .iter()
            .any(|record| text(record.body.as_ref()).as_deref() == Some("stopped"))
    );
    for headers in &kept.headers {
        assert_eq!(headers["x-key"], COLLECTOR_KEY);
        assert_eq!(headers["x-team"], "identity");
    }
    let all = kept.text();
    for secret in [COLLECTOR_KEY, CLIENT_SECRET, WRONG_SECRET] {
        assert!(!all.contains(secret), "{secret}");
    }
    scene.provider.stop().await;
}

fn every_attribute_is_documented(kept: &Kept) {
    let document = include_str!("../../docs/telemetry.md");
    let spans = kept
        .traces
        .iter()
        .flat_map(|request| &request.resource_spans)
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| &scope.spans);
    let events = spans.clone().flat_map(|span| &span.events);
    let keys = spans
        .flat_map(|span| &span.attributes)
        .chain(events.flat_map(|event| &event.attributes))
        .map(|attribute| attribute.key.clone());
    let resources = kept.resources().into_iter().flatten();
    for key in keys.chain(resources.map(|attribute| attribute.key)) {
        assert!(
            document.contains(&format!("`{key}`")),
            "docs/telemetry.md has no {key}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_figures_and_logs_arrive_over_http() {
    everything_arrives(Protocol::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_figures_and_logs_arrive_over_grpc() {
    everything_arrives(Protocol::Grpc).await;
}

async fn arrives_encrypted(protocol: Protocol) {
    let receiver = Receiver::start(protocol).await;
    let scene = Scene::new(NOTHING).await;
    let front = Front::start(receiver.address, scene.path()).await;
    let file = scene.path().join("authcanary.yaml");
    let more = format!(
        ", protocol: {}, compression: gzip, signals: [traces, metrics], \
         tls: {{ca_file: ca.pem, client: {{cert_file: client.pem, key: {{file: client.key}}}}}}",
        protocol.name()
    );
    let section = section(&format!("https://{}", front.address), &more);
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace(NOTHING, &section)).unwrap();
    let daemon = scene.serve();
    let run = daemon.run("loopback/good").await;
    let ok = [("probe", "loopback/good"), ("outcome", "ok")];
    kept_until(&receiver, |kept| {
        !kept.spans(id(&run)).is_empty() && kept.figure("authcanary_runs_total", &ok) == Some(1.0)
    })
    .await;
    let (status, _) = daemon.stop();
    assert!(status.success(), "{status}");
    let kept = receiver.kept();
    assert!(kept.logs.is_empty(), "not asked for");
    let encoding = match protocol {
        Protocol::Http => "content-encoding",
        Protocol::Grpc => "grpc-encoding",
    };
    assert!(kept.headers.iter().all(|them| them[encoding] == "gzip"));

    // Without its certificate nobody lets the daemon in.
    let bare = config.replace(NOTHING, &section.replace("client: {", "#"));
    let (bare, _) = bare.split_once(", #").unwrap();
    fs::write(&file, format!("{bare}}}}}}}\n")).unwrap();
    let mut daemon = scene.serve();
    daemon.run("loopback/good").await;
    daemon.log_with("the collector takes no telemetry");
    daemon.stop();
    scene.provider.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_can_be_encrypted_and_compressed_with_a_certificate_of_the_client() {
    arrives_encrypted(Protocol::Http).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_can_be_encrypted_and_compressed_with_a_certificate_of_the_client() {
    arrives_encrypted(Protocol::Grpc).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_alone_are_enough_and_can_switch_all_of_it_off() {
    let receiver = Receiver::start(Protocol::Grpc).await;
    let scene = Scene::new(NOTHING).await;
    let url = receiver.url();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=collector-key-4711"),
        ("OTEL_SERVICE_NAME", "canary-of-ours"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "cloud.region=eu-central-1,service.name=not-this",
        ),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let daemon = Serving::start_with(scene.path(), QUICK.into_iter().chain(variables));
    let run = daemon.run("loopback/good").await;
    let kept = kept_until(&receiver, |kept| {
        !kept.spans(id(&run)).is_empty() && !kept.logs.is_empty()
    })
    .await;
    daemon.stop();
    for resource in kept.resources() {
        let say = |key| attribute(&resource, key).unwrap_or_default();
        assert_eq!(say("service.name"), "canary-of-ours");
        assert_eq!(say("cloud.region"), "eu-central-1");
    }
    assert!(kept.metrics.is_empty());
    assert!(
        kept.headers
            .iter()
            .all(|headers| headers["x-key"] == COLLECTOR_KEY)
    );

    let before = receiver.kept().headers.len();
    let off = variables.into_iter().chain([("OTEL_SDK_DISABLED", "true")]);
    let daemon = Serving::start_with(scene.path(), QUICK.into_iter().chain(off));
    daemon.run("loopback/good").await;
    // Stopping would send what waits.
    daemon.stop();
    assert_eq!(receiver.kept().headers.len(), before);
    scene.provider.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_sends_its_traces_and_no_figures() {
    let receiver = Receiver::start(Protocol::Http).await;
    let scene = Scene::new(&section(&receiver.url(), "")).await;
    let config = scene.path().join("authcanary.yaml");
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .args(["check", "loopback/bad", "--format", "json", "-c"])
        .arg(&config)
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let kept = receiver.kept();
    let spans = kept.spans(id(&report["runs"][0]));
    named(&spans, "run loopback/bad");
    assert!(kept.metrics.is_empty());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("telemetry"), "{said}");

    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")];
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace(&section(&receiver.url(), ""), NOTHING),
    )
    .unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .args(["check", "loopback/good", "-c"])
        .arg(&config)
        .envs(variables)
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "the collector is no target");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("the collector did not take all telemetry"),
        "{said}"
    );
    scene.provider.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_can_never_work_are_refused_at_the_start() {
    let missing = section("https://127.0.0.1:9", ", tls: {ca_file: missing.pem}");
    let scene = Scene::new(&missing).await;
    let config = scene.path().join("authcanary.yaml");
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .args(["serve", "-c"])
        .arg(&config)
        .output()
        .await
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("telemetry.otlp") && said.contains("missing.pem"),
        "{said}"
    );
    scene.provider.stop().await;
}
