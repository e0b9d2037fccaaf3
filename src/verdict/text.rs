//! Foreign texts in a form in which they can be compared.

use std::sync::LazyLock;

use regex::Regex;

/// Lower case, words apart by one space, no punctuation. Apostrophes stay inside words only: others are quotes.
pub(super) fn plain(text: &str) -> String {
    let plain = crate::signin::plain(text);
    let words = plain.split(' ').map(|word| word.trim_matches('\''));
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Sentences of a text in plain form. Trace ids and dates are left out, and so are sentences of the specifications
/// that list everything that may be wrong: they say nothing about what is.
pub(super) fn sentences(text: &str) -> Vec<String> {
    static BREAK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[.!?。！？]+(?:\s|$)|[\r\n;。！？]+").expect("a fixed pattern")
    });
    static TRACE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?i)\b(?:trace|correlation|request|incident|support|ray|log|reference)[ _-]?id\s*(?:is\s*)?[:=]?\s*\S+",
            r"|\btimestamp\s*[:=]?\s*[\d-]+(?:[ T][\d:.]+Z?)?"
        ))
        .expect("a fixed pattern")
    });
    let text = TRACE.replace_all(text, " ");
    BREAK
        .split(&text)
        .map(plain)
        .filter(|sentence| !sentence.is_empty() && !says_everything(sentence))
        .map(|sentence| format!(" {sentence} "))
        // The media type is no application.
        .map(|sentence| {
            sentence
                .replace(" application x www form urlencoded ", " form ")
                .replace(" application json ", " json ")
        })
        .collect()
}

/// Texts of RFC 6749 section 5.2 and of servers that repeat them word for word.
fn says_everything(sentence: &str) -> bool {
    let all = |words: &[&str]| words.iter().all(|word| sentence.contains(word));
    all(&["invalid", "expired", "revoked"])
        || all(&["missing a required parameter", "includes an"])
        || all(&["missing a required parameter", "more than once"])
        || all(&["e g", "resource owner credentials", "invalid", "expired"])
}
