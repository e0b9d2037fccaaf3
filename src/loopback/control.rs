//! For people and tests: the switches of the faults, the list of events, a home page, and an application to come back
//! to.

use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::events::{About, EventKind};
use super::faults::{Endpoint, Fault};
use super::params::Params;
use super::reply;
use super::state::Server;
use super::views::Message;

type Shared = State<Arc<Server>>;

/// One fault or several, as they are put.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    More(Vec<Value>),
    One(Value),
}

/// `GET /_faults`
pub(super) async fn faults(State(server): Shared) -> Response {
    reply::json(StatusCode::OK, &json!(server.faults.list()))
}

/// `PUT /_faults`: all that are sent, or none where one of them is wrong.
pub(super) async fn put_faults(State(server): Shared, body: Bytes) -> Response {
    let faults = match read(&body) {
        Ok(faults) => faults,
        Err(problem) => return reply::json(StatusCode::BAD_REQUEST, &json!({"error": problem})),
    };
    for fault in faults {
        // Each was checked when it was read.
        let _ = server.faults.put(fault);
    }
    reply::json(StatusCode::OK, &json!(server.faults.list()))
}

fn read(body: &[u8]) -> Result<Vec<Fault>, String> {
    let values = match serde_json::from_slice(body).map_err(|error| error.to_string())? {
        OneOrMore::More(values) => values,
        OneOrMore::One(value) => vec![value],
    };
    let mut faults = Vec::new();
    for value in values {
        let fault: Fault = serde_json::from_value(value).map_err(|error| error.to_string())?;
        fault.check().map_err(|error| error.to_string())?;
        faults.push(fault);
    }
    Ok(faults)
}

/// `DELETE /_faults`
pub(super) async fn delete_faults(State(server): Shared, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    match params.get("endpoint") {
        None => server.faults.clear(),
        Some(name) => match serde_json::from_value::<Endpoint>(Value::from(name)) {
            Ok(endpoint) => server.faults.clear_at(endpoint),
            Err(error) => {
                let problem = json!({"error": error.to_string()});
                return reply::json(StatusCode::BAD_REQUEST, &problem);
            }
        },
    }
    reply::json(StatusCode::OK, &json!(server.faults.list()))
}

/// `GET /_events`
pub(super) async fn events(State(server): Shared, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let after = params.get("after").unwrap_or("0").parse();
    match after {
        Ok(after) => reply::json(StatusCode::OK, &json!(server.events.after(after))),
        Err(_) => {
            let problem = json!({"error": "after takes the number of an event"});
            reply::json(StatusCode::BAD_REQUEST, &problem)
        }
    }
}

/// `GET /_sizes`: how much the server holds.
pub(super) async fn sizes(State(server): Shared) -> Response {
    reply::json(StatusCode::OK, &json!(server.state().sizes()))
}

/// The home page.
#[derive(Template)]
#[template(path = "loopback/home.html")]
struct HomePage<'a> {
    lang: &'a str,
    issuer: &'a str,
    clients: Vec<(&'a str, &'a str)>,
    accounts: Vec<(&'a str, &'a str)>,
    faults: Vec<Fault>,
}

/// `GET /`
pub(super) async fn home(State(server): Shared) -> Response {
    let config = &server.config;
    let clients = config.clients.iter().map(|client| {
        let auth = match client.auth {
            crate::probe::ClientAuth::ClientSecretBasic => "client_secret_basic",
            crate::probe::ClientAuth::ClientSecretPost => "client_secret_post",
            crate::probe::ClientAuth::None => "public",
        };
        (client.id.as_str(), auth)
    });
    let accounts = config.accounts.iter().map(|account| {
        let factor = if account.totp.is_some() {
            "password and code"
        } else {
            "password"
        };
        (account.username.as_str(), factor)
    });
    let page = HomePage {
        lang: "en",
        issuer: &server.issuer,
        clients: clients.collect(),
        accounts: accounts.collect(),
        faults: server.faults.list(),
    };
    reply::page(StatusCode::OK, &page)
}

/// `GET` or `POST /app/callback`: an application for people who click through by hand. That it was called is an event,
/// so a test can show that a probe never lets the code get here.
pub(super) async fn app_callback(State(server): Shared) -> Response {
    server
        .events
        .note(EventKind::CallbackArrived, About::default());
    let text = "The application has the answer of the provider and would now fetch its tokens.";
    reply::page(
        StatusCode::OK,
        &Message::note(&server, "Back at the application", text),
    )
}

/// `GET /app`: where the application sends people after logout.
pub(super) async fn app(State(server): Shared) -> Response {
    let message = Message::note(&server, "The application", "You are not signed in here.");
    reply::page(StatusCode::OK, &message)
}

/// Anything else.
pub(super) async fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}
