//! Finds known values in a text, through any mix of percent, JSON, HTML and base64 encodings.
//!
//! The text is decoded level by level, each byte remembering where it came from, and every level is searched. So a value
//! is found however it was escaped, and exactly its own characters are replaced. A value that itself holds escapes of
//! several kinds (both `%41` and `\n`, say) is only found plain or escaped once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{SHORTEST_KNOWN, mark};

/// Encodings inside encodings are undone so far.
const LEVELS: usize = 8;

/// Patterns are searched by their first bytes, which keeps the automaton small for long tokens, and compared in full.
const PREFIX_BYTES: usize = 64;

/// A value that itself holds escapes is looked for decoded as well, unless that leaves next to nothing.
const SHORTEST_DECODED: usize = SHORTEST_KNOWN / 2;

/// The values and the automaton that finds them.
#[derive(Default)]
pub(super) struct Sweep {
    values: Vec<Zeroizing<String>>,
    patterns: Vec<Pattern>,
    /// Patterns behind each entry of the automaton.
    behind: Vec<Vec<usize>>,
    automaton: Option<AhoCorasick>,
}

struct Pattern {
    value: usize,
    bytes: Zeroizing<Vec<u8>>,
    kind: Kind,
}

/// What counts as a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Anywhere,
    /// In base64, of which the characters around hold bits of the value as well.
    Base64,
    /// As a word of its own: so few digits also stand within harmless numbers.
    Alone,
}

/// One-time codes are the only secrets so short that are worth a search: a number that stands alone and happens to be
/// the same is one in a million.
fn is_one_time_code(value: &str) -> bool {
    (6..SHORTEST_KNOWN).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sweep({} values)", self.values.len())
    }
}

impl Sweep {
    /// Adds values; short and known ones change nothing.
    pub(super) fn learn<'a>(&mut self, values: impl IntoIterator<Item = &'a str>) {
        let before = self.patterns.len();
        for value in values {
            let value = value.trim();
            let is_searched = value.len() >= SHORTEST_KNOWN || is_one_time_code(value);
            if is_searched && !self.values.iter().any(|known| **known == value) {
                self.add(value);
            }
        }
        if self.patterns.len() > before {
            self.build();
        }
    }

    fn add(&mut self, value: &str) {
        let index = self.values.len();
        self.values.push(Zeroizing::new(value.to_owned()));
        if is_one_time_code(value) {
            self.pattern(index, value.as_bytes().to_vec(), Kind::Alone);
            return;
        }
        let mut plain = Level::of(value.as_bytes());
        for _ in 0..LEVELS {
            if plain.bytes.len() >= SHORTEST_DECODED {
                self.pattern(index, plain.bytes.clone(), Kind::Anywhere);
            }
            let Some(next) = plain.decoded() else { break };
            plain = next;
        }
        // HTTP Basic carries the form-encoded value in base64 (RFC 6749 section 2.3.1).
        let form: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let inside_base64 = if form == value {
            vec![value]
        } else {
            vec![value, &form]
        };
        for inside in inside_base64 {
            for shift in 0..3 {
                let [standard, url_safe] = base64_core(inside.as_bytes(), shift);
                self.pattern(index, standard.into_bytes(), Kind::Base64);
                self.pattern(index, url_safe.into_bytes(), Kind::Base64);
            }
        }
    }

    fn pattern(&mut self, value: usize, mut bytes: Vec<u8>, kind: Kind) {
        bytes.iter_mut().for_each(even_space);
        self.patterns.push(Pattern {
            value,
            bytes: Zeroizing::new(bytes),
            kind,
        });
    }

    fn build(&mut self) {
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut prefixes: Vec<&[u8]> = Vec::new();
        self.behind.clear();
        for (index, pattern) in self.patterns.iter().enumerate() {
            let prefix = &pattern.bytes[..pattern.bytes.len().min(PREFIX_BYTES)];
            let place = *places.entry(prefix).or_insert_with(|| {
                prefixes.push(prefix);
                self.behind.push(Vec::new());
                prefixes.len() - 1
            });
            self.behind[place].push(index);
        }
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(prefixes);
        self.automaton = Some(
            automaton.expect("patterns are bounded in length, far below the automaton's limit"),
        );
    }

    /// `text` with every known value replaced by its mark.
    pub(super) fn sweep<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let Some(automaton) = &self.automaton else {
            return Cow::Borrowed(text);
        };
        let mut found = Vec::new();
        let mut level = Level::of(text.as_bytes());
        for _ in 0..LEVELS {
            self.search(automaton, &level, &mut found);
            let Some(next) = level.decoded() else { break };
            level = next;
        }
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(self.replace(text, found))
    }

    fn search(&self, automaton: &AhoCorasick, level: &Level, found: &mut Vec<Found>) {
        let bytes = &level.bytes;
        // A long base64 text is walked through once, however many hits are in it.
        let mut covered = 0;
        for hit in automaton.find_overlapping_iter(bytes) {
            for &index in &self.behind[hit.pattern().as_usize()] {
                let pattern = &self.patterns[index];
                if !bytes[hit.start()..].starts_with(&pattern.bytes) {
                    continue;
                }
                let (mut start, mut end) = (hit.start(), hit.start() + pattern.bytes.len());
                let is_word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
                if pattern.kind == Kind::Alone
                    && (is_word(end) || start.checked_sub(1).is_some_and(is_word))
                {
                    continue;
                }
                if pattern.kind == Kind::Base64 {
                    if start < covered {
                        continue;
                    }
                    // Characters at the edge hold bits of the value and of its neighbours.
                    while start > 0 && is_base64(bytes[start - 1]) {
                        start -= 1;
                    }
                    while end < bytes.len() && is_base64(bytes[end]) {
                        end += 1;
                    }
                    covered = end;
                }
                found.push(Found {
                    start: level.source(start),
                    end: level.source(end),
                    value: pattern.value,
                });
            }
        }
    }

    fn replace(&self, text: &str, mut found: Vec<Found>) -> String {
        found.sort_by_key(|found| (found.start, std::cmp::Reverse(found.end)));
        let mut clean = String::with_capacity(text.len());
        let mut done = 0;
        for Found { start, end, value } in found {
            let end = text.ceil_char_boundary(end);
            if start >= done {
                clean.push_str(&text[done..text.floor_char_boundary(start).max(done)]);
                clean.push_str(&mark(&self.values[value]));
            }
            done = done.max(end);
        }
        clean.push_str(&text[done..]);
        clean
    }
}

