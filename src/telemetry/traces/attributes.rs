//! What spans say of a run, a step, a request. Pure.

use std::net::SocketAddr;

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{
    HTTP_REQUEST_METHOD, HTTP_REQUEST_METHOD_ORIGINAL, HTTP_RESPONSE_BODY_SIZE,
    HTTP_RESPONSE_STATUS_CODE, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, NETWORK_PROTOCOL_VERSION,
    SERVER_ADDRESS, SERVER_PORT, TLS_SERVER_ISSUER, TLS_SERVER_NOT_AFTER, TLS_SERVER_SUBJECT,
    URL_FULL, USER_AGENT_SYNTHETIC_TYPE,
};
use url::{Host, Url};

use crate::run::{Exchange, Hop, Run, StepRecord, Timings, Warning};

/// Longer texts are cut; a span is no place for pages.
const TEXT_LIMIT_BYTES: usize = 2048;

/// Stands for every method without a name.
const OTHER: &str = "_OTHER";

/// Methods that have a name of their own in the semantic conventions (RFC 9110 section 9, RFC 5789, and `QUERY`).
const METHODS: [&str; 10] = [
    "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "QUERY",
];

/// All of it is done by a test, not by a person: collectors and providers may tell it apart by this.
pub(super) fn synthetic() -> KeyValue {
    KeyValue::new(USER_AGENT_SYNTHETIC_TYPE, "test")
}

pub(super) fn of_run(run: &Run, page: Option<&str>) -> Vec<KeyValue> {
    let mut list = vec![
        KeyValue::new("authcanary.run.id", run.id.to_string()),
        KeyValue::new("authcanary.probe", run.probe.to_string()),
        KeyValue::new("authcanary.provider", run.provider.clone()),
        KeyValue::new("authcanary.environment", run.environment.clone()),
        KeyValue::new("authcanary.location", run.location.clone()),
        KeyValue::new("authcanary.outcome", run.outcome.as_str()),
    ];
    if let Some(page) = page {
        let url = format!("{}/runs/{}", page.trim_end_matches('/'), run.id);
        list.push(KeyValue::new("authcanary.run.url", url));
    }
    if let Some(due) = run.scheduled_at {
        list.push(KeyValue::new("authcanary.scheduled_at", due.to_string()));
    }
    if let Some(verdict) = &run.verdict {
        list.extend([
            KeyValue::new("authcanary.verdict.stage", verdict.stage.as_str()),
            KeyValue::new("authcanary.verdict.class", verdict.class.as_str()),
            KeyValue::new("authcanary.verdict.cause", verdict.cause.as_str()),
            KeyValue::new("authcanary.verdict.action", verdict.action.as_str()),
        ]);
    }
    if let Some(browser) = run.evidence.as_ref().and_then(|it| it.browser.as_ref()) {
        list.push(KeyValue::new(
            "authcanary.browser",
            limited(&browser.browser),
        ));
    }
    list
}

pub(super) fn of_warning(warning: &Warning) -> Vec<KeyValue> {
    vec![
        KeyValue::new("authcanary.stage", warning.stage.as_str()),
        KeyValue::new("authcanary.class", warning.class.as_str()),
        KeyValue::new("authcanary.detail", limited(&warning.detail)),
    ]
}

/// The names of the run as well: searches ask for spans, and a step alone should say whose it is.
pub(super) fn of_step(run: &Run, step: &StepRecord) -> Vec<KeyValue> {
    vec![
        KeyValue::new("authcanary.stage", step.stage.as_str()),
        KeyValue::new("authcanary.outcome", step.outcome.as_str()),
        KeyValue::new("authcanary.probe", run.probe.to_string()),
        KeyValue::new("authcanary.provider", run.provider.clone()),
        KeyValue::new("authcanary.environment", run.environment.clone()),
    ]
}

