//! Mail over a real server: encrypted both ways, with a password, read back and taken apart as mail.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use authcanary::http::{Http, Settings};
use authcanary::notify::{Channel, Edge, Event, Failure, News, Origin, Receipt, sample};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout_at;

use super::support::deadline;

const PASSWORD: &str = "p4ssw0rd-of-the-mailbox";

/// The Python that has the mail server.
fn python() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv/bin/python");
    assert!(
        path.exists(),
        "{} is missing: run `make setup`",
        path.display()
    );
    path
}

/// An authority, and a certificate of it for a host.
pub(crate) struct Pki {
    folder: tempfile::TempDir,
}

impl Pki {
    pub(crate) fn new(host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let pki = Self { folder };
        std::fs::write(pki.path("ca.pem"), authority.pem()).unwrap();
        std::fs::write(pki.path("leaf.pem"), leaf.pem()).unwrap();
        std::fs::write(pki.path("leaf.key"), key.serialize_pem()).unwrap();
        std::fs::write(pki.path("password"), PASSWORD).unwrap();
        pki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Trusts the authority, and nothing else of this test.
    fn edge(&self) -> Edge {
        edge(Some(self.path("ca.pem")))
    }
}

fn edge(ca_file: Option<PathBuf>) -> Edge {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Edge::new(&Http::new(&Settings::default()).unwrap(), ca_file).unwrap()
}

/// A mail server, until it is dropped.
pub(crate) struct Server {
    pub(crate) port: u64,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
    _stdin: ChildStdin,
}

impl Server {
    async fn start(arguments: &[&Path]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/smtp/server.py");
        let mut child = Command::new(python())
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut server = Self {
            port: 0,
            lines: BufReader::new(stdout).lines(),
            _stdin: child.stdin.take().unwrap(),
            _child: child,
        };
        server.port = server.line().await["port"].as_u64().unwrap();
        server
    }

    pub(crate) async fn with_password(mode: &str, pki: &Pki) -> Self {
        let [leaf, key] = ["leaf.pem", "leaf.key"].map(|name| pki.path(name));
        let arguments = [
            mode.as_ref(),
            &*leaf,
            &*key,
            "canary".as_ref(),
            PASSWORD.as_ref(),
        ];
        Self::start(&arguments).await
    }

