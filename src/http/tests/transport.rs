//! Faults below HTTP: names, ports, connections that break, bytes that are no HTTP, proxies.

use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::server::{hold, request};
use super::*;

/// A port of loopback on which nobody listens.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let session = session(&Settings::default());
    let (finding, exchange) = fails(&session, "https://provider.invalid/", PATIENT).await;
    assert_eq!(finding.class, Class::DnsFailure, "{finding:?}");
    assert_eq!((exchange.status, exchange.timings.connect_us), (None, None));
}

#[tokio::test]
async fn fixed_addresses_and_localhost_need_no_name_service() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let hosts = [("provider.test".to_owned(), server.address.ip())].into();
    let settings = Settings {
        hosts,
        ..Settings::default()
    };
    for host in ["provider.test", "localhost"] {
        let session = session(&settings);
        let url = format!("http://{host}:{}/", server.address.port());
        session
            .send(get(&url), Instant::now() + PATIENT)
            .await
            .unwrap();
        let timings = session.exchanges()[0].timings;
        assert!(
            timings.dns_us.is_some() && timings.connect_us.is_some(),
            "{timings:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_port() {
    let url = format!("http://127.0.0.1:{}/", closed_port().await);
    let (finding, _) = fails(&session(&Settings::default()), &url, PATIENT).await;
    assert_eq!(finding.class, Class::ConnectRefused, "{finding:?}");
}

#[tokio::test]
async fn a_host_that_does_not_answer_to_connect() {
    // A full queue of connections that nobody accepts drops what comes next, like a firewall does.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(BRIEF, TcpStream::connect(address)).await {
        waiting.push(stream.unwrap());
    }
    let (finding, exchange) = fails(
        &session(&Settings::default()),
        &format!("http://{address}/"),
        BRIEF,
    )
    .await;
    assert_eq!(finding.class, Class::ConnectTimeout, "{finding:?}");
    assert_eq!(exchange.timings.connect_us, None);
}

#[tokio::test]
async fn a_server_that_accepts_and_never_answers() {
    let server = Server::start(hold).await;
    assert_eq!(class_of(&server, BRIEF).await, Class::RequestTimeout);
    let (finding, _) = fails(
        &session(&Settings::default()),
        &server.https("127.0.0.1"),
        BRIEF,
    )
    .await;
    assert_eq!(finding.class, Class::RequestTimeout);
    assert!(finding.detail.contains("TLS"), "{finding:?}");
}

#[tokio::test]
async fn connections_that_break() {
    let check = async |answer: &'static [u8]| {
        let server = Server::closing(answer).await;
        let class = class_of(&server, PATIENT).await;
        assert_eq!(
            class,
            Class::ConnectionReset,
            "{}",
            String::from_utf8_lossy(answer)
        );
    };
    check(b"").await;
    check(b"HTTP/1.1 200 OK\r\nContent-").await;
    check(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel").await;
    let reset = Server::start(|mut stream| async move {
        request(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    assert_eq!(class_of(&reset, PATIENT).await, Class::ConnectionReset);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls() {
    let server = Server::closing(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let session = session(&Settings::default());
    let (finding, _) = fails(&session, &server.https("127.0.0.1"), PATIENT).await;
    assert_eq!(finding.class, Class::TlsHandshake);
}

#[tokio::test]
async fn a_connection_dropped_in_the_handshake() {
    let server = Server::start(|stream| async move { stream.set_zero_linger().unwrap() }).await;
    let (finding, _) = fails(
        &session(&Settings::default()),
        &server.https("127.0.0.1"),
        PATIENT,
    )
    .await;
    assert_eq!(finding.class, Class::ConnectionReset, "{finding:?}");
}

#[tokio::test]
async fn bytes_that_are_no_http() {
    let check = async |answer: &'static [u8]| {
        let server = Server::closing(answer).await;
        let class = class_of(&server, PATIENT).await;
        assert_eq!(
            class,
            Class::MalformedResponse,
            "{}",
            String::from_utf8_lossy(answer)
        );
    };
    check(b"SSH-2.0-OpenSSH_9.2p1\r\n").await;
    check(b"\x00\x01\x02\x03\xff\xfe").await;
    check(b"HTTP/1.1 999999 Odd\r\n\r\n").await;
    check(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n").await;
    check(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await;
}

/// A proxy that answers CONNECT with these bytes.
async fn through(answer: &'static [u8]) -> Class {
    let proxy = Server::closing(answer).await;
    proxied(proxy.url("/")).await
}

async fn proxied(proxy: String) -> Class {
    let settings = Settings {
        proxy: Some(proxy.parse().unwrap()),
        ..Settings::default()
    };
    fails(&session(&settings), "https://provider.invalid/", BRIEF)
        .await
        .0
        .class
}

#[tokio::test]
async fn proxies_that_fail() {
    assert_eq!(
        through(b"HTTP/1.1 403 Forbidden\r\n\r\n").await,
        Class::ProxyError
    );
    assert_eq!(
        through(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await,
        Class::ProxyError
    );
    assert_eq!(through(b"").await, Class::ProxyError);
    assert_eq!(
        proxied(format!("http://127.0.0.1:{}", closed_port().await)).await,
        Class::ProxyError
    );
    assert_eq!(
        proxied("http://proxy.invalid:3128".to_owned()).await,
        Class::ProxyError
    );
    let silent = Server::start(hold).await;
    assert_eq!(proxied(silent.url("/")).await, Class::ProxyError);
}

#[tokio::test]
async fn behind_a_proxy_that_works_the_target_is_judged() {
    let target = Server::closing(b"not TLS at all, and no HTTP either").await;
    let address = target.address;
    let proxy = Server::start(move |mut stream| async move {
        request(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
            .await
            .unwrap();
        let mut target = TcpStream::connect(address).await.unwrap();
        target.write_all(b"\r\n\r\n").await.unwrap();
        let _ = copy_bidirectional(&mut stream, &mut target).await;
    })
    .await;
    assert_eq!(proxied(proxy.url("/")).await, Class::TlsHandshake);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let check = |settings: Settings, expected: &str| {
        let error = Http::new(&settings).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    };
    let proxy = |proxy: &str| Settings {
        proxy: Some(proxy.parse().unwrap()),
        ..Settings::default()
    };
    check(
        proxy("http://user:hunter2@proxy:3128"),
        "must not hold a password",
    );
    check(
        proxy("ftp://proxy:3128"),
        "must be an http or https address",
    );
    check(
        Settings {
            ca_file: Some("/nonexistent.pem".into()),
            ..Settings::default()
        },
        "/nonexistent.pem",
    );
    let empty = tempfile::NamedTempFile::new().unwrap();
    check(
        Settings {
            ca_file: Some(empty.path().into()),
            ..Settings::default()
        },
        "holds no certificate",
    );
    check(
        Settings {
            user_agent: "a\nb".into(),
            ..Settings::default()
        },
        "user_agent",
    );
}
