//! Pages without a form to fill: consent, account pickers, offers, ways to another method, errors, and the unknown.

use std::time::Duration;

use super::decide::{Act, Move, Past, acted, after, settled, stage_now, stage_of_page};
use super::reading::{Button, ButtonKind, Reading};
use super::stops::{self, Halt};
use super::words::{List, leads, plain, says};
use crate::taxonomy::{Class, Stage};

/// How often one button of one page is pressed before the page counts as going in circles.
const PRESSES: u32 = 2;

/// How long a page is watched before it counts as unknown; many go on by themselves.
const UNKNOWN: Duration = Duration::from_secs(4);

/// Decides on a page that wants nothing filled in.
pub(super) fn without_form(page: &Reading, past: &Past) -> Move {
    let texts = plain(&format!("{}\n{}", page.title, page.text));
    if let Some(button) = accept(page, past, &texts) {
        return press(page, button, Some(Stage::Consent));
    }
    if let Some((class, said)) = stops::error_page(page) {
        return error(page, past, class, &said);
    }
    if let Some(found) = account(page, past).or_else(|| second_factor(page, past, &texts)) {
        return found;
    }
    if let Some(found) =
        way(page, past, List::ByPassword).filter(|_| !past.password_sent && past.has_password)
    {
        return found;
    }
    if let Some(button) = onward(page, past, &texts) {
        return press(page, button, None);
    }
    if let Some(found) = way_past(page, past) {
        return found;
    }
    if let Some(status) = page.status.filter(|status| *status >= 400 && page.fresh) {
        let class = stops::error_in_url(page).unwrap_or_else(|| stops::status_class(status));
        let said = stops::quote(&page.headings, &page.title);
        let halt = || {
            Halt::new(
                stage_now(past),
                class,
                format!("the page has status {status}{said}"),
            )
        };
        return if page.loaded {
            after(past, Duration::from_millis(300), halt)
        } else {
            Move::Wait
        };
    }
    if page.refreshes || page.busy || !page.loaded || page.quiet_ms < 2000 || only_loads(page, past)
    {
        return Move::Wait;
    }
    after(past, UNKNOWN, || unknown(page, past))
}

/// "Loading…" and the like: a page that is still to come.
fn only_loads(page: &Reading, past: &Past) -> bool {
    let bare = page.fields.is_empty() && page.buttons.is_empty() && page.text.chars().count() < 60;
    bare && !past.password_sent && page.status.is_none_or(|status| status < 400)
}

/// The stop for a page that fits nothing.
pub(super) fn unknown(page: &Reading, past: &Past) -> Halt {
    let said = stops::quote(&page.headings, &page.title);
    if past.consents > 0 {
        let detail = format!("consent was given, and no redirect followed{said}");
        return Halt::new(Stage::Callback, Class::CallbackNotReached, detail);
    }
    let bare = page.fields.is_empty()
        && page
            .buttons
            .iter()
            .all(|button| button.kind == ButtonKind::Link);
    if past.password_sent && bare {
        let detail = format!("the sign-in was sent, and no redirect followed{said}");
        return Halt::new(Stage::Callback, Class::CallbackNotReached, detail);
    }
    if only_loads(page, past) {
        let detail = format!(
            "the page did not get beyond \"{}\"",
            stops::clip(&page.text)
        );
        return Halt::new(stage_now(past), Class::NavigationTimeout, detail);
    }
    Halt::new(
        stage_of_page(past),
        Class::UnexpectedPage,
        format!("no form, consent or error that is known{said}"),
    )
}

/// Past an offer that may be left out.
pub(super) fn way_past(page: &Reading, past: &Past) -> Option<Move> {
    if !acted(past) {
        return None;
    }
    let button =
        usable(page).find(|button| says(List::Skip, &button.says()) && open(page, past, button))?;
    Some(press(page, button, None))
}

/// From another second factor, or a list of them, to a code of an authenticator.
pub(super) fn way_to_code(page: &Reading, past: &Past) -> Option<Move> {
    way(page, past, List::ByCode).or_else(|| way(page, past, List::OtherWay))
}

fn way(page: &Reading, past: &Past, list: List) -> Option<Move> {
    let fits = |button: &&Button| {
        let caption = button.says();
        says(list, &caption) && !says(List::Elsewhere, &caption) && open(page, past, button)
    };
    // A link to the outside is no way on: only the page's own controls and links of the same site count.
    let button = usable(page).find(fits)?;
    Some(press(page, button, None))
}

fn error(page: &Reading, past: &Past, class: Class, said: &str) -> Move {
    if page.refreshes || !settled(page) {
        return Move::Wait;
    }
    // What is wrong with the request is the request's fault, also where the page shows it only after the sign-in.
    let stage = match class {
        _ if is_about_request(class) => Stage::Authorize,
        Class::BotChallenge | Class::AccountLocked | Class::SessionExpired => stage_of_page(past),
        _ => stage_now(past),
    };
    // Some checks of the browser pass by themselves.
    let grace = if class == Class::BotChallenge {
        4000
    } else {
        150
    };
    after(past, Duration::from_millis(grace), || {
        Halt::new(stage, class, format!("the page says: {said}"))
    })
}

fn is_about_request(class: Class) -> bool {
    matches!(
        class,
        Class::RedirectUriMismatch
            | Class::InvalidClient
            | Class::ClientDisabled
            | Class::UnauthorizedClient
            | Class::InvalidScope
            | Class::InvalidTarget
            | Class::InvalidRequest
            | Class::UnsupportedResponseType
    )
}

