//! What one run leaves behind: steps, evidence, why it stopped, and the verdict. Everything here is redacted already:
//! it is built from what `redact` lets through, and may be stored and shown.

mod trace;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

pub use trace::{NoId, Part, SpanId, TraceId};

use crate::probe::ProbeId;
use crate::taxonomy::{Action, Cause, Class, Outcome, Stage};

/// Version of a stored run; a record decodes alone by it.
pub const RUN_VERSION: u16 = 1;

/// UUIDv7: unique, and sorted by the time of its making.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run as it is stored, and as the API and `check --format json` show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    pub version: u16,
    pub id: RunId,
    pub probe: ProbeId,
    pub provider: String,
    pub environment: String,
    pub location: String,
    /// When it was due; absent for runs that a person asked for.
    pub scheduled_at: Option<Timestamp>,
    pub started_at: Timestamp,
    pub duration_ms: u64,
    pub outcome: Outcome,
    /// Present exactly when `outcome` is `failed` or `unknown`.
    pub verdict: Option<Verdict>,
    pub steps: Vec<StepRecord>,
    pub warnings: Vec<Warning>,
    /// What was seen; left out of lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl Run {
    /// When its result was known.
    pub fn ended_at(&self) -> Timestamp {
        let lasted = std::time::Duration::from_millis(self.duration_ms);
        self.started_at
            .checked_add(lasted)
            .unwrap_or(self.started_at)
    }
}

/// The five fields of a verdict, and the rule that found them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub stage: Stage,
    pub class: Class,
    pub cause: Cause,
    pub action: Action,
    /// What was seen, in one line for a person.
    pub detail: String,
    /// The rule that decided: `microsoft-entra/AADSTS7000222`, `code/invalid_grant`, `status/503`. Absent where nothing was
    /// judged, and in records from before there was this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The answer itself, secrets redacted; absent where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Raw>,
}

/// An answer that carried an error, secrets redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Raw {
    /// HTTP status; absent for redirect parameters.
    pub status: Option<u16>,
    /// Response headers, names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Body, or the redirect parameters still encoded.
    pub body: String,
    /// `error` as sent.
    pub error: Option<String>,
    /// `error_description` as sent.
    pub error_description: Option<String>,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    pub stage: Stage,
    pub outcome: Outcome,
    pub duration_ms: u64,
}

/// Something that did not stop the run and should be known all the same; makes it `degraded`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    pub stage: Stage,
    pub class: Class,
    pub detail: String,
}

/// What a journey gives back, whatever happened.
#[derive(Debug, Default)]
pub struct Walk {
    pub steps: Vec<StepRecord>,
    pub warnings: Vec<Warning>,
    /// Absent when every step passed.
    pub stop: Option<Stop>,
    pub evidence: Evidence,
    /// What the probe knows around its last answer, by the names that `classify` takes as `context`. Never a secret.
    pub context: Map<String, Value>,
}

/// Where and why a journey stopped. A target's failure is data, not an `Err`.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    pub stage: Stage,
    pub fault: Fault,
}

/// Why a journey stopped; `verdict::judge` names its class.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The provider answered, and the answer is not what the step needs.
    Answer(Raw),
    /// Error parameters came back at the redirect URI.
    Callback(Raw),
    /// We checked, and it does not hold up.
    Check(Finding),
    /// No whole answer came.
    Transport(Finding),
    /// The browser's part stopped.
    Page(Finding),
    /// Our own fault; the target was not judged.
    Monitor(Finding),
}

/// A class that is known where the fault is seen, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub class: Class,
    pub detail: String,
}

impl Finding {
    /// Names a class and what was seen.
    pub fn new(class: Class, detail: impl Into<String>) -> Self {
        Self {
            class,
            detail: detail.into(),
        }
    }
}

