//! Words of the messages: which known word was meant, what other tools call things, how types are named.

use serde_json::Value;

/// The known word that was probably meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Far longer than any word; keeps the comparison short.
    if word.len() > 100 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let word = plain(word);
    let likeness = |known: &str| {
        let known = plain(known);
        let is_start = known.len() >= 3 && word.starts_with(&known);
        let start: f64 = if is_start { 0.6 } else { 0.0 };
        start.max(strsim::normalized_damerau_levenshtein(&word, &known))
    };
    known
        .into_iter()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// Keys that people bring along from elsewhere, and what stands in their place here.
pub(super) const OTHER_NAMES: &[(&str, &str)] = &[
    (
        "<<",
        "merge keys are not read; settings at the top of a probe file hold for all its environments",
    ),
    (
        "authorization_endpoint",
        "write it under `endpoints`, as `authorization`",
    ),
    ("callback", "write `redirect_uri`"),
    ("callback_url", "write `redirect_uri`"),
    ("client_id", "write `client: {id: …}`"),
    ("client_secret", "write `client: {secret: {env: …}}`"),
    ("discovery", "write `issuer`; the metadata is found from it"),
    ("interval", "write `every`"),
    ("password", "write `account: {password: {env: …}}`"),
    ("schedule", "write `every: 5m`, or `cron` with `timezone`"),
    ("scope", "write `scopes`, a list"),
    ("token_endpoint", "write it under `endpoints`, as `token`"),
    ("username", "write `account: {username: …}`"),
];

/// The key that an advice of `OTHER_NAMES` tells to write.
pub(super) fn advised(advice: &'static str) -> Option<&'static str> {
    let text = advice.strip_prefix("write `")?;
    text.split(['`', ':']).next()
}

/// Words of the file format that this version does not do yet.
pub(super) const NOT_YET: &[&str] = &["device_code", "refresh_token", "HS256", "HS384", "HS512"];

/// One word, or a choice of them.
pub(super) fn listed(words: &[String]) -> String {
    match words {
        [only] => format!("`{only}`"),
        several => format!("one of {}", several.join(", ")),
    }
}

/// A type of JSON as people say it.
pub(super) fn type_words(kind: &str) -> &'static str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        _ => "something else",
    }
}

/// Names what stands there, beside words that would have been good.
pub(super) fn another(value: &Value, shapes: &[String]) -> &'static str {
    match value {
        Value::String(_) if shapes.iter().any(|shape| shape.starts_with('`')) => "another text",
        _ => found(value),
    }
}

/// Names what stands there without showing it.
pub(super) fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
