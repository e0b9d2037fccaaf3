//! The expiry radar of a daemon that signs in with a browser: refresh tokens, signing keys and a password, as `/metrics` tells
//! them. A front between daemon and provider changes the two answers that the built-in provider has no fault for.

use std::sync::{Arc, Mutex};

use authcanary::loopback::{self, Config, Endpoint, Fault, Kind, Loopback};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::canary::Canary;
use crate::service::Service;

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

/// What the front changes.
#[derive(Debug, Default)]
struct Changes {
    /// Told as the lifetime of a refresh token.
    refresh_expires_in: Option<u64>,
    /// The only key that the key set still has, by its place.
    only_key: Option<usize>,
}

/// Passes token requests and key sets on.
struct Front {
    base: String,
    changes: Arc<Mutex<Changes>>,
    task: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Behind {
    issuer: String,
    changes: Arc<Mutex<Changes>>,
}

impl Front {
    async fn start(provider: &Loopback) -> Self {
        let changes = Arc::new(Mutex::new(Changes::default()));
        let behind = Behind {
            issuer: provider.issuer().trim_end_matches('/').to_owned(),
            changes: Arc::clone(&changes),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/token", post(token))
            .route("/jwks", get(jwks))
            .with_state(behind);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            base,
            changes,
            task,
        }
    }
}

async fn token(State(behind): State<Behind>, headers: HeaderMap, form: Bytes) -> Response {
    let mut request = reqwest::Client::new().post(format!("{}/token", behind.issuer));
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = request.body(form).send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    let mut body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    if let Some(seconds) = behind.changes.lock().unwrap().refresh_expires_in {
        body["refresh_token_expires_in"] = json!(seconds);
    }
    (status, axum::Json(body)).into_response()
}

/// The key set, with leave to keep it for an hour.
async fn jwks(State(behind): State<Behind>) -> Response {
    let answer = reqwest::get(format!("{}/jwks", behind.issuer)).await;
    let mut body: Value = serde_json::from_slice(&answer.unwrap().bytes().await.unwrap()).unwrap();
    if let Some(place) = behind.changes.lock().unwrap().only_key {
        let keys = body["keys"].as_array_mut().unwrap();
        *keys = vec![keys.swap_remove(place)];
    }
    let mut response = axum::Json(body).into_response();
    let kept = HeaderValue::from_static("max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response
}

/// A probe that no clock starts, with what is declared of refresh tokens.
fn probe(provider: &Loopback, front: &Front, refresh_token: &str) -> String {
    let (issuer, base) = (provider.issuer(), &front.base);
    format!(
        r#"version: 1
provider: loopback
flow: authorization_code
cron: "0 0 29 2 *"
timeout: 60s
scopes: [openid, profile, offline_access]
budget: {{logins_per_minute: 600}}
expires: {{refresh_token: {{{refresh_token}}}}}
environments:
  demo:
    issuer: {issuer}
    endpoints: {{token: "{base}/token", jwks: "{base}/jwks"}}
    client: {{id: demo-public, auth: none}}
    redirect_uri: https://app.example.com/callback
    account: {{username: demo@example.com, password: {{env: PASSWORD}}}}
login: auto
steps: [refresh: {{}}]
"#
    )
}

fn began(run: &Value) -> f64 {
    let began = run["started_at"].as_str().expect("a run has a beginning");
    began.parse::<jiff::Timestamp>().unwrap().as_millisecond() as f64 / 1000.0
}

/// Waits until `/metrics` tells of one kind what is looked for.
async fn told(service: &Service, kind: &str, is_it: impl Fn(f64) -> bool) -> f64 {
    let series = format!(
        r#"authcanary_expiry_timestamp_seconds{{environment="demo",kind="{kind}",location="here",probe="loopback/demo",provider="loopback"}} "#
    );
    let look = async |service: &Service| {
        let text = service.text("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        let value: f64 = line?.parse().unwrap();
        is_it(value).then_some(value)
    };
    service.wait(kind, look).await
}

/// Whether a token ends so long after its run, which took less than an hour.
fn ends_after(run: &Value, seconds: f64) -> impl Fn(f64) -> bool {
    let began = began(run);
    move |at| (began + seconds..began + seconds + HOUR).contains(&at)
}

#[tokio::test]
async fn what_only_a_sign_in_shows_is_told() {
    let provider = loopback::start(Config::demo()).await.unwrap();
    let front = Front::start(&provider).await;
    let declared = probe(&provider, &front, "lifetime: 30d, idle: 7d");
    let canary = Canary::new(&declared).variable("PASSWORD", "demo-password");
    let service = Service::start(&canary).await;

    // Unused it would end before its time.
    let first = service.run("loopback/demo").await;
    assert_eq!(first["outcome"], "ok", "{first:#}");
    told(&service, "refresh_token", ends_after(&first, 7.0 * DAY)).await;
    // A lifetime alone, which is taken over without a run.
    canary.write("probe.yaml", &probe(&provider, &front, "lifetime: 2d"));
    told(&service, "refresh_token", ends_after(&first, 2.0 * DAY)).await;

    // What the provider tells goes before what is declared. And its new key signs while copies of the old key set are good.
    front.changes.lock().unwrap().refresh_expires_in = Some(10_800);
    let fault = Fault::new(Endpoint::Token, Kind::RotatedKey).times(1);
    provider.faults().put(fault).unwrap();
    let second = service.run("loopback/demo").await;
    assert_eq!(second["outcome"], "ok", "{second:#}");
    told(&service, "refresh_token", ends_after(&second, 3.0 * HOUR)).await;
    told(&service, "signing_key", |at| at == began(&second)).await;

    // The old key goes while a token that it signed is good.
    front.changes.lock().unwrap().only_key = Some(0);
    let third = service.run("loopback/demo").await;
    assert_eq!(third["outcome"], "ok", "{third:#}");
    told(&service, "signing_key", |at| at == began(&third)).await;
    let probe = service.get("/api/v1/probes/loopback/demo").await;
    let what = probe["expires"].to_string();
    assert!(what.contains("left the key set"), "{probe:#}");

    let fault = Fault::new(Endpoint::Login, Kind::PasswordExpired);
    provider.faults().put(fault).unwrap();
    let fourth = service.run("loopback/demo").await;
    assert_eq!(fourth["outcome"], "failed", "{fourth:#}");
    told(&service, "account_password", |at| at == began(&fourth)).await;
    service.stop().await;
}