    /// The next thing it says.
    pub(crate) async fn line(&mut self) -> Value {
        let line = timeout_at(deadline(), self.lines.next_line()).await;
        let line = line.expect("the mail server says something").unwrap();
        serde_json::from_str(&line.expect("the mail server runs")).unwrap()
    }
}

fn channel(settings: &Value) -> Channel {
    serde_json::from_value(json!({"email": settings})).unwrap()
}

fn with_password(scheme: &str, server: &Server, pki: &Pki) -> Value {
    json!({
        "smtp": format!("{scheme}://localhost:{}", server.port),
        "username": "canary",
        "password": {"file": pki.path("password")},
        "from": "canary@example.com",
        "to": ["sre@example.com", "identity@example.com"],
    })
}

fn news(event: Event) -> News {
    let mut alert = sample::alert();
    let at = alert.started_at + jiff::SignedDuration::from_mins(14);
    alert.summary = "nobody can sign in at keycloak/prod – Geheimnis läuft ab".to_owned();
    if event == Event::Resolved {
        alert.resolved_at = Some(at);
    }
    News {
        alert,
        event,
        at,
        note: String::new(),
        is_test: false,
    }
}

async fn deliver(channel: &Channel, event: Event, edge: &Edge) -> Result<Receipt, Failure> {
    let news = news(event);
    let (sequence, first) = match event {
        Event::Fired => (1, None),
        _ => (2, Some(1)),
    };
    let origin = Origin {
        location: "fra1".to_owned(),
        public_url: Some("https://canary.example.com".parse().unwrap()),
        trace_url: None,
    };
    let notice = channel.compose(&news, &sample::key(&news, sequence), first, &origin);
    channel.deliver(&notice, None, edge).await
}

/// A mail taken apart by a reader that is not ours: headers, and the content of each part, decoded.
pub(crate) async fn parsed(mail: &str) -> Value {
    const READER: &str = "\
import email, email.policy, json, sys
mail = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
print(json.dumps({
    'headers': {name.lower(): str(value) for name, value in mail.items()},
    'defects': [str(defect) for part in mail.walk() for defect in part.defects],
    'type': mail.get_content_type(),
    'parts': {part.get_content_type(): part.get_content() for part in mail.iter_parts()},
}))";
    let mail = mail.to_owned();
    let reader = tokio::task::spawn_blocking(move || {
        let mut child = std::process::Command::new(python())
            .args(["-c", READER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(mail.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap().stdout
    });
    serde_json::from_slice(&reader.await.unwrap()).unwrap()
}

async fn arrives_encrypted_and_logged_in(mode: &str, scheme: &str) -> Value {
    let pki = Pki::new("localhost");
    let mut server = Server::with_password(mode, &pki).await;
    let mail = channel(&with_password(scheme, &server, &pki));
    let receipt = deliver(&mail, Event::Fired, &pki.edge()).await.unwrap();
    assert_eq!(receipt.said, "250 2.0.0 queued as 4711");
    let taken = server.line().await;
    assert_eq!(taken["encrypted"], true);
    assert_eq!(taken["user"], "canary");
    assert_eq!(taken["sender"], "canary@example.com");
    assert_eq!(
        taken["receivers"],
        json!(["sre@example.com", "identity@example.com"])
    );
    taken
}

#[tokio::test]
async fn mail_over_tls_from_the_start_is_whole() {
    let taken = arrives_encrypted_and_logged_in("implicit", "smtps").await;
    let mail = parsed(taken["mail"].as_str().unwrap()).await;
    assert_eq!(mail["defects"], json!([]));
    assert_eq!(mail["type"], "multipart/alternative");
    let headers = &mail["headers"];
    let subject = "Firing: nobody can sign in at keycloak/prod – Geheimnis läuft ab";
    assert_eq!(headers["subject"], subject);
    assert_eq!(headers["to"], "sre@example.com, identity@example.com");
    assert_eq!(
        headers["message-id"],
        "<authcanary-4f2c91d07a3be658.1780315200000.1@example.com>"
    );
    assert_eq!(headers["auto-submitted"], "auto-generated");
    assert_eq!(headers["importance"], "high");
    assert_eq!(headers["date"], "Mon, 01 Jun 2026 12:14:00 +0000");
    assert!(headers.get("in-reply-to").is_none());
    for kind in ["text/plain", "text/html"] {
        let text = mail["parts"][kind].as_str().unwrap();
        for fact in [
            subject,
            "client_secret_expired",
            "renew the secret",
            "3 of the last 3 runs",
        ] {
            assert!(text.contains(fact), "{kind} does not say {fact}: {text}");
        }
        assert!(
            text.contains("https://canary.example.com/runbooks/client_secret_expired"),
            "{text}"
        );
    }
    let whole = taken["mail"].as_str().unwrap();
    assert!(whole.lines().all(|line| line.len() <= 998), "{whole}");
}

#[tokio::test]
async fn mail_over_starttls_is_encrypted_and_its_end_is_in_the_same_thread() {
    let pki = Pki::new("localhost");
    let mut server = Server::with_password("starttls", &pki).await;
    let mail = channel(&with_password("smtp", &server, &pki));
    for event in [Event::Fired, Event::Resolved] {
        deliver(&mail, event, &pki.edge()).await.unwrap();
    }
    let first = server.line().await;
    assert_eq!(
        (&first["encrypted"], &first["user"]),
        (&json!(true), &json!("canary"))
    );
    let first = parsed(first["mail"].as_str().unwrap()).await;
    let end = parsed(server.line().await["mail"].as_str().unwrap()).await;
    assert_eq!(
        end["headers"]["in-reply-to"],
        first["headers"]["message-id"]
    );
    assert_eq!(end["headers"]["references"], first["headers"]["message-id"]);
    assert_ne!(end["headers"]["message-id"], first["headers"]["message-id"]);
    assert!(
        end["headers"]["subject"]
            .as_str()
            .unwrap()
            .starts_with("Resolved after 14 min: ")
    );
    assert!(end["headers"].get("importance").is_none());
}

#[tokio::test]
async fn a_server_whose_certificate_does_not_hold_gets_nothing() {
    for (mode, scheme) in [("implicit", "smtps"), ("starttls", "smtp")] {
        let pki = Pki::new("localhost");
        let server = Server::with_password(mode, &pki).await;
        let mail = channel(&with_password(scheme, &server, &pki));
        // Nobody vouches for its authority.
        let stranger = Pki::new("localhost");
        let failure = deliver(&mail, Event::Fired, &stranger.edge())
            .await
            .unwrap_err();
        assert!(matches!(failure, Failure::Refused { .. }), "{failure:?}");
        // Its certificate is for another name.
        let pki = Pki::new("mail.example.com");
        let server = Server::with_password(mode, &pki).await;
        let mail = channel(&with_password(scheme, &server, &pki));
        let failure = deliver(&mail, Event::Fired, &pki.edge()).await.unwrap_err();
        assert!(matches!(failure, Failure::Refused { .. }), "{failure:?}");
        assert!(!failure.to_string().contains(PASSWORD), "{failure}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_shown_to_nobody() {
    let pki = Pki::new("localhost");
    let server = Server::with_password("starttls", &pki).await;
    let mail = channel(&with_password("smtp", &server, &pki));
    let wrong = format!("not-{PASSWORD}");
    std::fs::write(pki.path("password"), &wrong).unwrap();
    let failure = deliver(&mail, Event::Fired, &pki.edge()).await.unwrap_err();
    assert!(matches!(failure, Failure::Refused { .. }), "{failure:?}");
    assert!(!failure.to_string().contains(PASSWORD), "{failure}");
}

#[tokio::test]
async fn a_password_is_never_sent_in_clear_and_a_relay_of_this_machine_needs_none() {
    let pki = Pki::new("localhost");
    let mut server = Server::start(&["plain".as_ref()]).await;
    let mail = channel(&with_password("smtp", &server, &pki));
    let failure = deliver(&mail, Event::Fired, &pki.edge()).await.unwrap_err();
    assert!(
        failure.to_string().contains("offers no STARTTLS"),
        "{failure}"
    );

    let relay = channel(&json!({
        "smtp": format!("smtp://127.0.0.1:{}", server.port),
        "from": "canary@example.com",
        "to": ["sre@example.com"],
    }));
    deliver(&relay, Event::Fired, &edge(None)).await.unwrap();
    assert_eq!(server.line().await["encrypted"], false);
}

#[tokio::test]
async fn a_receiver_that_is_gone_does_not_keep_the_mail_from_the_others() {
    let mut server = Server::start(&["plain".as_ref()]).await;
    let to = |to: &[&str]| {
        channel(&json!({
            "smtp": format!("smtp://127.0.0.1:{}", server.port),
            "from": "canary@example.com",
            "to": to,
        }))
    };
    let some = to(&["gone@example.com", "sre@example.com"]);
    let none = to(&["gone@example.com", "gone-too@example.com"]);
    let later = to(&["later@example.com"]);
    let edge = edge(None);
    let receipt = deliver(&some, Event::Fired, &edge).await.unwrap();
    assert!(
        receipt
            .said
            .starts_with("1 of 2 receivers: 250 2.0.0 queued"),
        "{receipt:?}"
    );
    assert!(receipt.said.contains("gone@example.com"), "{receipt:?}");
    assert_eq!(server.line().await["receivers"], json!(["sre@example.com"]));
    let failure = deliver(&none, Event::Fired, &edge).await.unwrap_err();
    assert!(matches!(failure, Failure::Refused { .. }), "{failure:?}");
    let failure = deliver(&later, Event::Fired, &edge).await.unwrap_err();
    let is_temporary = matches!(
        failure,
        Failure::Retry {
            may_have_arrived: false,
            ..
        }
    );
    assert!(is_temporary, "{failure:?}");
}
