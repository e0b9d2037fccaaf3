//! The order in which rules are asked, from narrow to broad; the first that has something to say wins.

use serde_json::Value;

use super::case::{Answer, Case};
use super::meaning::Call;
use super::seen::{Body, Seen};
use super::{codes, gateway, good, meaning, rules, status};
use crate::provider::{self, Provider};
use crate::taxonomy::{Action, Cause, Class, Family, Stage};

/// A class, what the evidence says beyond it, and the rule that found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) class: Class,
    pub(super) blame: Option<(Cause, Action)>,
    pub(super) rule: String,
}

impl Found {
    /// By a rule of this kind, with the defaults of the class.
    pub(super) fn plain(class: Class, kind: &str) -> Self {
        Self {
            class,
            blame: None,
            rule: format!("{kind}/{class}"),
        }
    }

    fn named(class: Class, rule: String) -> Self {
        Self {
            class,
            blame: None,
            rule,
        }
    }

    pub(super) fn cause(&self) -> Cause {
        self.blame.map_or(self.class.cause(), |(cause, _)| cause)
    }

    pub(super) fn action(&self) -> Action {
        self.blame.map_or(self.class.action(), |(_, action)| action)
    }
}

/// What is wrong with an answer; `None` where nothing is.
pub(super) fn decide(case: &Case, providers: &[&'static Provider]) -> Option<Found> {
    let seen = Seen::read(case);
    let call = Call::of(case.stage, case.context.text("grant_type"));
    if let Some(class) = good::is_foreign(&seen) {
        return Some(Found::plain(class, "check"));
    }
    if is_pending(&seen) {
        return None;
    }
    let found = if is_error(&seen) {
        Some(of_error(&seen, call, providers))
    } else {
        behind_success(&seen)
            .or_else(|| good::check(&seen).map(|class| Found::plain(class, "check")))
    };
    match case.context.text("negative_check") {
        Some(check) => of_negative(&seen, check, call, found),
        None => found,
    }
}

/// Something that must be refused was sent: a refusal is good, trouble on the way to it proves nothing.
fn of_negative(seen: &Seen<'_>, check: &str, call: Call, found: Option<Found>) -> Option<Found> {
    let refused = seen.refused || seen.case.status.is_some_and(|status| status >= 400);
    if !refused {
        let taken_for = good::accepted(check, call);
        let inactive =
            seen.object().and_then(|object| object.get("active")) == Some(&Value::Bool(false));
        let broken = found
            .as_ref()
            .is_some_and(|found| found.class == Class::MalformedResponse);
        return match found {
            _ if inactive => None,
            Some(found) if broken => Some(found),
            _ => Some(Found::plain(taken_for, "negative")),
        };
    }
    found.filter(|found| found.class.family() != Family::Protocol || is_trouble(found.class))
}

fn is_trouble(class: Class) -> bool {
    matches!(
        class,
        Class::ServerError | Class::TemporarilyUnavailable | Class::RateLimited
    )
}

/// While a device code is open, waiting is no failure (RFC 8628 section 3.5).
fn is_pending(seen: &Seen<'_>) -> bool {
    let pending = ["authorization_pending", "AADSTS70016"];
    seen.codes
        .iter()
        .any(|code| pending.iter().any(|one| code.eq_ignore_ascii_case(one)))
}

/// Whether the answer is an error at all.
fn is_error(seen: &Seen<'_>) -> bool {
    match (&seen.case.answer, seen.case.status) {
        (Answer::Page(_), _) => true,
        (Answer::Callback(_), _) | (Answer::Body(_), None) => seen.refused,
        (Answer::Body(_), Some(200..300)) => seen.refused,
        (Answer::Body(_), Some(300..400)) => seen.refused || !may_redirect(seen.case.stage),
        (Answer::Body(_), Some(_)) => true,
    }
}

fn may_redirect(stage: Stage) -> bool {
    matches!(
        stage,
        Stage::Authorize
            | Stage::Login
            | Stage::Mfa
            | Stage::Consent
            | Stage::Logout
            | Stage::Callback
    )
}

/// A page of a gateway in place of a good answer.
fn behind_success(seen: &Seen<'_>) -> Option<Found> {
    let page = matches!(seen.body, Body::Markup { .. }) && !may_redirect(seen.case.stage);
    let (class, mark) = gateway::judge(seen).filter(|_| page)?;
    Some(Found::named(class, format!("gateway/{mark}")))
}

fn of_error(seen: &Seen<'_>, call: Call, providers: &[&'static Provider]) -> Found {
    let own = provider::find(&seen.case.provider)
        .filter(|own| providers.iter().any(|one| one.name == own.name));
    by_table(seen, own, providers)
        .or_else(|| by_known_facts(seen, call, own))
        .or_else(|| {
            let (class, mark) = gateway::judge(seen)?;
            Some(Found::named(class, format!("gateway/{mark}")))
        })
        .or_else(|| by_words(seen, call))
        .unwrap_or_else(|| by_rest(seen, call))
}

