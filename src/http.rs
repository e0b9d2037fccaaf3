//! Sends the requests that a probe makes by itself, and captures each: what was sent, what came, how long every part
//! took, who answered. Secrets are taken out at capture; only [`Reply`] holds the raw answer, and stays in memory.
//!
//! Never follows a redirect by itself, never decodes a compressed body, never waits beyond the deadline, never reads
//! more than `max_body_bytes`.

mod capture;
mod contact;
mod date;
mod fault;
mod message;
mod post;
mod proxy;
mod timing;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::header::{HeaderName, HeaderValue, LOCATION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::redact::Redactor;
use crate::run::{Exchange, Finding, TraceId};
use crate::taxonomy::Class;
use capture::Capture;
pub use date::clock_offset_ms;
pub use message::{Body, Method, Reply, Request};
pub use post::{Answer, Courier, CourierError, Letter};
use proxy::Route;
use timing::{Connections, Resolver, Watch};
pub(crate) use tls::trusting;

/// Limit of TCP connect and TLS together, so that one dead address leaves time for the next within a step.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Redirects that [`Session::send_following`] follows at most.
const REDIRECT_LIMIT: usize = 10;

/// Header block of an HTTP/2 answer; hyper bounds that of an HTTP/1 answer by itself.
const MAX_HEADER_BYTES: u32 = 64 * 1024;

/// The `http` section of the daemon file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// An answer with a longer body is refused as `response_too_large`.
    pub max_body_bytes: usize,
    /// Proxy for all requests. Without it `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment
    /// count, and loopback is always reached directly. A proxy with a password belongs in the environment.
    pub proxy: Option<Url>,
    /// Hosts, domains and networks that are reached without `proxy`.
    pub no_proxy: Vec<String>,
    /// PEM file of certificate authorities that are trusted beside those of the machine.
    pub ca_file: Option<PathBuf>,
    /// `User-Agent` of every request.
    pub user_agent: String,
    /// Fixed addresses of hosts, instead of asking name resolution.
    pub hosts: BTreeMap<String, IpAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_body_bytes: 1024 * 1024,
            proxy: None,
            no_proxy: Vec::new(),
            ca_file: None,
            user_agent: concat!("authcanary/", env!("CARGO_PKG_VERSION"), " (+synthetic)").into(),
            hosts: BTreeMap::new(),
        }
    }
}

/// Why no client can be made of the settings.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot read certificates from {path}")]
    CaFile {
        path: PathBuf,
        source: rustls::pki_types::pem::Error,
    },
    #[error("{0} holds no certificate")]
    CaFileEmpty(PathBuf),
    #[error("a certificate of {path} is not usable")]
    CaFileUnusable {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error(
        "http.proxy must not hold a password; set HTTPS_PROXY in the environment of the daemon"
    )]
    ProxyPassword,
    #[error("http.proxy {0} must be an http or https address")]
    ProxyScheme(Url),
    #[error("http.user_agent is not a valid header value")]
    UserAgent,
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("the HTTP client cannot be set up")]
    Client(#[source] reqwest::Error),
}

/// What all runs share: trusted certificates, proxy, name resolution. Cheap to clone.
#[derive(Clone)]
pub struct Http(Arc<Shared>);

struct Shared {
    tls: rustls::ClientConfig,
    resolver: Resolver,
    route: Route,
    user_agent: String,
    max_body_bytes: usize,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Http")
    }
}

impl Http {
    /// Reads the trusted certificates and the proxy settings of the environment, once.
    pub fn new(settings: &Settings) -> Result<Self, HttpError> {
        HeaderValue::from_str(&settings.user_agent).map_err(|_| HttpError::UserAgent)?;
        let http = Self(Arc::new(Shared {
            tls: tls::client_config(settings.ca_file.as_deref())?,
            resolver: Resolver::new(settings.hosts.clone()),
            route: Route::new(settings)?,
            user_agent: settings.user_agent.clone(),
            max_body_bytes: settings.max_body_bytes,
        }));
        http.client()?;
        Ok(http)
    }

