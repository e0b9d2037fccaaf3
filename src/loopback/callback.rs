//! The authorization response: code or error, back to the client in the mode it asked for.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::events::{About, EventKind};
use super::faults::{Drawn, Endpoint, Kind, Moment};
use super::interaction::{ResponseMode, Target};
use super::keys::random;
use super::reply;
use super::state::Server;
use super::views::{Message, wait_for_ever};

/// What the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Code(String),
    /// Name and description (RFC 6749 section 4.1.2.1).
    Error(String, String),
}

impl Outcome {
    pub(super) fn error(error: &str, description: &str) -> Self {
        Self::Error(error.to_owned(), description.to_owned())
    }
}

/// Sends the browser back.
pub(super) fn respond(
    server: &Server,
    client: &str,
    target: &Target,
    outcome: Outcome,
) -> Response {
    let drawn = server.faults.draw(Endpoint::Callback, Moment::Submitted);
    for kind in drawn.iter() {
        server.events.note(
            EventKind::FaultShown,
            About::client(client).detail(kind.name()),
        );
    }
    if let Outcome::Error(error, _) = &outcome {
        server.events.note(
            EventKind::ErrorReturned,
            About::client(client).detail(error),
        );
    }
    if drawn.has(&Kind::NotReached) {
        return reply::page(StatusCode::OK, &wait_for_ever(server));
    }
    let params = parameters(&server.issuer, target, outcome, &drawn);
    match target.mode {
        ResponseMode::Query => reply::see_other(&with_query(&target.redirect_uri, &params)),
        ResponseMode::Fragment => {
            reply::see_other(&format!("{}#{}", target.redirect_uri, encode(&params)))
        }
        ResponseMode::FormPost => {
            let page = FormPost {
                lang: server.config.pages.language.code(),
                action: &target.redirect_uri,
                params: &params,
            };
            reply::page_with_script(StatusCode::OK, &page)
        }
    }
}

/// An authorization request that no client can be told about.
pub(super) fn refuse(server: &Server, reason: &str) -> Response {
    server.events.note(
        EventKind::AuthorizationRefused,
        About {
            detail: Some(reason),
            ..About::default()
        },
    );
    let message = Message::error(server, "This sign-in request is not valid", reason);
    reply::page(StatusCode::BAD_REQUEST, &message)
}

type Param = (&'static str, String);

fn parameters(issuer: &str, target: &Target, outcome: Outcome, drawn: &Drawn) -> Vec<Param> {
    let mut params: Vec<Param> = Vec::new();
    let forced = drawn.find(|kind| match kind {
        Kind::Error(error) => Some(error.clone()),
        _ => None,
    });
    match (forced, outcome) {
        (Some(error), _) => {
            params.push(("error", error));
            params.push((
                "error_description",
                "a fault that was switched on".to_owned(),
            ));
        }
        (None, Outcome::Code(_)) if drawn.has(&Kind::MissingCode) => (),
        (None, Outcome::Code(code)) => params.push(("code", code)),
        (None, Outcome::Error(error, description)) => {
            params.push(("error", error));
            params.push(("error_description", description));
        }
    }
    match &target.state {
        _ if drawn.has(&Kind::MissingState) => (),
        _ if drawn.has(&Kind::WrongState) => params.push(("state", random())),
        Some(state) => params.push(("state", state.clone())),
        None => (),
    }
    // RFC 9207 section 2
    if drawn.has(&Kind::WrongIss) {
        params.push(("iss", "https://another-issuer.example".to_owned()));
    } else if !drawn.has(&Kind::MissingIss) {
        params.push(("iss", issuer.to_owned()));
    }
    params
}

fn encode(params: &[Param]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(params)
        .finish()
}

/// Adds parameters to an address that may have a query of its own, which stays as it is.
pub(super) fn with_query(address: &str, params: &[Param]) -> String {
    let separator = if address.contains('?') { '&' } else { '?' };
    format!("{address}{separator}{}", encode(params))
}

/// Posts the response to the redirect URI (OAuth 2.0 Form Post Response Mode).
#[derive(Template)]
#[template(path = "loopback/form_post.html")]
struct FormPost<'a> {
    lang: &'a str,
    action: &'a str,
    params: &'a [Param],
}

#[cfg(test)]
mod tests {
    use super::super::faults::Faults;
    use super::super::interaction::tests::request;
    use super::*;

    fn check(fault: Option<Kind>, outcome: Outcome, expected: &str) {
        let faults = Faults::default();
        if let Some(fault) = fault {
            faults.set(Endpoint::Callback, fault).unwrap();
        }
        let drawn = faults.draw(Endpoint::Callback, Moment::Submitted);
        let params = parameters("http://127.0.0.1:1", &request().target, outcome, &drawn);
        assert_eq!(encode(&params), expected);
    }

    #[test]
    fn the_response_carries_code_or_error_and_state_and_issuer() {
        let code = || Outcome::Code("c".into());
        let end = "state=a+state&iss=http%3A%2F%2F127.0.0.1%3A1";
        check(None, code(), &format!("code=c&{end}"));
        check(
            None,
            Outcome::error("access_denied", "no"),
            &format!("error=access_denied&error_description=no&{end}"),
        );
        check(Some(Kind::MissingCode), code(), end);
        check(Some(Kind::MissingIss), code(), "code=c&state=a+state");
        check(
            Some(Kind::MissingState),
            code(),
            "code=c&iss=http%3A%2F%2F127.0.0.1%3A1",
        );
    }

    #[test]
    fn a_query_of_the_redirect_uri_stays() {
        let params = [("code", "c".to_owned())];
        assert_eq!(
            with_query("https://a.example/?x=1", &params),
            "https://a.example/?x=1&code=c"
        );
        assert_eq!(
            with_query("https://a.example/", &params),
            "https://a.example/?code=c"
        );
    }
}
