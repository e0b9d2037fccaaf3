//! From a reading of a page, and what was done before, to the next act or a reasoned stop. Reads no clock and no page.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::consent;
use super::forms::{self, Form};
use super::reading::{ButtonKind, Reading};
use super::stops::{self, Halt};
use super::words::{List, plain, says};
use crate::taxonomy::{Class, Stage};

/// What is known of the account, and what has been done so far.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// As it is typed; only compared with what account pickers show.
    pub username: String,
    pub has_password: bool,
    pub has_totp: bool,
    /// Origin of the page that was given the user name.
    pub username_sent: Option<String>,
    pub password_sent: bool,
    pub code_sent: bool,
    pub consents: u32,
    /// Lines and alerts of the page before the last act: what is not among them is new.
    pub known_lines: HashSet<String>,
    /// How often a button was pressed, by page and caption.
    pub pressed: HashMap<String, u32>,
    /// Times the same act has been tried because nothing was sent.
    pub tries: u8,
    /// Since the page last turned into something else.
    pub waited: Duration,
    /// Texts of dialogs that the page opened since the last act.
    pub dialogs: Vec<String>,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The page is not there yet, or still thinking.
    Wait,
    Act(Act),
    /// The last act did not get through: nothing was sent. Do it again by other means.
    Again,
    Stop(Halt),
}

/// One act on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The kind of page; `None` keeps the one before.
    pub stage: Option<Stage>,
    pub fills: Vec<(usize, What)>,
    /// Button to press; the Enter key in the last filled field where there is none.
    pub press: Option<usize>,
    /// Name of the button by page and caption, to count how often it was pressed.
    pub name: String,
}

/// What goes into a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Username,
    Password,
    Code,
    /// One digit of the code, counted from zero.
    Digit(usize),
}

/// How long an act that sent nothing is given before it is tried by other means.
const UNSENT: Duration = Duration::from_millis(700);

/// Decides what to do with a page.
pub fn decide(page: &Reading, past: &Past) -> Move {
    if let Some(error) = &page.net_error {
        // The callback may be caught in the same moment; that is told apart by a short wait.
        return after(past, Duration::from_millis(800), || {
            stops::net_error(error, stage_now(past))
        });
    }
    if !page.parsed {
        return Move::Wait;
    }
    if !page.challenges.is_empty() {
        let halt = || {
            Halt::new(
                stage_of_page(past),
                Class::BotChallenge,
                format!("the page shows {}", page.challenges.join(", ")),
            )
        };
        return after(past, Duration::from_secs(3), halt);
    }
    if page.withheld || (acted(past) && !page.fresh && !page.sent && !page.changed) {
        return unsent(past);
    }
    if !page.changed && past.dialogs.is_empty() {
        return Move::Wait;
    }
    if past.password_sent && is_forced_change(page) {
        return new_password(page);
    }
    if let Some(form) = forms::sign_in_form(page) {
        return with_form(page, past, &form);
    }
    consent::without_form(page, past)
}

/// What it means that nothing became of a page for too long.
pub fn overdue(page: Option<&Reading>, past: &Past) -> Halt {
    let stage = stage_now(past);
    let Some(page) = page.filter(|page| page.parsed && !page.text.is_empty()) else {
        return match past.consents {
            0 => Halt::new(
                stage,
                Class::NavigationTimeout,
                "the page did not load in time",
            ),
            _ => Halt::new(
                Stage::Callback,
                Class::CallbackNotReached,
                "consent was given, and no redirect followed",
            ),
        };
    };
    if acted(past) && !page.fresh && (page.busy || !page.changed) {
        return match past.consents {
            0 if !page.busy && !can_be_sent(page) => Halt::new(
                stage,
                Class::ElementNotFound,
                "the form has no button to send it with, and Enter does nothing",
            ),
            0 => Halt::new(
                stage,
                Class::NavigationTimeout,
                "the page did not move on after the form was sent",
            ),
            _ => Halt::new(
                Stage::Callback,
                Class::CallbackNotReached,
                "consent was given, and no redirect followed",
            ),
        };
    }
    consent::unknown(page, past)
}

