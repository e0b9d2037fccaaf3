//! Texts as YAML: plain where that is safe beyond doubt, otherwise in the quotes of JSON, which YAML reads as well.

use crate::secret::SecretRef;

/// One text, also inside `{}` and `[]`.
pub(super) fn scalar(text: &str) -> String {
    match is_plain(text) {
        true => text.to_owned(),
        false => serde_json::to_string(text).expect("a text is JSON"),
    }
}

/// `[a, b]`
pub(super) fn list<T: AsRef<str>>(texts: &[T]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| scalar(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// `{env: NAME}` and its like.
pub(super) fn reference(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("{{env: {}}}", scalar(name)),
        SecretRef::File(path) => format!("{{file: {}}}", scalar(&path.to_string_lossy())),
        SecretRef::Credential(name) => format!("{{credential: {}}}", scalar(name)),
        SecretRef::Command(argv) => format!("{{command: {}}}", list(argv)),
    }
}

fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let begins = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '.';
    let starts = text.starts_with(begins) && !text.starts_with(".inf") && !text.starts_with(".nan");
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_./@+".contains(c);
    // A colon is only safe where no space and no end of the text follows.
    let mut rest = text.chars().peekable();
    let mut is_safe = true;
    while let Some(c) = rest.next() {
        is_safe &= inside(c) || (c == ':' && rest.peek().is_some_and(|next| inside(*next)));
    }
    starts && is_safe && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_texts_stand_without_quotes() {
        for plain in [
            "canary",
            "canary@example.com",
            "https://app.example.com/callback",
            "http://127.0.0.1:8455/cb",
            "com.example.app:/callback",
            "../secrets/keycloak-client",
            "/run/secrets/x",
        ] {
            assert_eq!(scalar(plain), plain);
        }
        for text in [
            "", "true", "No", "12", "1e3", "a: b", "a #b", "a,b", "{a}", "*a", "&a", "-", "~",
            "a:", "über", "a\"b", "0x1f", "x?y=1&z", "a b", ".inf",
        ] {
            let quoted = scalar(text);
            assert!(quoted.starts_with('"'), "{text}");
            assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        }
    }
}
