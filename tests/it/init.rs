//! `init` without a terminal and without a browser: what it asks for, what it writes, and what it says when an issuer is none.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;

use authcanary::config::load;
use authcanary::loopback;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

/// What only a person knows.
const ANSWERS: [&str; 10] = [
    "--client-id",
    "demo-basic",
    "--client-secret",
    "env:SECRET",
    "--redirect-uri",
    "https://app.example.com/callback",
    "--username",
    "demo@example.com",
    "--password",
    "file:keep/password",
];

async fn init(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_authcanary"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
        .arg("init")
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("AUTHCANARY_CONFIG")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.output().await.unwrap()
}

/// With all answers, and without the first run, which needs a browser.
async fn answered(folder: &TempDir, issuer: &str, more: &[&str]) -> Output {
    let arguments = [&[issuer, "--no-check"], ANSWERS.as_slice(), more].concat();
    init(folder, &arguments).await
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    for word in words {
        assert!(said(output).contains(word), "{word}: {}", said(output));
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// A provider whose only document is `document`, with `$ISSUER` for its address.
async fn publishing(document: &Json) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let text = document.to_string().replace("$ISSUER", &issuer);
    let answer = async move |uri: Uri| -> Response {
        match uri.path() {
            "/.well-known/oauth-authorization-server" if text != "null" => text.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    issuer
}

#[tokio::test]
async fn all_that_is_missing_is_named_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let needed = [
        "--client-id",
        "--client-secret",
        "--auth none",
        "--redirect-uri",
        "--username",
        "--password",
    ];
    // Nobody is contacted for it.
    let output = init(&folder, &["https://sso.invalid"]).await;
    expect(&output, 64, &needed);
    let output = init(
        &folder,
        &[
            "https://sso.invalid",
            "--yes",
            "--client-id",
            "a",
            "--flow",
            "client_credentials",
        ],
    )
    .await;
    expect(&output, 64, &["--client-secret"]);
    assert!(!said(&output).contains("--username"), "{output:?}");
    assert!(is_empty(folder.path()));
    assert_eq!(init(&folder, &[]).await.status.code(), Some(64));
}

#[tokio::test]
async fn a_secret_in_place_of_its_whereabouts_is_refused_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let output = answered(
        &folder,
        "https://sso.invalid",
        &["--totp", "hunter2", "--environment", "../prod"],
    )
    .await;
    expect(&output, 64, &["--totp says where", "--environment: a name"]);
    assert!(!said(&output).contains("hunter2"), "{output:?}");
    assert!(is_empty(folder.path()));
}

#[tokio::test]
async fn both_files_are_written_and_nothing_is_lost() {
    let provider = loopback::start(loopback::Config::demo()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (daemon, probe) = (
        folder.path().join("authcanary.yaml"),
        folder.path().join("probes/generic.yaml"),
    );
    let output = answered(&folder, provider.issuer(), &["--store", "data"]).await;
    expect(&output, 0, &["offers userinfo"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(stdout.contains("authcanary check generic/prod"), "{stdout}");
    let read = load(&daemon).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(read.store.path, folder.path().join("data"));
    assert_eq!(read.probes[0].id.as_str(), "generic/prod");
    let text = fs::read_to_string(&probe).unwrap();
    // Counted from the folder of the probe file.
    assert!(
        text.contains("password: {file: ../keep/password}"),
        "{text}"
    );
    for step in ["userinfo", "refresh", "revoke: {verify: true}", "logout"] {
        assert!(text.contains(&format!("- {step}")), "{step}: {text}");
    }

    fs::write(
        &daemon,
        format!("{}# mine\n", fs::read_to_string(&daemon).unwrap()),
    )
    .unwrap();
    let mine = fs::read_to_string(&daemon).unwrap();
    let output = answered(&folder, provider.issuer(), &["--environment", "other"]).await;
    expect(
        &output,
        64,
        &["probes/generic.yaml is there already", "--force"],
    );
    assert_eq!(fs::read_to_string(&probe).unwrap(), text);

    // A second provider joins the first: the daemon file finds its file, and stays as it is.
    let second = ["--provider", "acme"];
    let output = answered(&folder, provider.issuer(), &second).await;
    expect(&output, 0, &[]);
    assert_eq!(fs::read_to_string(&daemon).unwrap(), mine);
    let ids: Vec<String> = load(&daemon)
        .unwrap()
        .probes
        .iter()
        .map(|probe| probe.id.to_string())
        .collect();
    assert_eq!(ids, ["acme/prod", "generic/prod"]);

    // The same probe a second time under another name cannot be.
    let output = answered(&folder, provider.issuer(), &["--name", "again"]).await;
    expect(
        &output,
        78,
        &["defined a second time", "nothing was written"],
    );
    assert!(!folder.path().join("probes/again.yaml").exists());

    let output = answered(&folder, provider.issuer(), &["--force", "--every", "7m"]).await;
    expect(&output, 0, &[]);
    assert!(fs::read_to_string(&probe).unwrap().contains("every: 7m"));
    assert!(!fs::read_to_string(&daemon).unwrap().contains("# mine"));
    provider.stop().await;
}

#[tokio::test]
async fn a_machine_is_asked_for_where_nobody_signs_in() {
    let document = json!({"issuer": "$ISSUER", "token_endpoint": "$ISSUER/token"});
    let issuer = publishing(&document).await;
    let folder = tempfile::tempdir().unwrap();
    let output = init(
        &folder,
        &[
            &issuer,
            "--no-check",
            "--flow",
            "client_credentials",
            "--client-id",
            "machine",
            "--client-secret",
            "command:pass show canary",
            "--scopes",
            "read,write",
        ],
    )
    .await;
    expect(&output, 0, &[]);
    let text = fs::read_to_string(folder.path().join("probes/generic.yaml")).unwrap();
    for part in [
        "flow: client_credentials",
        "scopes: [read, write]",
        "secret: {command: [pass, show, canary]}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("account"), "{text}");
}

#[tokio::test]
async fn what_is_no_issuer_is_answered_in_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    let gone = TcpSocket::new_v4().unwrap();
    gone.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = format!("http://{}", gone.local_addr().unwrap());
    let output = answered(&folder, &nobody, &[]).await;
    expect(
        &output,
        1,
        &["cannot be reached: connect_refused", "authcanary doctor"],
    );

    let silent = publishing(&Json::Null).await;
    let output = answered(&folder, &silent, &[]).await;
    let tried = format!("tried  {silent}/.well-known/oauth-authorization-server");
    expect(&output, 1, &["publishes no metadata", &tried, "endpoints"]);

    let foreign = publishing(&json!({"issuer": "https://other.example.com"})).await;
    let output = answered(&folder, &foreign, &[]).await;
    expect(&output, 1, &["https://other.example.com", &foreign]);

    let methods = json!(["private_key_jwt"]);
    let strict = json!({
        "issuer": "$ISSUER", "token_endpoint": "$ISSUER/token", "token_endpoint_auth_methods_supported": methods
    });
    let output = answered(&folder, &publishing(&strict).await, &[]).await;
    expect(&output, 1, &["takes only private_key_jwt"]);

    let output = answered(&folder, "mailto:sso@example.com", &[]).await;
    expect(&output, 1, &["mailto:sso@example.com"]);
    assert!(is_empty(folder.path()));
}

/// A provider whose certificate an authority signed that only `ca.pem` in `folder` knows.
async fn encrypted(folder: &Path) -> String {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = authority.self_signed(&key).unwrap();
    fs::write(folder.join("ca.pem"), certificate.pem()).unwrap();
    let signer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("https://{}", listener.local_addr().unwrap());
    let body = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
    })
    .to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
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
    issuer
}

#[tokio::test]
async fn an_authority_of_ones_own_is_named_by_a_flag() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = encrypted(folder.path()).await;
    let output = answered(&folder, &issuer, &[]).await;
    expect(&output, 1, &["certificate", "--ca-file"]);
    let output = answered(&folder, &issuer, &["--ca-file", "ca.pem"]).await;
    expect(&output, 0, &[]);
    let text = fs::read_to_string(folder.path().join("authcanary.yaml")).unwrap();
    assert!(text.contains("http: {ca_file: ca.pem}"), "{text}");
}
