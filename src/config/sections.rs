//! The sections of the daemon file, as they are read and as they are used.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::api::{Access, Right, Token};
use crate::egress;
use crate::http;
use crate::secret::{SecretRef, TextOrSecret};
use crate::store::Limits;
use crate::telemetry::{MAX_SERIES, otlp};

use super::address::{HostName, Place, WebUrl};
use super::daemon::{anchor, anchor_headers};
use super::scalar::{HeaderValue, Name, Size, Text, TokenHash, text};

/// Where runs are kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Store {
    /// Folder of the store. By default that of systemd (`StateDirectory=`), else `authcanary` in the user's state
    /// folder, else `/var/lib/authcanary`.
    pub path: PathBuf,
    /// How long things are kept.
    pub keep: Keep,
    /// Size of the store beyond which the oldest evidence goes first.
    #[serde(deserialize_with = "size")]
    #[schemars(with = "Text<Size>")]
    pub max_size: u64,
    /// Of so many good runs of a probe one keeps its requests and answers whole, to hold a failed one against. 0 keeps
    /// none; runs that did not pass always do. 50 by default.
    pub evidence_every: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            keep: Keep::default(),
            max_size: Limits::default().size_bytes,
            evidence_every: 50,
        }
    }
}

impl Store {
    /// As the store itself takes them.
    pub fn limits(&self) -> Limits {
        Limits {
            runs: self.keep.runs,
            evidence: self.keep.evidence,
            rollups: self.keep.rollups,
            size_bytes: self.max_size,
        }
    }
}

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Keep {
    /// Runs with their verdicts. 30d by default.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "Text<Duration>")]
    pub runs: Duration,
    /// Figures per hour and day. 400d by default.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "Text<Duration>")]
    pub rollups: Duration,
    /// Exchanges, pages and screenshots of failed runs. 7d by default.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "Text<Duration>")]
    pub evidence: Duration,
}

impl Default for Keep {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            runs: limits.runs,
            rollups: limits.rollups,
            evidence: limits.evidence,
        }
    }
}

/// How the requests are made that probes send by themselves.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Http")]
pub(super) struct HttpSettings {
    /// An answer with a longer body is judged as too large. 1MiB by default.
    max_body: Option<Text<Size>>,
    /// Proxy for all requests; `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` of the environment count when it
    /// is left out.
    proxy: Option<Text<WebUrl>>,
    /// Hosts, domains and networks that are reached without `proxy`.
    no_proxy: Vec<String>,
    /// PEM file of further certificate authorities, for providers with a private one.
    ca_file: Option<PathBuf>,
    /// `User-Agent` of every request.
    #[schemars(with = "Text<HeaderValue>")]
    user_agent: Option<String>,
    /// Fixed addresses of hosts, instead of asking name resolution.
    #[schemars(with = "BTreeMap<String, Text<IpAddr>>")]
    hosts: BTreeMap<String, IpAddr>,
}

impl HttpSettings {
    /// As the HTTP module takes them; relative paths are taken from `folder`.
    pub(super) fn ready(self, folder: &Path) -> http::Settings {
        let usual = http::Settings::default();
        http::Settings {
            max_body_bytes: self
                .max_body
                .map_or(usual.max_body_bytes, |Text(Size(bytes))| {
                    usize::try_from(bytes).unwrap_or(usize::MAX)
                }),
            proxy: self.proxy.map(|Text(WebUrl(url))| url),
            no_proxy: self.no_proxy,
            ca_file: self.ca_file.map(|path| folder.join(path)),
            user_agent: self.user_agent.unwrap_or(usual.user_agent),
            hosts: self.hosts,
        }
    }
}

/// How a fault of this machine is told from one of a provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Egress")]
pub(super) struct EgressSettings {
    /// Whether failures that look like a fault of this machine are looked into before they are believed. True by
    /// default.
    control: bool,
    /// Independent places that answer as long as this machine's network works: `https://…` or `http://…` is asked by a
    /// GET, `tcp://host:port` by a connection. The other providers of the probes serve as well, and prove less.
    targets: Vec<Text<Place>>,
    /// Independent names that resolve as long as name resolution works.
    names: Vec<Text<HostName>>,
}

impl Default for EgressSettings {
    fn default() -> Self {
        Self {
            control: true,
            targets: Vec::new(),
            names: Vec::new(),
        }
    }
}

impl EgressSettings {
    /// As the module of the same name takes them.
    pub(super) fn ready(self) -> egress::Settings {
        egress::Settings {
            control: self.control,
            targets: self
                .targets
                .into_iter()
                .map(|Text(Place(url))| url)
                .collect(),
            names: self
                .names
                .into_iter()
                .map(|Text(HostName(name))| name)
                .collect(),
        }
    }
}

