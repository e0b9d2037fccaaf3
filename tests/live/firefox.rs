//! The same with Firefox and geckodriver: the callback is held back, and runs are apart.

use authcanary::browser::{Arrival, Settings};
use authcanary::probe::{RedirectUri, ResponseMode};
use authcanary::redact::Redactor;
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use super::support::{Pack, Site, Visit, deadline, settings};

fn answer(visit: &Visit, _body: &str) -> Response {
    let to = visit.uri.query().unwrap_or_default();
    let redirect = |to: &str| (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response();
    match visit.uri.path() {
        "/query" => redirect(&format!("{to}?code=c-1")),
        "/fragment" => redirect(&format!("{to}#code=c-1")),
        "/form_post" => Html(format!(
            "<body onload=\"document.forms[0].submit()\"><form method=post action=\"{to}\">\
             <input type=hidden name=code value=c-1></form>"
        ))
        .into_response(),
        "/cookie" => ([(SET_COOKIE, "seen=1; Path=/")], Html("set")).into_response(),
        _ => Html("<title>end</title>").into_response(),
    }
}

fn firefox() -> Settings {
    Settings {
        driver: std::env::var("GECKODRIVER").unwrap_or_else(|_| "geckodriver".to_owned()),
        args: Vec::new(),
        ..settings()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_holds_back_the_callback_and_keeps_runs_apart() {
    let site = Site::start(answer).await;
    let pack = Pack::new(firefox());
    let loopback = format!("http://{}/cb", site.address);
    let cases = [
        ("/query", ResponseMode::Query, loopback.as_str()),
        ("/query", ResponseMode::Query, "https://app.example.com/cb"),
        ("/query", ResponseMode::Query, "myapp://cb"),
        ("/fragment", ResponseMode::Fragment, loopback.as_str()),
        ("/form_post", ResponseMode::FormPost, loopback.as_str()),
    ];
    for (path, mode, place) in cases {
        let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
        let redirect_uri = RedirectUri::parse(place).unwrap();
        let mut url = site.url(path);
        url.set_query(Some(place));
        tab.open(&url, &redirect_uri, Some(mode), deadline())
            .await
            .unwrap();
        let reading = async {
            loop {
                let _ = tab
                    .client()
                    .execute("return document.title", Vec::new())
                    .await;
            }
        };
        let arrival = tokio::select! {
            arrival = tokio::time::timeout_at(deadline(), tab.arrived()) => arrival.unwrap(),
            () = reading => unreachable!("it reads for ever"),
        };
        match arrival {
            Arrival::Callback(callback) => {
                assert_eq!(callback.mode, mode, "{place}");
                assert_eq!(callback.parameters.expose(), "code=c-1", "{place}");
            }
            other => panic!(
                "{path} {place}: {other:?} {:?}",
                tab.hops(&Redactor::default())
            ),
        }
        tab.close().await;
    }
    assert_eq!(
        site.visits("/cb").len(),
        0,
        "the application saw a callback"
    );

    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    tab.navigate(&site.url("/cookie"), deadline())
        .await
        .unwrap();
    tab.close().await;
    let mut tab = pack.browsers.acquire(deadline()).await.unwrap();
    tab.navigate(&site.url("/"), deadline()).await.unwrap();
    let cookies = tab
        .client()
        .execute("return document.cookie", Vec::new())
        .await
        .unwrap();
    assert_eq!(cookies, json!(""));
    assert!(
        tab.version().browser.starts_with("firefox"),
        "{:?}",
        tab.version()
    );
    let processes = pack.processes();
    tab.close().await;
    pack.browsers.shutdown().await;
    processes.assert_gone();
}
