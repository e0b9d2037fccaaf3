//! What an answer says, wherever it says it: codes, texts and marks of failure, gathered from body, headers, redirect
//! parameters and pages. Only gathers; what it means is decided by the rules.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::case::{Answer, Case};
use super::markup;
use super::members::{
    CODES, NESTS, TEXTS, about_a_field, admits_failure, looks_like_a_code, squash,
};
use super::text::plain;
use crate::oauth::form;

/// Longer texts are cut: what matters stands at the beginning.
const LIMIT_BYTES: usize = 128 * 1024;

/// More members than these are not looked at.
const LIMIT_MEMBERS: usize = 2000;

/// More codes than these are not looked at.
const LIMIT_CODES: usize = 200;

/// An answer, read.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) case: &'a Case,
    pub(super) body: Body,
    /// Codes in the order in which they were found, as sent; a number as `member=number`.
    pub(super) codes: Vec<String>,
    /// The same, without case and separators.
    pub(super) squashed: HashSet<String>,
    /// `error` of RFC 6749, or what stands in its place.
    pub(super) error: Option<String>,
    /// Sentences for people, as sent.
    pub(super) texts: Vec<String>,
    /// All texts in plain form, for phrases.
    pub(super) plain: String,
    /// The answer itself says that it is an error.
    pub(super) refused: bool,
}

/// What kind of body came.
#[derive(Debug)]
pub(super) enum Body {
    Empty,
    Json(Value),
    Form(Vec<(String, String)>),
    Markup { source: String },
    Text(String),
}

impl<'a> Seen<'a> {
    /// Reads an answer.
    pub(super) fn read(case: &'a Case) -> Self {
        let mut seen = Self {
            case,
            body: Body::Empty,
            codes: Vec::new(),
            squashed: HashSet::new(),
            error: None,
            texts: Vec::new(),
            plain: String::new(),
            refused: false,
        };
        match &case.answer {
            Answer::Body(body) => seen.read_body(cut(body)),
            Answer::Callback(parameters) => seen.read_callback(cut(parameters)),
            Answer::Page(page) => seen.read_page(&page.url, &page.title, cut(&page.text)),
        }
        seen.read_headers();
        seen.read_codes_in_texts();
        seen.codes.truncate(LIMIT_CODES);
        seen.squashed = seen.codes.iter().map(|code| squash(code)).collect();
        let spoken = seen.texts.join(" . ");
        seen.plain = format!(" {} ", plain(cut(&spoken)));
        seen
    }

