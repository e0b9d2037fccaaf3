//! TLS of the probe's own requests: verified like any client does, and the peer's certificates kept also when
//! verification fails. No session is resumed, so that every run makes a full handshake.

use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, NamedGroup, OtherError, SignatureScheme,
};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{HttpError, timing};
use crate::run::Certificate;

/// Longer chains are cut in the evidence.
const CHAIN_LIMIT: usize = 10;

/// The machine's certificate authorities and those of `ca_file`; HTTP/2 and HTTP/1.1.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, HttpError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Recording(authorities(ca_file, &provider)?);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(HttpError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::store(Arc::new(NoSessions));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The machine's certificate authorities and those of `ca_file`, for connections that are no evidence. The protocol
/// spoken within is left to whoever connects.
pub(crate) fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, HttpError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = authorities(ca_file, &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(HttpError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

/// Shakes hands with `host` at the other end of a connection, and leaves.
pub(super) async fn handshake(
    config: &ClientConfig,
    host: &str,
    stream: TcpStream,
) -> Result<(), io::Error> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config.clone()));
    connector.connect(name, stream).await.map(drop)
}

fn authorities(
    ca_file: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, HttpError> {
    let Some(path) = ca_file else {
        // A machine without any still probes plain HTTP, such as a provider on loopback.
        return Ok(match Verifier::new(provider.clone()) {
            Ok(verifier) => Arc::new(verifier),
            Err(_) => Arc::new(NoAuthorities(provider.clone())),
        });
    };
    let unreadable = |source| HttpError::CaFile {
        path: path.to_owned(),
        source,
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(HttpError::CaFileEmpty(path.to_owned()));
    }
    let verifier = Verifier::new_with_extra_roots(certificates, provider.clone());
    Ok(Arc::new(verifier.map_err(|source| {
        HttpError::CaFileUnusable {
            path: path.to_owned(),
            source,
        }
    })?))
}

/// What a chain says of itself, leaf first.
pub(super) fn describe(chain: &[CertificateDer<'_>]) -> Vec<Certificate> {
    chain
        .iter()
        .take(CHAIN_LIMIT)
        .filter_map(describe_one)
        .collect()
}

fn describe_one(certificate: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let at = |seconds| Timestamp::from_second(seconds).ok();
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, certificate);
    Some(Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        not_before: at(parsed.validity().not_before.timestamp())?,
        not_after: at(parsed.validity().not_after.timestamp())?,
        sha256: digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
    })
}

/// Notes the chain, then lets the real verifier decide.
#[derive(Debug)]
struct Recording(Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for Recording {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(marks) = timing::current() {
            let chain = std::iter::once(end_entity).chain(intermediates);
            marks.certificates(
                chain
                    .take(CHAIN_LIMIT)
                    .map(|der| der.clone().into_owned())
                    .collect(),
            );
        }
        self.0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Says why nothing can be verified: a fault of this machine, not of the peer.
#[derive(Debug)]
struct NoAuthorities(Arc<CryptoProvider>);

/// The error of a machine that trusts nobody.
#[derive(Debug, thiserror::Error)]
#[error("this machine has no trusted certificate authorities; install them, or set http.ca_file")]
pub(super) struct NothingTrusted;

impl ServerCertVerifier for NoAuthorities {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let error = CertificateError::Other(OtherError(Arc::new(NothingTrusted)));
        Err(rustls::Error::InvalidCertificate(error))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::HandshakeNotComplete)
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::HandshakeNotComplete)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Remembers nothing. It is asked for what it knows when a hello is made, which marks the start of the handshake.
#[derive(Debug)]
struct NoSessions;

impl ClientSessionStore for NoSessions {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        if let Some(marks) = timing::current() {
            marks.tls_begins();
        }
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}
