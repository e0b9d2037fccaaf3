//! The token endpoint: code, refresh token and client credentials against tokens.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::Client;
use super::clients;
use super::events::{About, EventKind};
use super::faults::{Drawn, Kind};
use super::keys::{equal, random, sha256};
use super::params::Params;
use super::reply::OAuthError;
use super::state::{Code, Grant, Server, now, seconds};
use super::tokens::{self, Order, known_scopes};
use crate::probe::ClientAuth;

/// `POST /token`
pub(super) async fn token(
    State(server): State<Arc<Server>>,
    Extension(drawn): Extension<Drawn>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if drawn.has(&Kind::RotatedKey) {
        rotate_keys(&server).await;
    }
    match grant(&server, &headers, &body, &drawn) {
        Ok(response) => response,
        Err(error) => {
            let about = About {
                detail: Some(&error.error),
                ..About::default()
            };
            server.events.note(EventKind::TokenRequestRefused, about);
            error.into_response()
        }
    }
}

async fn rotate_keys(server: &Arc<Server>) {
    let server = Arc::clone(server);
    let made = tokio::task::spawn_blocking(move || {
        for alg in [super::SigningAlg::Rs256, super::SigningAlg::Es256] {
            tokens::rotate_key(&server, alg);
        }
    });
    // An error means that the runtime is going down.
    let _ = made.await;
}

/// Reads the form of a request that must be one.
pub(super) fn read_form(headers: &HeaderMap, body: &[u8]) -> Result<Params, OAuthError> {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    if !essence
        .trim()
        .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        let description = "the body must be application/x-www-form-urlencoded";
        return Err(OAuthError::new("invalid_request", description));
    }
    Params::parse(body).map_err(|error| OAuthError::new("invalid_request", &error.to_string()))
}

fn grant(
    server: &Server,
    headers: &HeaderMap,
    body: &[u8],
    drawn: &Drawn,
) -> Result<Response, OAuthError> {
    let params = read_form(headers, body)?;
    let client = clients::authenticate(server, headers, &params, drawn)?;
    match params.get("grant_type") {
        Some("authorization_code") => redeem(server, client, &params, drawn),
        Some("refresh_token") => refresh(server, client, &params, drawn),
        Some("client_credentials") => client_credentials(server, client, &params, drawn),
        Some(_) => Err(OAuthError::new(
            "unsupported_grant_type",
            "this grant is not supported",
        )),
        None => Err(OAuthError::new("invalid_request", "grant_type is missing")),
    }
}

fn invalid_grant(description: &str) -> OAuthError {
    OAuthError::new("invalid_grant", description)
}

fn required<'a>(params: &'a Params, name: &str) -> Result<&'a str, OAuthError> {
    let missing = || OAuthError::new("invalid_request", &format!("{name} is missing"));
    params.get(name).ok_or_else(missing)
}

/// RFC 6749 section 4.1.3, RFC 7636 section 4.6.
fn redeem(
    server: &Server,
    client: &Client,
    params: &Params,
    drawn: &Drawn,
) -> Result<Response, OAuthError> {
    let key = sha256(required(params, "code")?);
    let now = now();
    let grant_id = random();
    let code = take_code(server, client, &key, &grant_id, drawn, now)?;
    check_code(&code, params, drawn)?;
    let offline = code.scope.iter().any(|word| word == "offline_access");
    let lifetimes = server.config.lifetimes;
    let lifetime = if offline {
        lifetimes.refresh_token
    } else {
        lifetimes.access_token
    };
    let grant = Grant {
        client: client.id.clone(),
        username: Some(code.username.clone()),
        scope: code.scope.clone(),
        auth_time: code.auth_time,
        last_access_token: String::new(),
    };
    server.state().grants.insert(
        grant_id.clone(),
        grant.clone(),
        now + seconds(lifetime),
        now,
    );
    server.events.note(
        EventKind::CodeRedeemed,
        About::client(&client.id).account(&code.username),
    );
    let order = Order {
        client,
        grant_id: &grant_id,
        scope: grant.scope.clone(),
        nonce: code.nonce.as_deref(),
        new_refresh_token: offline,
        grant: &grant,
    };
    Ok(tokens::issue(server, &order, drawn))
}

/// Spends the code, whatever comes of the request. A code that comes again takes the tokens of the first time with it
/// (RFC 6749 section 4.1.2).
fn take_code(
    server: &Server,
    client: &Client,
    key: &str,
    grant_id: &str,
    drawn: &Drawn,
    now: i64,
) -> Result<Code, OAuthError> {
    let mut state = server.state();
    let Some(code) = state
        .codes
        .get_mut(key, now)
        .filter(|code| code.client == client.id)
    else {
        return Err(invalid_grant("the authorization code is unknown"));
    };
    let first = code.redeemed.replace(grant_id.to_owned());
    let code = code.clone();
    if let Some(first) = first
        && !drawn.has(&Kind::AcceptsReusedCode)
    {
        state.grants.remove(&first);
        server
            .events
            .note(EventKind::CodeReused, About::client(&client.id));
        return Err(invalid_grant("the authorization code was already redeemed"));
    }
    if code.expires <= now {
        return Err(invalid_grant("the authorization code has expired"));
    }
    Ok(code)
}