    /// The first header of this (lower-case) name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        crate::oauth::header(&self.case.headers, name)
    }

    /// Whether the status says success.
    pub(super) fn is_success(&self) -> bool {
        matches!(self.case.status, Some(200..300))
    }

    /// The JSON object of the body.
    pub(super) fn object(&self) -> Option<&Map<String, Value>> {
        match &self.body {
            Body::Json(Value::Object(object)) => Some(object),
            _ => None,
        }
    }

    fn read_body(&mut self, body: &str) {
        let trimmed = body.trim_start_matches('\u{feff}').trim();
        let json = trimmed
            .strip_prefix(")]}'")
            .unwrap_or(trimmed)
            .trim_start_matches(',');
        if trimmed.is_empty() {
            return;
        }
        if let Ok(value) = serde_json::from_str::<Value>(json) {
            self.read_json(&value);
            self.body = Body::Json(value);
        } else if trimmed.starts_with('<') {
            self.read_markup(trimmed);
        } else if let Some(pairs) = form_in(trimmed) {
            self.read_pairs(&pairs);
            self.body = Body::Form(pairs);
        } else {
            self.texts.push(trimmed.to_owned());
            self.body = Body::Text(trimmed.to_owned());
        }
    }

    fn read_callback(&mut self, parameters: &str) {
        let parameters = parameters.trim_start_matches(['?', '#']);
        let parameters = parameters.split('#').next().unwrap_or_default();
        let pairs = form::pairs(parameters);
        self.read_pairs(&pairs);
        self.body = Body::Form(pairs);
    }

    fn read_page(&mut self, url: &str, title: &str, text: &str) {
        if let Ok(url) = url::Url::parse(url) {
            let named: Vec<(String, String)> = url
                .query_pairs()
                .chain(form_urlencoded::parse(
                    url.fragment().unwrap_or_default().as_bytes(),
                ))
                .filter(|(name, _)| name.starts_with("error"))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            self.read_pairs(&named);
        }
        self.texts.push(title.to_owned());
        self.texts.extend(text.lines().map(str::to_owned));
    }

    fn read_pairs(&mut self, pairs: &[(String, String)]) {
        for (name, value) in pairs {
            let name = squash(name);
            if name == "error" && !value.is_empty() {
                self.refused = true;
                self.error.get_or_insert_with(|| value.clone());
            }
            if name.starts_with("error")
                || name == "message"
                || name == "reason"
                || name == "code" && self.refused
            {
                self.take(&name, value);
            }
        }
    }

    fn read_markup(&mut self, document: &str) {
        let found = markup::read(document);
        if !is_html(document) {
            for (name, value) in &found.leaves {
                self.refused |= squash(name).contains("error") || squash(name).contains("fault");
                self.take(&squash(name), value);
            }
        }
        self.texts.extend(found.texts);
        self.body = Body::Markup {
            source: document.to_owned(),
        };
    }

    fn read_json(&mut self, value: &Value) {
        let mut left = LIMIT_MEMBERS;
        let own = match value {
            // Some APIs answer with a list of errors.
            Value::Array(list) => {
                self.refused |= list.iter().any(|one| {
                    one.as_object().is_some_and(|one| {
                        one.keys().any(|name| squash(name).starts_with("errorcode"))
                    })
                });
                list.iter().take(5).collect()
            }
            one => vec![one],
        };
        for one in own {
            match one {
                Value::Object(object) => {
                    self.refused |= admits_failure(object);
                    self.read_object(object, 0, &mut left);
                }
                Value::String(text) => self.texts.push(text.clone()),
                _ => {}
            }
        }
    }

    /// Outer members first: what stands at the top names the error, what hangs below it explains.
    fn read_object(&mut self, object: &Map<String, Value>, depth: usize, left: &mut usize) {
        self.texts.extend(about_a_field(object));
        let mut nested = Vec::new();
        for (name, value) in object {
            if *left == 0 {
                return;
            }
            *left -= 1;
            let name = squash(name);
            match value {
                Value::String(text) => {
                    if name == "error" && depth == 0 && !text.is_empty() {
                        self.error = Some(text.clone());
                    }
                    self.take(&name, text);
                }
                Value::Number(number) if CODES.contains(&name.as_str()) => {
                    self.codes.push(format!("{name}={number}"));
                }
                Value::Bool(true) => self.codes.push(format!("{name}=true")),
                Value::Object(_) | Value::Array(_) => nested.push((name, value)),
                _ => {}
            }
        }
        for (name, value) in nested {
            if depth >= 6 {
                return;
            }
            let hangs = depth > 0 || NESTS.contains(&name.as_str()) || self.refused;
            match value {
                Value::Object(inner) if hangs => self.read_object(inner, depth + 1, left),
                Value::Array(list) => self.read_list(&name, list, depth, left, hangs),
                _ => {}
            }
        }
    }

    fn read_list(
        &mut self,
        name: &str,
        list: &[Value],
        depth: usize,
        left: &mut usize,
        hangs: bool,
    ) {
        for one in list.iter().take(20) {
            match one {
                Value::String(text) => self.take(name, text),
                Value::Number(number) if CODES.contains(&name) => {
                    self.codes.push(format!("{name}={number}"));
                }
                Value::Object(inner) if hangs => self.read_object(inner, depth + 1, left),
                _ => {}
            }
        }
    }

    /// Takes a member for a code, a text, or both.
    fn take(&mut self, name: &str, value: &str) {
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let is_code = looks_like_a_code(value);
        let for_people = TEXTS.contains(&name) && !CODES.contains(&name);
        if (CODES.contains(&name) || name.contains("error")) && is_code && !for_people {
            self.codes.push(value.to_owned());
        } else if TEXTS.contains(&name) || name.contains("error") || name.contains("message") {
            if is_code {
                self.codes.push(value.to_owned());
            }
            self.texts.push(value.to_owned());
        }
    }

    fn read_headers(&mut self) {
        let case = self.case;
        for (name, value) in &case.headers {
            match name.as_str() {
                "www-authenticate" => {
                    for (name, value) in crate::oauth::problem::challenge(value) {
                        if name.starts_with("error") {
                            if name == "error" {
                                self.refused = true;
                                self.error.get_or_insert_with(|| value.clone());
                            }
                            self.take(&squash(&name), &value);
                        }
                    }
                }
                "x-amzn-errortype" => {
                    let code = value.split(':').next().unwrap_or_default();
                    self.codes.push(code.to_owned());
                }
                "x-amzn-errormessage"
                | "x-error-message"
                | "x-error-description"
                | "x-oauth-error-description"
                | "error-description" => {
                    self.texts.push(value.clone());
                }
                "x-error-code" | "x-oauth-error" | "x-ms-error-code" | "x-error"
                | "x-ext-error" => self.codes.push(value.clone()),
                _ => {}
            }
        }
    }

    /// Codes that stand inside a text: `AADSTS50011: …`, `Error 400: redirect_uri_mismatch`.
    fn read_codes_in_texts(&mut self) {
        static IN_TEXT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(concat!(
                r"\b(?:[A-Z][A-Z0-9]{1,9}-?\d{3,8}|E\d{7}|",
                r"[a-z]{3,}(?:_[a-z]{2,}){1,6}|[A-Z]{3,}(?:_[A-Z]{2,}){1,6})\b"
            ))
            .expect("a fixed pattern")
        });
        let mut found = Vec::new();
        for text in self.texts.iter().take(100) {
            for code in IN_TEXT.find_iter(text).take(20) {
                found.push(code.as_str().to_owned());
            }
        }
        for code in found {
            if !self.codes.contains(&code) {
                self.codes.push(code);
            }
        }
    }
}

fn is_html(document: &str) -> bool {
    let start: String = document.chars().take(2000).collect();
    let start = start.to_ascii_lowercase();
    [
        "<html",
        "<!doctype html",
        "<body",
        "<head",
        "<center",
        "<h1",
        "<title",
        "<p>",
        "<div",
    ]
    .iter()
    .any(|tag| start.contains(tag))
}

/// Pairs, where the text can only be form-encoded.
fn form_in(text: &str) -> Option<Vec<(String, String)>> {
    let encoded = text.contains('=') && !text.contains(char::is_whitespace);
    let pairs = encoded.then(|| form::pairs(text))?;
    let telling = ["error", "access_token", "oauth_problem", "code", "active"];
    pairs
        .iter()
        .any(|(name, _)| telling.contains(&name.as_str()))
        .then_some(pairs)
}

/// The beginning of a text.
fn cut(text: &str) -> &str {
    let mut end = text.len().min(LIMIT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
