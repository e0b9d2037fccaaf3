//! The pages of a sign-in: shown by `GET`, submitted by `POST`, each with the id of the sign-in in its path.

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
use super::state::{Attempts, Code, Server, Session, now, seconds};
use super::views::{
    self, CodePage, ConsentPage, Form, LoginPage, Message, NewPasswordPage, StayPage, wishes,
};
use super::{cookies, reply};

type Shared = State<Arc<Server>>;

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
struct Held {
    id: String,
    interaction: Interaction,
}

/// Finds the sign-in of a page, if it belongs to this browser and this page is its next one.
fn hold(
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
fn hold_form(
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
fn change(server: &Server, held: &Held, change: impl FnOnce(&mut Interaction)) -> Response {
    if let Some(interaction) = server.state().interactions.get_mut(&held.id, now()) {
        change(interaction);
    }
    proceed(server, &held.id)
}

/// `GET /login/{id}`
pub(super) async fn login(
    State(server): Shared,
    Extension(drawn): Extension<Drawn>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match hold(&server, &headers, id, Step::Login) {
        Ok(held) => show_login(&server, &held, None, &drawn),
        Err(response) => *response,
    }
}

fn show_login(server: &Server, held: &Held, alert: Option<&str>, drawn: &Drawn) -> Response {
    if let Some(page) = views::instead(server, drawn) {
        return page;
    }
    let interaction = &held.interaction;
    let form = Form::new(format!("/login/{}", held.id), interaction, alert, drawn);
    let pages = server.config.pages;
    let known = interaction.identifier.as_deref();
    let hint = interaction.request.login_hint.as_deref();
    let page = LoginPage {
        lang: pages.language.code(),
        texts: pages.language.texts(),
        asks_username: known.is_none(),
        asks_password: known.is_some() || !pages.identifier_first,
        username: known.or(hint).unwrap_or_default(),
        form,
    };
    views::show(page.form.look, &page)
}

/// `POST /login/{id}`
pub(super) async fn submit_login(
    State(server): Shared,
    Extension(drawn): Extension<Drawn>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let held = hold_form(&server, &headers, id, Step::Login, &body, &drawn);
    let (held, params) = match held {
        Ok(held) => held,
        Err(response) => return *response,
    };
    let texts = server.config.pages.language.texts();
    let interaction = &held.interaction;
    let client = About::client(&interaction.request.client);
    if drawn.has(&Kind::PasswordExpired) {
        let form = Form::new(
            format!("/login/{}", held.id),
            interaction,
            None,
            &Drawn::default(),
        );
        let lang = server.config.pages.language.code();
        return reply::page(StatusCode::OK, &NewPasswordPage { lang, texts, form });
    }
    if let Some(alert) = forced_alert(&server, &drawn, texts.wrong_password) {
        server.events.note(EventKind::LoginRefused, client);
        return show_login(&server, &held, Some(alert), &drawn);
    }
    let typed = params.get("username").map(str::to_owned);
    if server.config.pages.identifier_first && interaction.identifier.is_none() {
        return match typed {
            Some(name) => change(&server, &held, |interaction| {
                interaction.identifier = Some(name);
            }),
            None => show_login(&server, &held, Some(texts.wrong_password), &drawn),
        };
    }
    let username = interaction.identifier.clone().or(typed).unwrap_or_default();
    let password = params.get("password").unwrap_or_default();
    match check_password(&server, &username, password) {
        Checked::Right => {
            server
                .events
                .note(EventKind::LoginAccepted, client.account(&username));
            change(&server, &held, |interaction| {
                interaction.username = Some(username);
            })
        }
        checked => {
            let known = server
                .account(&username)
                .map(|account| account.username.as_str());
            let kind = match checked {
                Checked::Locked => EventKind::AccountLocked,
                _ => EventKind::LoginRefused,
            };
            server.events.note(
                kind,
                About {
                    account: known,
                    ..client
                },
            );
            let alert = if checked == Checked::Locked {
                texts.locked
            } else {
                texts.wrong_password
            };
            show_login(&server, &held, Some(alert), &drawn)
        }
    }
}

fn forced_alert<'a>(server: &'a Server, drawn: &Drawn, wrong: &'a str) -> Option<&'a str> {
    if drawn.has(&Kind::LockedAccount) {
        return Some(server.config.pages.language.texts().locked);
    }
    drawn.has(&Kind::RefusedCredentials).then_some(wrong)
}

/// What came of a password or a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checked {
    Right,
    Wrong,
    Locked,
}

/// An unknown account takes as long, and gives the same answer, as a wrong password.
fn check_password(server: &Server, username: &str, password: &str) -> Checked {
    let account = server.account(username);
    let expected = account.map_or("", |account| account.password.expose());
    let right = equal(password, expected) && account.is_some();
    if account.is_none() {
        return Checked::Wrong;
    }
    count(server, username, |_| right)
}

/// A code is taken once: that of a later time step than the last (RFC 6238 section 5.2).
fn check_code(server: &Server, username: &str, code: &str) -> Checked {
    let Some(totp) = server.totp(username) else {
        return Checked::Wrong;
    };
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    let step = totp.check(&code, u64::try_from(now()).unwrap_or_default());
    count(server, username, |attempts| {
        let fresh = step.filter(|step| attempts.totp_step.is_none_or(|last| *step > last));
        attempts.totp_step = fresh.or(attempts.totp_step);
        fresh.is_some()
    })
}

/// Counts refusals of an account, and locks it after too many.
fn count(server: &Server, username: &str, is_right: impl FnOnce(&mut Attempts) -> bool) -> Checked {
    let now = now();
    let mut state = server.state();
    let attempts = state.attempts.entry(username.to_owned()).or_default();
    if attempts.locked_until > now {
        return Checked::Locked;
    }
    if is_right(attempts) {
        attempts.refused = 0;
        return Checked::Right;
    }
    attempts.refused += 1;
    if attempts.refused < server.config.lock_after {
        return Checked::Wrong;
    }
    attempts.refused = 0;
    attempts.locked_until = now + seconds(server.config.lifetimes.lock);
    Checked::Locked
}

/// `GET /mfa/{id}`
pub(super) async fn mfa(
    State(server): Shared,
    Extension(drawn): Extension<Drawn>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match hold(&server, &headers, id, Step::Mfa) {
        Ok(held) => show_mfa(&server, &held, None, &drawn),
        Err(response) => *response,
    }
}

fn show_mfa(server: &Server, held: &Held, alert: Option<&str>, drawn: &Drawn) -> Response {
    if let Some(page) = views::instead(server, drawn) {
        return page;
    }
    let language = server.config.pages.language;
    let page = CodePage {
        lang: language.code(),
        texts: language.texts(),
        form: Form::new(format!("/mfa/{}", held.id), &held.interaction, alert, drawn),
    };
    views::show(page.form.look, &page)
}

/// `POST /mfa/{id}`
pub(super) async fn submit_mfa(
    State(server): Shared,
    Extension(drawn): Extension<Drawn>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let held = hold_form(&server, &headers, id, Step::Mfa, &body, &drawn);
    let (held, params) = match held {
        Ok(held) => held,
        Err(response) => return *response,
    };
    let texts = server.config.pages.language.texts();
    let username = held.interaction.username.clone().unwrap_or_default();
    let about = About::client(&held.interaction.request.client).account(&username);
    if let Some(alert) = forced_alert(&server, &drawn, texts.wrong_code) {
        server.events.note(EventKind::MfaRefused, about);
        return show_mfa(&server, &held, Some(alert), &drawn);
    }
    match check_code(&server, &username, params.get("code").unwrap_or_default()) {
        Checked::Right => {
            server.events.note(EventKind::MfaAccepted, about);
            change(&server, &held, |interaction| {
                interaction.second_factor_done = true;
            })
        }
        Checked::Wrong => {
            server.events.note(EventKind::MfaRefused, about);
            show_mfa(&server, &held, Some(texts.wrong_code), &drawn)
        }
        Checked::Locked => {
            server.events.note(EventKind::AccountLocked, about);
            show_mfa(&server, &held, Some(texts.locked), &drawn)
        }
    }
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
