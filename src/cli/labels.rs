//! What the commands about alerts share: labels to match, names of alerts, times, lists, and who is asking.

use std::collections::BTreeMap;

use anyhow::Context;
use comfy_table::Table;
use jiff::{SpanRelativeTo, Timestamp};
use serde::Serialize;

use super::client::Form;
use super::{Exit, say};
use crate::alert::Fingerprint;
use crate::notify::route::OneOrMany;

/// Prints what the API gave, or a table of it, or that there is nothing.
pub(super) fn list_of(
    what: &str,
    form: Form,
    found: &impl Serialize,
    table: &Table,
) -> anyhow::Result<Exit> {
    if form == Form::Json {
        say(&serde_json::to_string_pretty(found)?)?;
    } else if table.is_empty() {
        eprintln!("no {what}");
    } else {
        say(&table.to_string())?;
    }
    Ok(Exit::Ok)
}

/// A label and a value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label(String, String);

/// Reads `provider=keycloak`.
pub(super) fn label(text: &str) -> Result<Label, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok(Label(name.to_owned(), value.to_owned()))
        }
        _ => Err(
            "a label is NAME=VALUE, such as probe=keycloak/prod, provider=keycloak, environment=prod, class=captcha, \
             severity=ticket, kind=expiry, fingerprint=4f2c91d07a3be658, or a label of your probe files"
                .to_owned(),
        ),
    }
}

/// Labels as a silence and the routes have them: a name that comes twice takes any of its values.
pub(super) fn matches(labels: Vec<Label>) -> BTreeMap<String, OneOrMany> {
    let mut values = BTreeMap::<String, Vec<String>>::new();
    for Label(name, value) in labels {
        values.entry(name).or_default().push(value);
    }
    let either = |mut values: Vec<String>| match values.len() {
        1 => OneOrMany::One(values.remove(0)),
        _ => OneOrMany::Many(values),
    };
    let values = values.into_iter();
    values.map(|(name, all)| (name, either(all))).collect()
}

/// `probe=acme/prod probe=acme/staging`, as it was typed.
pub(super) fn typed(matches: &BTreeMap<String, OneOrMany>) -> String {
    let pairs = matches.iter().flat_map(|(name, values)| {
        let values = values.texts().iter();
        values.map(move |value| format!("{name}={value}"))
    });
    pairs.collect::<Vec<_>>().join(" ")
}

/// Reads the name of an alert, which stands in an address as it is.
pub(super) fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !text.is_empty() && text.chars().all(plain) {
        true => Ok(Fingerprint(text.to_owned())),
        false => Err(
            "a fingerprint is letters, digits and hyphens, as `authcanary alerts` shows them"
                .to_owned(),
        ),
    }
}

/// `at` and so much more, such as `2h`.
pub(super) fn after(at: Timestamp, span: jiff::Span) -> anyhow::Result<Timestamp> {
    let lasts = span.to_duration(SpanRelativeTo::days_are_24_hours())?;
    at.checked_add(lasts).context("that is too far away")
}

/// The one who is asking: as named, or as this machine knows them.
pub(super) fn who(named: Option<String>, option: &str) -> anyhow::Result<String> {
    let known = ["USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok());
    let mut known = known.filter(|name| !name.trim().is_empty());
    named
        .or_else(|| known.next())
        .with_context(|| format!("say who you are: {option} NAME"))
}
