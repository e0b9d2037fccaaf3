//! Secrets: values that have no way out, and the references that files hold in their place.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A secret value in memory. It has no `Display` and no `Serialize`, its `Debug` is masked, and it is wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of a value that must not leave in clear.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself, for the one place that has to send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Where a secret is kept. Files hold only references; a literal secret is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretRef {
    /// An environment variable of the daemon.
    Env(#[schemars(length(min = 1))] String),
    /// A file that holds the secret and nothing else; one trailing line break is left out.
    File(#[schemars(length(min = 1))] PathBuf),
    /// A systemd credential: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(#[schemars(length(min = 1))] String),
    /// A program and its arguments; what it prints is the secret, one trailing line break left out. No shell runs it.
    Command(#[schemars(length(min = 1))] Vec<String>),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::Command(argv) => write!(f, "command {}", argv.first().map_or("", String::as_str)),
        }
    }
}

/// A text that is no secret, or a reference to one that is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TextOrSecret {
    /// No secret.
    Text(String),
    /// Where the secret is kept.
    Secret(SecretRef),
}

impl TextOrSecret {
    /// The reference, where it is one.
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::Text(_) => None,
            Self::Secret(secret) => Some(secret),
        }
    }

    /// The reference, where it is one.
    pub fn secret_mut(&mut self) -> Option<&mut SecretRef> {
        match self {
            Self::Text(_) => None,
            Self::Secret(secret) => Some(secret),
        }
    }
}

/// Whether a header or parameter of this name usually carries a secret.
pub fn names_a_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = [
        "authorization",
        "cookie",
        "api-key",
        "apikey",
        "api_key",
        "token",
        "secret",
        "password",
    ];
    words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_value() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {:?}", Some(&secret)),
            "Secret(***) Some(Secret(***))"
        );
    }
}
