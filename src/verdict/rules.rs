//! Holds an answer against the tables of providers.

use super::members::squash;
use super::seen::Seen;
use crate::provider::{Fact, Provider, Rule};

/// The first rule of a provider that fits, with the name of what fitted.
pub(super) fn first(provider: &Provider, seen: &Seen<'_>) -> Option<(&'static Rule, String)> {
    provider
        .rules
        .iter()
        .find_map(|rule| Some((rule, format!("{}/{}", provider.name, fits(rule, seen)?))))
}

/// The first rule about a code that only this provider uses. Such codes hold wherever they show up.
pub(super) fn first_of_family(
    provider: &Provider,
    seen: &Seen<'_>,
) -> Option<(&'static Rule, String)> {
    let prefix = provider.prefix?;
    let shown = seen.codes.iter().any(|code| code.starts_with(prefix));
    let rules = shown.then(|| {
        provider.rules.iter().filter(|rule| {
            let mut codes = rule.codes.iter();
            codes.any(|code| code.starts_with(prefix))
        })
    })?;
    rules
        .into_iter()
        .find_map(|rule| Some((rule, format!("{}/{}", provider.name, fits(rule, seen)?))))
}

/// The code, phrase or fact that fits, if all of the rule does.
fn fits(rule: &Rule, seen: &Seen<'_>) -> Option<String> {
    let case = seen.case;
    let grant = case.context.text("grant_type").unwrap_or_default();
    let here = (rule.at.is_empty() || rule.at.contains(&case.stage))
        && (rule.grants.is_empty() || rule.grants.iter().any(|one| grant.ends_with(one)))
        && (rule.status.is_empty()
            || case
                .status
                .is_some_and(|status| rule.status.contains(&status)))
        && rule.fact.is_none_or(|fact| is_so(fact, seen));
    if !here {
        return None;
    }
    let code = match rule.codes {
        [] => None,
        codes => Some(
            *codes
                .iter()
                .find(|code| seen.squashed.contains(&squash(code)))?,
        ),
    };
    let phrase = match rule.says {
        [] => None,
        phrases => Some(*phrases.iter().find(|phrase| speaks(&seen.plain, phrase))?),
    };
    Some(
        code.or(phrase)
            .map_or_else(|| rule.class.to_string(), |name| name.replace(' ', "_")),
    )
}

/// Whether a text in plain form has the parts of a phrase in their order, each at the start of a word.
fn speaks(text: &str, phrase: &str) -> bool {
    let mut rest = text;
    for part in phrase.split('*') {
        let part = format!(" {}", part.trim());
        let Some(at) = rest.find(&part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    true
}

fn is_so(fact: Fact, seen: &Seen<'_>) -> bool {
    let context = &seen.case.context;
    match fact {
        Fact::NoHeader(name) => seen.header(name).is_none(),
        Fact::Header(name) => seen.header(name).is_some(),
        Fact::RefreshTokenDays(days) => context
            .number("refresh_token_age_days")
            .is_some_and(|age| age >= f64::from(days)),
        Fact::Published(status) => context.text("app_publishing_status") == Some(status),
        Fact::Bare => seen.texts.iter().all(|text| text.trim().is_empty()),
    }
}
