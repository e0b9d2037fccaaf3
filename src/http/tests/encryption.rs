//! TLS with certificates made for the occasion.

use std::io::Write;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::server::answer_all;
use super::*;

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An authority that the sessions of a test trust.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    settings: Settings,
    _file: tempfile::NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Test Authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(certificate.pem().as_bytes()).unwrap();
        let settings = Settings {
            ca_file: Some(file.path().to_owned()),
            hosts: [("provider.test".to_owned(), [127, 0, 0, 1].into())].into(),
            ..Settings::default()
        };
        Self {
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
            settings,
            _file: file,
        }
    }

    /// A server for `name`, its certificate changed by `change`.
    async fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Server {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name);
        change(&mut params);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        serve(vec![leaf.der().clone(), self.certificate.clone()], &key).await
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

async fn serve(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Server {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                answer_all(stream, ANSWER.into()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_good_certificate_is_kept_with_the_time_of_the_handshake() {
    let authority = Authority::new();
    let server = authority.server("provider.test", |_| ()).await;
    let session = session(&authority.settings);
    for _ in 0..2 {
        session
            .send(
                get(&server.https("provider.test")),
                Instant::now() + PATIENT,
            )
            .await
            .unwrap();
    }
    let [first, second] = session.exchanges().try_into().unwrap();
    let timings = first.timings;
    assert!(
        timings.dns_us.is_some() && timings.connect_us.is_some() && timings.tls_us.is_some(),
        "{timings:?}"
    );
    assert!(timings.tls_us <= timings.first_byte_us);
    assert_eq!(second.timings.tls_us, None, "the connection was kept");
    assert_eq!(first.peer, second.peer);
    let chain = first.peer.unwrap().certificates;
    let names: Vec<_> = chain
        .iter()
        .map(|one| one.subject.contains("provider.test"))
        .collect();
    assert_eq!(names, [true, false]);
    assert!(chain[0].issuer.contains("Test Authority"));
    assert_eq!(chain[0].sha256.len(), 64);
}

#[tokio::test]
async fn bad_certificates_are_named_and_kept() {
    let authority = Authority::new();
    let check = async |server: &Server, host: &str, expected: Class| {
        let session = session(&authority.settings);
        let (finding, exchange) = fails(&session, &server.https(host), PATIENT).await;
        assert_eq!(finding.class, expected, "{finding:?}");
        let chain = exchange.peer.unwrap().certificates;
        assert!(!chain.is_empty(), "the chain of a refused peer is kept");
        assert_eq!(exchange.timings.tls_us, None);
        chain
    };
    let expired = authority
        .server("provider.test", |params| {
            params.not_after = date_time_ymd(2020, 1, 2);
        })
        .await;
    let chain = check(&expired, "provider.test", Class::TlsExpired).await;
    assert_eq!(chain[0].not_after.to_string(), "2020-01-02T00:00:00Z");
    let early = authority
        .server("provider.test", |params| {
            params.not_before = date_time_ymd(4000, 1, 1);
        })
        .await;
    check(&early, "provider.test", Class::TlsExpired).await;
    let other = authority.server("other.test", |_| ()).await;
    check(&other, "provider.test", Class::TlsHostnameMismatch).await;
    check(&other, "127.0.0.1", Class::TlsHostnameMismatch).await;

    let stranger = Authority::new().server("provider.test", |_| ()).await;
    check(&stranger, "provider.test", Class::TlsUntrusted).await;
    let key = KeyPair::generate().unwrap();
    let own = params("provider.test").self_signed(&key).unwrap();
    let own = serve(vec![own.der().clone()], &key).await;
    check(&own, "provider.test", Class::TlsUntrusted).await;
}

#[tokio::test]
async fn a_peer_without_a_common_protocol() {
    let server = Server::start(|mut stream: TcpStream| async move {
        let mut hello = [0; 5];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut hello)
            .await
            .unwrap();
        // Alert: fatal, protocol_version (RFC 8446 section 6).
        stream.write_all(&[0x15, 3, 1, 0, 2, 2, 70]).await.unwrap();
        super::server::hold(stream).await;
    })
    .await;
    let (finding, _) = fails(
        &session(&Settings::default()),
        &server.https("127.0.0.1"),
        PATIENT,
    )
    .await;
    assert_eq!(finding.class, Class::TlsHandshake, "{finding:?}");
    assert!(finding.detail.contains("ProtocolVersion"), "{finding:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_each_keep_their_own_marks() {
    let authority = Authority::new();
    let one = authority.server("one.test", |_| ()).await;
    let two = authority.server("two.test", |_| ()).await;
    let local = std::net::IpAddr::from([127, 0, 0, 1]);
    let mut settings = authority.settings.clone();
    settings.hosts = ["one.test", "two.test"]
        .map(|host| (host.to_owned(), local))
        .into();
    let http = Http::new(&settings).unwrap();
    let runs = (0..60).map(|index| {
        let (server, name) = if index % 2 == 0 {
            (&one, "one.test")
        } else {
            (&two, "two.test")
        };
        let (url, session) = (server.https(name), http.session(Arc::default()));
        tokio::spawn(async move {
            session
                .send(get(&url), Instant::now() + PATIENT)
                .await
                .unwrap();
            let exchange = session.exchanges().pop().unwrap();
            assert!(exchange.timings.tls_us.is_some());
            assert!(
                exchange.peer.unwrap().certificates[0]
                    .subject
                    .contains(name)
            );
        })
    });
    for run in runs.collect::<Vec<_>>() {
        run.await.unwrap();
    }
}

#[tokio::test]
async fn a_contact_shakes_hands_and_sends_nothing() {
    let authority = Authority::new();
    let good = authority.server("provider.test", |_| ()).await;
    let other = authority.server("other.test", |_| ()).await;
    let http = Http::new(&authority.settings).unwrap();
    let reach = async |server: &Server, with_tls| {
        let url: Url = server.https("provider.test").parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        http.reach(&url, with_tls, deadline)
            .await
            .map_err(|finding| finding.class)
    };
    assert_eq!(reach(&good, true).await, Ok(()));
    assert_eq!(reach(&other, true).await, Err(Class::TlsHostnameMismatch));
    assert_eq!(reach(&other, false).await, Ok(()));
    let plain = Server::closing(b"SMTP is not spoken here\r\n").await;
    assert_eq!(reach(&plain, true).await, Err(Class::TlsHandshake));
}
