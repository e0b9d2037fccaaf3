//! A forward proxy between the probes and the world: it remembers every request and answer as they were on the wire, and
//! puts answers in their place that show to the client all that it has sent and was given, as careless providers do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use url::Url;

/// One request, and what was answered to it by the one it was for.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) request: HeaderMap,
    pub(crate) asked: Vec<u8>,
    pub(crate) response: HeaderMap,
    pub(crate) answered: Vec<u8>,
}

/// Where everything that is known about a request is shown to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Echo {
    /// An error object of the token endpoint, with more in nested members.
    TokenJson,
    /// A stack trace as a page.
    TokenPage,
    /// Plain words that end within a token.
    TokenText,
    /// A token answer that ends within its first token.
    TokenCut,
    /// The same for a refresh.
    RefreshJson,
    /// A challenge, headers and an object that name the access token.
    Userinfo,
    /// A page of an outage.
    Revocation,
    /// A page after the password that shows it in text, title, address, fields and console.
    LoginPage,
    /// A redirect after the one-time code, to an address full of secrets that answers with an error.
    MfaRedirect,
    /// An error at the redirect URI that describes the session.
    CallbackError,
    /// A code with another state, and more that nobody asked for.
    CallbackState,
}

/// The proxy. Stops with the runtime of the test.
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    client: reqwest::Client,
    seen: Mutex<Vec<Exchange>>,
    echo: Mutex<Option<Echo>>,
    echoed: Mutex<usize>,
}

impl Tap {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = reqwest::Client::builder().no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build();
        let shared = Arc::new(Shared {
            client: client.unwrap(),
            seen: Mutex::default(),
            echo: Mutex::default(),
            echoed: Mutex::default(),
        });
        let state = Arc::clone(&shared);
        let router = Router::new().fallback(move |request| pass_on(Arc::clone(&state), request));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// All that passed so far.
    pub(crate) fn seen(&self) -> Vec<Exchange> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// From now on, and how often it was shown since this was last asked.
    pub(crate) fn echo(&self, echo: Option<Echo>) -> usize {
        *self.shared.echo.lock().unwrap() = echo;
        std::mem::take(&mut *self.shared.echoed.lock().unwrap())
    }
}

async fn pass_on(shared: Arc<Shared>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    // Only loopback is ever contacted, whatever a browser would like to know of its maker.
    let Ok(url) = Url::parse(&parts.uri.to_string()) else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    if url.scheme() != "http" || url.host_str() != Some("127.0.0.1") {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let asked = to_bytes(body, 1 << 24).await.unwrap().to_vec();
    let mut headers = parts.headers.clone();
    for name in [header::CONNECTION, header::HOST, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
    headers.remove("proxy-connection");
    let sent = shared.client.request(parts.method.clone(), url.clone());
    let sent = sent.headers(headers).body(asked.clone()).send().await;
    let Ok(answer) = sent else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, response) = (answer.status(), answer.headers().clone());
    let Ok(answered) = answer.bytes().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let exchange = Exchange {
        method: parts.method,
        url,
        request: parts.headers,
        asked,
        response,
        answered: answered.to_vec(),
    };
    let echo = *shared.echo.lock().unwrap();
    let shown = echo.and_then(|echo| shown(echo, &exchange));
    if shown.is_some() {
        *shared.echoed.lock().unwrap() += 1;
    }
    let told = shown.unwrap_or_else(|| {
        let mut told = (status, exchange.answered.clone()).into_response();
        *told.headers_mut() = exchange.response.clone();
        told.headers_mut().remove(header::TRANSFER_ENCODING);
        told
    });
    shared.seen.lock().unwrap().push(exchange);
    told
}

impl Exchange {
    /// A header of the request.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.get(name)?.to_str().ok()
    }

    /// The form that was sent, decoded.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        let pairs = form_urlencoded::parse(&self.asked);
        pairs.into_owned().collect()
    }

    /// Where the answer sends the client.
    pub(crate) fn location(&self) -> Option<Url> {
        let location = self.response.get(header::LOCATION)?.to_str().ok()?;
        self.url.join(location).ok()
    }

    /// Everything that both sides know of it, as a careless debug page has it.
    fn whole(&self) -> String {
        let headers = |headers: &HeaderMap| {
            let lines = headers.iter().map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                format!("{name}: {value}\n")
            });
            lines.collect::<String>()
        };
        let pairs = self.form().into_iter();
        let form: String = pairs
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        format!(
            "{} {}\n{}\n{}\n{form}\n{}\n{}\n",
            self.method,
            self.url,
            headers(&self.request),
            String::from_utf8_lossy(&self.asked),
            headers(&self.response),
            String::from_utf8_lossy(&self.answered),
        )
    }
}

