//! The authorization endpoint: reads the request strictly, and begins a sign-in or answers at once.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;

use super::callback::{self, Outcome};
use super::events::{About, EventKind};
use super::faults::{Drawn, Kind};
use super::interaction::{AuthorizationRequest, Interaction, Prompt, ResponseMode, Target};
use super::keys::{random, sha256};

use super::params::Params;
use super::state::{Server, now, seconds};
use super::{cookies, pages, views};

/// Scopes that the server knows; others are ignored (OpenID Connect Core section 3.1.2.1).
pub(super) const SCOPES: [&str; 5] = ["openid", "profile", "email", "offline_access", "api"];

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The client or its redirect URI is in doubt: the person sees a page, no redirect (RFC 6749 section 4.1.2.1).
    Page(&'static str),
    /// The client is told.
    Tell {
        client: String,
        target: Target,
        error: &'static str,
        description: &'static str,
    },
}

/// `GET` or `POST /authorize`.
pub(super) async fn authorize(
    State(server): State<Arc<Server>>,
    Extension(drawn): Extension<Drawn>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let text = match method {
        Method::POST => body.to_vec(),
        _ => query.unwrap_or_default().into_bytes(),
    };
    if let Some(page) = views::instead(&server, &drawn) {
        return page;
    }
    match read(&server, &text, &drawn) {
        Ok(request) => begin(&server, &headers, request, &drawn),
        Err(Refusal::Page(reason)) => callback::refuse(&server, reason),
        Err(Refusal::Tell {
            client,
            target,
            error,
            description,
        }) => callback::respond(
            &server,
            &client,
            &target,
            Outcome::error(error, description),
        ),
    }
}

/// Reads and checks a request; needs nothing but the registered clients.
fn read(server: &Server, text: &[u8], drawn: &Drawn) -> Result<AuthorizationRequest, Refusal> {
    let (params, repeated) = match Params::parse(text) {
        Ok(params) => (params, false),
        Err(error) => (error.rest, true),
    };
    let id = params
        .get("client_id")
        .ok_or(Refusal::Page("client_id is missing"))?;
    let client = server
        .client(id)
        .ok_or(Refusal::Page("client_id is not registered"))?;
    let uri = params
        .get("redirect_uri")
        .ok_or(Refusal::Page("redirect_uri is missing"))?;
    let registered = client.redirect_uris.iter().any(|known| known == uri);
    if !registered && !drawn.has(&Kind::AcceptsForeignRedirectUri) {
        return Err(Refusal::Page(
            "redirect_uri is not registered for this client",
        ));
    }
    let mode = match params.get("response_mode") {
        Some("fragment") => ResponseMode::Fragment,
        Some("form_post") => ResponseMode::FormPost,
        _ => ResponseMode::Query,
    };
    let target = Target {
        redirect_uri: uri.to_owned(),
        mode,
        state: params.get("state").map(str::to_owned),
    };
    let tell = |(error, description)| Refusal::Tell {
        client: id.to_owned(),
        target: target.clone(),
        error,
        description,
    };
    if repeated {
        return Err(tell(("invalid_request", "a parameter is repeated")));
    }
    check_form(&params).map_err(tell)?;
    let prompt = read_prompt(&params).map_err(tell)?;
    let scope = read_scope(&params, prompt).map_err(tell)?;
    let challenge = read_challenge(&params).map_err(tell)?;
    let max_age = match params.get("max_age").map(str::parse::<u32>) {
        None => None,
        Some(Ok(max_age)) => Some(i64::from(max_age)),
        Some(Err(_)) => return Err(tell(("invalid_request", "max_age is no number of seconds"))),
    };
    Ok(AuthorizationRequest {
        client: id.to_owned(),
        scope,
        nonce: params.get("nonce").map(str::to_owned),
        challenge,
        prompt,
        max_age,
        login_hint: params.get("login_hint").map(str::to_owned),
        target,
    })
}

/// Error and description.
type Reason = (&'static str, &'static str);

fn check_form(params: &Params) -> Result<(), Reason> {
    match params.get("response_type") {
        Some("code") => (),
        None => return Err(("invalid_request", "response_type is missing")),
        Some(_) => {
            return Err((
                "unsupported_response_type",
                "only response_type code is supported",
            ));
        }
    }
    match params.get("response_mode") {
        None | Some("query" | "fragment" | "form_post") => (),
        Some(_) => return Err(("invalid_request", "response_mode is unknown")),
    }
    if params.get("request").is_some() {
        return Err(("request_not_supported", "request objects are not supported"));
    }
    if params.get("request_uri").is_some() {
        return Err(("request_uri_not_supported", "request_uri is not supported"));
    }
    Ok(())
}