struct Found {
    start: usize,
    end: usize,
    value: usize,
}

/// The text after some rounds of decoding.
struct Level {
    bytes: Vec<u8>,
    /// Where each byte came from in the first text, and the end of that text.
    from: Option<Vec<u32>>,
}

impl Level {
    fn of(text: &[u8]) -> Self {
        let mut bytes = text.to_vec();
        bytes.iter_mut().for_each(even_space);
        Self { bytes, from: None }
    }

    fn source(&self, at: usize) -> usize {
        match &self.from {
            Some(from) => from[at] as usize,
            None => at,
        }
    }

    /// One round of decoding; `None` when nothing is left to decode.
    fn decoded(&self) -> Option<Self> {
        if !self.bytes.iter().any(|byte| b"%\\&".contains(byte)) {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut from = Vec::with_capacity(self.bytes.len() + 1);
        let mut at = 0;
        while at < self.bytes.len() {
            let source = u32::try_from(self.source(at)).unwrap_or(u32::MAX);
            match escape(&self.bytes[at..]) {
                Some((character, length)) => {
                    let before = bytes.len();
                    match character {
                        Decoded::Byte(byte) => bytes.push(byte),
                        Decoded::Char(character) => {
                            bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                    }
                    bytes[before..].iter_mut().for_each(even_space);
                    from.resize(bytes.len(), source);
                    at += length;
                }
                None => {
                    bytes.push(self.bytes[at]);
                    from.push(source);
                    at += 1;
                }
            }
        }
        if bytes.len() == self.bytes.len() {
            return None;
        }
        from.push(u32::try_from(self.source(at)).unwrap_or(u32::MAX));
        Some(Self {
            bytes,
            from: Some(from),
        })
    }
}

enum Decoded {
    Byte(u8),
    Char(char),
}

/// The escape at the start of `bytes`, and its length.
fn escape(bytes: &[u8]) -> Option<(Decoded, usize)> {
    match bytes.first()? {
        b'%' => Some((Decoded::Byte(hex(bytes.get(1..3)?)? as u8), 3)),
        b'\\' => backslash(bytes),
        b'&' => entity(bytes),
        _ => None,
    }
}

fn backslash(bytes: &[u8]) -> Option<(Decoded, usize)> {
    let plain = |character| Some((Decoded::Char(character), 2));
    match bytes.get(1)? {
        b'n' => plain('\n'),
        b'r' => plain('\r'),
        b't' => plain('\t'),
        b'b' => plain('\u{8}'),
        b'f' => plain('\u{c}'),
        quoted @ (b'"' | b'\'' | b'\\' | b'/') => plain(char::from(*quoted)),
        b'x' => Some((Decoded::Char(char::from(hex(bytes.get(2..4)?)? as u8)), 4)),
        b'u' => {
            let first = hex(bytes.get(2..6)?)?;
            if let Some(character) = char::from_u32(first) {
                return Some((Decoded::Char(character), 6));
            }
            let second = bytes.get(6..12)?.strip_prefix(b"\\u").and_then(hex)?;
            let units = [first as u16, second as u16];
            let pair = char::decode_utf16(units).next()?.ok()?;
            Some((Decoded::Char(pair), 12))
        }
        _ => None,
    }
}

fn entity(bytes: &[u8]) -> Option<(Decoded, usize)> {
    let end = bytes.iter().take(12).position(|&byte| byte == b';')?;
    let name = std::str::from_utf8(&bytes[1..end]).ok()?;
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "plus" => '+',
        "equals" => '=',
        "sol" => '/',
        "percnt" => '%',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((Decoded::Char(character), end + 1))
}

fn hex(digits: &[u8]) -> Option<u32> {
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A form writes a space as `+`; both count as the same here, in the text and in what is looked for.
fn even_space(byte: &mut u8) {
    if *byte == b'+' {
        *byte = b' ';
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-_=".contains(&byte)
}

/// The characters of the base64 text that depend on `value` alone when `shift` bytes stand before it, in both alphabets.
fn base64_core(value: &[u8], shift: usize) -> [String; 2] {
    let mut bytes = Zeroizing::new(vec![0; shift]);
    bytes.extend_from_slice(value);
    let first = (shift * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    [
        STANDARD_NO_PAD.encode(&bytes)[first..end].to_owned(),
        URL_SAFE_NO_PAD.encode(&bytes)[first..end].to_owned(),
    ]
}
