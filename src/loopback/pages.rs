//! The pages of a sign-in: shown by `GET`, submitted by `POST`, each with the id of the sign-in in its path. Here is what
//! they share, and those that ask a question; `factors` has those that take a password or a code.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::callback::{self, Outcome};
use super::events::{About, EventKind};
use super::faults::{Drawn, Kind};
use super::interaction::{Interaction, Step};
use super::keys::{equal, random, sha256};
use super::params::Params;
use super::state::{Code, Server, Session, now, seconds};
use super::views::{self, ConsentPage, Form, Message, StayPage, wishes};
use super::{cookies, reply};

pub(super) type Shared = State<Arc<Server>>;

/// Sends the browser to the next page of a sign-in, or back to the client when nothing is left to ask.
pub(super) fn proceed(server: &Server, id: &str) -> Response {
    let now = now();
    let Some(interaction) = server.state().interactions.get(id, now).cloned() else {
        return views::expired(server);
    };
    match step(server, &interaction) {
        Step::Login => reply::see_other(&format!("/login/{id}")),
        Step::Mfa => reply::see_other(&format!("/mfa/{id}")),
        Step::Stay => reply::see_other(&format!("/stay/{id}")),
        Step::StartSession => start_session(server, id, &interaction, now),
        Step::Signed => after_session(server, id, &interaction, now),
    }
}

fn step(server: &Server, interaction: &Interaction) -> Step {
    let username = interaction.username.as_deref().unwrap_or_default();
    interaction.step(
        server.totp(username).is_some(),
        server.config.pages.stay_signed_in,
    )
}

/// A new session each time: an old cookie never becomes the key to a new sign-in.
fn start_session(server: &Server, id: &str, interaction: &Interaction, now: i64) -> Response {
    let username = interaction.username.clone().unwrap_or_default();
    let cookie = random();
    let key = sha256(&cookie);
    let session = Session {
        username: username.clone(),
        auth_time: now,
        consents: Default::default(),
    };
    let expires = now + seconds(server.config.lifetimes.session);
    let about = About::client(&interaction.request.client).account(&username);
    server.events.note(EventKind::SessionStarted, about);
    {
        let mut state = server.state();
        state.sessions.insert(key.clone(), session, expires, now);
        if let Some(interaction) = state.interactions.get_mut(id, now) {
            interaction.session = Some(key);
        }
    }
    let response = proceed(server, id);
    cookies::set_session(server, response, &cookie, interaction.stay == Some(true))
}

fn after_session(server: &Server, id: &str, interaction: &Interaction, now: i64) -> Response {
    let key = interaction.session.clone().unwrap_or_default();
    let session = server.state().sessions.get(&key, now).cloned();
    let Some(session) = session else {
        return views::expired(server);
    };
    if interaction.request.needs_consent(&session) {
        return reply::see_other(&format!("/consent/{id}"));
    }
    finish(server, id, interaction, &session, now)
}

/// Nothing is left to ask: the client gets its code.
fn finish(
    server: &Server,
    id: &str,
    interaction: &Interaction,
    session: &Session,
    now: i64,
) -> Response {
    let request = &interaction.request;
    let code = random();
    let expires = now + seconds(server.config.lifetimes.code);
    let record = Code {
        client: request.client.clone(),
        redirect_uri: request.target.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        nonce: request.nonce.clone(),
        scope: request.scope.clone(),
        username: session.username.clone(),
        auth_time: session.auth_time,
        expires,
        redeemed: None,
    };
    {
        let mut state = server.state();
        state.interactions.remove(id);
        state
            .codes
            .insert(sha256(&code), record, expires + REMEMBERED_S, now);
    }
    let about = About::client(&request.client).account(&session.username);
    server.events.note(EventKind::CodeIssued, about);
    callback::respond(
        server,
        &request.client,
        &request.target,
        Outcome::Code(code),
    )
}

/// How long a dead code is remembered, in seconds.
const REMEMBERED_S: i64 = 600;

/// A sign-in in the hands of the browser that began it.
pub(super) struct Held {
    pub(super) id: String,
    pub(super) interaction: Interaction,
}

/// Finds the sign-in of a page, if it belongs to this browser and this page is its next one.
pub(super) fn hold(
    server: &Server,
    headers: &HeaderMap,
    id: String,
    page: Step,
) -> Result<Held, Box<Response>> {
    let found = server.state().interactions.get(&id, now()).cloned();
    let browser = cookies::browser(server, headers).map(|cookie| sha256(&cookie));
    let ours = found.filter(|found| browser.is_some_and(|browser| browser == found.browser));
    let interaction = ours.ok_or_else(|| Box::new(views::expired(server)))?;
    if step(server, &interaction) != page {
        return Err(Box::new(proceed(server, &id)));
    }
    Ok(Held { id, interaction })
}