    /// The same, past every proxy: for the provider on this machine, which no proxy could reach.
    pub fn direct(&self) -> Self {
        let shared = &self.0;
        Self(Arc::new(Shared {
            tls: shared.tls.clone(),
            resolver: shared.resolver.clone(),
            route: Route::direct(),
            user_agent: shared.user_agent.clone(),
            max_body_bytes: shared.max_body_bytes,
        }))
    }

    /// The proxy that a request to `url` goes through, without its password; `None` where it goes straight.
    pub fn proxy_for(&self, url: &Url) -> Option<Url> {
        self.0.route.of(url)
    }

    /// Whether `host` needs no name resolution: an address, a fixed one of the settings, or a reserved name.
    pub fn is_known(&self, host: &str) -> bool {
        let bare = host.trim_matches(['[', ']']);
        bare.parse::<IpAddr>().is_ok() || self.0.resolver.is_known(bare)
    }

    /// Addresses of `host`, as requests find them; an address stands for itself.
    pub async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        let bare = host.trim_matches(['[', ']']);
        self.0.resolver.clone().addresses(bare).await
    }

    /// Whether host and port of `url` take a connection, past every proxy, and speak TLS on it where `with_tls`. Sends
    /// nothing else.
    pub async fn reach(&self, url: &Url, with_tls: bool, deadline: Instant) -> Result<(), Finding> {
        contact::open(&self.0, url, with_tls, deadline).await
    }

    /// For one run: with connections of its own, so that name resolution, connect and TLS are measured in every run.
    pub fn session(&self, redactor: Arc<Redactor>) -> Session {
        Session {
            http: self.clone(),
            client: self
                .client()
                .expect("`new` has built one from the same parts"),
            redactor,
            connections: Connections::default(),
            exchanges: Mutex::default(),
            trace: None,
            begun: AtomicU16::new(0),
        }
    }

    fn client(&self) -> Result<reqwest::Client, HttpError> {
        let shared = &self.0;
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(shared.tls.clone())
            .dns_resolver(shared.resolver.clone())
            .connector_layer(Watch)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .no_proxy();
        for proxy in shared.route.proxies() {
            builder = builder.proxy(proxy.map_err(HttpError::Client)?);
        }
        builder.build().map_err(HttpError::Client)
    }
}

/// The requests of one run.
pub struct Session {
    http: Http,
    client: reqwest::Client,
    redactor: Arc<Redactor>,
    connections: Connections,
    exchanges: Mutex<Vec<Exchange>>,
    trace: Option<Trace>,
    /// Exchanges that have begun.
    begun: AtomicU16,
}

