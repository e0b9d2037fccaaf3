//! The expiry radar of a whole daemon: what ends, declared in its files or seen in what a server really sends, as
//! `/metrics` tells it. What only a sign-in by browser shows is in `tests/live/expiry.rs`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::post;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::common::until;
use crate::serving::Serving;

const TOKEN: &str = r#"{"access_token": "a-token-of-a-machine", "token_type": "Bearer"}"#;
const SECRET: &str = r#"{"error": "invalid_client", "error_description": "AADSTS7000222: The provided client secret keys for app 'canary' are expired. Timestamp: 2026-01-04 06:30:30Z"}"#;
const KEY: &str = r#"{"error": "invalid_client", "error_description": "AADSTS700027: Client assertion contains an invalid signature. [Reason - The key used is expired., Found key 'Start=01/01/2024 00:00:00, End=01/31/2026 08:40:56']"}"#;
const CERTIFICATE: &str = r#"{"error": "invalid_client", "error_description": "AADSTS700027: The certificate of the client is expired: expired on 2026-02-03T04:05:06Z"}"#;

/// Connections that are encrypted.
struct Encrypted {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // Whoever hangs up in the handshake is not served.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A server of tokens that refuses in the words of a large provider, by path. Its certificate is good until `not_after`.
struct Server {
    base: String,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Writes `ca.pem` into `folder`.
    async fn start(folder: &Path, not_after: (i32, u8, u8)) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = authority.self_signed(&key).unwrap();
        fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(authority, key);
        let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        leaf.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        let key = KeyPair::generate().unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![leaf.der().clone()],
                PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let encrypted = Encrypted {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        };
        let answer = |status: StatusCode, body: &'static str| {
            post(
                move || async move { (status, [(header::CONTENT_TYPE, "application/json")], body) },
            )
        };
        let router = Router::new()
            .route("/token", answer(StatusCode::OK, TOKEN))
            .route("/secret", answer(StatusCode::UNAUTHORIZED, SECRET))
            .route("/key", answer(StatusCode::UNAUTHORIZED, KEY))
            .route(
                "/certificate",
                answer(StatusCode::UNAUTHORIZED, CERTIFICATE),
            );
        let task = tokio::spawn(async move { axum::serve(encrypted, router).await.unwrap() });
        Self { base, task }
    }
}

/// Probes that no clock starts: they run when they are asked for.
fn write_files(folder: &Path, server: &Server) {
    let mut probes = "version: 1\nprovider: microsoft-entra\nflow: client_credentials\ncron: \"0 0 29 2 *\"\nscopes: [api]\nenvironments:\n".to_owned();
    for name in ["token", "secret", "key", "certificate"] {
        let endpoint = format!("{}/{name}", server.base);
        let client = "{id: canary, secret: {env: SECRET}}";
        let line = format!("  {name}: {{endpoints: {{token: \"{endpoint}\"}}, client: {client}");
        probes.push_str(&line);
        if name == "token" {
            probes.push_str(
                ", expires: {client_secret: 2098-01-01, client_key: 2098-02-01, client_certificate: 2098-03-01, account_password: 2098-04-01}",
            );
        }
        probes.push_str("}\n");
    }
    fs::write(folder.join("probes.yaml"), probes).unwrap();
    let daemon = "version: 1\nlocation: here\nlisten: 127.0.0.1:0\nprobes: [probes.yaml]\nstore: {path: store}\nhttp: {ca_file: ca.pem}\negress: {control: false}\n";
    fs::write(folder.join("authcanary.yaml"), daemon).unwrap();
}

/// What `/metrics` says of one kind at one probe.
async fn told(daemon: &Serving, environment: &str, kind: &str) -> Option<f64> {
    let series = format!(
        r#"authcanary_expiry_timestamp_seconds{{environment="{environment}",kind="{kind}",location="here",probe="microsoft-entra/{environment}",provider="microsoft-entra"}} "#
    );
    let text = daemon.metrics().await;
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.map(|value| value.parse().unwrap())
}

#[track_caller]
fn seconds(text: &str) -> f64 {
    text.parse::<Timestamp>().unwrap().as_second() as f64
}

#[tokio::test]
async fn a_daemon_tells_what_is_declared_seen_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), (2097, 5, 6)).await;
    write_files(folder.path(), &server);
    let daemon = Serving::start_with(folder.path(), [("SECRET", "a-secret")]);

    // What is declared is known before the first run.
    for (kind, expected) in [
        ("client_secret", "2098-01-01T00:00:00Z"),
        ("client_key", "2098-02-01T00:00:00Z"),
        ("client_certificate", "2098-03-01T00:00:00Z"),
        ("account_password", "2098-04-01T00:00:00Z"),
    ] {
        let told = told(&daemon, "token", kind).await;
        assert_eq!(told, Some(seconds(expected)), "{kind}");
    }
    assert_eq!(told(&daemon, "token", "tls_certificate").await, None);

    let run = daemon.run("microsoft-entra/token").await;
    assert_eq!(run["outcome"], "ok", "{run:#}");
    let certificate = until(|| told(&daemon, "token", "tls_certificate")).await;
    assert_eq!(certificate, seconds("2097-05-06T00:00:00Z"));

    // Without a date in the answer it is over since the run that was told so.
    for (environment, kind, named) in [
        ("secret", "client_secret", None),
        ("key", "client_key", Some("2026-01-31T08:40:56Z")),
        (
            "certificate",
            "client_certificate",
            Some("2026-02-03T04:05:06Z"),
        ),
    ] {
        assert_eq!(told(&daemon, environment, kind).await, None, "{kind}");
        let run = daemon.run(&format!("microsoft-entra/{environment}")).await;
        assert_eq!(run["verdict"]["class"], "client_secret_expired", "{run:#}");
        let began = run["started_at"].as_str().unwrap();
        let expected = seconds(named.unwrap_or(began));
        let value = until(|| told(&daemon, environment, kind)).await;
        assert_eq!(value.floor(), expected, "{kind}: {run:#}");
    }
    assert!(daemon.stop().0.success());
}
