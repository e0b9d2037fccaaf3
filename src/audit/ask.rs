//! Asks providers what they say of themselves, for `validate --online`: metadata, certificate, clock. Sends one GET to
//! a well-known place of each issuer and one to each runbook; signs in nowhere, and sends no secret.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::Instant;
use url::Url;

use crate::clock;
use crate::config::Daemon;
use crate::http::{Http, HttpError, Request, Session, clock_offset_ms};
use crate::oauth::metadata;
use crate::oauth::{Kept, Reply};
use crate::probe::Probe;
use crate::redact::Redactor;
use crate::run::{Fault, Finding};
use crate::taxonomy::{Class, Stage};

use super::runbooks;

/// Limit of one request.
const LIMIT: Duration = Duration::from_secs(60);

/// What was answered.
#[derive(Debug)]
pub struct Answers {
    /// By issuer.
    providers: BTreeMap<String, Provider>,
    /// By address: the status, or why none came.
    pages: BTreeMap<String, Result<u16, String>>,
    /// When all this was asked.
    pub now: Timestamp,
}

/// What one provider answered.
#[derive(Debug)]
pub struct Provider {
    pub document: Result<Map<String, Value>, Refusal>,
    /// End of the certificate, where there was one.
    pub certificate_ends: Option<Timestamp>,
    /// Its clock minus ours.
    pub clock_offset_ms: Option<i64>,
}

/// Why there is no metadata document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No answer came: name resolution, connection or time.
    NoAnswer(String),
    /// The certificate is not trusted, has expired, or is for another host.
    Certificate(String),
    /// What came is no metadata document.
    NoDocument(String),
}

impl Answers {
    /// What a provider answered; `None` for an issuer that was not asked.
    pub fn provider(&self, issuer: &str) -> Option<&Provider> {
        self.providers.get(issuer)
    }

    /// What the page at an address answered.
    pub fn page(&self, address: &str) -> Option<&Result<u16, String>> {
        self.pages.get(address)
    }
}

/// Asks every issuer and every runbook of a configuration, each once.
pub async fn ask(daemon: &Daemon) -> Result<Answers, HttpError> {
    let http = Http::new(&daemon.http)?;
    let session = || http.session(Arc::new(Redactor::new([])));
    let mut issuers: BTreeMap<&str, &Probe> = BTreeMap::new();
    let mut pages: BTreeMap<String, Url> = BTreeMap::new();
    for probe in &daemon.probes {
        if let Some(issuer) = &probe.server.issuer {
            issuers.entry(issuer).or_insert(probe);
        }
        let address = probe.alerts.runbook.as_deref().map(runbooks::filled);
        let address = address.and_then(|address| Some((Url::parse(&address).ok()?, address)));
        pages.extend(address.map(|(url, address)| (address, url)));
    }
    let providers = issuers.into_iter().map(async |(issuer, probe)| {
        let session = session();
        let answer = provider(&session, issuer, &probe.headers).await;
        (issuer.to_owned(), answer)
    });
    let pages = pages.into_iter().map(async |(address, url)| {
        let session = session();
        let reply = session
            .send_following(Request::get(Stage::Config, url), Instant::now() + LIMIT)
            .await;
        (
            address,
            reply
                .map(|reply| reply.status)
                .map_err(|finding| finding.detail),
        )
    });
    let (providers, pages) = futures::join!(
        futures::future::join_all(providers),
        futures::future::join_all(pages)
    );
    Ok(Answers {
        providers: providers.into_iter().collect(),
        pages: pages.into_iter().collect(),
        now: clock::now(),
    })
}

/// Asks one issuer that no probe names yet.
pub async fn one(http: &Http, issuer: &str) -> Provider {
    let session = http.session(Arc::new(Redactor::new([])));
    provider(&session, issuer, &BTreeMap::new()).await
}

/// The first of the well-known places that has a document; when none has, the likeliest one's answer tells why.
async fn provider(session: &Session, issuer: &str, headers: &BTreeMap<String, String>) -> Provider {
    let mut clock_offset = None;
    let mut first = None;
    let mut document = None;
    for url in metadata::candidates(issuer).unwrap_or_default() {
        let mut request = Request::get(Stage::Discovery, url).header("accept", "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let reply = match session
            .send_following(request, Instant::now() + LIMIT)
            .await
        {
            Ok(reply) => reply,
            Err(finding) => {
                first.get_or_insert(no_answer(finding));
                break;
            }
        };
        clock_offset = clock_offset.or(clock_offset_ms(&reply));
        let view = Reply {
            status: reply.status,
            headers: &reply.headers,
            body: &reply.body,
            // Nothing of it is kept.
            kept: Kept {
                headers: &[],
                body: "",
            },
        };
        let read = metadata::document(&view);
        let goes_on = metadata::worth_another(&view);
        match read {
            Ok(read) => {
                document = Some(read);
                break;
            }
            Err(fault) => {
                let text = format!("{} {}", reply.url, told(&fault));
                first.get_or_insert(Refusal::NoDocument(text));
                if !goes_on {
                    break;
                }
            }
        }
    }
    let ends = session.exchanges().into_iter().filter_map(|exchange| {
        let peer = exchange.peer?;
        Some(peer.certificates.first()?.not_after)
    });
    Provider {
        document: document.ok_or_else(|| {
            first.unwrap_or_else(|| Refusal::NoDocument(format!("{issuer} is no web address")))
        }),
        certificate_ends: ends.min(),
        clock_offset_ms: clock_offset,
    }
}

fn no_answer(finding: Finding) -> Refusal {
    match finding.class {
        Class::TlsExpired | Class::TlsUntrusted | Class::TlsHostnameMismatch => {
            Refusal::Certificate(finding.detail)
        }
        class => Refusal::NoAnswer(format!("{class}: {}", finding.detail)),
    }
}

fn told(fault: &Fault) -> String {
    match fault {
        Fault::Check(finding)
        | Fault::Transport(finding)
        | Fault::Page(finding)
        | Fault::Monitor(finding) => finding.detail.clone(),
        Fault::Answer(raw) => format!("answers with status {}", raw.status.unwrap_or_default()),
        Fault::Callback(_) => "answers with a redirect".to_owned(),
    }
}
