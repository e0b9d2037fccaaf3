//! A site of sign-in pages, and a record of what was sent to it. A page names what its form must hold and what comes
//! next in its action: `/check/login/consent` takes user name and password, and shows the page `consent`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::any;
use tokio::sync::Notify;

use super::pages;

pub(super) const USER: &str = "canary@example.com";
pub(super) const PASSWORD: &str = "correct horse & \"battery\" <b>";

/// What the site saw.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) passwords: usize,
    pub(super) codes: Vec<String>,
    pub(super) wrong: Vec<String>,
}

pub(super) struct Site {
    pub(super) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    arrived: Notify,
}

impl Site {
    pub(super) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        // All of 127/8, so that frames can come from another origin.
        let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new()
            .route("/page/{name}", any(page))
            .route("/check/{what}/{next}", any(check))
            .route("/api/{what}", any(api))
            .route("/slow/{next}", any(slow))
            .route("/callback", any(callback))
            .with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, shared }
    }

    pub(super) fn url(&self, page: &str) -> String {
        format!("http://127.0.0.1:{}/page/{page}", self.port)
    }

    pub(super) async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }

    pub(super) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap()
    }
}

fn show(name: &str) -> Response {
    if name == "callback" {
        return (
            StatusCode::FOUND,
            [(header::LOCATION, "/callback?code=abc&state=xyz")],
        )
            .into_response();
    }
    let (status, html) = pages::find(name).unwrap_or_else(|| panic!("no page {name}"));
    (StatusCode::from_u16(status).unwrap(), Html(html)).into_response()
}

async fn page(Path(name): Path<String>) -> Response {
    show(&name)
}

async fn slow(Path(next): Path<String>) -> Response {
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    show(&next)
}

async fn callback(State(shared): State<Arc<Shared>>) -> &'static str {
    shared.arrived.notify_one();
    "the application"
}

async fn check(
    State(shared): State<Arc<Shared>>,
    Path((what, next)): Path<(String, String)>,
    uri: Uri,
    body: Bytes,
) -> Response {
    match note(&shared, &what, &uri, &body) {
        Ok(()) => show(&next),
        Err(refusal) => refusal.into_response(),
    }
}

async fn api(
    State(shared): State<Arc<Shared>>,
    Path(what): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Response {
    match note(&shared, &what, &uri, &body) {
        Ok(()) => "{}".into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

fn note(
    shared: &Shared,
    what: &str,
    uri: &Uri,
    body: &[u8],
) -> Result<(), (StatusCode, &'static str)> {
    let query = uri.query().unwrap_or_default().as_bytes().to_vec();
    let values: HashMap<String, String> = [&query[..], body]
        .iter()
        .flat_map(|part| form_urlencoded::parse(part).into_owned())
        .collect();
    let has = |wanted: &str| values.values().any(|value| value == wanted);
    let code: String = {
        let mut digits: Vec<(&String, &String)> = values
            .iter()
            .filter(|(name, _)| name.starts_with("code"))
            .collect();
        digits.sort();
        digits
            .into_iter()
            .map(|(_, value)| value.as_str())
            .collect()
    };
    let mut seen = shared.seen.lock().unwrap();
    if values.values().any(|value| value == PASSWORD) {
        seen.passwords += 1;
    }
    if !code.is_empty() {
        seen.codes.push(code.clone());
    }
    let right = match what {
        "user" => has(USER) && !has(PASSWORD),
        "password" => has(PASSWORD),
        "login" => has(USER) && has(PASSWORD),
        "code" => code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()),
        _ => true,
    };
    let trap = values.get("trap").is_some_and(|value| !value.is_empty());
    if right && !trap {
        return Ok(());
    }
    seen.wrong.push(format!("{what}: {:?}", values.keys()));
    Err((StatusCode::BAD_REQUEST, "wrong values"))
}
