//! What the words, the status and the kind of a page say about why it goes no further.

use super::reading::Reading;
use super::words::class_of;
use crate::taxonomy::{Class, Stage};

/// Where and why the pages end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    pub stage: Stage,
    pub class: Class,
    pub detail: String,
}

impl Halt {
    pub(super) fn new(stage: Stage, class: Class, detail: impl Into<String>) -> Self {
        Self {
            stage,
            class,
            detail: detail.into(),
        }
    }
}

/// The class that the first telling one of these texts means.
pub(super) fn class_in(texts: &[String]) -> Option<Class> {
    texts.iter().find_map(|text| class_of(text))
}

/// A page without a form that says what is wrong: in an alert, its title, a heading, its address, or, where the page is short
/// or its status an error, anywhere in its text.
pub(super) fn error_page(page: &Reading) -> Option<(Class, String)> {
    let loud = page.status.is_some_and(|status| status >= 400);
    let mut texts: Vec<&String> = page.alerts.iter().chain(&page.headings).collect();
    texts.push(&page.title);
    let short = page.text.chars().count() < 700 && page.fields.is_empty();
    let lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    let anywhere = if loud || short { &lines[..] } else { &[] };
    let named = texts
        .into_iter()
        .chain(anywhere)
        .filter_map(|text| class_of(text).map(|class| (class, text)));
    // A page often says "something went wrong" above the line that says what.
    let found = named.min_by_key(|(class, _)| is_vague(*class))?;
    let from_url = error_in_url(page).filter(|_| is_vague(found.0));
    Some((from_url.unwrap_or(found.0), clip(found.1)))
}

/// An error code of OAuth in the address of an error page.
pub(super) fn error_in_url(page: &Reading) -> Option<Class> {
    let url = url::Url::parse(&page.url).ok()?;
    let error = url
        .query_pairs()
        .find(|(name, _)| name == "error" || name == "error_code")?
        .1
        .into_owned();
    class_of(&error)
}

/// The class of a status that no words explain.
pub(super) fn status_class(status: u16) -> Class {
    match status {
        429 => Class::RateLimited,
        503 => Class::TemporarilyUnavailable,
        500 => Class::ServerError,
        501.. => Class::HttpServerError,
        _ => Class::HttpClientError,
    }
}

/// The browser could not load the page.
pub(super) fn net_error(error: &str, stage: Stage) -> Halt {
    let class = match error {
        e if e.contains("NAME_NOT_RESOLVED") || e.contains("dnsNotFound") => Class::DnsFailure,
        e if e.contains("CONNECTION_REFUSED") || e.contains("connectionFailure") => {
            Class::ConnectRefused
        }
        e if e.contains("CONNECTION_TIMED_OUT") || e.contains("netTimeout") => {
            Class::ConnectTimeout
        }
        e if e.contains("CONNECTION_RESET")
            || e.contains("EMPTY_RESPONSE")
            || e.contains("CONNECTION_CLOSED")
            || e.contains("netReset") =>
        {
            Class::ConnectionReset
        }
        e if e.contains("CERT_DATE") => Class::TlsExpired,
        e if e.contains("CERT_COMMON_NAME") => Class::TlsHostnameMismatch,
        e if e.contains("CERT") => Class::TlsUntrusted,
        e if e.contains("SSL") => Class::TlsHandshake,
        e if e.contains("REDIRECTS") || e.contains("redirectLoop") => Class::RedirectLoop,
        e if e.contains("PROXY") || e.contains("TUNNEL") => Class::ProxyError,
        e if e.contains("HTTP ERROR 4") => Class::HttpClientError,
        e if e.contains("HTTP ERROR 5") => Class::HttpServerError,
        e if e.contains("INVALID_RESPONSE") || e.contains("INVALID_HTTP") => {
            Class::MalformedResponse
        }
        e if e.contains("TIMED_OUT") => Class::NavigationTimeout,
        _ => Class::NavigationTimeout,
    };
    Halt::new(
        stage,
        class,
        format!("the browser could not load the page: {}", clip(error)),
    )
}

/// The first heading or the title, as an addition to a sentence.
pub(super) fn quote(headings: &[String], title: &str) -> String {
    let text = headings.first().map_or(title, String::as_str);
    if text.is_empty() {
        String::new()
    } else {
        format!(": {}", clip(text))
    }
}

/// A text of the page, within limits. It is cut to the length of a line once secrets are out of it, and not before: the
/// first half of a secret would be found by nobody.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(4000).collect()
}

/// Says that something is wrong, and not what.
fn is_vague(class: Class) -> bool {
    matches!(class, Class::ServerError | Class::InvalidRequest)
}
