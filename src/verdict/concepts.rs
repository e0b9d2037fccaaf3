//! Which things a sentence speaks of, and what it says about them, in many languages. The words live in `concepts.txt`.

use std::ops::{BitOr, BitOrAssign};
use std::str::FromStr;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use strum::{EnumIter, EnumString};

/// Something a sentence can speak of, or say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumString)]
#[strum(serialize_all = "title_case")]
#[rustfmt::skip]
pub(super) enum Concept {
    Redirect, Client, Secret, ClientAuth, Assertion, Certificate, Key, Code, Verifier, RefreshToken, AccessToken,
    Token, IdToken, Session, Scope, Permission, Audience, Resource, Tenant, User, Password, Credentials, Mfa, Consent,
    DeviceCode, Dpop, Nonce, State, Signature, Issuer, GrantType, ResponseType, Flow, Plan, Rate, TooManyAttempts,
    NetworkPlace, Policy, Expired, Revoked, Used, Invalid, Unknown, Mismatch, Missing, Unsupported, Denied,
    Insufficient, Disabled, Locked, Future, Cancelled, OtherClient, Internal, Unavailable, LoginNeeded, Bot, WrongKind,
    PasswordChange, OtherTenant, UserDenied, AuthFailed,
}

/// Several concepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Concepts(u128);

impl Concepts {
    /// Of a list.
    pub(super) const fn of(list: &[Concept]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < list.len() {
            bits |= 1 << list[at] as u32;
            at += 1;
        }
        Self(bits)
    }

    pub(super) fn has_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    pub(super) fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl BitOr for Concepts {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Concepts {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

struct Dictionary {
    phrases: AhoCorasick,
    /// Concept of each phrase, and whether a word may go on after it.
    meanings: Vec<(Concept, bool)>,
}

static DICTIONARY: LazyLock<Dictionary> = LazyLock::new(|| parse(include_str!("concepts.txt")));

/// The concepts of a sentence in plain form with a space at each end.
pub(super) fn in_sentence(sentence: &str) -> Concepts {
    let mut found = Concepts::default();
    for hit in DICTIONARY.phrases.find_overlapping_iter(sentence) {
        let (concept, open) = DICTIONARY.meanings[hit.pattern().as_usize()];
        let ends = open || sentence[hit.end()..].starts_with(' ');
        if ends {
            found |= Concepts::of(&[concept]);
        }
    }
    found
}

fn parse(file: &str) -> Dictionary {
    let mut phrases = Vec::new();
    let mut meanings = Vec::new();
    let mut concept = None;
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = section(line) {
            concept = Some(concept_named(name).expect("a test holds the names of sections"));
            continue;
        }
        let Some(concept) = concept else { continue };
        for phrase in line.split(',').filter(|phrase| !phrase.trim().is_empty()) {
            let open = phrase.trim_end().ends_with('*');
            let text = super::text::plain(phrase);
            // Scripts that write words together begin anywhere.
            let glued = text.chars().next().is_some_and(|c| c >= '\u{3000}');
            phrases.push(if glued { text } else { format!(" {text}") });
            meanings.push((concept, open || glued));
        }
    }
    Dictionary {
        phrases: AhoCorasick::new(&phrases).expect("a few thousand short phrases fit"),
        meanings,
    }
}

fn section(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.strip_suffix(']')
}

fn concept_named(name: &str) -> Option<Concept> {
    let words = name.split(' ').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|c| c.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    Concept::from_str(&words.collect::<Vec<_>>().join(" ")).ok()
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator;

    use super::*;

    #[test]
    fn every_section_is_a_concept_and_every_concept_has_words() {
        for name in include_str!("concepts.txt").lines().filter_map(section) {
            assert!(concept_named(name).is_some(), "{name}");
        }
        for concept in Concept::iter() {
            assert!(
                DICTIONARY.meanings.iter().any(|(one, _)| *one == concept),
                "{concept:?}"
            );
        }
    }
}
