//! The two cookies of the server. Cookies do not tell ports apart, so each name carries the port: two servers on one
//! host do not take each other's sessions.

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::state::{Server, seconds};

/// Says who is signed in.
pub(super) fn session(server: &Server, headers: &HeaderMap) -> Option<String> {
    read(headers, &name(server, "session"))
}

/// Ties a sign-in to the browser that began it.
pub(super) fn browser(server: &Server, headers: &HeaderMap) -> Option<String> {
    read(headers, &name(server, "browser"))
}

/// Sets the session cookie; where the person wants to stay signed in, it outlives the browser.
pub(super) fn set_session(
    server: &Server,
    response: Response,
    value: &str,
    stay: bool,
) -> Response {
    let age = stay.then(|| seconds(server.config.lifetimes.session));
    set(response, &name(server, "session"), value, age)
}

/// Takes the session cookie away.
pub(super) fn clear_session(server: &Server, response: Response) -> Response {
    set(response, &name(server, "session"), "", Some(0))
}

/// Sets the cookie of the browser.
pub(super) fn set_browser(server: &Server, response: Response, value: &str) -> Response {
    set(response, &name(server, "browser"), value, None)
}

fn name(server: &Server, kind: &str) -> String {
    let port = server.issuer.rsplit(':').next().unwrap_or_default();
    format!("loopback_{kind}_{port}")
}

fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

/// `SameSite=Lax`, for the authorization request comes from the client's site. Not `Secure`: this is plain HTTP.
fn set(mut response: Response, name: &str, value: &str, max_age: Option<i64>) -> Response {
    let mut cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
    if let Some(age) = max_age {
        cookie.push_str(&format!("; Max-Age={age}"));
    }
    let value = HeaderValue::try_from(cookie).expect("cookies are made of base64url and digits");
    response.headers_mut().append(header::SET_COOKIE, value);
    response
}
