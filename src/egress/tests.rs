use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use super::*;

fn http(settings: &http::Settings) -> Http {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Http::new(settings).unwrap()
}

fn patient() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

fn target(url: &str) -> Target {
    Target {
        url: url.parse().unwrap(),
        providers: Vec::new(),
    }
}

/// An address of this machine where nobody listens, and that nobody else can take meanwhile.
fn dead() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

/// A server that answers everything with this `Date`.
async fn server(date: &'static str) -> String {
    let answer = move || async move { ([("date", date)], "hello") };
    let router = axum::Router::new().fallback(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn each_way_of_asking_says_what_came_back() {
    let up = server("Sun, 01 Mar 2026 12:00:10 GMT").await;
    let (_held, down) = dead();
    let http = http(&http::Settings::default());
    let targets = [
        target(&format!("http://{up}/")),
        target(&format!("tcp://{up}")),
        target(&format!("http://{down}/")),
        target(&format!("tcp://{down}")),
        target("https://nowhere.invalid/"),
    ];
    let questions = Questions {
        targets: targets.to_vec(),
        names: vec!["localhost".to_owned(), "nowhere.invalid".to_owned()],
        failing: Some("http://127.0.0.1:1/".parse().unwrap()),
        browser_proxy: None,
    };
    let found = examine(&http, &questions, patient()).await;
    let classes: Vec<Option<Class>> = found
        .trials
        .iter()
        .map(|trial| trial.result.err())
        .collect();
    let refused = Some(Class::ConnectRefused);
    assert_eq!(
        classes,
        [None, None, refused, refused, Some(Class::DnsFailure)]
    );
    assert!(found.trials[0].result.unwrap().clock_offset_ms.is_some());
    assert_eq!(found.trials[0].reach, Reach::Loopback);
    assert_eq!(found.trials[4].reach, Reach::Public);
    let resolves: Vec<bool> = found.lookups.iter().map(|lookup| lookup.resolves).collect();
    assert_eq!(resolves, [true, false]);
    // Nobody was needed to resolve an address.
    assert_eq!((found.proxies, found.nameservers), (vec![], vec![]));
}

#[tokio::test]
async fn proxies_on_the_way_are_tried() {
    let (_held, dead) = dead();
    let http = http(&http::Settings {
        proxy: Some(format!("http://{dead}").parse().unwrap()),
        ..http::Settings::default()
    });
    let questions = Questions {
        targets: vec![target("https://www.example/")],
        failing: Some("https://login.example/".parse().unwrap()),
        ..Questions::default()
    };
    let found = examine(&http, &questions, patient()).await;
    let proxy = Contact {
        name: dead,
        answers: false,
    };
    assert_eq!(found.proxies, [proxy]);
    assert_eq!(found.trials[0].reach, Reach::Proxied);
    assert_eq!(found.trials[0].result, Err(Class::ProxyError));
}

#[tokio::test]
async fn fixed_addresses_hold_here_too() {
    let up = server("Sun, 01 Mar 2026 12:00:10 GMT").await;
    let address: SocketAddr = up.parse().unwrap();
    let host: IpAddr = address.ip();
    let http = http(&http::Settings {
        hosts: [("www.example".to_owned(), host)].into(),
        ..http::Settings::default()
    });
    let url = format!("http://www.example:{}/", address.port());
    let trial = attempt(&http, &target(&url), patient()).await;
    assert!(trial.result.is_ok());
    assert_eq!(trial.reach, Reach::Loopback);
}