fn check_code(code: &Code, params: &Params, drawn: &Drawn) -> Result<(), OAuthError> {
    if params.get("redirect_uri") != Some(&code.redirect_uri) {
        return Err(invalid_grant(
            "redirect_uri is not that of the authorization request",
        ));
    }
    if drawn.has(&Kind::AcceptsBadPkce) {
        return Ok(());
    }
    let Some(verifier) = params.get("code_verifier") else {
        return Err(invalid_grant("code_verifier is missing"));
    };
    let well_formed = verifier
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
    if !(43..=128).contains(&verifier.len()) || !well_formed {
        return Err(OAuthError::new(
            "invalid_request",
            "code_verifier is not well formed",
        ));
    }
    if !equal(&sha256(verifier), &code.challenge) {
        return Err(invalid_grant(
            "code_verifier does not match the code_challenge",
        ));
    }
    Ok(())
}

/// RFC 6749 section 6, with rotation and its detection of reuse (RFC 9700 section 4.14.2).
fn refresh(
    server: &Server,
    client: &Client,
    params: &Params,
    drawn: &Drawn,
) -> Result<Response, OAuthError> {
    let token = required(params, "refresh_token")?;
    let now = now();
    let rotate =
        server.config.rotate && !drawn.has(&Kind::NoRotation) && !drawn.has(&Kind::NothingNew);
    let (grant_id, grant, scope) = {
        let mut state = server.state();
        let key = sha256(token);
        let Some((found, grant)) = state
            .refresh(token, now)
            .filter(|(_, grant)| grant.client == client.id)
        else {
            return Err(invalid_grant(
                "the refresh token is unknown, expired or revoked",
            ));
        };
        let (grant_id, grant) = (found.grant.clone(), grant.clone());
        if found.spent && !drawn.has(&Kind::AcceptsReusedRefreshToken) {
            state.grants.remove(&grant_id);
            server
                .events
                .note(EventKind::RefreshTokenReused, About::client(&client.id));
            return Err(invalid_grant(
                "the refresh token was already used; its family is revoked",
            ));
        }
        let scope = narrowed(params, &grant)?;
        let expires = now + seconds(server.config.lifetimes.refresh_token);
        state.grants.prolong(&grant_id, expires);
        if let Some(found) = state.refresh_tokens.get_mut(&key, now) {
            found.spent = rotate;
        }
        if !rotate {
            state.refresh_tokens.prolong(&key, expires);
        }
        (grant_id, grant, scope)
    };
    let about = About::client(&client.id).detail(if rotate { "rotated" } else { "kept" });
    server.events.note(EventKind::Refreshed, about);
    let order = Order {
        client,
        grant_id: &grant_id,
        scope,
        nonce: None,
        new_refresh_token: rotate,
        grant: &grant,
    };
    Ok(tokens::issue(server, &order, drawn))
}

/// A refresh may ask for less than was granted, never for more.
fn narrowed(params: &Params, grant: &Grant) -> Result<Vec<String>, OAuthError> {
    let wanted = params.words("scope");
    if wanted.is_empty() {
        return Ok(grant.scope.clone());
    }
    if wanted.iter().any(|word| !grant.scope.contains(word)) {
        return Err(OAuthError::new(
            "invalid_scope",
            "the scope goes beyond what was granted",
        ));
    }
    Ok(wanted)
}

/// RFC 6749 section 4.4.
fn client_credentials(
    server: &Server,
    client: &Client,
    params: &Params,
    drawn: &Drawn,
) -> Result<Response, OAuthError> {
    if client.auth == ClientAuth::None {
        let description = "a public client cannot act for itself";
        return Err(OAuthError::new("unauthorized_client", description));
    }
    let wanted = params.words("scope");
    let scope = if wanted.is_empty() {
        vec!["api".to_owned()]
    } else {
        known_scopes(&wanted)
    };
    if scope != ["api"] {
        return Err(OAuthError::new(
            "invalid_scope",
            "a client that acts for itself gets scope api",
        ));
    }
    let now = now();
    let grant = Grant {
        client: client.id.clone(),
        username: None,
        scope: scope.clone(),
        auth_time: now,
        last_access_token: String::new(),
    };
    let grant_id = random();
    let expires = now + seconds(server.config.lifetimes.access_token);
    server
        .state()
        .grants
        .insert(grant_id.clone(), grant.clone(), expires, now);
    server
        .events
        .note(EventKind::ClientTokenIssued, About::client(&client.id));
    let order = Order {
        client,
        grant_id: &grant_id,
        scope,
        nonce: None,
        new_refresh_token: false,
        grant: &grant,
    };
    Ok(tokens::issue(server, &order, drawn))
}
