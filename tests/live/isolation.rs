//! One run after the other in the same browser: nothing of the first reaches the next.

use authcanary::browser::Tab;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE, WWW_AUTHENTICATE};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value as Json, json};

use super::support::{Pack, Site, Visit, deadline, settings};

fn answer(visit: &Visit, _body: &str) -> Response {
    match visit.uri.path() {
        "/" => Html("<title>plain</title>").into_response(),
        "/cookie" => (
            [(SET_COOKIE, "seen=1; Max-Age=9999; Path=/")],
            Html("<title>set</title>"),
        )
            .into_response(),
        "/cached.js" => {
            let headers = [
                (CONTENT_TYPE, "text/javascript"),
                (CACHE_CONTROL, "public, max-age=9999, immutable"),
            ];
            (headers, "window.cached = true").into_response()
        }
        "/with-cached" => {
            Html("<title>cached</title><script src=/cached.js></script>").into_response()
        }
        "/worker.js" => {
            let script = "self.addEventListener('install', () => self.skipWaiting());\
                self.addEventListener('activate', event => event.waitUntil(clients.claim()));\
                self.addEventListener('fetch', event => {\
                    if (event.request.url.endsWith('/from-worker')) event.respondWith(new Response('worker'));\
                });";
            ([(CONTENT_TYPE, "text/javascript")], script).into_response()
        }
        "/from-worker" => "network".into_response(),
        "/private" if visit.header("authorization").is_some() => {
            Html("<title>private</title>").into_response()
        }
        "/private" => {
            let headers = [(WWW_AUTHENTICATE, "Basic realm=\"r\"")];
            (
                StatusCode::UNAUTHORIZED,
                headers,
                Html("<title>who</title>"),
            )
                .into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

struct Runs {
    site: Site,
    pack: Pack,
}

impl Runs {
    async fn new() -> Self {
        Self {
            site: Site::start(answer).await,
            pack: Pack::new(settings()),
        }
    }

    async fn begin(&self) -> Tab {
        self.pack.browsers.acquire(deadline()).await.unwrap()
    }

    async fn open(&self, tab: &mut Tab, path: &str) {
        tab.navigate(&self.site.url(path), deadline())
            .await
            .unwrap();
    }

    /// Runs `first` in one run and `look` in the next, of the same browser, and gives what each returned.
    async fn two(&self, path: &str, first: &str, look: &str) -> (Json, Json) {
        let mut tab = self.begin().await;
        let browser = self.pack.processes().browser;
        self.open(&mut tab, path).await;
        let before = run(&tab, first).await;
        tab.close().await;
        let mut tab = self.begin().await;
        assert_eq!(
            self.pack.processes().browser,
            browser,
            "the browser is not the same"
        );
        self.open(&mut tab, "/").await;
        let after = run(&tab, look).await;
        tab.close().await;
        (before, after)
    }

    async fn end(self) {
        self.pack.browsers.shutdown().await;
    }
}

/// The value of an asynchronous function body.
async fn run(tab: &Tab, body: &str) -> Json {
    let script = format!(
        "const done = arguments[0]; (async () => {{ {body} }})().then(done, e => done(String(e)));"
    );
    tab.client()
        .execute_async(&script, Vec::new())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_do_not_reach_the_next_run() {
    let runs = Runs::new().await;
    let (before, after) = runs
        .two(
            "/cookie",
            "return document.cookie",
            "return document.cookie",
        )
        .await;
    assert_eq!((before, after), (json!("seen=1"), json!("")));
    let sent = runs.site.visits("/");
    assert_eq!(sent.last().unwrap().header("cookie"), None);
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_does_not_reach_the_next_run() {
    let runs = Runs::new().await;
    let fill = "localStorage.a = '1'; sessionStorage.a = '1'; \
        await new Promise((ok, no) => { const r = indexedDB.open('d'); r.onsuccess = ok; r.onerror = no; }); \
        await (await caches.open('c')).put('/x', new Response('y'));";
    let look = "return [localStorage.a || null, sessionStorage.a || null, \
        (await indexedDB.databases()).length, (await caches.keys()).length];";
    let (before, after) = runs.two("/", &format!("{fill} {look}"), look).await;
    assert_eq!(before, json!(["1", "1", 1, 1]));
    assert_eq!(after, json!([null, null, 0, 0]));
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_cache_does_not_reach_the_next_run() {
    let runs = Runs::new().await;
    let mut tab = runs.begin().await;
    runs.open(&mut tab, "/with-cached").await;
    runs.open(&mut tab, "/with-cached").await;
    assert_eq!(
        runs.site.visits("/cached.js").len(),
        1,
        "the cache is on within a run"
    );
    tab.close().await;
    let mut tab = runs.begin().await;
    runs.open(&mut tab, "/with-cached").await;
    assert_eq!(runs.site.visits("/cached.js").len(), 2);
    tab.close().await;
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn service_workers_do_not_reach_the_next_run() {
    let runs = Runs::new().await;
    let register = "await navigator.serviceWorker.register('/worker.js'); await navigator.serviceWorker.ready; \
        if (!navigator.serviceWorker.controller) \
            await new Promise(ok => navigator.serviceWorker.addEventListener('controllerchange', ok));";
    let look = "return [(await navigator.serviceWorker.getRegistrations()).length, \
        await (await fetch('/from-worker')).text()];";
    let (before, after) = runs.two("/", &format!("{register} {look}"), look).await;
    assert_eq!(before, json!([1, "worker"]));
    assert_eq!(after, json!([0, "network"]));
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_authentication_does_not_reach_the_next_run() {
    let runs = Runs::new().await;
    let look = "return (await fetch('/private', {headers: {'X-Requested-With': 'test'}})).status";
    let mut with_password = runs.site.url("/private");
    with_password.set_username("u").unwrap();
    with_password.set_password(Some("p")).unwrap();
    let mut tab = runs.begin().await;
    tab.navigate(&with_password, deadline()).await.unwrap();
    runs.open(&mut tab, "/").await;
    assert_eq!(
        run(&tab, look).await,
        json!(200),
        "the browser keeps it within a run"
    );
    tab.close().await;
    let mut tab = runs.begin().await;
    runs.open(&mut tab, "/").await;
    let before = runs.site.visits("/private").len();
    assert_eq!(
        run(
            &tab,
            "return (await fetch('/private', {credentials: 'omit'})).status"
        )
        .await,
        json!(401)
    );
    let _ = tab.navigate(&runs.site.url("/private"), deadline()).await;
    let later = runs.site.visits("/private").split_off(before);
    assert!(later.len() >= 2, "the page was asked for again");
    assert!(
        later
            .iter()
            .all(|visit| visit.header("authorization").is_none())
    );
    tab.close().await;
    runs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_does_not_reach_the_next_run() {
    let runs = Runs::new().await;
    let mut tab = runs.begin().await;
    runs.open(&mut tab, "/").await;
    let fresh = run(&tab, "return history.length").await;
    runs.open(&mut tab, "/cookie").await;
    runs.open(&mut tab, "/with-cached").await;
    let grown = run(&tab, "return history.length").await;
    assert_eq!(grown.as_u64(), fresh.as_u64().map(|length| length + 2));
    tab.close().await;
    let mut tab = runs.begin().await;
    runs.open(&mut tab, "/").await;
    assert_eq!(run(&tab, "return history.length").await, fresh);
    assert_eq!(run(&tab, "return document.referrer").await, json!(""));
    tab.close().await;
    runs.end().await;
}
