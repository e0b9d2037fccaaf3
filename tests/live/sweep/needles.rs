//! What must be found nowhere, in every form in which it could stand somewhere, and the search for it.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use axum::http::header;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use flate2::read::GzDecoder;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use regex::bytes::Regex;
use serde_json::Value;

use super::tap::{Exchange, parameter};

/// Parts of a long secret are secret as well; shorter ones are looked for as a whole.
const HALVED_FROM: usize = 32;
/// Shorter texts stand in harmless places too.
const SHORTEST: usize = 6;

/// Secrets, each with a word that says what it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Needles(BTreeMap<String, String>);

impl Needles {
    pub(crate) fn add(&mut self, what: &str, value: &str) {
        if value.len() >= SHORTEST {
            self.0
                .entry(value.to_owned())
                .or_insert_with(|| what.to_owned());
        }
    }

    /// Everything secret that was said in an exchange with the provider, by either side.
    pub(crate) fn learn(&mut self, exchange: &Exchange) {
        self.learn_request(exchange);
        self.learn_response(exchange);
    }

    fn learn_request(&mut self, exchange: &Exchange) {
        const PUBLIC: [&str; 7] = [
            "grant_type",
            "redirect_uri",
            "client_id",
            "scope",
            "token_type_hint",
            "post_logout_redirect_uri",
            "consent",
        ];
        if let Some((_, credentials)) = exchange
            .header("authorization")
            .and_then(|value| value.split_once(' '))
        {
            self.token("authorization header", credentials);
            let decoded = STANDARD
                .decode(credentials)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some((_, secret)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) {
                self.add("client secret as sent", secret);
            }
        }
        for cookie in exchange.header("cookie").unwrap_or_default().split("; ") {
            self.add(
                "cookie",
                cookie.split_once('=').map_or("", |(_, value)| value),
            );
        }
        for (name, value) in exchange.form() {
            if exchange.method == "POST" && !PUBLIC.contains(&name.as_str()) {
                self.token(&format!("form field {name}"), &value);
            }
        }
        for name in ["state", "id_token_hint"] {
            self.token(name, &parameter(&exchange.url, name));
        }
    }

    fn learn_response(&mut self, exchange: &Exchange) {
        for cookie in exchange.response.get_all(header::SET_COOKIE) {
            let pair = cookie
                .to_str()
                .unwrap()
                .split(';')
                .next()
                .unwrap_or_default();
            self.add(
                "cookie",
                pair.split_once('=').map_or("", |(_, value)| value),
            );
        }
        if let Some(location) = exchange.location() {
            for name in ["code", "state"] {
                self.add(name, &parameter(&location, name));
            }
        }
        let answer: Value = serde_json::from_slice(&exchange.answered).unwrap_or_default();
        for name in ["access_token", "refresh_token", "id_token"] {
            self.token(name, answer[name].as_str().unwrap_or_default());
        }
    }

    /// Of a signed token the signature is the secret: who has the rest cannot use it.
    fn token(&mut self, what: &str, value: &str) {
        match value.split('.').collect::<Vec<_>>()[..] {
            [head, _, signature] if head.starts_with("eyJ") => {
                self.add(&format!("signature of {what}"), signature);
            }
            _ => self.add(what, value),
        }
    }

