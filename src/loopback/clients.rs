//! Client authentication at the token, introspection and revocation endpoints (RFC 6749 section 2.3).

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Client;
use super::faults::{Drawn, Kind};
use super::keys::equal;
use super::params::Params;
use super::reply::OAuthError;
use super::state::Server;
use crate::probe::ClientAuth;

/// What a request shows to prove who sends it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    id: String,
    secret: Option<String>,
    method: ClientAuth,
}

/// The client that sent the request.
pub(super) fn authenticate<'a>(
    server: &'a Server,
    headers: &HeaderMap,
    params: &Params,
    drawn: &Drawn,
) -> Result<&'a Client, OAuthError> {
    let shown = read(headers, params)?;
    let client = server
        .client(&shown.id)
        .ok_or_else(|| OAuthError::client("the client is unknown"))?;
    if shown.method != client.auth {
        return Err(OAuthError::client(
            "the client is registered for another way to authenticate",
        ));
    }
    if drawn.has(&Kind::ExpiredSecret) && client.secret.is_some() {
        return Err(OAuthError::client("the client secret has expired"));
    }
    let expected = client.secret.as_ref().map_or("", |secret| secret.expose());
    let right = equal(shown.secret.as_deref().unwrap_or_default(), expected);
    if !right && !drawn.has(&Kind::AcceptsWrongClientSecret) {
        return Err(OAuthError::client("the client secret is wrong"));
    }
    Ok(client)
}

fn read(headers: &HeaderMap, params: &Params) -> Result<Shown, OAuthError> {
    let in_body = params.get("client_id").map(str::to_owned);
    let secret = params.get("client_secret").map(str::to_owned);
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        let id = in_body.ok_or_else(|| OAuthError::client("no client authentication"))?;
        let method = match secret {
            Some(_) => ClientAuth::ClientSecretPost,
            None => ClientAuth::None,
        };
        return Ok(Shown { id, secret, method });
    };
    if secret.is_some() {
        return Err(OAuthError::new(
            "invalid_request",
            "two ways to authenticate at once",
        ));
    }
    let (id, secret) = value.to_str().ok().and_then(basic).ok_or_else(|| {
        OAuthError::client("the Authorization header is not Basic, or not well formed")
    })?;
    if in_body.is_some_and(|other| other != id) {
        return Err(OAuthError::new(
            "invalid_request",
            "client_id is not that of the Authorization header",
        ));
    }
    Ok(Shown {
        id,
        secret: Some(secret),
        method: ClientAuth::ClientSecretBasic,
    })
}

/// Id and secret of a Basic header, each form-encoded before they were joined (RFC 6749 section 2.3.1).
fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

/// One form-encoded value; `None` where it holds what encoding would have changed.
fn form_decode(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        return None;
    }
    let (name, _) = form_urlencoded::parse(text.as_bytes())
        .next()
        .unwrap_or_default();
    Some(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let header = format!("Basic {}", STANDARD.encode(text));
        let expected = expected.map(|(id, secret)| (id.to_owned(), secret.to_owned()));
        assert_eq!(basic(&header), expected, "{text}");
    }

    #[test]
    fn basic_credentials_are_form_decoded() {
        check("demo:secret", Some(("demo", "secret")));
        check("a%3Ab:p%26+%25%2B%C3%A9", Some(("a:b", "p& %+é")));
        check("demo:", Some(("demo", "")));
        check("demo:a&b", None);
        check("demo", None);
        assert_eq!(basic("Bearer abc"), None);
    }
}