fn shown(echo: Echo, exchange: &Exchange) -> Option<Response> {
    let path = exchange.url.path();
    let is_post = exchange.method == Method::POST;
    let grant = exchange
        .form()
        .into_iter()
        .find(|(name, _)| name == "grant_type");
    let is_refresh = grant.is_some_and(|(_, grant)| grant == "refresh_token");
    let token = is_post && path == "/token" && !is_refresh;
    match echo {
        Echo::TokenJson => token.then(|| error_object(exchange)),
        Echo::RefreshJson => (path == "/token" && is_refresh).then(|| error_object(exchange)),
        Echo::TokenPage => token.then(|| page(StatusCode::INTERNAL_SERVER_ERROR, exchange, "")),
        Echo::TokenText => token.then(|| {
            let answer = String::from_utf8_lossy(&exchange.answered);
            let text = format!(
                "refused: {} {}",
                exchange.whole(),
                &answer[..answer.len() / 2]
            );
            (StatusCode::BAD_REQUEST, text).into_response()
        }),
        Echo::TokenCut => token.then(|| {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (kind, exchange.answered[..60].to_vec()).into_response()
        }),
        Echo::Userinfo => (path == "/userinfo").then(|| challenge(exchange)),
        Echo::Revocation => {
            (path == "/revoke").then(|| page(StatusCode::SERVICE_UNAVAILABLE, exchange, ""))
        }
        Echo::LoginPage => (is_post && path.starts_with("/login/")).then(|| login_page(exchange)),
        Echo::MfaRedirect if path == "/oops" => {
            Some(page(StatusCode::INTERNAL_SERVER_ERROR, exchange, ""))
        }
        Echo::MfaRedirect => (is_post && path.starts_with("/mfa/")).then(|| {
            let mut url = exchange.url.join("/oops").unwrap();
            url.query_pairs_mut()
                .extend_pairs(exchange.form())
                .append_pair("why", &exchange.whole());
            moved(&url)
        }),
        Echo::CallbackError => callback(exchange).map(|mut url| {
            let about = exchange.whole();
            let state = parameter(&url, "state");
            url.query_pairs_mut().clear();
            url.query_pairs_mut()
                .append_pair("error", "server_error")
                .append_pair("error_description", &about)
                .append_pair("state", &state)
                .append_pair("iss", &exchange.url.origin().ascii_serialization());
            moved(&url)
        }),
        Echo::CallbackState => callback(exchange).map(|mut url| {
            let (code, state) = (parameter(&url, "code"), parameter(&url, "state"));
            url.query_pairs_mut()
                .clear()
                .append_pair("code", &code)
                .append_pair("state", &format!("not-{state}"))
                .append_pair("about", &STANDARD.encode(exchange.whole()))
                .append_pair("iss", &exchange.url.origin().ascii_serialization());
            url.set_fragment(Some(&format!("code={code}&was={state}")));
            moved(&url)
        }),
    }
}

/// The answer goes back to the application with a code.
fn callback(exchange: &Exchange) -> Option<Url> {
    let url = exchange.location()?;
    (url.host_str() == Some("app.example.com") && !parameter(&url, "code").is_empty())
        .then_some(url)
}

pub(crate) fn parameter(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(known, _)| known == name);
    found
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn moved(url: &Url) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, url.as_str())]).into_response()
}

fn error_object(exchange: &Exchange) -> Response {
    let members: Value = exchange
        .form()
        .into_iter()
        .map(|(name, value)| (name, json!(value)))
        .collect();
    let object = json!({
        "error": "invalid_grant",
        "error_description": format!("no such thing: {}", exchange.whole()),
        "debug": {
            "request": members,
            "raw": STANDARD.encode(&exchange.asked),
            "answer": String::from_utf8_lossy(&exchange.answered),
            "stack": [exchange.whole(), {"at": exchange.whole().escape_default().to_string()}],
            "authorization": exchange.header("authorization"),
        },
    });
    (StatusCode::BAD_REQUEST, axum::Json(object)).into_response()
}

fn challenge(exchange: &Exchange) -> Response {
    let credentials = exchange
        .header("authorization")
        .unwrap_or_default()
        .to_owned();
    let token = credentials
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    let headers = [
        (
            "www-authenticate",
            format!("Bearer error=\"invalid_token\", error_description=\"{token} is unknown\""),
        ),
        ("x-debug", STANDARD.encode(&credentials)),
        ("x-token-seen", token.clone()),
        (
            "link",
            format!("<{}?access_token={token}>; rel=help", exchange.url),
        ),
    ];
    let body = json!({"message": format!("token {token} was not found"), "sent": credentials});
    (StatusCode::UNAUTHORIZED, headers, axum::Json(body)).into_response()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Everything as a page, with a script of its own at the end.
fn page(status: StatusCode, exchange: &Exchange, script: &str) -> Response {
    let whole = escaped(&exchange.whole());
    let form = escaped(&String::from_utf8_lossy(&exchange.asked));
    let fields: String = exchange
        .form()
        .iter()
        .map(|(name, value)| {
            let (name, value) = (escaped(name), escaped(value));
            format!("<input name=\"{name}\" value=\"{value}\"><p title=\"{value}\">{value}</p>")
        })
        .collect();
    let html = format!(
        "<!doctype html><title>Something went wrong: {form}</title><h1>Unhandled exception</h1>\
         <pre>{whole}</pre><a href=\"/retry?{form}\">again</a><form>{fields}</form>\
         <!-- {whole} --><script>{script}</script>"
    );
    (
        status,
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        html,
    )
        .into_response()
}

fn login_page(exchange: &Exchange) -> Response {
    let told = json!(exchange.whole()).to_string().replace('<', "\\u003c");
    let form = json!(String::from_utf8_lossy(&exchange.asked))
        .to_string()
        .replace('<', "\\u003c");
    let script = format!(
        "console.error({told}); console.error({form}); history.replaceState(null, '', '/oops?' + {form} + '#' + encodeURIComponent({told}));\
         setTimeout(() => {{ throw new Error({told}); }});"
    );
    page(StatusCode::OK, exchange, &script)
}