/// The trace that the requests of a session belong to.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    pub id: TraceId,
    /// Whether the other side is told, by `traceparent`.
    pub is_sent: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl Session {
    /// With each request a span of `trace`.
    #[must_use]
    pub fn traced(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Sends one request and reads the whole answer before `deadline`. Any status is an answer; a finding says why
    /// none came. Either way, also when the caller gives up, an [`Exchange`] is kept.
    pub async fn send(
        &self,
        request: Request,
        deadline: impl Into<Instant>,
    ) -> Result<Reply, Finding> {
        let mut capture = Capture::start(self, request);
        let marks = capture.marks.clone();
        let outcome = {
            let work = timeout_at(deadline.into(), self.exchange(&mut capture));
            timing::watched(marks.clone(), work).await
        };
        let is_proxied = self.http.0.route.is_proxied(&capture.request.url);
        let result = match outcome {
            Ok(Ok(())) => capture.reply(),
            Ok(Err(trouble)) => Err(trouble.finding(&marks, is_proxied)),
            Err(_) => Err(fault::deadline_passed(
                &marks,
                is_proxied,
                capture.status.is_some(),
            )),
        };
        capture.error = result.as_ref().err().map(|finding| finding.detail.clone());
        result.map_err(|finding| Finding {
            detail: self.redactor.text(&finding.detail),
            ..finding
        })
    }

    /// For documents that may have moved (metadata, key sets): a GET that follows redirects by hand, each hop an
    /// exchange of its own. Another origin gets no header that could be a credential, and an encrypted address never
    /// leads to a plain one: that redirect is the answer.
    pub async fn send_following(
        &self,
        mut request: Request,
        deadline: impl Into<Instant>,
    ) -> Result<Reply, Finding> {
        let deadline = deadline.into();
        let mut visited = vec![request.url.clone()];
        loop {
            let reply = self.send(request.clone(), deadline).await?;
            let Some(next) = redirect(&reply, request.method) else {
                return Ok(reply);
            };
            if visited.contains(&next) || visited.len() > REDIRECT_LIMIT {
                let detail = format!(
                    "{} redirects, the last one to {}",
                    visited.len(),
                    self.redactor.url(next.as_str())
                );
                return Err(Finding::new(Class::RedirectLoop, detail));
            }
            if next.origin() != request.url.origin() {
                const HARMLESS: [&str; 2] = ["accept", "accept-language"];
                let harmless = |name: &str| {
                    HARMLESS
                        .iter()
                        .any(|other| name.eq_ignore_ascii_case(other))
                };
                request.headers.retain(|(name, _)| harmless(name));
            }
            visited.push(next.clone());
            request.url = next;
        }
    }

    /// Everything sent so far, in order, without secrets.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The exchange that ended last.
    pub fn last(&self) -> Option<Exchange> {
        self.exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last()
            .cloned()
    }

    async fn exchange(&self, capture: &mut Capture<'_>) -> Result<(), Trouble> {
        let request = self.build(&capture.request)?;
        let mut response = self
            .client
            .execute(request)
            .await
            .map_err(Trouble::Transport)?;
        let info = response.extensions().get::<HttpInfo>().cloned();
        let (local, remote) = match &info {
            Some(info) => (Some(info.local_addr()), Some(info.remote_addr())),
            None => (None, response.remote_addr()),
        };
        capture.answered(
            local,
            remote,
            response.status().as_u16(),
            format!("{:?}", response.version()),
            response.headers(),
        );
        let limit = self.http.0.max_body_bytes;
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(Trouble::TooLarge { limit });
        }
        while let Some(chunk) = response.chunk().await.map_err(Trouble::Transport)? {
            let room = limit - capture.body.len();
            capture
                .body
                .extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return Err(Trouble::TooLarge { limit });
            }
        }
        capture.is_complete = true;
        Ok(())
    }

    fn build(&self, request: &Request) -> Result<reqwest::Request, Trouble> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let mut built = reqwest::Request::new(method, request.url.clone());
        let headers = built.headers_mut();
        for (name, value) in &request.headers {
            let invalid = || Trouble::Header(name.clone());
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            headers.insert(key, HeaderValue::from_str(value).map_err(|_| invalid())?);
        }
        if let Body::Form(_) = request.body {
            *built.body_mut() = Some(request.text().into());
        }
        Ok(built)
    }
}

/// Why an exchange ended without a whole answer.
enum Trouble {
    Transport(reqwest::Error),
    TooLarge { limit: usize },
    Header(String),
}

impl Trouble {
    fn finding(&self, marks: &timing::Marks, is_proxied: bool) -> Finding {
        match self {
            Self::Transport(error) => fault::classify(error, marks, is_proxied),
            Self::TooLarge { limit } => Finding::new(
                Class::ResponseTooLarge,
                format!("the body is larger than {limit} bytes"),
            ),
            Self::Header(name) => Finding::new(
                Class::ConfigInvalid,
                format!("header {name} of the probe cannot be sent"),
            ),
        }
    }
}

/// Where a reply sends a GET, when it may be followed.
fn redirect(reply: &Reply, method: Method) -> Option<Url> {
    if method != Method::Get || ![301, 302, 303, 307, 308].contains(&reply.status) {
        return None;
    }
    let next = reply.url.join(reply.header(LOCATION.as_str())?).ok()?;
    let is_safe =
        next.scheme() == "https" || (next.scheme() == "http" && reply.url.scheme() == "http");
    is_safe.then_some(next)
}

#[cfg(test)]
mod tests;
