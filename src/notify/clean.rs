//! News as they may leave. Texts of providers and of people are in them: each becomes one line, loses characters that could
//! turn text around, and is redacted once more, in case it came by a way that does not redact. No list and no text is
//! without end.

use std::sync::LazyLock;

use regex::Regex;
use url::Url;

use super::story::page;
use super::{News, Origin, limit};
use crate::redact::Redactor;

/// Links, runs and deploys of an alert.
const MOST_LINKS: usize = 20;

/// Names in a part of a scope.
const MOST_MEMBERS: usize = 200;

/// Labels of an alert.
const MOST_LABELS: usize = 50;

/// Characters of any text.
const LONGEST: usize = 2000;

/// Of a longer text only the beginning is read.
const READ_BYTES: usize = 16 * 1024;

/// Longer addresses are left out: half of one leads nowhere.
pub(super) const LONGEST_URL: usize = 1000;

/// News with every text made one clean line, and no list longer than a person or a program can use. What channels
/// compose from has gone through here.
pub(super) fn news(news: &News, origin: &Origin) -> News {
    let mut news = news.clone();
    tidy(&mut news.note);
    let alert = &mut news.alert;
    tidy(&mut alert.summary);
    tidy(&mut alert.reason);
    if let Some(verdict) = &mut alert.verdict {
        tidy(&mut verdict.detail);
    }
    let class = alert.verdict.as_ref().map_or("", |it| it.class.as_str());
    alert.runbook_url = alert
        .runbook_url
        .as_ref()
        .and_then(|url| web_address(&url.replace("{class}", class), origin));
    alert.evidence.truncate(MOST_LINKS);
    alert.evidence = alert
        .evidence
        .iter()
        .filter_map(|url| web_address(url, origin))
        .collect();
    alert.runs.truncate(MOST_LINKS);
    alert.deploys.truncate(MOST_LINKS);
    for deploy in &mut alert.deploys {
        // The name of a commit looks like a secret and is none.
        let is_commit = deploy.id.len() <= 64 && deploy.id.bytes().all(|c| c.is_ascii_hexdigit());
        if !is_commit {
            tidy(&mut deploy.id);
        }
        tidy(&mut deploy.note);
        // A mail address of a person is nobody's business but theirs.
        deploy.by = deploy.by.split('@').next().unwrap_or_default().to_owned();
        tidy(&mut deploy.by);
        deploy.url = deploy
            .url
            .as_deref()
            .and_then(|url| web_address(url, origin));
    }
    alert.scope.probe.truncate(MOST_MEMBERS);
    for names in [
        &mut alert.scope.provider,
        &mut alert.scope.environment,
        &mut alert.scope.location,
    ] {
        names.truncate(MOST_MEMBERS);
        names.iter_mut().for_each(|name| *name = one_line(name));
    }
    let labels = std::mem::take(&mut alert.labels);
    alert.labels = labels
        .into_iter()
        .take(MOST_LABELS)
        .map(|(name, mut value)| {
            tidy(&mut value);
            (limit::units(&one_line(&name), 100), value)
        })
        .collect();
    news
}

fn tidy(text: &mut String) {
    *text = line(text, LONGEST);
}

/// One clean line: no control characters, nothing that turns text around, no secret, no mail address.
pub(super) fn line(text: &str, longest: usize) -> String {
    static MAIL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
            .expect("a constant pattern")
    });
    let redacted = Redactor::default().text(beginning(text));
    let hidden = MAIL.replace_all(&redacted, "[mail address]");
    limit::units(&one_line(&hidden), longest)
}

/// As much as is read at all, without a word that was cut, which may be the beginning of a secret.
fn beginning(text: &str) -> &str {
    if text.len() <= READ_BYTES {
        return text;
    }
    let text = &text[..text.floor_char_boundary(READ_BYTES)];
    let end = text.rfind(char::is_whitespace).unwrap_or(0);
    &text[..end]
}

/// Without line breaks, control characters and marks of direction.
fn one_line(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean: String = text
        .chars()
        .filter(|c| !turns(*c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An address that a person may be sent to: `http` or `https`, no credentials in it, secrets redacted. One that begins
/// with a slash is a page of this daemon.
pub(super) fn web_address(text: &str, origin: &Origin) -> Option<String> {
    if text.starts_with('/') && !text.starts_with("//") {
        return page(origin, text);
    }
    let mut url = Url::parse(text).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    // Neither fails for an address that has a host.
    let _ = url.set_password(None);
    let _ = url.set_username("");
    let clean = Redactor::default().url(url.as_str());
    (clean.len() <= LONGEST_URL).then(|| clean.replace('|', "%7C"))
}
