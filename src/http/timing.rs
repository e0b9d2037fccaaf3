//! When each part of making a connection began and ended, and what the peer showed.
//!
//! The HTTP client has no place for this, but polls the making of a connection within the task that waits for it, or
//! hands it to another task whole. So the marks of an exchange travel in a task-local value around that future, and
//! name resolution and TLS, which are called from within, find the marks of the right exchange, however many run.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::CertificateDer;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::tls;
use crate::run::{Peer, Timings};

tokio::task_local! {
    static EXCHANGE: Arc<Marks>;
}

/// Runs `work` so that connections made in it leave their marks.
pub(super) async fn watched<F: Future>(marks: Arc<Marks>, work: F) -> F::Output {
    EXCHANGE.scope(marks, work).await
}

/// Marks of the exchange that is being polled.
pub(super) fn current() -> Option<Arc<Marks>> {
    EXCHANGE.try_with(Arc::clone).ok()
}

/// What happened to the connection of one exchange so far.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<Seen>);

#[derive(Debug, Default, Clone)]
struct Seen {
    began: Option<Instant>,
    dns_began: Option<Instant>,
    dns_ended: Option<Instant>,
    address: Option<IpAddr>,
    tls_began: Option<Instant>,
    certificates: Vec<CertificateDer<'static>>,
    connected: Option<Instant>,
}

/// How far a connection got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Resolving,
    Connecting,
    Handshake,
    Open,
}

impl Marks {
    fn update(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn seen(&self) -> Seen {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A hello is about to be sent; behind a proxy the last one counts, which is to the target.
    pub(super) fn tls_begins(&self) {
        self.update(|seen| seen.tls_began = Some(Instant::now()));
    }

    pub(super) fn certificates(&self, chain: Vec<CertificateDer<'static>>) {
        self.update(|seen| seen.certificates = chain);
    }

    pub(super) fn connected(&self) -> Option<Instant> {
        self.seen().connected
    }

    pub(super) fn phase(&self) -> Phase {
        let seen = self.seen();
        match seen {
            Seen { began: None, .. }
            | Seen {
                connected: Some(_), ..
            } => Phase::Open,
            Seen {
                tls_began: Some(_), ..
            } => Phase::Handshake,
            Seen {
                dns_began: Some(_),
                dns_ended: None,
                ..
            } => Phase::Resolving,
            _ => Phase::Connecting,
        }
    }

    /// DNS, connect and TLS, as far as they were completed.
    pub(super) fn timings(&self) -> Timings {
        let seen = self.seen();
        let between = |from: Option<Instant>, to: Option<Instant>| {
            Some(micros(to?.saturating_duration_since(from?)))
        };
        Timings {
            dns_us: between(seen.dns_began, seen.dns_ended),
            connect_us: between(
                seen.dns_ended.or(seen.began),
                seen.tls_began.or(seen.connected),
            ),
            tls_us: between(seen.tls_began, seen.connected),
            ..Timings::default()
        }
    }

    /// Who was asked, where no answer came.
    pub(super) fn peer(&self) -> Option<Peer> {
        let seen = self.seen();
        let certificates = tls::describe(&seen.certificates);
        let address = seen.address.map(|address| address.to_string());
        (address.is_some() || !certificates.is_empty()).then_some(Peer {
            address,
            certificates,
        })
    }
}

/// Whole microseconds.
pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Connections of a session that have answered, by their local address.
#[derive(Debug, Default)]
pub(super) struct Connections(Mutex<HashMap<SocketAddr, Peer>>);

impl Connections {
    /// Whether the answering connection is new, and who is at its other end. An exchange may start a connection and
    /// then be answered on a kept one that came free earlier, so its marks alone do not tell.
    pub(super) fn peer(
        &self,
        local: Option<SocketAddr>,
        remote: Option<SocketAddr>,
        marks: &Marks,
    ) -> (bool, Peer) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = local.and_then(|local| known.get(&local)) {
            return (false, peer.clone());
        }
        let seen = marks.seen();
        let peer = Peer {
            address: remote.map(|remote| remote.to_string()),
            certificates: tls::describe(&seen.certificates),
        };
        if let Some(local) = local {
            known.insert(local, peer.clone());
        }
        (seen.connected.is_some(), peer)
    }
}

/// Wraps the connector of the HTTP client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch;

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Watched(inner)
    }
}

/// A connector that leaves marks.
#[derive(Debug, Clone)]
pub(super) struct Watched<S>(S);

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let connecting = self.0.call(target);
        let Some(marks) = current() else {
            return Box::pin(connecting);
        };
        marks.update(|seen| {
            *seen = Seen {
                began: Some(Instant::now()),
                ..Seen::default()
            }
        });
        Box::pin(watched(marks.clone(), async move {
            let connection = connecting.await?;
            marks.update(|seen| seen.connected = Some(Instant::now()));
            Ok(connection)
        }))
    }
}

/// Name resolution by the system, with fixed addresses before it.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    hosts: Arc<BTreeMap<String, IpAddr>>,
}

impl Resolver {
    pub(super) fn new(hosts: BTreeMap<String, IpAddr>) -> Self {
        Self {
            hosts: Arc::new(hosts),
        }
    }

    /// Whether this name is answered without asking anybody.
    pub(super) fn is_known(&self, name: &str) -> bool {
        self.known(name).is_some()
    }

    /// `localhost` and `invalid` are answered here and never asked of a server (RFC 6761 section 6).
    fn known(&self, name: &str) -> Option<Vec<IpAddr>> {
        if let Some(address) = self.hosts.get(name) {
            return Some(vec![*address]);
        }
        match name.trim_end_matches('.').rsplit('.').next() {
            Some("localhost") => Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
            Some("invalid") => Some(Vec::new()),
            _ => None,
        }
    }

    /// Addresses of a name, or of an address itself.
    pub(super) async fn addresses(self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => self.lookup(host.to_ascii_lowercase()).await,
        }
    }

    async fn lookup(self, name: String) -> io::Result<Vec<IpAddr>> {
        let addresses = match self.known(&name) {
            Some(addresses) => addresses,
            None => {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                found.map(|address| address.ip()).collect()
            }
        };
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no address for this name",
            ));
        }
        Ok(addresses)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = self.clone().lookup(name.as_str().to_ascii_lowercase());
        let marks = current().unwrap_or_default();
        Box::pin(async move {
            marks.update(|seen| seen.dns_began = Some(Instant::now()));
            let addresses = lookup.await?;
            marks.update(|seen| {
                seen.dns_ended = Some(Instant::now());
                seen.address = addresses.first().copied();
            });
            let with_port = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(with_port) as Addrs)
        })
    }
}
