//! Runbooks over HTTP: as pages for people, and as the Markdown they are for whatever accepts `text/markdown`.

use askama::Template;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, html};
use serde::Deserialize;

use super::super::{path, problem::Problem};
use super::{Page, render};
use crate::runbook;
use crate::taxonomy::Class;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choice {
    /// Of the notes on providers only those on this one.
    provider: Option<String>,
}

#[derive(Template)]
#[template(path = "runbook.html")]
struct RunbookPage {
    title: &'static str,
    /// Absent on the page that is common to all.
    facts: Option<Facts>,
    html: String,
}

/// What is known of a class besides its runbook.
struct Facts {
    cause: &'static str,
    action: &'static str,
    advice: &'static str,
    providers: Vec<Tab>,
}

/// One provider to choose.
struct Tab {
    slug: &'static str,
    chosen: bool,
}

/// `/runbooks`: what is common to all, and the list of them.
pub(crate) async fn index(headers: HeaderMap) -> Page {
    of_no_class("Runbooks", runbook::COMMON, &headers)
}

/// `/runbooks/prometheus`: where the alerts of the rules for Prometheus lead, a section for each.
pub(crate) async fn prometheus(headers: HeaderMap) -> Page {
    of_no_class("Alerts of Prometheus", runbook::PROMETHEUS, &headers)
}

fn of_no_class(title: &'static str, text: &str, headers: &HeaderMap) -> Page {
    if wants_markdown(headers) {
        return Ok(markdown(text.to_owned()));
    }
    vary(render(&RunbookPage {
        title,
        facts: None,
        html: html_of(text),
    }))
}

/// `/runbooks/{class}`, with `?provider=` for the notes on one provider alone.
pub(crate) async fn runbook(
    class: Result<Path<String>, PathRejection>,
    choice: Result<Query<Choice>, QueryRejection>,
    headers: HeaderMap,
) -> Page {
    let word = path(class)?;
    let Query(choice) = choice.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let class = word.parse::<Class>().map_err(|_| no_such_class(&word))?;
    let text = runbook::for_provider(class, choice.provider.as_deref());
    if wants_markdown(&headers) {
        return Ok(markdown(text));
    }
    let tab = |slug| Tab {
        slug,
        chosen: choice.provider.as_deref() == Some(slug),
    };
    vary(render(&RunbookPage {
        title: class.as_str(),
        facts: Some(Facts {
            cause: class.cause().as_str(),
            action: class.action().as_str(),
            advice: class.action().advice(),
            providers: runbook::providers(class).into_iter().map(tab).collect(),
        }),
        html: html_of(&text),
    }))
}

fn no_such_class(word: &str) -> Problem {
    Problem::not_found(match runbook::nearest(word) {
        Some(class) => format!("there is no such class; the nearest is {class}"),
        None => "there is no such class; /runbooks lists all".to_owned(),
    })
}

fn wants_markdown(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains("text/markdown"))
}

fn markdown(text: String) -> Response {
    let kind = [
        (header::CONTENT_TYPE, "text/markdown; charset=utf-8"),
        (header::VARY, "accept"),
    ];
    (kind, text).into_response()
}

/// The same address has two faces.
fn vary(page: Page) -> Page {
    page.map(|mut response| {
        let accept = HeaderValue::from_static("accept");
        response.headers_mut().insert(header::VARY, accept);
        response
    })
}

/// The text below its title, which the template shows. Links to files become addresses of pages, and headings can be linked to, as they can in the repository.
fn html_of(text: &str) -> String {
    let text = match text.strip_prefix("# ") {
        Some(titled) => titled.split_once('\n').map_or("", |(_, rest)| rest),
        None => text,
    };
    let mut events: Vec<Event<'_>> = Parser::new_ext(text, Options::ENABLE_TABLES).collect();
    for at in 0..events.len() {
        let following = match events.get(at + 1) {
            Some(Event::Text(words)) => Some(anchor(words)),
            _ => None,
        };
        match &mut events[at] {
            Event::Start(Tag::Link { dest_url, .. }) => *dest_url = address(dest_url),
            Event::Start(Tag::Heading { id, .. }) => *id = following.map(CowStr::from),
            _ => {}
        }
    }
    let mut page = String::with_capacity(text.len() * 2);
    html::push_html(&mut page, events.into_iter());
    page
}

fn anchor(words: &str) -> String {
    words.to_lowercase().replace(' ', "-")
}

fn address<'a>(target: &str) -> CowStr<'a> {
    let (file, anchor) = match target.split_once('#') {
        Some((file, anchor)) => (file, format!("#{anchor}")),
        None => (target, String::new()),
    };
    match file.strip_suffix(".md") {
        Some("README") => format!("/runbooks{anchor}"),
        Some(class) => format!("/runbooks/{class}{anchor}"),
        None => target.to_owned(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_between_files_become_links_between_pages() {
        let check = |markdown, html: &str| assert!(html_of(markdown).contains(html), "{markdown}");
        check("[a](code_reused.md)", r#"href="/runbooks/code_reused""#);
        check("[a](README.md#evidence)", r#"href="/runbooks#evidence""#);
        check("[a](#evidence)", r##"href="#evidence""##);
        check(
            "<https://example.com/a.b>",
            r#"href="https://example.com/a.b""#,
        );
        check("## Rotate credentials", r#"<h2 id="rotate-credentials">"#);
        check("```sh\njq '.a | <b>'\n```", "jq '.a | &lt;b&gt;'");
    }

    #[test]
    fn every_link_of_every_page_leads_to_a_page() {
        let link = regex::Regex::new(r##"href="/runbooks/?([^"#]*)"##).unwrap();
        let others = [runbook::COMMON, runbook::PROMETHEUS];
        for text in Class::all().map(runbook::text).chain(others) {
            for found in link.captures_iter(&html_of(text)) {
                assert!(found[1].is_empty() || found[1].parse::<Class>().is_ok());
            }
        }
    }
}
