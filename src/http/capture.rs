//! One exchange while it goes on. It is written down when it is dropped, so also when its caller gave up on it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::message::header_list;
use super::timing::{self, Marks};
use super::{Body, Reply, Request, Session};
use crate::clock;
use crate::run::{Exchange, Finding, Part, Peer, SpanId};
use crate::taxonomy::Class;

const FORM: &str = "application/x-www-form-urlencoded";

/// What is known of the exchange so far.
pub(super) struct Capture<'s> {
    session: &'s Session,
    /// With every header that is chosen here, so that what is kept is what is sent.
    pub(super) request: Request,
    span: Option<SpanId>,
    pub(super) marks: Arc<Marks>,
    started: Instant,
    started_at: Timestamp,
    protocol: Option<String>,
    pub(super) status: Option<u16>,
    headers: Vec<(String, String)>,
    pub(super) body: BytesMut,
    /// The body was read to its end.
    pub(super) is_complete: bool,
    first_byte: Option<(Instant, Timestamp)>,
    /// The connection was opened for this exchange, so its making is part of the time.
    is_new_connection: bool,
    peer: Option<Peer>,
    pub(super) error: Option<String>,
}

impl<'s> Capture<'s> {
    pub(super) fn start(session: &'s Session, request: Request) -> Self {
        let (request, span) = session.prepared(request);
        Self {
            session,
            request,
            span,
            marks: Arc::default(),
            started: Instant::now(),
            started_at: clock::now(),
            protocol: None,
            status: None,
            headers: Vec::new(),
            body: BytesMut::new(),
            is_complete: false,
            first_byte: None,
            is_new_connection: true,
            peer: None,
            error: Some("given up before an answer was complete".to_owned()),
        }
    }

    /// The head of the answer has come.
    pub(super) fn answered(
        &mut self,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
        status: u16,
        protocol: String,
        headers: &HeaderMap,
    ) {
        self.first_byte = Some((Instant::now(), clock::now()));
        self.status = Some(status);
        self.protocol = Some(protocol);
        self.headers = header_list(headers);
        let (is_new, peer) = self.session.connections.peer(local, remote, &self.marks);
        self.is_new_connection = is_new;
        self.peer = Some(peer);
    }

    /// The answer, when it is whole.
    pub(super) fn reply(&mut self) -> Result<Reply, Finding> {
        let (Some(status), Some((first_byte, received_at))) = (self.status, self.first_byte) else {
            return Err(Finding::new(Class::Internal, "an answer without a head"));
        };
        let ready = match self.is_new_connection {
            true => self.marks.connected().unwrap_or(self.started),
            false => self.started,
        };
        Ok(Reply {
            status,
            headers: self.headers.clone(),
            body: Bytes::copy_from_slice(&self.body),
            url: self.request.url.clone(),
            received_at,
            waited: first_byte.saturating_duration_since(ready),
        })
    }

    fn exchange(&mut self) -> Exchange {
        let redactor = &self.session.redactor;
        let hide = |headers: &[(String, String)]| {
            let hidden = headers
                .iter()
                .map(|(name, value)| (name.clone(), redactor.header(name, value)));
            hidden.collect::<Vec<_>>()
        };
        let content_type = self.headers.iter().find(|(name, _)| name == "content-type");
        let content_type = content_type.map(|(_, value)| value.as_str());
        let mut timings = match self.is_new_connection {
            true => self.marks.timings(),
            false => Default::default(),
        };
        let since_start = |at: Instant| timing::micros(at.saturating_duration_since(self.started));
        timings.first_byte_us = self.first_byte.map(|(at, _)| since_start(at));
        timings.total_us = timing::micros(self.started.elapsed());
        Exchange {
            stage: self.request.stage,
            span_id: self.span,
            started_at: self.started_at,
            method: self.request.method.as_str().to_owned(),
            url: redactor.url(self.request.url.as_str()),
            request_headers: hide(&self.request.headers),
            request_body: redactor.body(Some(FORM), self.request.text().as_bytes()),
            protocol: self.protocol.take(),
            status: self.status,
            response_headers: hide(&self.headers),
            response_body: match self.is_complete {
                true => redactor.body(content_type, &self.body),
                false => redactor.partial_body(content_type, &self.body),
            },
            response_size_bytes: self.body.len() as u64,
            timings,
            peer: self.peer.take().or_else(|| self.marks.peer()),
            error: self.error.take().map(|error| redactor.text(&error)),
        }
    }
}

impl Session {
    /// With the headers that every request has, unless it has its own, and with its span.
    fn prepared(&self, mut request: Request) -> (Request, Option<SpanId>) {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let span = self
            .trace
            .map(|trace| trace.id.span(Part::Exchange(number)));
        let mut add = |name: &str, value: String| {
            let own = |(other, _): &(String, String)| other.eq_ignore_ascii_case(name);
            if !request.headers.iter().any(own) {
                request.headers.push((name.to_owned(), value));
            }
        };
        add("user-agent", self.http.0.user_agent.clone());
        if let Body::Form(_) = request.body {
            add("content-type", FORM.to_owned());
        }
        if let (Some(trace), Some(span)) = (self.trace.filter(|trace| trace.is_sent), span) {
            add("traceparent", trace.id.parent(span));
        }
        (request, span)
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        let exchange = self.exchange();
        let mut exchanges = self
            .session
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        exchanges.push(exchange);
    }
}
