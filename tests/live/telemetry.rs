//! A sign-in with a real browser, as a collector gets to see it.

#[path = "../it/otlp/receiver.rs"]
pub(crate) mod receiver;

use authcanary::loopback::{self, Config};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::canary::Canary;

use receiver::{Protocol, Receiver, attribute};

const PASSWORD: &str = "demo-password";

#[tokio::test(flavor = "multi_thread")]
async fn hops_of_the_browser_are_children_of_the_steps_they_belong_to() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let receiver = Receiver::start(Protocol::Grpc).await;
    let issuer = provider.issuer();
    let probe = format!(
        r#"version: 1
provider: loopback
flow: authorization_code
cron: "0 0 29 2 *"
timeout: 60s
scopes: [openid, profile]
environments:
  demo:
    issuer: {issuer}
    client: {{id: demo-public, auth: none}}
    redirect_uri: https://app.example.com/callback
    account: {{username: demo@example.com, password: {{env: PASSWORD}}}}
login: auto
"#
    );
    let canary = Canary::new(&probe)
        .variable("PASSWORD", PASSWORD)
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url())
        .variable("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let run = canary.check().await.run();
    assert_eq!(run["outcome"], "ok", "{run:#}");

    let kept = receiver.kept();
    let spans = kept.spans(run["id"].as_str().unwrap());
    let name_of = |span: &Span| {
        let parent = spans
            .iter()
            .find(|parent| parent.span_id == span.parent_span_id);
        parent.map_or("", |parent| parent.name.as_str())
    };
    let say = |span: &Span, key: &str| attribute(&span.attributes, key).unwrap_or_default();
    let hops: Vec<&Span> = spans
        .iter()
        .filter(|span| say(span, "authcanary.sender") == "browser")
        .collect();
    let seen = run["evidence"]["hops"].as_array().unwrap();
    assert_eq!(hops.len(), seen.len(), "{hops:#?}");
    for (hop, seen) in hops.iter().zip(seen) {
        assert_eq!(hop.kind(), SpanKind::Client);
        assert_eq!(say(hop, "url.full"), seen["url"].as_str().unwrap());
        assert_eq!(say(hop, "user_agent.synthetic.type"), "test");
        let stage = name_of(hop);
        assert!(
            ["authorize", "login", "consent"].contains(&stage),
            "{stage}: {hop:#?}"
        );
    }
    assert_eq!(name_of(hops[0]), "authorize", "{hops:#?}");
    assert!(!kept.text().contains(PASSWORD));
    provider.stop().await;
}