fn read_prompt(params: &Params) -> Result<Prompt, Reason> {
    let mut prompt = Prompt::default();
    for word in params.words("prompt") {
        match word.as_str() {
            "none" => prompt.none = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(("invalid_request", "prompt is unknown")),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(("invalid_request", "prompt none stands alone"));
    }
    Ok(prompt)
}

/// The scopes that are known. `offline_access` counts only with consent (OpenID Connect Core section 11).
fn read_scope(params: &Params, prompt: Prompt) -> Result<Vec<String>, Reason> {
    let mut scope: Vec<String> = Vec::new();
    for word in params.words("scope") {
        let known = SCOPES.contains(&word.as_str()) && !scope.contains(&word);
        if known && (word != "offline_access" || prompt.consent) {
            scope.push(word);
        }
    }
    if scope.is_empty() {
        return Err(("invalid_scope", "no scope that this server knows"));
    }
    Ok(scope)
}

/// PKCE is required, and only S256 (RFC 7636 section 4.3, RFC 9700 section 2.1.1).
fn read_challenge(params: &Params) -> Result<String, Reason> {
    let challenge = params
        .get("code_challenge")
        .ok_or(("invalid_request", "code_challenge is missing"))?;
    if params.get("code_challenge_method") != Some("S256") {
        return Err(("invalid_request", "code_challenge_method must be S256"));
    }
    let well_formed = challenge
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if challenge.len() != 43 || !well_formed {
        return Err(("invalid_request", "code_challenge is no S256 challenge"));
    }
    Ok(challenge.to_owned())
}

/// Begins a sign-in, or answers at once where the session says enough.
fn begin(
    server: &Server,
    headers: &HeaderMap,
    request: AuthorizationRequest,
    drawn: &Drawn,
) -> Response {
    let about = About::client(&request.client);
    server.events.note(EventKind::AuthorizationRequested, about);
    let client = request.client.clone();
    let target = request.target.clone();
    let tell = |error: &str, description: &str| {
        callback::respond(server, &client, &target, Outcome::error(error, description))
    };
    if let Some(error) = drawn.find(|kind| match kind {
        Kind::Error(error) => Some(error.clone()),
        _ => None,
    }) {
        return tell(&error, "a fault that was switched on");
    }
    let now = now();
    let key = cookies::session(server, headers).map(|cookie| sha256(&cookie));
    let session = key
        .as_ref()
        .and_then(|key| server.state().sessions.get(key, now).cloned());
    let session = session.filter(|session| request.accepts(session, now));
    if request.prompt.none {
        match &session {
            None => return tell("login_required", "nobody is signed in"),
            Some(session) if request.needs_consent(session) => {
                return tell("consent_required", "the person has not agreed yet");
            }
            Some(_) => (),
        }
    }
    let cookie = cookies::browser(server, headers).unwrap_or_else(random);
    let interaction = Interaction {
        request,
        browser: sha256(&cookie),
        csrf: random(),
        identifier: None,
        username: None,
        second_factor_done: false,
        stay: None,
        session: session.and(key),
    };
    let id = random();
    let expires = now + seconds(server.config.lifetimes.interaction);
    server
        .state()
        .interactions
        .insert(id.clone(), interaction, expires, now);
    let response = pages::proceed(server, &id);
    cookies::set_browser(server, response, &cookie)
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const GOOD: &str = "client_id=demo-basic&redirect_uri=https://app.example.com/callback&response_type=code\
        &scope=openid+offline_access+unheard&state=s&nonce=n&code_challenge_method=S256\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn outcome(server: &Server, text: &str) -> Result<Vec<String>, &'static str> {
        match read(server, text.as_bytes(), &Drawn::default()) {
            Ok(request) => Ok(request.scope),
            Err(Refusal::Page(reason)) => Err(reason),
            Err(Refusal::Tell { error, .. }) => Err(error),
        }
    }

    #[test]
    fn requests_are_read_strictly() {
        let server = Server::new(Config::demo(), "http://127.0.0.1:1".into()).unwrap();
        let check = |from: &str, to: &str, expected: Result<&[&str], &'static str>| {
            let text = GOOD.replacen(from, to, 1);
            let expected = expected.map(|words| words.iter().map(|&w| w.to_owned()).collect());
            assert_eq!(outcome(&server, &text), expected, "{from} -> {to}");
        };
        check("", "", Ok(&["openid"]));
        check(
            "state=s",
            "state=s&prompt=consent",
            Ok(&["openid", "offline_access"]),
        );
        check("demo-basic", "nobody", Err("client_id is not registered"));
        check("client_id=demo-basic", "", Err("client_id is missing"));
        check(
            "example.com/callback",
            "example.com/callback/",
            Err("redirect_uri is not registered for this client"),
        );
        check(
            "response_type=code",
            "response_type=token",
            Err("unsupported_response_type"),
        );
        check("response_type=code", "", Err("invalid_request"));
        check("S256", "plain", Err("invalid_request"));
        check(
            "code_challenge=E9",
            "code_challenge=",
            Err("invalid_request"),
        );
        check("code_challenge=", "ignored=", Err("invalid_request"));
        check(
            "scope=openid+offline_access",
            "scope=nothing",
            Err("invalid_scope"),
        );
        check("state=s", "state=s&state=t", Err("invalid_request"));
        check("state=s", "prompt=none+login", Err("invalid_request"));
        check("state=s", "prompt=dance", Err("invalid_request"));
        check("state=s", "max_age=soon", Err("invalid_request"));
        check("state=s", "response_mode=smoke", Err("invalid_request"));
        check("state=s", "request=x", Err("request_not_supported"));
    }
}