/// The button that grants consent, where the page is one that asks for it.
fn accept<'a>(page: &'a Reading, past: &Past, texts: &str) -> Option<&'a Button> {
    let asks = says(List::Consent, texts);
    let can_refuse = page
        .buttons
        .iter()
        .any(|button| !button.cookies && says(List::Deny, &button.says()));
    let stay = says(List::Stay, texts) && !asks;
    let kind = |button: &Button| match button.kind {
        ButtonKind::Submit => 3,
        ButtonKind::Button => 2,
        ButtonKind::Link => 1,
        ButtonKind::Other => 0,
    };
    let clear = harmless(page).filter(|button| grants(button) && open(page, past, button));
    let clear = clear.filter(|button| asks || can_refuse || button.kind == ButtonKind::Submit);
    if let Some(button) = clear.rev().max_by_key(|button| kind(button)) {
        return Some(button);
    }
    if !asks || stay || !(can_refuse || acted(past)) {
        return None;
    }
    let next = usable(page).filter(|button| {
        let caption = button.says();
        (leads(List::Next, &caption) || leads(List::Login, &caption))
            && button.kind != ButtonKind::Other
            && open(page, past, button)
    });
    next.filter(|button| can_refuse || button.kind == ButtonKind::Submit)
        .rev()
        .max_by_key(|button| kind(button))
}

/// Says that consent is granted; a link has to begin with it, since many are merely about it.
fn grants(button: &Button) -> bool {
    let caption = button.says();
    match button.kind {
        ButtonKind::Link | ButtonKind::Other => leads(List::Accept, &caption),
        ButtonKind::Submit | ButtonKind::Button => says(List::Accept, &caption),
    }
}

/// The own account in a list of accounts, or the way to name it.
fn account(page: &Reading, past: &Past) -> Option<Move> {
    let name = past.username.to_lowercase();
    let own = |button: &&Button| {
        let caption = button.caption.to_lowercase();
        !name.is_empty()
            && caption
                .split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '<' | '>'))
                .any(|word| word == name)
            && !says(List::Elsewhere, &plain(&caption))
            && !says(List::Deny, &plain(&caption))
            && open(page, past, button)
    };
    let other =
        |button: &&Button| says(List::OtherAccount, &button.says()) && open(page, past, button);
    let listed = usable(page)
        .find(own)
        .or_else(|| usable(page).find(other))?;
    Some(press(page, listed, Some(Stage::Login)))
}

/// A page after the password that wants a second factor, and shows no field for a code.
fn second_factor(page: &Reading, past: &Past, texts: &str) -> Option<Move> {
    if !past.password_sent
        || past.code_sent
        || !says(List::SecondFactor, texts)
        || says(List::Stay, texts)
    {
        return None;
    }
    if past.has_totp
        && let Some(found) = way_to_code(page, past)
    {
        return Some(found);
    }
    if let Some(found) = way_past(page, past) {
        return Some(found);
    }
    if !settled(page) || page.busy {
        return Some(Move::Wait);
    }
    let said = stops::quote(&page.headings, &page.title);
    let halt = || {
        Halt::new(
            Stage::Mfa,
            Class::MfaRequired,
            format!("the page wants a second factor{said}"),
        )
    };
    Some(after(past, Duration::from_millis(1500), halt))
}

/// A button that can only mean to go on.
fn onward<'a>(page: &'a Reading, past: &Past, texts: &str) -> Option<&'a Button> {
    if page.fields.iter().any(|field| {
        field.required
            && !field.filled
            && field.enabled
            && !matches!(field.kind.as_str(), "checkbox" | "radio")
    }) {
        return None;
    }
    let says_next = |button: &&Button| {
        let caption = button.says();
        (leads(List::Next, &caption) || leads(List::Login, &caption))
            && !says(List::Social, &caption)
            && open(page, past, button)
    };
    let mut candidates: Vec<&Button> = usable(page).filter(says_next).collect();
    if candidates
        .iter()
        .any(|button| button.kind == ButtonKind::Submit)
    {
        candidates.retain(|button| button.kind == ButtonKind::Submit);
    }
    let stay = says(List::Stay, texts);
    match candidates[..] {
        [only] => Some(only),
        [first, ..] if stay => Some(first),
        [first, ref rest @ ..] if rest.iter().all(|other| other.says() == first.says()) => {
            Some(first)
        }
        _ => None,
    }
}

fn usable(page: &Reading) -> impl DoubleEndedIterator<Item = &Button> {
    harmless(page).filter(|button| button.enabled)
}

/// What does not refuse, lead elsewhere, or belong to a box about cookies. It may not take input yet.
fn harmless(page: &Reading) -> impl DoubleEndedIterator<Item = &Button> {
    page.buttons.iter().filter(|button| {
        let caption = button.says();
        !button.cookies
            && !button.target.starts_with("mailto:")
            && (says(List::Skip, &caption)
                || (!says(List::Deny, &caption) && !says(List::Elsewhere, &caption)))
    })
}

fn press(page: &Reading, button: &Button, stage: Option<Stage>) -> Move {
    Move::Act(Act {
        stage,
        fills: Vec::new(),
        press: Some(button.index),
        name: name_of(page, button),
    })
}

/// Whether the button may be pressed once more.
fn open(page: &Reading, past: &Past, button: &Button) -> bool {
    past.pressed
        .get(&name_of(page, button))
        .is_none_or(|times| *times < PRESSES)
}

fn name_of(page: &Reading, button: &Button) -> String {
    format!("{} {}", page.place(), button.caption)
}
