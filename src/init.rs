//! From what a provider publishes, and what a person answers, to a daemon file and a first probe file. Pure: asking the
//! provider, asking the person and writing files are the business of the command line.

mod files;
mod offer;
mod scalar;

use std::path::PathBuf;

pub use files::{daemon_file, probe_file};
pub use offer::{Offer, Unfit, offer};

use crate::probe::{ClientAuth, Flow};
use crate::secret::SecretRef;

/// All that the two files are made of besides the metadata.
#[derive(Debug, Clone)]
pub struct Answers {
    /// First part of the probe's name.
    pub provider: String,
    /// Second part of the probe's name.
    pub environment: String,
    pub flow: Flow,
    pub client_id: String,
    pub auth: ClientAuth,
    /// Absent exactly when `auth` is `none`.
    pub secret: Option<SecretRef>,
    pub scopes: Vec<String>,
    /// Absent for a flow without a browser, as is the account.
    pub redirect_uri: Option<String>,
    pub account: Option<Account>,
    /// Time from run to run, as it is written.
    pub every: String,
    pub daemon: DaemonAnswers,
}

/// Who signs in.
#[derive(Debug, Clone)]
pub struct Account {
    pub username: String,
    pub password: SecretRef,
    pub totp: Option<SecretRef>,
}

/// What goes into the daemon file.
#[derive(Debug, Clone, Default)]
pub struct DaemonAnswers {
    pub location: Option<String>,
    pub listen: Option<String>,
    pub store: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    pub browser_args: Vec<String>,
    /// Whether `--no-sandbox` is among them because root runs this.
    pub is_root: bool,
}

/// An issuer as people paste it: without its scheme, or as the address of its metadata.
pub fn issuer(text: &str) -> String {
    const DOCUMENTS: [&str; 2] = [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    ];
    let text = text.trim();
    let text = match text.contains("://") {
        true => text.to_owned(),
        false => format!("https://{text}"),
    };
    match DOCUMENTS.iter().find_map(|end| text.strip_suffix(end)) {
        Some(issuer) => issuer.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_taken_as_people_paste_it() {
        for (typed, meant) in [
            ("https://sso.example.com/", "https://sso.example.com/"),
            (
                "sso.example.com/realms/main",
                "https://sso.example.com/realms/main",
            ),
            (
                " https://sso.example.com/realms/main/.well-known/openid-configuration\n",
                "https://sso.example.com/realms/main",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ] {
            assert_eq!(issuer(typed), meant);
        }
    }
}
