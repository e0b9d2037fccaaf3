//! The pages as they are filled in. Ids of fields and buttons are stable, for scripts hold on to them.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::authorize::SCOPES;
use super::faults::{Drawn, Kind};
use super::interaction::Interaction;
use super::reply;
use super::state::Server;
use super::texts::Texts;

/// What faults make of a page with a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Look {
    pub(super) moved: bool,
    pub(super) missing: bool,
    pub(super) late_ms: Option<u64>,
}

impl Look {
    fn of(drawn: &Drawn) -> Self {
        Self {
            moved: drawn.has(&Kind::MovedButton),
            missing: drawn.has(&Kind::MissingButton),
            late_ms: drawn.find(|kind| match kind {
                Kind::LateForm(ms) => Some(*ms),
                _ => None,
            }),
        }
    }

    fn has_script(self) -> bool {
        self.missing || self.late_ms.is_some()
    }
}

/// What every page with a form needs.
#[derive(Debug)]
pub(super) struct Form<'a> {
    pub(super) action: String,
    pub(super) csrf: &'a str,
    pub(super) client: &'a str,
    pub(super) alert: Option<&'a str>,
    pub(super) look: Look,
}

impl<'a> Form<'a> {
    /// A form of a sign-in at this address.
    pub(super) fn new(
        action: String,
        interaction: &'a Interaction,
        alert: Option<&'a str>,
        drawn: &Drawn,
    ) -> Self {
        Self {
            action,
            csrf: &interaction.csrf,
            client: &interaction.request.client,
            alert,
            look: Look::of(drawn),
        }
    }
}

/// User name, password, or both.
#[derive(Template)]
#[template(path = "loopback/login.html")]
pub(super) struct LoginPage<'a> {
    pub(super) lang: &'a str,
    pub(super) texts: &'a Texts,
    pub(super) form: Form<'a>,
    pub(super) asks_username: bool,
    pub(super) asks_password: bool,
    pub(super) username: &'a str,
}

/// The one-time code.
#[derive(Template)]
#[template(path = "loopback/code.html")]
pub(super) struct CodePage<'a> {
    pub(super) lang: &'a str,
    pub(super) texts: &'a Texts,
    pub(super) form: Form<'a>,
}

/// Whether to stay signed in.
#[derive(Template)]
#[template(path = "loopback/stay.html")]
pub(super) struct StayPage<'a> {
    pub(super) lang: &'a str,
    pub(super) texts: &'a Texts,
    pub(super) form: Form<'a>,
}

/// What the client wants to do.
#[derive(Template)]
#[template(path = "loopback/consent.html")]
pub(super) struct ConsentPage<'a> {
    pub(super) lang: &'a str,
    pub(super) texts: &'a Texts,
    pub(super) form: Form<'a>,
    pub(super) wishes: Vec<&'a str>,
}

/// A new password is due.
#[derive(Template)]
#[template(path = "loopback/new_password.html")]
pub(super) struct NewPasswordPage<'a> {
    pub(super) lang: &'a str,
    pub(super) texts: &'a Texts,
    pub(super) form: Form<'a>,
}

/// Whether to sign out.
#[derive(Template)]
#[template(path = "loopback/logout.html")]
pub(super) struct LogoutPage<'a> {
    pub(super) lang: &'a str,
    pub(super) texts: &'a Texts,
    pub(super) csrf: &'a str,
    pub(super) params: Vec<(&'static str, &'a str)>,
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "loopback/message.html")]
pub(super) struct Message<'a> {
    pub(super) lang: &'a str,
    pub(super) title: &'a str,
    pub(super) text: &'a str,
    /// Drawn as trouble, and read out as such.
    pub(super) bad: bool,
    /// Something turns and turns.
    pub(super) busy: bool,
}

/// A bot check.
#[derive(Template)]
#[template(path = "loopback/captcha.html")]
struct CaptchaPage<'a> {
    lang: &'a str,
}

/// A page that belongs to no sign-in.
#[derive(Template)]
#[template(path = "loopback/survey.html")]
struct SurveyPage<'a> {
    lang: &'a str,
}

impl<'a> Message<'a> {
    /// Good news.
    pub(super) fn note(server: &Server, title: &'a str, text: &'a str) -> Self {
        Self {
            lang: server.config.pages.language.code(),
            title,
            text,
            bad: false,
            busy: false,
        }
    }

    /// Bad news.
    pub(super) fn error(server: &Server, title: &'a str, text: &'a str) -> Self {
        Self {
            bad: true,
            ..Self::note(server, title, text)
        }
    }
}

/// The page of a redirect that never comes.
pub(super) fn wait_for_ever(server: &Server) -> Message<'static> {
    Message {
        busy: true,
        ..Message::note(
            server,
            "One moment",
            "You will be taken back to the application.",
        )
    }
}

/// The sign-in is over before its end, or never was.
pub(super) fn expired(server: &Server) -> Response {
    let texts = server.config.pages.language.texts();
    let message = Message::error(server, texts.expired_title, texts.expired);
    reply::page(StatusCode::BAD_REQUEST, &message)
}

/// A page of a fault, in place of the right one.
pub(super) fn instead(server: &Server, drawn: &Drawn) -> Option<Response> {
    let lang = server.config.pages.language.code();
    if drawn.has(&Kind::Captcha) {
        return Some(reply::page(StatusCode::OK, &CaptchaPage { lang }));
    }
    if drawn.has(&Kind::UnknownPage) {
        return Some(reply::page(StatusCode::OK, &SurveyPage { lang }));
    }
    if drawn.has(&Kind::ErrorPage) {
        let text = "An internal error occurred. Error code: server_error. Please try again later.";
        let message = Message::error(server, "Something went wrong", text);
        return Some(reply::page(StatusCode::INTERNAL_SERVER_ERROR, &message));
    }
    None
}

/// Shows a page with a form, with leave for scripts only where a fault needs one.
pub(super) fn show(look: Look, template: &impl Template) -> Response {
    if look.has_script() {
        reply::page_with_script(StatusCode::OK, template)
    } else {
        reply::page(StatusCode::OK, template)
    }
}

/// What the scopes let the client do, in words.
pub(super) fn wishes<'a>(texts: &'a Texts, scope: &[String]) -> Vec<&'a str> {
    let known = SCOPES.iter().zip(texts.scopes);
    let asked = known.filter(|(name, _)| scope.iter().any(|scope| scope == *name));
    asked.map(|(_, wish)| wish).collect()
}
