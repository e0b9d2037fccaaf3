//! Connections to a collector: one TLS for both protocols, and headers that are read from where they are kept.

use std::error::Error as _;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    Compression, LogExporter, LogExporterBuilder, SpanExporter, SpanExporterBuilder,
    WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::runtime::Handle;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use super::figures::Way;
use super::guard::State;
use super::plan::{Header, Value};
use super::{ClientCertificate, OtlpError, Plan, Protocol};
use crate::http::trusting;
use crate::vault;

/// How long a header that was read is good, as long as the collector has nothing against it.
const GOOD_FOR: Duration = Duration::from_secs(300);

/// How often a header is read again at most.
const DOUBTED_FOR: Duration = Duration::from_secs(30);

/// A peer that vanished without a word is noticed by this much silence.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// One signal's connection, before its exporter is made.
pub(super) struct Wire<'a> {
    plan: &'a Plan,
    headers: Headers,
    tls: ClientConfig,
}

impl<'a> Wire<'a> {
    /// Reads certificates and headers. A header that is not to be had is asked for again later.
    pub(super) async fn new(plan: &'a Plan) -> Result<Self, OtlpError> {
        let headers = Headers::new(plan.headers.clone());
        headers.clone().refresh().await;
        let mut tls = trusting(plan.ca_file.as_deref()).map_err(OtlpError::Authorities)?;
        if let Some(client) = &plan.client {
            tls.client_auth_cert_resolver = identity(client, &tls).await?;
        }
        Ok(Self { plan, headers, tls })
    }

    pub(super) fn headers(&self) -> Headers {
        self.headers.clone()
    }

    pub(super) fn spans(self, state: &State) -> Result<SpanExporter, OtlpError> {
        Ok(match self.plan.protocol {
            Protocol::HttpProtobuf => {
                let builder = SpanExporterBuilder::new().with_http();
                self.over_http(builder, state)?.build()?
            }
            Protocol::Grpc => {
                let builder = SpanExporterBuilder::new().with_tonic();
                self.over_grpc(builder)?.build()?
            }
        })
    }

    /// The figures have an exporter of their own.
    pub(super) fn figures(self, state: State) -> Result<Way, OtlpError> {
        Ok(match self.plan.protocol {
            Protocol::HttpProtobuf => {
                let (url, gzip) = (self.plan.endpoint.to_string(), self.plan.gzip);
                let client = self.client(&state)?;
                Way::http(client, url, gzip, state)
            }
            Protocol::Grpc => {
                let client = MetricsServiceClient::new(self.channel()?);
                let client = if self.plan.gzip {
                    client
                        .send_compressed(CompressionEncoding::Gzip)
                        .accept_compressed(CompressionEncoding::Gzip)
                } else {
                    client
                };
                Way::grpc(client, self.headers, state)
            }
        })
    }

    pub(super) fn logs(self, state: &State) -> Result<LogExporter, OtlpError> {
        Ok(match self.plan.protocol {
            Protocol::HttpProtobuf => {
                let builder = LogExporterBuilder::new().with_http();
                self.over_http(builder, state)?.build()?
            }
            Protocol::Grpc => {
                let builder = LogExporterBuilder::new().with_tonic();
                self.over_grpc(builder)?.build()?
            }
        })
    }

    fn over_http<B: WithExportConfig + WithHttpConfig>(
        self,
        builder: B,
        state: &State,
    ) -> Result<B, OtlpError> {
        let plan = self.plan;
        let builder = builder
            .with_endpoint(plan.endpoint.as_str())
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_timeout(plan.timeout)
            .with_http_client(self.client(state)?);
        Ok(if plan.gzip {
            WithHttpConfig::with_compression(builder, Compression::Gzip)
        } else {
            builder
        })
    }

    fn client(self, state: &State) -> Result<Client, OtlpError> {
        let mut client = reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(self.plan.timeout);
        if is_loopback(&self.plan.endpoint) {
            client = client.no_proxy();
        }
        Ok(Client {
            client: client.build().map_err(OtlpError::Client)?,
            headers: self.headers,
            state: state.clone(),
        })
    }

    fn over_grpc<B: WithExportConfig + WithTonicConfig>(self, builder: B) -> Result<B, OtlpError> {
        let headers = self.headers.clone();
        let builder = builder
            .with_endpoint(self.plan.endpoint.as_str())
            .with_timeout(self.plan.timeout)
            .with_channel(self.channel()?)
            .with_interceptor(move |mut request: tonic::Request<()>| {
                headers.put(request.metadata_mut().as_mut());
                Ok(request)
            });
        Ok(if self.plan.gzip {
            WithTonicConfig::with_compression(builder, Compression::Gzip)
        } else {
            builder
        })
    }