/// The provider's own table, then families of codes that only one provider uses.
fn by_table(
    seen: &Seen<'_>,
    own: Option<&'static Provider>,
    providers: &[&'static Provider],
) -> Option<Found> {
    let (rule, name) = own.and_then(|own| rules::first(own, seen)).or_else(|| {
        providers
            .iter()
            .find_map(|provider| rules::first_of_family(provider, seen))
    })?;
    let class = rule.class;
    let blame = (
        rule.cause.unwrap_or(class.cause()),
        rule.action.unwrap_or(class.action()),
    );
    Some(Found {
        class,
        blame: Some(blame),
        rule: name,
    })
}

/// A refusal without a reason has one that the probe knows: its secret or its refresh token has run out.
fn by_known_facts(seen: &Seen<'_>, call: Call, own: Option<&Provider>) -> Option<Found> {
    let context = &seen.case.context;
    let code = seen.error.as_deref()?;
    let expires = context
        .moment("client_secret_jwt_expires")
        .or_else(|| context.moment("client_secret_expires"));
    let over = expires
        .zip(context.moment("now"))
        .is_some_and(|(expires, now)| expires <= now);
    if over && code.eq_ignore_ascii_case("invalid_client") {
        return Some(Found::plain(Class::ClientSecretExpired, "known"));
    }
    // No longer than ten minutes is what a code may live (RFC 6749 section 4.1.2).
    let is_old = context.number("code_age_s").is_some_and(|age| age >= 600.0);
    if call == Call::Code && is_old && code.eq_ignore_ascii_case("invalid_grant") {
        return Some(Found::plain(Class::CodeExpired, "known"));
    }
    let (age, limit) = (
        context.number("refresh_token_age_days"),
        own.and_then(|own| own.refresh_token_days),
    );
    let dead = age
        .zip(limit)
        .is_some_and(|(age, limit)| age >= f64::from(limit));
    if call == Call::Refresh && dead && code.eq_ignore_ascii_case("invalid_grant") {
        return Some(Found::plain(Class::RefreshTokenExpired, "known"));
    }
    None
}

/// Codes and texts together. A narrow code wins; a rough one gives way to a text that says more.
fn by_words(seen: &Seen<'_>, call: Call) -> Option<Found> {
    let coded: Vec<(&str, Class)> = seen
        .error
        .iter()
        .chain(&seen.codes)
        .filter(|code| !status::is_reason(code))
        .filter_map(|code| Some((code.as_str(), codes::class_of(code, call)?)))
        .collect();
    let by_code = |(code, class): &(&str, Class)| Found::named(*class, format!("code/{code}"));
    let token_came = seen.is_success()
        && seen
            .object()
            .is_some_and(|object| object.get("access_token").is_some_and(Value::is_string));
    let rough = coded
        .iter()
        .find(|(_, class)| !codes::is_blunt(*class))
        .or(coded.first());
    let narrow = coded.iter().find(|(_, class)| !codes::is_rough(*class));
    if token_came {
        return narrow.or(rough).map(by_code);
    }
    let meaning = meaning::of(call, spoken(seen, call));
    if let Some(narrow) = narrow {
        let same = meaning.filter(|meaning| meaning.class == narrow.1);
        return Some(Found {
            blame: same.and_then(|meaning| meaning.blame),
            ..by_code(narrow)
        });
    }
    let Some(meaning) = meaning else {
        return rough.map(by_code).or_else(|| by_page_words(seen));
    };
    let told = Found {
        class: meaning.class,
        blame: meaning.blame,
        rule: format!("meaning/{}", meaning.class),
    };
    let vague = meaning::is_vague(meaning.class);
    match rough {
        Some((_, Class::ServerError | Class::InvalidRequest)) if is_trouble(meaning.class) => {
            Some(told)
        }
        // "The user said no" and "it is not for this user" say more than that the grant is refused.
        Some((_, Class::InvalidGrant)) if meaning.class == Class::AccessDenied => Some(told),
        Some(rough) if vague => Some(by_code(rough)),
        None if vague => by_page_words(seen)
            .or_else(|| Some(told).filter(|_| !is_bare_trouble(seen, meaning.class))),
        _ => Some(told),
    }
}

/// "Something went wrong" with a server status and without a code says no more than the status.
fn is_bare_trouble(seen: &Seen<'_>, class: Class) -> bool {
    let status = seen.case.status.unwrap_or_default();
    status == 402 || status >= 500 && class == Class::ServerError && !seen.refused
}

/// Texts, and codes that nobody knows, read as texts.
fn spoken<'s>(seen: &'s Seen<'_>, call: Call) -> impl Iterator<Item = &'s str> {
    let unknown = seen
        .codes
        .iter()
        .filter(move |code| !code.contains('=') && codes::class_of(code, call).is_none());
    let error = seen
        .error
        .iter()
        .filter(move |error| codes::class_of(error, call).is_none());
    seen.texts
        .iter()
        .chain(error)
        .chain(unknown)
        .map(String::as_str)
        .filter(|text| !status::is_reason(text))
}

/// The words of sign-in pages, in many languages.
fn by_page_words(seen: &Seen<'_>) -> Option<Found> {
    let Answer::Page(page) = &seen.case.answer else {
        return None;
    };
    let lines = std::iter::once(page.title.as_str()).chain(page.text.lines());
    let named = lines.take(60).filter_map(crate::signin::class_of);
    let class = named.min_by_key(|class| meaning::is_vague(*class))?;
    (!meaning::is_vague(class)).then(|| Found::plain(class, "page"))
}

fn by_rest(seen: &Seen<'_>, call: Call) -> Found {
    if let Answer::Page(_) = &seen.case.answer {
        let class = match seen.case.status {
            Some(status) if status >= 400 => status::class(seen, call),
            _ if seen.refused => Class::ServerError,
            _ => Class::UnexpectedPage,
        };
        return Found::plain(class, "page");
    }
    let class = status::class(seen, call);
    let status = seen
        .case
        .status
        .map_or_else(|| "none".to_owned(), |status| status.to_string());
    Found::named(class, format!("status/{status}"))
}
