//! Every request passes here: its faults are drawn, those that replace or bend the answer are applied, the others are
//! handed on to the endpoint.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::events::{About, EventKind};
use super::faults::{Drawn, Endpoint, Kind, Moment};
use super::params::Params;
use super::reply::{self, OAuthError};
use super::routes;
use super::state::Server;
use super::wire::{self, Slot, Stopped, Wire};

/// A request that is larger is refused.
const MAX_BODY_BYTES: usize = 64 * 1024;
const GIBIBYTE: usize = 1 << 30;

/// What shaping needs.
#[derive(Clone)]
pub(super) struct Shaping {
    pub(super) server: Arc<Server>,
    pub(super) stopped: Stopped,
}

/// Draws and applies the faults of a request.
pub(super) async fn shape(
    State(shaping): State<Shaping>,
    ConnectInfo(slot): ConnectInfo<Slot>,
    request: Request,
    next: Next,
) -> Response {
    if !names_loopback(request.headers()) {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    let (mut parts, body) = request.into_parts();
    // Read whole first, so that a connection that is closed afterwards is closed and not reset.
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Some(endpoint) = routes::endpoint(parts.uri.path()).map(|found| which_grant(found, &body))
    else {
        parts.extensions.insert(Drawn::default());
        return next.run(Request::from_parts(parts, body.into())).await;
    };
    let moment = match parts.method {
        Method::POST => Moment::Submitted,
        _ => Moment::Shown,
    };
    let drawn = shaping.server.faults.draw(endpoint, moment);
    for kind in drawn.iter() {
        let detail = format!("{} at {}", kind.name(), endpoint.name());
        shaping
            .server
            .events
            .note(EventKind::FaultShown, About::default().detail(&detail));
    }
    if let Some(delay) = drawn.find(latency) {
        tokio::select! {
            () = tokio::time::sleep(delay) => (),
            () = shaping.stopped.clone() => (),
        }
    }
    if let Some(wire) = drawn.find(Wire::of) {
        if let Some(stream) = slot.take() {
            wire::play(wire, stream, shaping.stopped).await;
        }
        // Nobody gets to see it: the socket is gone.
        return StatusCode::NO_CONTENT.into_response();
    }
    if let Some(response) = drawn.find(|kind| instead(kind, endpoint, &parts.uri)) {
        return with_clock(response, &drawn);
    }
    parts.extensions.insert(drawn.clone());
    let response = next.run(Request::from_parts(parts, body.into())).await;
    with_clock(bend(response, &drawn).await, &drawn)
}

/// A page from elsewhere must not reach this server under a name of its own that leads to 127.0.0.1.
fn names_loopback(headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let has_port = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    let name = has_port
        .map_or(host, |(name, _)| name)
        .trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The token endpoint is two: a refresh has faults of its own.
fn which_grant(endpoint: Endpoint, body: &Bytes) -> Endpoint {
    let is_refresh = || {
        let params = Params::parse(body).unwrap_or_default();
        params.get("grant_type") == Some("refresh_token")
    };
    match endpoint {
        Endpoint::Token if is_refresh() => Endpoint::Refresh,
        _ => endpoint,
    }
}

fn latency(kind: &Kind) -> Option<Duration> {
    match kind {
        Kind::Latency(ms) => Some(Duration::from_millis(*ms)),
        _ => None,
    }
}

/// The answer of a fault, in place of that of the endpoint.
fn instead(kind: &Kind, endpoint: Endpoint, uri: &Uri) -> Option<Response> {
    let content_type = match endpoint {
        Endpoint::Authorize
        | Endpoint::Login
        | Endpoint::Mfa
        | Endpoint::Consent
        | Endpoint::Logout => "text/html; charset=utf-8",
        _ => "application/json",
    };
    Some(match kind {
        Kind::Status(status) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            plain_page(status, status.canonical_reason().unwrap_or("No reason"))
        }
        // The authorization endpoint tells the client by redirect, once it knows where to.
        Kind::Error(_) if endpoint == Endpoint::Authorize => return None,
        Kind::Error(error) => OAuthError::usual(error).into_response(),
        Kind::ErrorInSuccess(error) => {
            reply::json(StatusCode::OK, &OAuthError::usual(error).body())
        }
        Kind::RateLimited(seconds) => {
            let mut response = plain_page(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            response
        }
        Kind::BlockedByGateway => plain_page(
            StatusCode::FORBIDDEN,
            "Access denied. Your request was blocked by the web application firewall. Reference 18.7a2f",
        ),
        Kind::HugeBody => huge(content_type),
        Kind::RedirectLoop => {
            let location = uri.path_and_query().map_or("/", |path| path.as_str());
            (
                StatusCode::TEMPORARY_REDIRECT,
                [(header::LOCATION, location)],
            )
                .into_response()
        }
        Kind::Garbage => {
            let nonsense: &[u8] =
                b"%%\x00\x01\xfe\xff {\"access_token\": <<< [[ \x80 not for reading";
            ([(header::CONTENT_TYPE, content_type)], nonsense).into_response()
        }
        _ => return None,
    })
}

fn plain_page(status: StatusCode, text: &str) -> Response {
    let html =
        format!("<html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>");
    (status, [(header::CONTENT_TYPE, "text/html")], html).into_response()
}

/// 1 GiB, made as it is sent.
fn huge(content_type: &'static str) -> Response {
    let chunk = Bytes::from(vec![b'a'; MAX_BODY_BYTES]);
    let chunks = (0..GIBIBYTE / MAX_BODY_BYTES).map(move |_| Ok::<_, io::Error>(chunk.clone()));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_LENGTH, HeaderValue::from(GIBIBYTE)),
    ];
    (headers, Body::from_stream(stream::iter(chunks))).into_response()
}