    /// Connects at the first use, and again after a connection broke.
    fn channel(&self) -> Result<Channel, OtlpError> {
        let endpoint = Endpoint::from_shared(self.plan.endpoint.to_string())
            .map_err(|_| OtlpError::Address {
                name: self.plan.endpoint.to_string(),
            })?
            .timeout(self.plan.timeout)
            .connect_timeout(self.plan.timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(self.plan.timeout);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http2()
            .build();
        Ok(endpoint.connect_with_connector_lazy(connector))
    }
}

async fn identity(
    client: &ClientCertificate,
    tls: &ClientConfig,
) -> Result<Arc<dyn rustls::client::ResolvesClientCert>, OtlpError> {
    let key = vault::resolve(&client.key)
        .await
        .map_err(OtlpError::ClientKey)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| OtlpError::ClientKeyForm)?;
    let chain = chain(&client.cert_file)?;
    let certified = rustls::sign::CertifiedKey::from_der(chain, key, tls.crypto_provider())
        .map_err(OtlpError::ClientPair)?;
    Ok(Arc::new(rustls::sign::SingleCertAndKey::from(certified)))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, OtlpError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|source| OtlpError::ClientCertificate {
        path: path.to_owned(),
        source,
    })
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Headers of each request, as they were last read. Cheap to clone.
#[derive(Clone)]
pub(super) struct Headers(Arc<Shelf>);

struct Shelf {
    wanted: Vec<Header>,
    read: RwLock<Read>,
}

struct Read {
    headers: HeaderMap,
    at: Option<Instant>,
    /// Not all could be read, or the collector did not take what came with them.
    doubted: bool,
}

impl Headers {
    fn new(wanted: Vec<Header>) -> Self {
        Self(Arc::new(Shelf {
            wanted,
            read: RwLock::new(Read {
                headers: HeaderMap::new(),
                at: None,
                doubted: false,
            }),
        }))
    }

    /// Reads them where they are kept, if it is time: a rotated key counts without a restart.
    pub(super) async fn refresh(self) {
        if !self.is_due() {
            return;
        }
        let mut headers = HeaderMap::new();
        let mut missing = None;
        for Header { name, value } in &self.0.wanted {
            let value = match value {
                Value::Known(secret) => secret.clone(),
                Value::Kept(reference) => match vault::resolve(reference).await {
                    Ok(secret) => secret,
                    Err(error) => {
                        let source = error.source().map(|source| format!(": {source}"));
                        missing = Some(format!("{error}{}", source.unwrap_or_default()));
                        continue;
                    }
                },
            };
            match HeaderValue::from_str(value.expose()) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    headers.insert(name.clone(), value);
                }
                Err(_) => missing = Some(format!("the value of {name} is none for a header")),
            }
        }
        let mut read = self.0.read.write().unwrap_or_else(PoisonError::into_inner);
        let known = missing.is_some() && read.doubted;
        read.headers.extend(headers);
        (read.at, read.doubted) = (Some(Instant::now()), missing.is_some());
        drop(read);
        if let Some(reason) = missing.filter(|_| !known) {
            tracing::warn!(reason, "a header for the collector is missing");
        }
    }

    fn is_due(&self) -> bool {
        let read = self.0.read.read().unwrap_or_else(PoisonError::into_inner);
        let good_for = if read.doubted { DOUBTED_FOR } else { GOOD_FOR };
        read.at.is_none_or(|at| at.elapsed() >= good_for)
    }

    /// The collector did not take something; the key may have changed.
    pub(super) fn doubt(&self) {
        let mut read = self.0.read.write().unwrap_or_else(PoisonError::into_inner);
        read.doubted = true;
    }

    /// Puts them into a request, in place of what the environment may have put there.
    pub(super) fn put(&self, into: &mut HeaderMap) {
        let read = self.0.read.read().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in &read.headers {
            into.insert(name.clone(), value.clone());
        }
    }
}

/// Sends on the runtime, whichever thread asks.
pub(super) struct Client {
    client: reqwest::Client,
    headers: Headers,
    state: State,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.headers.put(request.headers_mut());
        let client = self.client.clone();
        let runtime: &Handle = self.state.runtime();
        let sent = runtime.spawn(async move { client.send_bytes(request).await });
        let sent = sent.await?;
        if let Err(error) = &sent {
            self.state.note_trouble(root(error.as_ref()));
        }
        sent
    }
}

/// The innermost reason: the outer ones only say that a request could not be sent.
pub(super) fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
