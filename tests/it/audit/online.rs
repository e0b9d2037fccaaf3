//! `validate --online` against providers of this machine. The first line of each bad file says which:
//!
//! - `loopback`, with the faults that are switched on;
//! - `static`, a document that says all is supported, with the members that are other or (null) missing;
//! - `tls`, the same over https, with the name and the days left of its certificate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use authcanary::loopback::{self, Loopback};
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{bad_files, exit_code, found, marked, report, rule_of, severity_of};

/// A provider that runs as long as this lives.
struct Provider {
    issuer: String,
    /// What the daemon file has to say to reach it, where that is needed.
    http: Option<String>,
    _running: Running,
    folder: TempDir,
}

enum Running {
    Loopback { _server: Loopback },
    Task(JoinHandle<()>),
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Self::Task(task) = self {
            task.abort();
        }
    }
}

impl Provider {
    async fn start(text: &str) -> Self {
        let first = text.lines().next().unwrap();
        let (kind, settings) = first
            .strip_prefix("# provider: ")
            .map(|rest| rest.split_once(' ').unwrap_or((rest, "[]")))
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        match kind {
            "loopback" => {
                let server = loopback::start(loopback::Config {
                    faults: serde_json::from_str(settings).unwrap(),
                    ..loopback::Config::demo()
                })
                .await
                .unwrap();
                Self {
                    issuer: server.issuer().to_owned(),
                    http: None,
                    _running: Running::Loopback { _server: server },
                    folder,
                }
            }
            "static" => fixed(serde_json::from_str(settings).unwrap(), folder).await,
            "tls" => encrypted(&serde_json::from_str(settings).unwrap(), folder).await,
            other => panic!("there is no provider {other}"),
        }
    }

    /// The bad file with the issuer in it, and the file to validate: itself, or a daemon file that names it.
    fn files(&self, name: &str, text: &str) -> (PathBuf, PathBuf) {
        let probe = self.folder.path().join(name);
        fs::write(&probe, text.replace("$ISSUER", &self.issuer)).unwrap();
        let Some(http) = &self.http else {
            return (probe.clone(), probe);
        };
        let daemon = self.folder.path().join("authcanary.yaml");
        let text = format!(
            "version: 1\nprobes: ['{name}']\naudit: {{ignore: [no-channel]}}\nhttp: {http}\n"
        );
        fs::write(&daemon, text).unwrap();
        (probe, daemon)
    }
}

fn document(issuer: &str, changes: &Map<String, Json>) -> Json {
    let at = |path: &str| format!("{issuer}{path}");
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks"),
        "userinfo_endpoint": at("/userinfo"),
        "revocation_endpoint": at("/revoke"),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    });
    let members = document.as_object_mut().unwrap();
    for (name, value) in changes {
        match value {
            Json::Null => members.remove(name),
            other => members.insert(name.clone(), other.clone()),
        };
    }
    document
}

async fn fixed(changes: Map<String, Json>, folder: TempDir) -> Provider {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let document = document(&issuer, &changes);
    let answer = async move |request: Request| -> Response {
        match request.uri().path() {
            "/.well-known/openid-configuration" => axum::Json(document).into_response(),
            path if path.starts_with("/runbooks/") => "what to do".into_response(),
            _ => axum::http::StatusCode::NOT_FOUND.into_response(),
        }
    };
    let router = Router::new().fallback(answer);
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Provider {
        issuer,
        http: None,
        _running: Running::Task(task),
        folder,
    }
}

async fn encrypted(settings: &Json, folder: TempDir) -> Provider {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let issuer = format!("https://provider.test:{port}");
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
    let signer = Issuer::new(authority, key);
    let name = settings["name"].as_str().unwrap_or("provider.test");
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let days = settings["days"].as_i64().unwrap_or(400);
    leaf.not_after = rcgen::date_time_ymd(2020, 1, 1);
    if days > 0 {
        // The crate of its times is its own business; it adds durations of the standard library.
        let now = std::time::SystemTime::now();
        let then = now + std::time::Duration::from_secs(days.unsigned_abs() * 86_400);
        leaf.not_after = then.into();
    }
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &signer).unwrap();
    let chain = vec![leaf.der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let body = document(&issuer, &Map::new()).to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that refuses the certificate hangs up.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        }
    });
    Provider {
        issuer,
        http: Some("{ca_file: ca.pem, hosts: {provider.test: 127.0.0.1}}".to_owned()),
        _running: Running::Task(task),
        folder,
    }
}

/// What `validate` says of a file, with `--online` and without, and the marked lines of it.
struct Audited {
    online: (i32, Json),
    offline: (i32, Json),
    marks: BTreeSet<(String, u64)>,
}

async fn audited(file: &Path) -> Audited {
    let text = fs::read_to_string(file).unwrap();
    let provider = Provider::start(&text).await;
    let name = file.file_name().unwrap().to_str().unwrap();
    let (probe, whole) = provider.files(name, &text);
    let run = || (report(&whole, &["--online"]), report(&whole, &["--strict"]));
    let (online, offline) = tokio::task::block_in_place(run);
    Audited {
        online,
        offline,
        marks: marked(&probe),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_bad_file_breaks_its_rule_once_the_provider_was_asked() {
    for file in bad_files("tests/it/audit/online") {
        let rule = rule_of(&file);
        let audited = audited(&file).await;
        let expected: BTreeSet<_> = audited
            .marks
            .into_iter()
            .map(|(file, line)| (rule.clone(), file, line))
            .collect();
        let (code, report) = audited.online;
        assert_eq!(found(&report), expected, "{}: {report:#}", file.display());
        assert_eq!(report["online"], true);
        let expected = match rule.as_str() {
            "clean" => 0,
            rule => exit_code(severity_of(rule), false),
        };
        assert_eq!(code, expected, "{}", file.display());
        let (code, report) = audited.offline;
        assert_eq!(
            (code, &report["findings"]),
            (0, &json!([])),
            "{} without --online",
            file.display()
        );
    }
}
