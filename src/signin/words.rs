//! The words of sign-in pages, in many languages. They live in `words.txt`; here they are read and matched.

use std::str::FromStr;
use std::sync::LazyLock;

use strum::{EnumIter, EnumString, IntoEnumIterator};

use crate::taxonomy::Class;

/// A section of the word file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, EnumString)]
#[strum(serialize_all = "lowercase")]
pub(super) enum List {
    Username,
    Password,
    Code,
    #[strum(serialize = "not code")]
    NotCode,
    Captcha,
    Search,
    Elsewhere,
    Social,
    Login,
    Next,
    Accept,
    Deny,
    Consent,
    Stay,
    Skip,
    #[strum(serialize = "other account")]
    OtherAccount,
    #[strum(serialize = "by password")]
    ByPassword,
    #[strum(serialize = "by code")]
    ByCode,
    #[strum(serialize = "other way")]
    OtherWay,
    Sent,
    #[strum(serialize = "second factor")]
    SecondFactor,
    Enrol,
}

/// One phrase: the words, and at which end a word may go on.
#[derive(Debug)]
struct Phrase {
    text: String,
    open_start: bool,
    open_end: bool,
}

struct Words {
    lists: Vec<Vec<Phrase>>,
    /// In the order of the file: the first that matches wins.
    stops: Vec<(Class, Vec<Phrase>)>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| parse(include_str!("words.txt")));

/// Whether `text`, already in plain form, says one of the phrases of `list`.
pub(super) fn says(list: List, text: &str) -> bool {
    phrase_of(list, text).is_some()
}

/// Whether `text`, in plain form, is one of the phrases of `list`, or begins with one that is long enough to carry it
/// ("continue as …"). What merely holds such a word somewhere ("go to portal") is something else.
pub(super) fn leads(list: List, text: &str) -> bool {
    WORDS.lists[list as usize].iter().any(|phrase| {
        let rest = text.strip_prefix(&*phrase.text);
        let long = phrase.text.chars().count() > 4 || phrase.text.chars().any(flows);
        rest.is_some_and(|rest| {
            rest.is_empty() || (long && matches(phrase, text) && !phrase.text.is_empty())
        })
    })
}

/// The first phrase of `list` in `text`, which is in plain form.
fn phrase_of(list: List, text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return None;
    }
    first_in(&WORDS.lists[list as usize], text)
}

/// The class that a text means which stands where a page puts its errors.
pub fn class_of(text: &str) -> Option<Class> {
    let text = plain(text);
    let found = WORDS.stops.iter();
    found
        .filter(|(_, phrases)| first_in(phrases, &text).is_some())
        .map(|(class, _)| *class)
        .next()
}

/// Lower case, words apart by one space, no punctuation: the form in which texts are compared.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    let mut last_lower = false;
    for c in text.chars() {
        let c = if matches!(c, '’' | '‘' | 'ʼ') {
            '\''
        } else {
            c
        };
        if c.is_alphanumeric() || c == '\'' || is_mark(c) {
            // `userName` is two words.
            gap |= last_lower && c.is_uppercase();
            if gap && !out.is_empty() {
                out.push(' ');
            }
            gap = false;
            last_lower = c.is_lowercase();
            out.extend(c.to_lowercase().filter(|c| *c != '\u{307}'));
        } else {
            gap = true;
            last_lower = false;
        }
    }
    out
}

/// Vowel signs and accents that are letters' parts, though no letters themselves.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{5b0}'..='\u{5c7}' | '\u{64b}'..='\u{65f}' | '\u{e31}'..='\u{e4e}')
}

