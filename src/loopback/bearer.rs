//! What an access token opens: userinfo and a protected resource (RFC 6750).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::events::{About, EventKind};
use super::faults::{Drawn, Kind};
use super::params::Params;
use super::reply::{self, OAuthError};
use super::state::{Server, now, subject};

/// Whose token came, and what it is good for.
struct Bearer {
    client: String,
    username: Option<String>,
    scope: Vec<String>,
}

/// `GET` or `POST /userinfo` (OpenID Connect Core section 5.3).
pub(super) async fn userinfo(
    State(server): State<Arc<Server>>,
    Extension(drawn): Extension<Drawn>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let bearer = match accept(&server, &headers, &body) {
        Ok(bearer) => bearer,
        Err(response) => return *response,
    };
    let has = |wanted: &str| bearer.scope.iter().any(|scope| scope == wanted);
    let Some(username) = bearer.username.as_deref().filter(|_| has("openid")) else {
        let description = "the scope openid is missing";
        return refuse(
            &server,
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            description,
        );
    };
    let mut claims = Map::new();
    let sub = if drawn.has(&Kind::WrongSub) {
        "somebody-else".to_owned()
    } else {
        subject(username)
    };
    claims.insert("sub".into(), sub.into());
    if has("profile") {
        claims.insert("name".into(), name(username).into());
        claims.insert("preferred_username".into(), username.into());
    }
    if has("email") {
        claims.insert("email".into(), username.into());
        claims.insert("email_verified".into(), true.into());
    }
    let about = About::client(&bearer.client).account(username);
    server.events.note(EventKind::UserinfoServed, about);
    reply::json(StatusCode::OK, &Value::Object(claims))
}

/// `GET /resource`: anything with a valid token.
pub(super) async fn resource(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let bearer = match accept(&server, &headers, b"") {
        Ok(bearer) => bearer,
        Err(response) => return *response,
    };
    server
        .events
        .note(EventKind::ResourceServed, About::client(&bearer.client));
    let body = json!({
        "ok": true,
        "client_id": bearer.client,
        "sub": bearer.username.as_deref().map(subject),
        "scope": bearer.scope.join(" "),
    });
    reply::json(StatusCode::OK, &body)
}

fn accept(server: &Server, headers: &HeaderMap, body: &[u8]) -> Result<Bearer, Box<Response>> {
    let refuse = |status, error, description| Box::new(refuse(server, status, error, description));
    let in_body = Params::parse(body)
        .ok()
        .and_then(|params| params.get("access_token").map(str::to_owned));
    let in_header = headers.get(header::AUTHORIZATION).map(bearer_token);
    let token = match (in_header, in_body) {
        (Some(_), Some(_)) => {
            let description = "the token came twice";
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                description,
            ));
        }
        (Some(None), None) => {
            let description = "the Authorization header is not Bearer";
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "invalid_request",
                description,
            ));
        }
        (Some(Some(token)), None) | (None, Some(token)) => token,
        // Without a token there is no error to tell (RFC 6750 section 3.1).
        (None, None) => return Err(Box::new(challenge())),
    };
    let state = server.state();
    let Some((access, grant)) = state.access(&token, now()) else {
        drop(state);
        let description = "the access token is unknown, expired or revoked";
        return Err(refuse(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            description,
        ));
    };
    Ok(Bearer {
        client: grant.client.clone(),
        username: grant.username.clone(),
        scope: access.scope.clone(),
    })
}

fn bearer_token(value: &HeaderValue) -> Option<String> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim().to_owned())
}

fn challenge() -> Response {
    let headers = [(header::WWW_AUTHENTICATE, "Bearer realm=\"loopback\"")];
    (StatusCode::UNAUTHORIZED, headers).into_response()
}

fn refuse(server: &Server, status: StatusCode, error: &str, description: &str) -> Response {
    let about = About {
        detail: Some(error),
        ..About::default()
    };
    server.events.note(EventKind::BearerRefused, about);
    OAuthError::bearer(status, error, description).into_response()
}

/// A name to show: the user name up to its `@`.
fn name(username: &str) -> String {
    username.split('@').next().unwrap_or_default().to_owned()
}