/// What was seen on the way.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// Requests that the probe sent by itself, in order.
    pub exchanges: Vec<Exchange>,
    /// What the browser's top page requested, in order.
    pub hops: Vec<Hop>,
    /// When the browser's part began.
    pub browser_started_at: Option<Timestamp>,
    /// The page at which the browser's part stopped.
    pub page: Option<PageEvidence>,
    /// Clock of the provider minus ours, from the `Date` header.
    pub clock_offset_ms: Option<i64>,
    /// What the run learned: rotation, granted scope, lifetimes, algorithm.
    pub facts: BTreeMap<String, String>,
    /// By which names the provider, or what stands in front of it, can find these requests.
    pub correlation: Vec<CorrelationId>,
    /// Browser and driver, as they name themselves.
    pub browser: Option<BrowserVersion>,
    /// Where screenshot and evidence were written, where they were.
    pub saved: Option<String>,
}

/// A name that the other side gave to a request, or a time that it noted for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrelationId {
    /// The step at which it was seen.
    pub stage: Stage,
    /// Place of the answer among `exchanges`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<usize>,
    /// Place of the answer among `hops`. Without either it is what the page or the callback showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<usize>,
    /// As the other side calls it: `x-ms-request-id`, `Trace ID`.
    pub name: String,
    pub value: String,
}

/// One HTTP request and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    pub stage: Stage,
    /// Its span in the trace of the run; it goes to the provider as `traceparent` only where the probe file says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    pub started_at: Timestamp,
    pub method: String,
    pub url: String,
    pub request_headers: Vec<(String, String)>,
    pub request_body: String,
    /// `HTTP/1.1`, `HTTP/2.0`; absent when no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Absent when no answer came.
    pub status: Option<u16>,
    pub response_headers: Vec<(String, String)>,
    pub response_body: String,
    /// Size of the body on the wire, as far as it was read.
    pub response_size_bytes: u64,
    pub timings: Timings,
    pub peer: Option<Peer>,
    /// What went wrong below HTTP, in one line.
    pub error: Option<String>,
}

/// Where the time of a request went, in microseconds. A part that did not happen (a kept connection) is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    pub dns_us: Option<u64>,
    pub connect_us: Option<u64>,
    pub tls_us: Option<u64>,
    /// From the request's start to the first byte of the answer.
    pub first_byte_us: Option<u64>,
    pub total_us: u64,
}

/// Who answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    pub address: Option<String>,
    /// Certificate chain as sent, leaf first.
    pub certificates: Vec<Certificate>,
}

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub sha256: String,
}

/// One document request of the browser: a redirect, a page, or the callback that was held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    pub method: String,
    pub url: String,
    /// Absent when the request was held back or failed.
    pub status: Option<u16>,
    /// Names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers: Vec<(String, String)>,
    /// Milliseconds since the browser's part began.
    pub at_ms: u64,
    /// Milliseconds to the end of the answer, or to the failure; absent while it is open, and when it was held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// The browser's own word for a failure, such as `net::ERR_CONNECTION_REFUSED`.
    pub error: Option<String>,
}

/// The page at which the browser's part stopped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PageEvidence {
    pub url: String,
    pub title: String,
    /// Visible text, cut to a readable length.
    pub text: String,
    /// Errors of the page's console.
    pub console: Vec<String>,
    /// PNG, every filled value masked before it was taken. Kept beside the record, not in it.
    #[serde(skip)]
    pub screenshot: Option<Vec<u8>>,
}

/// Browser and driver, as they name themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserVersion {
    pub browser: String,
    pub driver: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_from_before_a_field_came_are_still_read() {
        let verdict = r#"{"stage":"token_exchange","class":"invalid_grant","cause":"grant","action":"reauthorize","detail":"x"}"#;
        let verdict: Verdict = serde_json::from_str(verdict).unwrap();
        assert_eq!(verdict.rule, None);
        let exchange = r#"{"stage":"userinfo","started_at":"2026-01-01T00:00:00Z","method":"GET","url":"https://a/","request_headers":[],"request_body":"","status":200,"response_headers":[],"response_body":"","response_size_bytes":0,"timings":{"dns_us":null,"connect_us":null,"tls_us":null,"first_byte_us":1,"total_us":2},"peer":null,"error":null}"#;
        let evidence = format!(r#"{{"exchanges":[{exchange}],"hops":[]}}"#);
        let evidence: Evidence = serde_json::from_str(&evidence).unwrap();
        assert_eq!(evidence.exchanges[0].span_id, None);
        assert_eq!(evidence.correlation, []);
    }
}
