//! A run as HTTP Archive 1.2: what the probe asked and what the browser's top page asked, in the order of their starts.
//! Each step of the probe is a page of its own, and so is the browser's part, so that viewers group by them.

use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use super::{Sent, exact, exchanges, hops};
use crate::run::{Exchange, Hop, Peer, Run, Timings};

/// Name of the page of the browser's part.
const BROWSER: &str = "browser";

/// The archive. Names that begin with `_` are ours, as the format allows.
pub fn har(run: &Run) -> Value {
    let mut sent: Vec<Sent<'_>> = exchanges(run);
    sent.extend(hops(run));
    sent.sort_by_key(|sent| sent.at());
    let mut pages: Vec<Value> = Vec::new();
    for sent in &sent {
        let id = page_of(sent);
        if pages.iter().all(|page| page["id"] != id) {
            pages.push(page(run, id, sent.at()));
        }
    }
    let entries: Vec<Value> = sent.iter().map(entry).collect();
    let mut log = json!({
        "version": "1.2",
        "creator": {"name": "authcanary", "version": env!("CARGO_PKG_VERSION")},
        "pages": pages,
        "entries": entries,
        "comment": format!("{} run {}, {}", run.probe, run.id, told(run)),
        "_run": {
            "id": run.id,
            "trace_id": run.id.trace_id(),
            "probe": run.probe,
            "location": run.location,
            "outcome": run.outcome,
        },
    });
    if let Some(browser) = run.evidence.as_ref().and_then(|it| it.browser.as_ref()) {
        let (name, version) = browser
            .browser
            .rsplit_once(' ')
            .unwrap_or((&browser.browser, ""));
        log["browser"] = json!({"name": name, "version": version, "comment": browser.driver});
    }
    json!({"log": log})
}

fn told(run: &Run) -> String {
    match &run.verdict {
        Some(verdict) => format!("{} at {}: {}", run.outcome, verdict.stage, verdict.class),
        None => run.outcome.to_string(),
    }
}

