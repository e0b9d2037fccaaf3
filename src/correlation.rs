//! By which names the other side can find a request: what providers and gateways put into headers, bodies, redirects and
//! pages for their own support desks. Reads what is kept already, so that nothing hidden comes back.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;
use url::Url;

use crate::run::{CorrelationId, Evidence, Exchange, Fault, Stop};
use crate::taxonomy::Stage;

/// What every header with one of these in its name is, hyphens left out.
const HEADER_PARTS: &[&str] = &[
    "requestid",
    "reqid",
    "correlation",
    "traceid",
    "tracingid",
    "trackingid",
    "transactionid",
    "activityid",
    "incidentid",
    "debugid",
    "logid",
    "requestuuid",
];

/// Headers whose names do not say it that way.
const HEADERS: &[&str] = &[
    "atl-traceid",
    "cf-ray",
    "traceparent",
    "traceresponse",
    "x-amz-cf-id",
    "x-amz-id-2",
    "x-azure-ref",
    "x-cloud-trace-context",
    "x-fb-debug",
    "x-guploader-uploadid",
    "x-iinfo",
    "x-li-uuid",
];

/// Members of an error, and parameters of an address, without separators.
const MEMBERS: &[&str] = &[
    "activityid",
    "clientrequestid",
    "correlationid",
    "debugid",
    "errorid",
    "eventid",
    "fbtraceid",
    "incidentid",
    "logid",
    "referenceid",
    "requestid",
    "requestuuid",
    "supportid",
    "timestamp",
    "traceid",
    "tracking",
    "trackingid",
    "transactionid",
    "xrequestid",
];

/// `Trace ID: 0b2f…`, `Your support ID is: 123`, `Ray ID 7f…`, `Reference #18.9d…`
static IN_TEXT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)\b((?:client[ -])?(?:activity|correlation|debug|error|event|fbtrace|incident|ray|reference|request|support|trace|tracking|transaction)[ _-]?(?:id|key|number|#))(?:\s+is)?\s*[:=#]?\s*["']?([a-z0-9][a-z0-9._:/+=-]{4,127})"#,
    )
});

/// `Timestamp: 2026-03-18 09:30:00Z`
static TIME_IN_TEXT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(timestamp)\s*[:=]\s*(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)",
    )
});

static TAG: LazyLock<Regex> = LazyLock::new(|| pattern(r"<[^<>]*>"));

/// Names of one run that are kept at most: more is no help to anybody.
const LIMIT: usize = 64;

/// Members inside members are followed so far.
const DEPTH_LIMIT: usize = 8;

/// Characters of a value that is a name.
const VALUE_CHARS: std::ops::RangeInclusive<usize> = 3..=200;

fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// All names in the evidence of a run, in the order of what was asked. Bodies of good answers are left alone: they are full
/// of ids that mean something else.
pub fn of(evidence: &Evidence, stop: Option<&Stop>) -> Vec<CorrelationId> {
    let mut found = Found {
        place: Place {
            stage: Stage::Config,
            exchange: None,
            hop: None,
        },
        ids: Vec::new(),
    };
    let last = evidence.exchanges.len().checked_sub(1);
    for (index, exchange) in evidence.exchanges.iter().enumerate() {
        let is_bad = exchange
            .status
            .is_some_and(|status| !(200..400).contains(&status));
        let has_stopped = stop.is_some_and(|stop| stop.stage == exchange.stage);
        let reads_body = is_bad || (has_stopped && last == Some(index));
        found.answer(index, exchange, reads_body);
    }
    for (index, hop) in evidence.hops.iter().enumerate() {
        // At the last one it stopped, if it stopped in the browser.
        let stopped_at = stop.map(|stop| stop.stage).filter(|stage| {
            index + 1 == evidence.hops.len() && *stage > Stage::Authorize && stage.is_in_browser()
        });
        found.place = Place {
            stage: stopped_at.unwrap_or(Stage::Authorize),
            exchange: None,
            hop: Some(index),
        };
        found.headers(&hop.response_headers);
    }
    if let Some(stop) = stop {
        found.place = Place {
            stage: stop.stage,
            exchange: None,
            hop: None,
        };
        if let Fault::Callback(raw) = &stop.fault {
            found.parameters(&raw.body);
        }
        if let Some(page) = &evidence.page {
            found.address(&page.url);
            found.text(&page.text);
        }
    }
    found.ids
}

struct Found {
    /// Where is being looked at.
    place: Place,
    ids: Vec<CorrelationId>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    stage: Stage,
    exchange: Option<usize>,
    hop: Option<usize>,
}