fn first_in(phrases: &'static [Phrase], text: &str) -> Option<&'static str> {
    let found = phrases.iter().find(|phrase| matches(phrase, text));
    found.map(|phrase| phrase.text.as_str())
}

fn matches(phrase: &Phrase, text: &str) -> bool {
    // Scripts without spaces between words are matched anywhere, unless the phrase is too short to mean anything there.
    let flowing =
        phrase.text.chars().all(|c| flows(c) || c == ' ') && phrase.text.chars().count() > 2;
    text.match_indices(&phrase.text).any(|(start, found)| {
        let before = text[..start].chars().next_back();
        let after = text[start + found.len()..].chars().next();
        (flowing || phrase.open_start || before.is_none_or(|c| c == ' '))
            && (flowing || phrase.open_end || after.is_none_or(|c| c == ' '))
    })
}

/// Scripts that write words together, or glue particles to them.
fn flows(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{e7f}' | '\u{1100}'..='\u{11ff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

fn parse(file: &str) -> Words {
    let mut lists: Vec<Vec<Phrase>> = List::iter().map(|_| Vec::new()).collect();
    let mut stops: Vec<(Class, Vec<Phrase>)> = Vec::new();
    let mut list = None;
    for line in file.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            list = List::from_str(name).ok();
            if let Some(class) = name.strip_prefix("stop ") {
                let class = Class::from_str(class).expect("a test holds the names of sections");
                stops.push((class, Vec::new()));
            }
        } else if !line.is_empty() && !line.starts_with('#') {
            match (list, stops.last_mut()) {
                (Some(list), _) => lists[list as usize].push(phrase(line)),
                (None, Some((_, phrases))) => phrases.push(phrase(line)),
                (None, None) => {}
            }
        }
    }
    Words { lists, stops }
}

fn phrase(line: &str) -> Phrase {
    Phrase {
        text: plain(line),
        open_start: line.starts_with('*'),
        open_end: line.ends_with('*'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_of_the_file_is_known_and_every_list_is_filled() {
        for line in include_str!("words.txt").lines() {
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                let known = match name.strip_prefix("stop ") {
                    Some(class) => Class::from_str(class).is_ok(),
                    None => List::from_str(name).is_ok(),
                };
                assert!(known, "section {name}");
            }
        }
        for list in List::iter() {
            assert!(!WORDS.lists[list as usize].is_empty(), "{list:?}");
        }
    }

    #[test]
    fn nothing_that_refuses_is_taken_for_consent() {
        for deny in [
            "Don't allow",
            "Do not allow",
            "Nicht zulassen",
            "Ne pas autoriser",
            "No permitir",
            "Non consentire",
            "Não permitir",
            "Niet toestaan",
            "Tillåt inte",
            "Tillad ikke",
            "Älä salli",
            "Nie zezwalaj",
            "Nepovolit",
            "İzin verme",
            "Не разрешать",
            "Не дозволяти",
            "許可しない",
            "不允许",
            "허용 안 함",
            "عدم السماح",
        ] {
            assert!(says(List::Deny, &plain(deny)), "{deny}");
        }
        for accept in [
            "Allow",
            "Zulassen",
            "Autoriser",
            "İzin ver",
            "許可する",
            "允许",
            "허용",
            "السماح",
        ] {
            assert!(says(List::Accept, &plain(accept)), "{accept}");
            assert!(!says(List::Deny, &plain(accept)), "{accept}");
        }
    }

    #[test]
    fn texts_mean_their_class() {
        let check = |text: &str, class: Option<Class>| assert_eq!(class_of(text), class, "{text}");
        check(
            "Invalid username or password.",
            Some(Class::BadUserCredentials),
        );
        check(
            "Ungültiger Benutzername oder Passwort.",
            Some(Class::BadUserCredentials),
        );
        check(
            "Your account has been locked after too many failed attempts",
            Some(Class::AccountLocked),
        );
        check("Ihr Konto ist gesperrt.", Some(Class::AccountLocked));
        check(
            "Invalid parameter: redirect_uri",
            Some(Class::RedirectUriMismatch),
        );
        check(
            "Error 400: redirect_uri_mismatch",
            Some(Class::RedirectUriMismatch),
        );
        check("Client not found.", Some(Class::InvalidClient));
        check(
            "セッションの有効期限が切れました",
            Some(Class::SessionExpired),
        );
        check("Welcome to your account", None);
        check("You will stay signed in", None);
    }

    #[test]
    fn names_in_code_are_words_too() {
        assert_eq!(plain("j_userName  E-Mail’s"), "j user name e mail's");
        assert!(says(List::Username, &plain("loginForm.userName")));
    }
}