fn page_of(sent: &Sent<'_>) -> &'static str {
    match sent {
        Sent::ByProbe(exchange) => exchange.stage.as_str(),
        Sent::ByBrowser { .. } => BROWSER,
    }
}

fn page(run: &Run, id: &str, at: Timestamp) -> Value {
    let shown = run.evidence.as_ref().and_then(|it| it.page.as_ref());
    let title = match shown.filter(|_| id == BROWSER) {
        Some(page) => format!("{} {id}: {}", run.probe, page.title),
        None => format!("{} {id}", run.probe),
    };
    json!({
        "startedDateTime": exact(at),
        "id": id,
        "title": title,
        "pageTimings": {"onContentLoad": -1, "onLoad": -1},
    })
}

fn entry(sent: &Sent<'_>) -> Value {
    let mut entry = match sent {
        Sent::ByProbe(exchange) => of_exchange(exchange),
        Sent::ByBrowser { hop, .. } => of_hop(hop),
    };
    entry["pageref"] = page_of(sent).into();
    entry["startedDateTime"] = exact(sent.at()).into();
    entry
}

fn of_exchange(exchange: &Exchange) -> Value {
    let protocol = exchange.protocol.as_deref().unwrap_or("unknown");
    let mut request = request(
        &exchange.method,
        &exchange.url,
        protocol,
        &exchange.request_headers,
    );
    request["bodySize"] = exchange.request_body.len().into();
    if !exchange.request_body.is_empty() {
        request["postData"] = json!({
            "mimeType": header(&exchange.request_headers, "content-type"),
            "text": exchange.request_body,
            "params": pairs(&exchange.request_body),
        });
    }
    let mut response = response(exchange.status, protocol, &exchange.response_headers);
    response["bodySize"] = exchange.response_size_bytes.into();
    response["content"]["size"] = exchange.response_size_bytes.into();
    response["content"]["text"] = exchange.response_body.as_str().into();
    let (timings, total) = timings(exchange.timings);
    let mut entry = json!({
        "time": total,
        "request": request,
        "response": response,
        "cache": {},
        "timings": timings,
        "_stage": exchange.stage,
    });
    if let Some(span) = exchange.span_id {
        entry["_spanId"] = span.to_string().into();
    }
    with_error(&mut entry, exchange.error.as_deref());
    if let Some(peer) = &exchange.peer {
        with_peer(&mut entry, peer);
    }
    entry
}

fn with_peer(entry: &mut Value, peer: &Peer) {
    if let Some(address) = &peer.address {
        match address.parse::<std::net::SocketAddr>() {
            Ok(address) => {
                entry["serverIPAddress"] = address.ip().to_string().into();
                entry["connection"] = address.port().to_string().into();
            }
            Err(_) => entry["serverIPAddress"] = address.as_str().into(),
        }
    }
    if !peer.certificates.is_empty() {
        entry["_certificates"] = json!(peer.certificates);
    }
}

/// Of the browser's requests the body is not known, nor how the time was spent.
fn of_hop(hop: &Hop) -> Value {
    let mut request = request(&hop.method, &hop.url, "unknown", &[]);
    request["bodySize"] = (-1).into();
    let mut response = response(hop.status, "unknown", &hop.response_headers);
    response["bodySize"] = (-1).into();
    response["content"]["size"] = 0.into();
    let took = hop.took_ms.unwrap_or_default();
    let mut entry = json!({
        "time": took,
        "request": request,
        "response": response,
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
    });
    with_error(&mut entry, hop.error.as_deref());
    if hop.status.is_none() && hop.error.is_none() {
        entry["comment"] = "held back in the browser: nobody got this request".into();
    }
    entry
}

/// Viewers that know it show this in place of the status.
fn with_error(entry: &mut Value, error: Option<&str>) {
    if let Some(error) = error {
        entry["comment"] = error.into();
        entry["response"]["_error"] = error.into();
    }
}

fn request(method: &str, url: &str, protocol: &str, headers: &[(String, String)]) -> Value {
    let query = Url::parse(url).ok();
    let query = query.as_ref().and_then(Url::query).unwrap_or_default();
    json!({
        "method": method,
        "url": url,
        "httpVersion": protocol,
        "cookies": [],
        "headers": listed(headers),
        "queryString": pairs(query),
        "headersSize": -1,
    })
}

fn response(status: Option<u16>, protocol: &str, headers: &[(String, String)]) -> Value {
    let reason = status.and_then(|status| http::StatusCode::from_u16(status).ok());
    let cookies = headers.iter().filter(|(name, _)| name == "set-cookie");
    let cookies = cookies.filter_map(|(_, cookie)| {
        let (name, value) = cookie.split(';').next()?.split_once('=')?;
        Some(json!({"name": name.trim(), "value": value.trim()}))
    });
    json!({
        "status": status.unwrap_or(0),
        "statusText": reason.and_then(|it| it.canonical_reason()).unwrap_or_default(),
        "httpVersion": protocol,
        "cookies": cookies.collect::<Vec<_>>(),
        "headers": listed(headers),
        "content": {"mimeType": header(headers, "content-type")},
        "redirectURL": header(headers, "location"),
        "headersSize": -1,
    })
}

fn listed(headers: &[(String, String)]) -> Vec<Value> {
    let headers = headers.iter();
    headers
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

fn pairs(encoded: &str) -> Vec<Value> {
    form_urlencoded::parse(encoded.as_bytes())
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

fn header<'h>(headers: &'h [(String, String)], wanted: &str) -> &'h str {
    let found = headers.iter().find(|(name, _)| name == wanted);
    found.map_or("", |(_, value)| value)
}

/// Milliseconds; the parts sum up to the whole. `connect` holds the handshake, which stands in `ssl` once more.
fn timings(timings: Timings) -> (Value, f64) {
    let ms = |us: u64| us as f64 / 1e3;
    let part = |us: Option<u64>| us.map_or(-1.0, ms);
    let connect = match (timings.connect_us, timings.tls_us) {
        (None, None) => None,
        (connect, tls) => Some(connect.unwrap_or(0) + tls.unwrap_or(0)),
    };
    let ready = timings.dns_us.unwrap_or(0) + connect.unwrap_or(0);
    let first_byte = timings.first_byte_us.unwrap_or(timings.total_us);
    let wait = first_byte.saturating_sub(ready);
    let receive = timings.total_us.saturating_sub(first_byte);
    let parts = json!({
        "blocked": -1,
        "dns": part(timings.dns_us),
        "connect": part(connect),
        "ssl": part(timings.tls_us),
        "send": 0,
        "wait": ms(wait),
        "receive": ms(receive),
    });
    (parts, ms(ready + wait + receive))
}