/// Whether there is anything to press but links.
fn can_be_sent(page: &Reading) -> bool {
    page.buttons
        .iter()
        .any(|button| button.enabled && button.kind != ButtonKind::Link && !button.cookies)
}

/// The stage that the journey is in, as far as it is known from what was sent.
pub(super) fn stage_now(past: &Past) -> Stage {
    match () {
        () if past.consents > 0 => Stage::Consent,
        () if past.code_sent => Stage::Mfa,
        () if acted(past) => Stage::Login,
        () => Stage::Authorize,
    }
}

/// The stage of a page that stands in the way: where one was shown, the authorization request itself went through.
pub(super) fn stage_of_page(past: &Past) -> Stage {
    match stage_now(past) {
        Stage::Authorize => Stage::Login,
        later => later,
    }
}

/// Whether anything was done to the pages so far.
pub(super) fn acted(past: &Past) -> bool {
    past.username_sent.is_some()
        || past.password_sent
        || past.code_sent
        || past.consents > 0
        || !past.pressed.is_empty()
}

/// Waits for `grace`, then stops.
pub(super) fn after(past: &Past, grace: Duration, halt: impl FnOnce() -> Halt) -> Move {
    if past.waited < grace {
        Move::Wait
    } else {
        Move::Stop(halt())
    }
}

/// Alerts, dialogs and lines that were not there before the last act.
pub(super) fn news(page: &Reading, past: &Past) -> Vec<String> {
    let alerts = page
        .alerts
        .iter()
        .chain(&past.dialogs)
        .filter(|alert| !past.known_lines.contains(*alert));
    let lines = page
        .text
        .lines()
        .filter(|line| !past.known_lines.contains(*line))
        .map(str::to_owned);
    let mut news: Vec<String> = alerts.cloned().collect();
    news.extend(lines.filter(|line| line.chars().count() > 3).take(12));
    news.dedup();
    news
}

fn unsent(past: &Past) -> Move {
    if past.waited < UNSENT {
        return Move::Wait;
    }
    if past.tries < 3 {
        Move::Again
    } else {
        Move::Wait
    }
}

/// A page of few controls that is about a new password. An account page that also offers to change it is another thing.
fn is_forced_change(page: &Reading) -> bool {
    let about = page
        .headings
        .iter()
        .chain(&page.alerts)
        .chain([&page.title])
        .cloned();
    let told = stops::class_in(&about.collect::<Vec<_>>()) == Some(Class::AccountLocked);
    forms::wants_new_password(page) && (told && page.buttons.len() <= 12 || page.buttons.len() <= 6)
}

/// How the words of a stop begin that asks for a new password; where the page is in another language, all that tells of it.
pub const PASSWORD_IS_DUE: &str = "the account must change its password first";

fn new_password(page: &Reading) -> Move {
    if !settled(page) {
        return Move::Wait;
    }
    let said = stops::quote(&page.headings, &page.title);
    Move::Stop(Halt::new(
        Stage::Login,
        Class::AccountLocked,
        format!("{PASSWORD_IS_DUE}{said}"),
    ))
}

fn with_form(page: &Reading, past: &Past, form: &Form) -> Move {
    if form.captcha {
        return Move::Stop(Halt::new(
            stage_of_page(past),
            Class::BotChallenge,
            "the form wants the text of an image",
        ));
    }
    // What looks like a user name beside a code names a device, unless nothing was sent before.
    let first = form.username.is_some() && !acted(past);
    if form.password.is_none() && !form.code.is_empty() && !first {
        return code_form(page, past, form);
    }
    if form.password.is_some() {
        return password_form(page, past, form);
    }
    username_form(page, past, form)
}