/// The right answer, bent.
async fn bend(response: Response, drawn: &Drawn) -> Response {
    let truncated = drawn.has(&Kind::Truncated);
    let cut = drawn.has(&Kind::Cut);
    let (mut parts, body) = response.into_parts();
    if drawn.has(&Kind::WrongContentType) && parts.headers.contains_key(header::CONTENT_TYPE) {
        let is_json = parts.headers[header::CONTENT_TYPE] == "application/json";
        let wrong = if is_json {
            "text/html; charset=utf-8"
        } else {
            "application/octet-stream"
        };
        parts
            .headers
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(wrong));
    }
    if !truncated && !cut {
        return Response::from_parts(parts, body);
    }
    let Ok(whole) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let half = whole.slice(..whole.len() / 2);
    if truncated {
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, half.into());
    }
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    // The pause sends the first half on its way before the end takes the connection down.
    let end = async {
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    };
    let body = stream::iter([Ok(half)]).chain(stream::once(end));
    Response::from_parts(parts, Body::from_stream(body))
}

/// Sets the clock of the answer where a fault moves it.
fn with_clock(mut response: Response, drawn: &Drawn) -> Response {
    let offset = drawn.clock_offset();
    if offset != 0
        && let Ok(value) = HeaderValue::try_from(http_date(crate::clock::now(), offset))
    {
        response.headers_mut().insert(header::DATE, value);
    }
    response
}

/// A time in the form of RFC 9110 section 5.6.7.
fn http_date(now: Timestamp, offset: i64) -> String {
    let shown = now
        .saturating_add(SignedDuration::from_secs(offset))
        .unwrap_or(now);
    shown.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_served() {
        let check = |host: &str, served: bool| {
            let headers =
                HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
            assert_eq!(names_loopback(&headers), served, "{host}");
        };
        check("127.0.0.1:8400", true);
        check("localhost:8400", true);
        check("[::1]:8400", true);
        check("127.0.0.1", true);
        check("[::1]", true);
        check("127.evil.example:8400", false);
        check("evil.example:8400", false);
        check("evil.example", false);
        assert!(!names_loopback(&HeaderMap::new()));
    }

    #[test]
    fn dates_are_moved() {
        let now: Timestamp = "2025-01-01T00:00:10Z".parse().unwrap();
        assert_eq!(http_date(now, -20), "Tue, 31 Dec 2024 23:59:50 GMT");
    }
}