/// The same for a form that came back, with its fields; the form must be ours.
pub(super) fn hold_form(
    server: &Server,
    headers: &HeaderMap,
    id: String,
    page: Step,
    body: &Bytes,
    drawn: &Drawn,
) -> Result<(Held, Params), Box<Response>> {
    let held = hold(server, headers, id, page)?;
    let params = Params::parse(body).map_err(|error| {
        let message = Message::error(server, "This form is not valid", "A field is repeated.");
        drop(error);
        Box::new(reply::page(StatusCode::BAD_REQUEST, &message))
    })?;
    if !params
        .get("csrf")
        .is_some_and(|csrf| equal(csrf, &held.interaction.csrf))
    {
        let message = Message::error(server, "This form is not valid", "It was not made for you.");
        return Err(Box::new(reply::page(StatusCode::FORBIDDEN, &message)));
    }
    if drawn.has(&Kind::SessionExpired) {
        server.state().interactions.remove(&held.id);
        return Err(Box::new(views::expired(server)));
    }
    Ok((held, params))
}

/// Changes the sign-in, and goes on.
pub(super) fn change(
    server: &Server,
    held: &Held,
    change: impl FnOnce(&mut Interaction),
) -> Response {
    if let Some(interaction) = server.state().interactions.get_mut(&held.id, now()) {
        change(interaction);
    }
    proceed(server, &held.id)
}

/// `GET /stay/{id}`
pub(super) async fn stay(
    State(server): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let held = match hold(&server, &headers, id, Step::Stay) {
        Ok(held) => held,
        Err(response) => return *response,
    };
    let language = server.config.pages.language;
    let action = format!("/stay/{}", held.id);
    let page = StayPage {
        lang: language.code(),
        texts: language.texts(),
        form: Form::new(action, &held.interaction, None, &Drawn::default()),
    };
    views::show(page.form.look, &page)
}

/// `POST /stay/{id}`
pub(super) async fn submit_stay(
    State(server): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match hold_form(&server, &headers, id, Step::Stay, &body, &Drawn::default()) {
        Ok((held, params)) => {
            let stay = params.get("stay") == Some("yes");
            change(&server, &held, |interaction| interaction.stay = Some(stay))
        }
        Err(response) => *response,
    }
}

/// `GET /consent/{id}`
pub(super) async fn consent(
    State(server): Shared,
    Extension(drawn): Extension<Drawn>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let held = match hold(&server, &headers, id, Step::Signed) {
        Ok(held) => held,
        Err(response) => return *response,
    };
    if let Some(page) = views::instead(&server, &drawn) {
        return page;
    }
    let language = server.config.pages.language;
    let page = ConsentPage {
        lang: language.code(),
        texts: language.texts(),
        wishes: wishes(language.texts(), &held.interaction.request.scope),
        form: Form::new(
            format!("/consent/{}", held.id),
            &held.interaction,
            None,
            &drawn,
        ),
    };
    views::show(page.form.look, &page)
}

/// `POST /consent/{id}`
pub(super) async fn submit_consent(
    State(server): Shared,
    Extension(drawn): Extension<Drawn>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let held = hold_form(&server, &headers, id, Step::Signed, &body, &drawn);
    let (held, params) = match held {
        Ok(held) => held,
        Err(response) => return *response,
    };
    let request = &held.interaction.request;
    let now = now();
    let allowed = params.get("decision") == Some("allow") && !drawn.has(&Kind::ConsentDenied);
    if !allowed {
        server.state().interactions.remove(&held.id);
        server
            .events
            .note(EventKind::ConsentDenied, About::client(&request.client));
        let denied = Outcome::error("access_denied", "the person did not agree");
        return callback::respond(&server, &request.client, &request.target, denied);
    }
    let key = held.interaction.session.clone().unwrap_or_default();
    let session = {
        let mut state = server.state();
        let Some(session) = state.sessions.get_mut(&key, now) else {
            drop(state);
            return views::expired(&server);
        };
        let agreed = session.consents.entry(request.client.clone()).or_default();
        agreed.extend(request.scope.iter().cloned());
        agreed.sort();
        agreed.dedup();
        session.clone()
    };
    server
        .events
        .note(EventKind::ConsentGiven, About::client(&request.client));
    finish(&server, &held.id, &held.interaction, &session, now)
}