pub(super) fn of_exchange(exchange: &Exchange) -> Vec<KeyValue> {
    let mut list = of_request(&exchange.method, &exchange.url, "probe");
    if let Some(status) = exchange.status {
        list.push(KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status)));
        let size = i64::try_from(exchange.response_size_bytes).unwrap_or(i64::MAX);
        list.push(KeyValue::new(HTTP_RESPONSE_BODY_SIZE, size));
    }
    if let Some(protocol) = &exchange.protocol {
        let version = protocol.strip_prefix("HTTP/").unwrap_or(protocol);
        let version = version
            .strip_suffix(".0")
            .filter(|it| *it != "1")
            .unwrap_or(version);
        list.push(KeyValue::new(NETWORK_PROTOCOL_VERSION, limited(version)));
    }
    list.extend(of_timings(&exchange.timings));
    let Some(peer) = &exchange.peer else {
        return list;
    };
    if let Some(address) = &peer.address {
        match address.parse::<SocketAddr>() {
            Ok(address) => list.extend([
                KeyValue::new(NETWORK_PEER_ADDRESS, address.ip().to_string()),
                KeyValue::new(NETWORK_PEER_PORT, i64::from(address.port())),
            ]),
            Err(_) => list.push(KeyValue::new(NETWORK_PEER_ADDRESS, limited(address))),
        }
    }
    if let Some(certificate) = peer.certificates.first() {
        list.extend([
            KeyValue::new(TLS_SERVER_SUBJECT, limited(&certificate.subject)),
            KeyValue::new(TLS_SERVER_ISSUER, limited(&certificate.issuer)),
            KeyValue::new(TLS_SERVER_NOT_AFTER, certificate.not_after.to_string()),
        ]);
    }
    list
}

/// Where the time went, in seconds. What did not happen, as on a connection that was open, is left out.
fn of_timings(timings: &Timings) -> impl Iterator<Item = KeyValue> {
    let parts = [
        ("authcanary.dns.duration", timings.dns_us),
        ("authcanary.connect.duration", timings.connect_us),
        ("authcanary.tls.duration", timings.tls_us),
        ("authcanary.first_byte.duration", timings.first_byte_us),
    ];
    parts
        .into_iter()
        .filter_map(|(name, us)| Some(KeyValue::new(name, us? as f64 / 1e6)))
}

pub(super) fn of_hop(hop: &Hop) -> Vec<KeyValue> {
    let mut list = of_request(&hop.method, &hop.url, "browser");
    if let Some(status) = hop.status {
        list.push(KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(status)));
    }
    list
}

fn of_request(method: &str, url: &str, sender: &'static str) -> Vec<KeyValue> {
    let known = self::method(method);
    let mut list = vec![
        KeyValue::new(HTTP_REQUEST_METHOD, known),
        KeyValue::new(URL_FULL, limited(url)),
        KeyValue::new("authcanary.sender", sender),
    ];
    if known == OTHER {
        list.push(KeyValue::new(HTTP_REQUEST_METHOD_ORIGINAL, limited(method)));
    }
    if let Ok(url) = Url::parse(url) {
        if let Some(host) = url.host() {
            list.push(KeyValue::new(SERVER_ADDRESS, limited(&address(&host))));
        }
        if let Some(port) = url.port_or_known_default() {
            list.push(KeyValue::new(SERVER_PORT, i64::from(port)));
        }
    }
    list
}

/// A host as it is named by itself: the brackets around an address of IPv6 belong to the URL.
fn address(host: &Host<&str>) -> String {
    match host {
        Host::Ipv6(address) => address.to_string(),
        Host::Domain(_) | Host::Ipv4(_) => host.to_string(),
    }
}

/// The method, if it has a name in the semantic conventions.
fn method(method: &str) -> &'static str {
    let known = METHODS.into_iter().find(|known| *known == method);
    known.unwrap_or(OTHER)
}

/// Name of the span of a request: its method, as addresses have no template here.
pub(super) fn span_name(method: &str) -> &'static str {
    match self::method(method) {
        OTHER => "HTTP",
        known => known,
    }
}

/// A text of a length that fits an attribute.
pub(super) fn limited(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_LIMIT_BYTES)].to_owned()
}
