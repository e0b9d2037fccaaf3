//! Where a secret is kept, as one argument. The secret itself never is one: other users of the machine see arguments.

use std::path::PathBuf;

use crate::secret::SecretRef;

/// `env:NAME`, `file:PATH`, `credential:NAME` or `command:PROGRAM ARGUMENT…`.
pub(crate) fn parse(text: &str) -> Option<SecretRef> {
    let (kind, rest) = text.split_once(':')?;
    let words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() {
        return None;
    }
    match kind {
        "env" => Some(SecretRef::Env(rest.to_owned())),
        "file" => Some(SecretRef::File(PathBuf::from(rest))),
        "credential" => Some(SecretRef::Credential(rest.to_owned())),
        "command" => Some(SecretRef::Command(words)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_and_a_secret_is_not() {
        let command = ["pass", "show", "canary"].map(str::to_owned).to_vec();
        for (text, reference) in [
            ("env:NAME", Some(SecretRef::Env("NAME".to_owned()))),
            ("file:a b/c", Some(SecretRef::File("a b/c".into()))),
            (
                "credential:kc",
                Some(SecretRef::Credential("kc".to_owned())),
            ),
            (
                "command:pass show canary",
                Some(SecretRef::Command(command)),
            ),
            ("hunter2", None),
            ("env:", None),
            ("vault:x", None),
        ] {
            assert_eq!(parse(text), reference, "{text}");
        }
    }
}