impl Found {
    fn answer(&mut self, index: usize, exchange: &Exchange, reads_body: bool) {
        self.place = Place {
            stage: exchange.stage,
            exchange: Some(index),
            hop: None,
        };
        self.headers(&exchange.response_headers);
        if !reads_body {
            return;
        }
        match serde_json::from_str::<Value>(&exchange.response_body) {
            Ok(value) => self.value(&value, 0),
            Err(_) => self.text(&TAG.replace_all(&exchange.response_body, " ")),
        }
    }

    fn headers(&mut self, headers: &[(String, String)]) {
        for (name, value) in headers {
            let plain = squash(name);
            let named = HEADERS.contains(&name.as_str())
                || HEADER_PARTS.iter().any(|part| plain.contains(part));
            if named {
                self.add(name, value);
            }
        }
    }

    fn value(&mut self, value: &Value, depth: usize) {
        if depth > DEPTH_LIMIT {
            return;
        }
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(text) => self.member(name, text),
                        Value::Number(number) => self.member(name, &number.to_string()),
                        _ => (),
                    }
                }
                members
                    .values()
                    .for_each(|value| self.value(value, depth + 1));
            }
            Value::Array(list) => list.iter().for_each(|value| self.value(value, depth + 1)),
            Value::String(text) => self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => (),
        }
    }

    fn member(&mut self, name: &str, value: &str) {
        if MEMBERS.contains(&squash(name).as_str()) {
            self.add(name, value);
        }
    }

    fn address(&mut self, url: &str) {
        if let Ok(url) = Url::parse(url) {
            self.parameters(url.query().unwrap_or_default());
        }
    }

    fn parameters(&mut self, encoded: &str) {
        let encoded = encoded.trim_start_matches(['?', '#']);
        for (name, value) in form_urlencoded::parse(encoded.as_bytes()) {
            self.member(&name, &value);
            self.text(&value);
        }
    }

    /// An id has a digit in it: "request id is missing" names none.
    fn text(&mut self, text: &str) {
        for found in IN_TEXT.captures_iter(text) {
            let value = found[2].trim_end_matches(['.', ':', '-', '=']);
            if value.bytes().any(|byte| byte.is_ascii_digit()) {
                self.add(&found[1], value);
            }
        }
        for found in TIME_IN_TEXT.captures_iter(text) {
            self.add(&found[1], &found[2]);
        }
    }

    /// The same name with the same value may stand in a member and in a text; it counts once.
    fn add(&mut self, name: &str, value: &str) {
        let Place {
            stage,
            exchange,
            hop,
        } = self.place;
        let value = value.trim();
        let hidden = value.contains("[redacted-") || value.chars().any(char::is_control);
        let is_name = VALUE_CHARS.contains(&value.chars().count()) && !hidden;
        let known = self.ids.iter().any(|id| {
            (id.exchange, id.hop, id.value.as_str()) == (exchange, hop, value)
                && squash(&id.name) == squash(name)
        });
        if is_name && !known && self.ids.len() < LIMIT {
            self.ids.push(CorrelationId {
                stage,
                exchange,
                hop,
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
    }
}

/// Letters and digits alone, in lower case.
fn squash(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::redact::Redactor;
    use crate::run::{PageEvidence, Raw, Timings};

    fn exchange(status: u16, headers: &[(&str, &str)], body: &str) -> Exchange {
        let redactor = Redactor::default();
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), redactor.header(name, value)));
        Exchange {
            stage: Stage::TokenExchange,
            span_id: None,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            method: "POST".to_owned(),
            url: "https://op.example.com/token".to_owned(),
            request_headers: Vec::new(),
            request_body: String::new(),
            protocol: None,
            status: Some(status),
            response_headers: headers.collect(),
            response_body: redactor.body(None, body.as_bytes()),
            response_size_bytes: body.len() as u64,
            timings: Timings::default(),
            peer: None,
            error: None,
        }
    }

    fn stop(fault: Fault) -> Stop {
        Stop {
            stage: Stage::TokenExchange,
            fault,
        }
    }

    fn answer() -> Stop {
        stop(Fault::Answer(Raw {
            status: Some(400),
            headers: Vec::new(),
            body: String::new(),
            error: None,
            error_description: None,
        }))
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], body: &str, expected: &[(&str, &str)]) {
        let evidence = Evidence {
            exchanges: vec![exchange(400, headers, body)],
            ..Evidence::default()
        };
        let found = of(&evidence, Some(&answer()));
        let found: Vec<_> = found
            .iter()
            .map(|id| (id.name.as_str(), id.value.as_str()))
            .collect();
        assert_eq!(found, expected, "{headers:?} {body}");
    }

    #[test]
    fn headers_of_providers_and_gateways_are_known() {
        for (name, value) in [
            ("x-request-id", "9f1c2d3e-0000-4000-8000-000000000001"),
            ("x-ms-request-id", "0b2f6c1e-77aa-4d3c-9a59-6f1f2a3b4c00"),
            ("client-request-id", "0b2f6c1e-77aa-4d3c-9a59-6f1f2a3b4c00"),
            ("x-okta-request-id", "YasseAAAB3kPq9Zx7LmN2QAAA4s"),
            ("cf-ray", "8f1a2b3c4d5e6f70-FRA"),
            ("x-amzn-requestid", "f0e1d2c3-0000-4000-8000-000000000001"),
            (
                "x-amzn-trace-id",
                "Root=1-67891233-abcdef012345678912345678",
            ),
            ("x-correlation-id", "abc123"),
            ("x-fb-trace-id", "GxYz12"),
            ("x-github-request-id", "C0DE:1234:5678ABC:9ABCDEF:65A1B2C3"),
            ("x-slack-req-id", "c2b1a09f8e7d6c5b4a39281706f5e4d3"),
            ("paypal-debug-id", "f1a2b3c4d6"),
            (
                "traceparent",
                "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            ),
        ] {
            check(&[(name, value)], "", &[(name, value)]);
        }
        check(
            &[
                ("x-session-token", "abc123def"),
                ("server", "x1"),
                ("x-request-id", ""),
            ],
            "",
            &[],
        );
    }

    #[test]
    fn bodies_of_errors_are_read() {
        let trace = "bb005fa9-7e72-4f07-9fdb-9e51a73256bc";
        let correlation = "a3f5feb7-ac26-4a70-865d-6b17611f66a0";
        let time = "2026-03-18 09:30:00Z";
        let entra = format!(
            r#"{{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {time}","timestamp":"{time}","trace_id":"{trace}","correlation_id":"{correlation}"}}"#
        );
        check(
            &[],
            &entra,
            &[
                ("timestamp", time),
                ("trace_id", trace),
                ("correlation_id", correlation),
            ],
        );
        let in_text = format!(
            "AADSTS50011: no.\nTrace ID: {trace} Correlation ID: {correlation} Timestamp: {time}"
        );
        check(
            &[],
            &in_text,
            &[
                ("Trace ID", trace),
                ("Correlation ID", correlation),
                ("Timestamp", time),
            ],
        );
        check(
            &[],
            r#"{"error":{"message":"no","fbtrace_id":"AxY12"}}"#,
            &[("fbtrace_id", "AxY12")],
        );
        check(
            &[],
            "<html><p>Ray ID: <strong>8f1a2b3c4d5e6f70</strong></p></html>",
            &[("Ray ID", "8f1a2b3c4d5e6f70")],
        );
        check(
            &[],
            "<html>Your support ID is: 1234567890123456789<br><br></html>",
            &[("support ID", "1234567890123456789")],
        );
        check(&[], "the request id is missing; error code 50011", &[]);
        check(
            &[],
            r#"{"error":"x","request_id":"[redacted-4-chars-ab12]"}"#,
            &[],
        );
    }

    #[test]
    fn callbacks_and_pages_are_read_and_good_bodies_are_not() {
        let callback = stop(Fault::Callback(Raw {
            status: None,
            headers: Vec::new(),
            body: "error=server_error&error_description=AADB2C90047%3A+no.%0D%0ACorrelation+ID%3A+45949bfe-63f4-476d-a609-3653332c7497".to_owned(),
            error: None,
            error_description: None,
        }));
        let evidence = Evidence {
            exchanges: vec![exchange(
                200,
                &[("x-request-id", "r1-23")],
                r#"{"transaction_id":"order-77"}"#,
            )],
            page: Some(PageEvidence {
                url: "https://op.example.com/login/error?tracking=7cd1e2".to_owned(),
                text: "Reference #18.9df02417".to_owned(),
                ..PageEvidence::default()
            }),
            ..Evidence::default()
        };
        let values = |stop: Option<&Stop>| {
            let found = of(&evidence, stop).into_iter();
            found.map(|id| (id.exchange, id.value)).collect::<Vec<_>>()
        };
        let callback_stop = Stop {
            stage: Stage::Callback,
            ..callback
        };
        let text = |text: &str| text.to_owned();
        assert_eq!(
            values(Some(&callback_stop)),
            [
                (Some(0), text("r1-23")),
                (None, text("45949bfe-63f4-476d-a609-3653332c7497")),
                (None, text("7cd1e2")),
                (None, text("18.9df02417")),
            ]
        );
        assert_eq!(values(None), [(Some(0), text("r1-23"))]);
    }

    proptest! {
        #[test]
        fn any_answer_gives_no_more_than_fits(body in ".{0,400}", value in ".{0,300}") {
            let evidence = Evidence {
                exchanges: vec![exchange(500, &[("x-request-id", &value)], &body); 80],
                ..Evidence::default()
            };
            let found = of(&evidence, Some(&answer()));
            prop_assert!(found.len() <= LIMIT);
            prop_assert!(found.iter().all(|id| !id.value.is_empty() && id.value.chars().count() <= 200));
        }
    }
}
