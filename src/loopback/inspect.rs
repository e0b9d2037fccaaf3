//! Introspection (RFC 7662) and revocation (RFC 7009).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Client;
use super::clients;
use super::events::{About, EventKind};
use super::faults::{Drawn, Kind};
use super::keys::sha256;
use super::params::Params;
use super::reply::{self, OAuthError};
use super::state::{Grant, Server, State as Live, now, seconds, subject};
use super::token::read_form;
use crate::probe::ClientAuth;

/// `POST /introspect`
pub(super) async fn introspect(
    State(server): State<Arc<Server>>,
    Extension(drawn): Extension<Drawn>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match introspection(&server, &headers, &body, &drawn) {
        Ok(answer) => reply::json(StatusCode::OK, &answer),
        Err(error) => error.into_response(),
    }
}

fn introspection(
    server: &Server,
    headers: &HeaderMap,
    body: &[u8],
    drawn: &Drawn,
) -> Result<Value, OAuthError> {
    let (client, params) = read(server, headers, body, drawn)?;
    // Anybody can send the id of a public client, and could try tokens with it (RFC 7662 section 2.1).
    if client.auth == ClientAuth::None {
        return Err(OAuthError::client("a public client may not introspect"));
    }
    let token = params
        .get("token")
        .ok_or_else(|| OAuthError::new("invalid_request", "token is missing"))?;
    let answer = describe(server, &server.state(), client, token);
    let active = answer.is_some() && !drawn.has(&Kind::Inactive);
    let about = About::client(&client.id).detail(if active { "active" } else { "inactive" });
    server.events.note(EventKind::Introspected, about);
    Ok(answer
        .filter(|_| active)
        .unwrap_or_else(|| json!({"active": false})))
}

/// What is known of a live token of this client; of anybody else's token a client learns nothing.
fn describe(server: &Server, state: &Live, client: &Client, token: &str) -> Option<Value> {
    let now = now();
    let key = sha256(token);
    let (grant, scope, issued, expires, token_type) =
        if let Some((access, grant)) = state.access(token, now) {
            let expires = state.access_tokens.expires(&key);
            (grant, &access.scope, access.issued, expires, Some("Bearer"))
        } else {
            let (refresh, grant) = state
                .refresh(token, now)
                .filter(|(refresh, _)| !refresh.spent)?;
            let expires = state.refresh_tokens.expires(&key);
            (grant, &grant.scope, refresh.issued, expires, None)
        };
    if grant.client != client.id {
        return None;
    }
    let mut answer = json!({
        "active": true,
        "iss": server.issuer,
        "client_id": client.id,
        "scope": scope.join(" "),
        "iat": issued,
        "exp": expires.unwrap_or_else(|| now + seconds(server.config.lifetimes.access_token)),
        "sub": sub(grant, client),
    });
    if let Some(username) = &grant.username {
        answer["username"] = username.as_str().into();
    }
    if let Some(token_type) = token_type {
        answer["token_type"] = token_type.into();
    }
    Some(answer)
}

/// A client that acts for itself is its own subject.
fn sub(grant: &Grant, client: &Client) -> String {
    grant
        .username
        .as_deref()
        .map_or_else(|| client.id.clone(), subject)
}

/// `POST /revoke`
pub(super) async fn revoke(
    State(server): State<Arc<Server>>,
    Extension(drawn): Extension<Drawn>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match revocation(&server, &headers, &body, &drawn) {
        Ok(()) => (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response(),
        Err(error) => error.into_response(),
    }
}

/// A refresh token takes its whole family with it, an access token only itself. An unknown token is as good as revoked
/// (RFC 7009 section 2.2).
fn revocation(
    server: &Server,
    headers: &HeaderMap,
    body: &[u8],
    drawn: &Drawn,
) -> Result<(), OAuthError> {
    let (client, params) = read(server, headers, body, drawn)?;
    let token = params
        .get("token")
        .ok_or_else(|| OAuthError::new("invalid_request", "token is missing"))?;
    if drawn.has(&Kind::RevokesNothing) {
        return Ok(());
    }
    let now = now();
    let mut state = server.state();
    let ours = |grant: &Grant| grant.client == client.id;
    let family = state
        .refresh(token, now)
        .filter(|(_, grant)| ours(grant))
        .map(|(refresh, _)| refresh.grant.clone());
    let revoked = if let Some(family) = family {
        state.grants.remove(&family);
        "refresh_token"
    } else if state
        .access(token, now)
        .is_some_and(|(_, grant)| ours(grant))
    {
        state.access_tokens.remove(&sha256(token));
        "access_token"
    } else {
        "nothing"
    };
    server.events.note(
        EventKind::Revoked,
        About::client(&client.id).detail(revoked),
    );
    Ok(())
}

fn read<'a>(
    server: &'a Server,
    headers: &HeaderMap,
    body: &[u8],
    drawn: &Drawn,
) -> Result<(&'a Client, Params), OAuthError> {
    let params = read_form(headers, body)?;
    let client = clients::authenticate(server, headers, &params, drawn)?;
    Ok((client, params))
}