    /// What they are, for a test that wants to be sure that none is missing.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        self.0.values().map(String::as_str).collect()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Finds needles in bytes.
pub(crate) struct Search {
    automaton: AhoCorasick,
    forms: Vec<(String, Vec<u8>)>,
    /// One-time codes are so short that only one that stands alone is one.
    digits: Vec<(String, Regex)>,
}

impl Search {
    pub(crate) fn new(needles: &Needles) -> Self {
        let (mut forms, mut digits) = (Vec::new(), Vec::new());
        for (value, what) in &needles.0 {
            if value.len() < 8 && value.bytes().all(|byte| byte.is_ascii_digit()) {
                let alone = format!(r#"(?-u:^|[^0-9A-Za-z.:_-]){value}(?-u:$|[^0-9A-Za-z.:_-])"#);
                digits.push((what.clone(), Regex::new(&alone).unwrap()));
                continue;
            }
            for (form, bytes) in written(value) {
                forms.push((format!("{what} ({form})"), bytes));
            }
        }
        let automaton = AhoCorasick::new(forms.iter().map(|(_, bytes)| bytes)).unwrap();
        Self {
            automaton,
            forms,
            digits,
        }
    }

    /// What is found, compressed parts included, each with what stands around it.
    pub(crate) fn found(&self, bytes: &[u8]) -> Vec<String> {
        let mut found = self.in_plain(bytes);
        for inner in unpacked(bytes) {
            found.extend(self.in_plain(&inner));
        }
        found
    }

    fn in_plain(&self, bytes: &[u8]) -> Vec<String> {
        let long = self.automaton.find_iter(bytes).map(|hit| {
            let (what, _) = &self.forms[hit.pattern().as_usize()];
            (what, hit.start(), hit.end())
        });
        let short = self.digits.iter().filter_map(|(what, digits)| {
            let hit = digits.find(bytes)?;
            Some((what, hit.start(), hit.end()))
        });
        let around = |(what, start, end): (&String, usize, usize)| {
            let near = &bytes[start.saturating_sub(60)..bytes.len().min(end + 20)];
            format!("{what}: {}", String::from_utf8_lossy(near).escape_debug())
        };
        long.chain(short).map(around).collect()
    }
}

/// The ways to write a value.
pub(crate) fn written(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let quoted = |text: &str| {
        let text = Value::from(text).to_string();
        text[1..text.len() - 1].to_owned()
    };
    let ascii: String = value
        .chars()
        .map(|letter| match letter {
            ' '..='~' if !"\"\\<>&'".contains(letter) => letter.to_string(),
            other => format!("\\u{:04x}", u32::from(other)),
        })
        .collect();
    let html = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let texts = [
        ("plain", value.to_owned()),
        ("percent", percent.clone()),
        ("percent, lower case", percent.to_ascii_lowercase()),
        (
            "percent twice",
            utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
        ),
        ("form", form),
        ("JSON", quoted(value)),
        ("JSON in JSON", quoted(&quoted(value))),
        ("JSON in ASCII", ascii),
        ("HTML", html.replace('"', "&quot;")),
        (
            "HTML by number",
            html.replace('"', "&#34;").replace('\'', "&#39;"),
        ),
        ("base64", base64(value, 0, true)),
        ("base64, one off", base64(value, 1, true)),
        ("base64, two off", base64(value, 2, true)),
        ("base64url", base64(value, 0, false)),
        ("base64url, one off", base64(value, 1, false)),
        ("base64url, two off", base64(value, 2, false)),
    ];
    let mut all: Vec<_> = texts.map(|(form, text)| (form, text.into_bytes())).to_vec();
    let letters: Vec<char> = value.chars().collect();
    if letters.len() >= HALVED_FROM {
        let (first, last) = letters.split_at(letters.len() / 2);
        all.push(("first half", first.iter().collect::<String>().into_bytes()));
        all.push(("last half", last.iter().collect::<String>().into_bytes()));
    }
    all
}

/// The letters that depend on the value alone when it stands so many bytes after a boundary.
fn base64(value: &str, shift: usize, standard: bool) -> String {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(value.as_bytes());
    let engine = if standard {
        STANDARD_NO_PAD
    } else {
        URL_SAFE_NO_PAD
    };
    let (first, end) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
    engine.encode(&bytes)[first..end].to_owned()
}

/// Everything compressed within.
fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
    const GZIP: &[u8] = b"\x1f\x8b\x08";
    static STARTS: LazyLock<AhoCorasick> =
        LazyLock::new(|| AhoCorasick::new([ZSTD, GZIP]).expect("two short patterns"));
    let mut all = Vec::new();
    for start in STARTS.find_iter(bytes) {
        let (rest, mut out) = (&bytes[start.start()..], Vec::new());
        // What begins like one need not be one, and may end early: what could be read counts.
        if start.pattern().as_usize() == 0 {
            if let Ok(decoder) = zstd::stream::read::Decoder::new(rest) {
                let _ = decoder.take(1 << 26).read_to_end(&mut out);
            }
        } else {
            let _ = GzDecoder::new(rest).take(1 << 26).read_to_end(&mut out);
        }
        all.push(out);
    }
    all.retain(|out| !out.is_empty());
    all
}
