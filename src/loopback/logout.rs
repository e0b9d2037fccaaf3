//! RP-initiated logout: ends the session, asks first where nothing proves who wants it, and goes back only to a
//! registered address.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::callback::with_query;
use super::events::{About, EventKind};
use super::faults::{Drawn, Kind};
use super::keys::{equal, sha256};
use super::params::Params;
use super::state::{Server, Session, now, subject};
use super::views::{self, LogoutPage, Message};
use super::{cookies, reply};

/// `GET` or `POST /logout`
pub(super) async fn logout(
    State(server): State<Arc<Server>>,
    Extension(drawn): Extension<Drawn>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    if let Some(page) = views::instead(&server, &drawn) {
        return page;
    }
    let text = match method {
        Method::POST => body.to_vec(),
        _ => query.unwrap_or_default().into_bytes(),
    };
    let Ok(params) = Params::parse(&text) else {
        return invalid(&server, "A parameter is repeated.");
    };
    let request = match read(&server, &params) {
        Ok(request) => request,
        Err(reason) => return invalid(&server, reason),
    };
    let cookie = cookies::session(&server, &headers);
    let key = cookie.as_deref().map(sha256);
    let session = key
        .as_ref()
        .and_then(|key| server.state().sessions.get(key, now()).cloned());
    let (Some(cookie), Some(key), Some(session)) = (cookie, key, session) else {
        return leave(&server, &request);
    };
    let csrf = sha256(&format!("logout of {cookie}"));
    let answered =
        method == Method::POST && params.get("csrf").is_some_and(|sent| equal(sent, &csrf));
    if answered && params.get("decision") == Some("stay") {
        let texts = server.config.pages.language.texts();
        return reply::page(StatusCode::OK, &Message::note(&server, texts.no, ""));
    }
    let proven = request.proves(&session) && !server.config.pages.confirm_logout;
    if !answered && !proven {
        return ask(&server, &csrf, &params);
    }
    if !drawn.has(&Kind::StaysSignedIn) {
        server.state().sessions.remove(&key);
        let about = About::default().account(&session.username);
        server.events.note(EventKind::LoggedOut, about);
        return cookies::clear_session(&server, leave(&server, &request));
    }
    leave(&server, &request)
}

/// A checked logout request.
#[derive(Debug, Default)]
struct Request {
    /// `sub` of the ID token that came along.
    subject: Option<String>,
    /// Where to go, `state` included.
    target: Option<String>,
}

impl Request {
    /// Whether the ID token belongs to the one who is signed in.
    fn proves(&self, session: &Session) -> bool {
        self.subject.as_deref() == Some(&subject(&session.username))
    }
}

fn read(server: &Server, params: &Params) -> Result<Request, &'static str> {
    let mut request = Request::default();
    let mut client = params.get("client_id").map(str::to_owned);
    if let Some(hint) = params.get("id_token_hint") {
        let claims = server
            .keys()
            .verify(hint)
            .ok_or("The ID token is not ours.")?;
        let audience = claims
            .get("aud")
            .and_then(|aud| aud.as_str())
            .map(str::to_owned);
        if client.is_some() && client != audience {
            return Err("The ID token belongs to another client.");
        }
        client = audience;
        request.subject = claims
            .get("sub")
            .and_then(|sub| sub.as_str())
            .map(str::to_owned);
    }
    if let Some(uri) = params.get("post_logout_redirect_uri") {
        let client = client.as_deref().and_then(|id| server.client(id));
        let client = client.ok_or("An address to go back to needs a client that is known.")?;
        if !client
            .post_logout_redirect_uris
            .iter()
            .any(|known| known == uri)
        {
            return Err("The address to go back to is not registered.");
        }
        let state = params.get("state").map(|state| ("state", state.to_owned()));
        request.target = Some(match state {
            Some(state) => with_query(uri, &[state]),
            None => uri.to_owned(),
        });
    }
    Ok(request)
}

fn leave(server: &Server, request: &Request) -> Response {
    match &request.target {
        Some(target) => reply::see_other(target),
        None => {
            let texts = server.config.pages.language.texts();
            reply::page(
                StatusCode::OK,
                &Message::note(server, texts.sign_out, texts.signed_out),
            )
        }
    }
}

fn ask(server: &Server, csrf: &str, params: &Params) -> Response {
    let names = [
        "client_id",
        "id_token_hint",
        "post_logout_redirect_uri",
        "state",
    ];
    let kept = names
        .into_iter()
        .filter_map(|name| Some((name, params.get(name)?)));
    let language = server.config.pages.language;
    let page = LogoutPage {
        lang: language.code(),
        texts: language.texts(),
        csrf,
        params: kept.collect(),
    };
    reply::page(StatusCode::OK, &page)
}

fn invalid(server: &Server, reason: &str) -> Response {
    let message = Message::error(server, "This sign-out request is not valid", reason);
    reply::page(StatusCode::BAD_REQUEST, &message)
}
