use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpListener;

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

/// An address of this machine where nobody listens any more.
async fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A server that answers everything with a `Date` ten minutes ahead of 2026.
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
    let down = dead().await;
    let http = http(&http::Settings::default());
    let targets = [
        target(&format!("http://{up}/")),
        target(&format!("tcp://{up}")),
        target(&format!("http://{down}/")),
        target(&format!("tcp://{down}")),
        target("https://nowhere.invalid/"),
    ];
    let failing = "http://127.0.0.1:1/".parse().unwrap();
    let names = ["localhost".to_owned(), "nowhere.invalid".to_owned()];
    let found = examine(&http, &targets, &names, &failing, patient()).await;
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
    let dead = dead().await;
    let http = http(&http::Settings {
        proxy: Some(format!("http://{dead}").parse().unwrap()),
        ..http::Settings::default()
    });
    let failing = "https://login.example/".parse().unwrap();
    let found = examine(
        &http,
        &[target("https://www.example/")],
        &[],
        &failing,
        patient(),
    )
    .await;
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