fn password_form(page: &Reading, past: &Past, form: &Form) -> Move {
    if past.password_sent {
        return came_back(page, past, form, Stage::Login, "user name and password");
    }
    if !past.has_password {
        let detail = "the page asks for a password, and the account of this probe has none";
        return Move::Stop(Halt::new(Stage::Login, Class::ConfigInvalid, detail));
    }
    let Some((password, enabled)) = form.password else {
        return Move::Wait;
    };
    if !enabled {
        return Move::Wait;
    }
    let mut fills = Vec::new();
    if let Some((username, true)) = form.username {
        fills.push((username, What::Username));
    }
    fills.push((password, What::Password));
    if past.has_totp {
        fills.extend(code_fills(form));
    }
    Move::Act(Act {
        stage: Some(Stage::Login),
        fills,
        press: form.press,
        name: String::new(),
    })
}

fn username_form(page: &Reading, past: &Past, form: &Form) -> Move {
    let again_here = past.username_sent.as_deref() == Some(page.origin().as_str());
    if again_here || past.password_sent {
        return came_back(page, past, form, Stage::Login, "user name");
    }
    match form.username {
        Some((username, true)) => Move::Act(Act {
            stage: Some(Stage::Login),
            fills: vec![(username, What::Username)],
            press: form.press,
            name: String::new(),
        }),
        _ => consent::without_form(page, past),
    }
}

fn code_form(page: &Reading, past: &Past, form: &Form) -> Move {
    if past.code_sent {
        return came_back(page, past, form, Stage::Mfa, "one-time code");
    }
    let text = plain(&page.text);
    if says(List::Enrol, &text) {
        return consent::way_past(page, past).unwrap_or_else(|| {
            let said = stops::quote(&page.headings, &page.title);
            let detail = format!("the page wants a second factor to be set up first{said}");
            Move::Stop(Halt::new(Stage::Mfa, Class::MfaRequired, detail))
        });
    }
    if !past.has_totp {
        let detail =
            "the page asks for a one-time code, and the account of this probe has no totp secret";
        return Move::Stop(Halt::new(Stage::Mfa, Class::MfaRequired, detail));
    }
    if says(List::Sent, &text) && !says(List::ByCode, &text) {
        return consent::way_to_code(page, past).unwrap_or_else(|| {
            let detail = "the page asks for a code that was sent to somebody, not for one of an authenticator";
            Move::Stop(Halt::new(Stage::Mfa, Class::MfaRequired, detail))
        });
    }
    Move::Act(Act {
        stage: Some(Stage::Mfa),
        fills: code_fills(form).collect(),
        press: form.press,
        name: String::new(),
    })
}

fn code_fills(form: &Form) -> impl Iterator<Item = (usize, What)> + '_ {
    let digits = form.code.len() > 1;
    let what = move |place| {
        if digits {
            What::Digit(place)
        } else {
            What::Code
        }
    };
    form.code
        .iter()
        .enumerate()
        .map(move |(place, index)| (*index, what(place)))
}

/// The same form again, after it was sent: refused, unless the page is still at it. Nothing is ever sent twice.
fn came_back(page: &Reading, past: &Past, form: &Form, stage: Stage, what: &str) -> Move {
    let news = news(page, past);
    if !page.fresh && !page.sent {
        return unsent(past);
    }
    if !settled(page) || page.busy {
        return Move::Wait;
    }
    if !page.fresh && (!form.ready || (news.is_empty() && !form.invalid)) {
        return Move::Wait;
    }
    let said = page
        .alerts
        .iter()
        .chain(&past.dialogs)
        .cloned()
        .collect::<Vec<_>>();
    // Words decide only where the page puts its errors, or on what is new since the form was sent.
    let class = stops::class_in(&said)
        .or_else(|| stops::class_in(&news))
        .unwrap_or(Class::BadUserCredentials);
    let quoted = said
        .first()
        .or_else(|| news.first())
        .map_or_else(String::new, |text| format!(": {}", stops::clip(text)));
    Move::Stop(Halt::new(
        stage,
        class,
        format!("{what} sent, and the form came back{quoted}"),
    ))
}

/// The document is whole, and has not changed for a moment.
pub(super) fn settled(page: &Reading) -> bool {
    page.loaded && (page.fresh || page.quiet_ms >= 60)
}
