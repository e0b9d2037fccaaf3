//! The pages that take a password or a one-time code, and the checks behind them.

use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::events::{About, EventKind};
use super::faults::{Drawn, Kind};
use super::interaction::Step;
use super::keys::equal;
use super::pages::{Held, Shared, change, hold, hold_form};
use super::reply;
use super::state::{Attempts, Server, now, seconds};
use super::views::{self, CodePage, Form, LoginPage, NewPasswordPage};

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
    if drawn.has(&Kind::PasswordExpired) {
        return show_new_password(&server, &held);
    }
    let interaction = &held.interaction;
    let wrong = server.config.pages.language.texts().wrong_password;
    if let Some(alert) = forced_alert(&server, &drawn, wrong) {
        let client = About::client(&interaction.request.client);
        server.events.note(EventKind::LoginRefused, client);
        return show_login(&server, &held, Some(alert), &drawn);
    }
    let typed = params.get("username").map(str::to_owned);
    if server.config.pages.identifier_first && interaction.identifier.is_none() {
        return match typed {
            Some(name) => change(&server, &held, |interaction| {
                interaction.identifier = Some(name);
            }),
            None => show_login(&server, &held, Some(wrong), &drawn),
        };
    }
    let username = interaction.identifier.clone().or(typed);
    let password = params.get("password").unwrap_or_default();
    enter(&server, &held, &username.unwrap_or_default(), password)
}

/// Takes the password, or shows the page again and says what is wrong.
fn enter(server: &Server, held: &Held, username: &str, password: &str) -> Response {
    let texts = server.config.pages.language.texts();
    let about = About {
        // Whatever else was typed there may be a password: it is not noted.
        account: server
            .account(username)
            .map(|found| found.username.as_str()),
        ..About::client(&held.interaction.request.client)
    };
    let refuse = |kind, alert| {
        server.events.note(kind, about);
        show_login(server, held, Some(alert), &Drawn::default())
    };
    match check_password(server, username, password) {
        Checked::Right => {
            server.events.note(EventKind::LoginAccepted, about);
            change(server, held, |interaction| {
                interaction.username = Some(username.to_owned());
            })
        }
        Checked::Wrong => refuse(EventKind::LoginRefused, texts.wrong_password),
        Checked::Locked => refuse(EventKind::AccountLocked, texts.locked),
    }
}

fn show_new_password(server: &Server, held: &Held) -> Response {
    let language = server.config.pages.language;
    let action = format!("/login/{}", held.id);
    let page = NewPasswordPage {
        lang: language.code(),
        texts: language.texts(),
        form: Form::new(action, &held.interaction, None, &Drawn::default()),
    };
    reply::page(StatusCode::OK, &page)
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