/// Where figures and traces go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Telemetry {
    /// A collector that takes OTLP; nothing is sent when neither this nor the environment names one.
    pub(super) otlp: Option<Otlp>,
    /// Whether `/metrics` is served. True by default.
    pub(super) prometheus: bool,
    /// Lines that `/metrics` may have for probes and channels. 500000 by default; what is beyond is left out, and
    /// counted in `authcanary_series_overflow_total`.
    #[schemars(range(min = 1000))]
    pub(super) max_series: usize,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp: None,
            prometheus: true,
            max_series: MAX_SERIES,
        }
    }
}

/// A collector that takes OTLP. What is left out here the `OTEL_*` variables of the environment may say.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Otlp {
    /// Address of the collector, such as `http://collector:4318`; `/v1/traces` and the like are added to it.
    #[serde(deserialize_with = "web_url_if")]
    #[schemars(with = "Option<Text<WebUrl>>")]
    endpoint: Option<Url>,
    /// How it is spoken. `http/protobuf` by default.
    protocol: Option<OtlpProtocol>,
    /// Headers of each request, such as the collector's key.
    #[schemars(extend("propertyNames" = {"format": "header-name"}))]
    pub(super) headers: BTreeMap<String, TextOrSecret>,
    /// Limit of one attempt to send. 10s by default.
    timeout: Option<Text<Duration>>,
    /// What is sent. Everything by default.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    signals: Option<Vec<OtlpSignal>>,
    /// Whether it is sent compressed. `none` by default.
    compression: Option<OtlpCompression>,
    /// Encryption, where the address begins with `https://`.
    tls: OtlpTls,
}

impl Otlp {
    /// As telemetry takes it; relative paths are taken from `folder`.
    pub(super) fn ready(mut self, folder: &Path) -> otlp::Settings {
        anchor_headers(&mut self.headers, folder);
        otlp::Settings {
            endpoint: self.endpoint,
            protocol: self.protocol.map(|protocol| match protocol {
                OtlpProtocol::HttpProtobuf => otlp::Protocol::HttpProtobuf,
                OtlpProtocol::Grpc => otlp::Protocol::Grpc,
            }),
            headers: self.headers,
            timeout: self.timeout.map(|Text(timeout)| timeout),
            signals: self.signals.map(|signals| {
                let signal = |signal| match signal {
                    OtlpSignal::Traces => otlp::Signal::Traces,
                    OtlpSignal::Metrics => otlp::Signal::Metrics,
                    OtlpSignal::Logs => otlp::Signal::Logs,
                };
                signals.into_iter().map(signal).collect()
            }),
            gzip: self
                .compression
                .map(|compression| compression == OtlpCompression::Gzip),
            ca_file: self.tls.ca_file.map(|path| folder.join(path)),
            client: self.tls.client.map(|mut client| {
                anchor(&mut client.key, folder);
                otlp::ClientCertificate {
                    cert_file: folder.join(client.cert_file),
                    key: client.key,
                }
            }),
        }
    }
}

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
enum OtlpProtocol {
    /// Protobuf over HTTP.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// gRPC.
    #[serde(rename = "grpc")]
    Grpc,
}

/// What OTLP carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OtlpSignal {
    /// A trace for each run.
    Traces,
    /// The figures that `/metrics` shows.
    Metrics,
    /// The daemon's log.
    Logs,
}

/// Whether OTLP is sent compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OtlpCompression {
    /// As it is.
    None,
    /// By gzip.
    Gzip,
}

/// Encryption on the way to a collector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default)]
struct OtlpTls {
    /// PEM file of further certificate authorities.
    ca_file: Option<PathBuf>,
    /// What proves this daemon to the collector.
    client: Option<OtlpClient>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
struct OtlpClient {
    /// PEM file of the certificate, and of those between it and its authority.
    cert_file: PathBuf,
    /// Private key in PEM.
    key: SecretRef,
}

/// Who may use the API.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Api")]
pub(super) struct ApiSettings {
    /// Bearer tokens, stored as hashes only.
    pub(super) tokens: Vec<ApiToken>,
}

/// One bearer token.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub(super) struct ApiToken {
    /// Who uses it; shown in logs.
    pub(super) name: Text<Name>,
    /// SHA-256 of the token in hexadecimal, never the token itself.
    hash: Text<TokenHash>,
    /// What it is good for.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    may: Vec<Right>,
}

impl ApiSettings {
    /// As the API takes them.
    pub(super) fn access(self) -> Access {
        let token = |token: ApiToken| Token::new(token.name.0.0, &token.hash.0.0, token.may);
        Access::new(self.tokens.into_iter().filter_map(token).collect())
    }
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    text::<_, Size>(deserializer).map(|Size(bytes)| bytes)
}

fn web_url_if<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    web_url(deserializer).map(Some)
}

fn web_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    text::<_, WebUrl>(deserializer).map(|WebUrl(url)| url)
}
