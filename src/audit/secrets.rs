//! Where secrets are kept, and who else can read them there.

use std::path::Path;

use crate::config::Daemon;
use crate::secret::{SecretRef, TextOrSecret};

use super::Severity::{Advice, Warning};
use super::disk::Sight;
use super::environments;
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Warning,
        "secret-readable-by-others",
        "the file of a secret can be read or written by every user of this machine",
        "`chmod o-rwx` it and give it to the user that the daemon runs as",
        Check::Files(readable),
    ),
    Rule::of(
        Advice,
        "secret-file-missing",
        "the file of a secret is not here, or cannot be seen: where the daemon runs it has to be",
        "see that it is there for the daemon; where files are audited elsewhere, ignore this rule",
        Check::Files(missing),
    ),
    Rule::of(
        Warning,
        "secret-looking-value",
        "a parameter or header has a value that looks like a secret, such as a JWT, a private key or an API key",
        "take it out of the file and replace it at the provider: it was seen",
        Check::Files(looks_like_one),
    ),
];

/// Calls `hit` for every file of a secret, with what is seen of it.
fn files(subject: &Subject<'_>, message: impl Fn(&Path, Sight) -> Option<String>) -> Vec<Hit> {
    let judge = |secret: &SecretRef| match secret {
        SecretRef::File(path) => message(path, subject.disk.of(path)),
        SecretRef::Env(_) | SecretRef::Credential(_) | SecretRef::Command(_) => None,
    };
    let mut hits = Vec::new();
    for probe in subject.probes() {
        for (path, secret) in environments::secrets(probe) {
            hits.extend(judge(secret).map(|message| subject.at(probe, &path, message)));
        }
    }
    for (path, secret) in of_daemon(subject.daemon) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        hits.extend(judge(&secret).map(|message| subject.at_daemon(&path, message)));
    }
    hits
}

/// The secrets of the daemon file, by the place of each.
pub(super) fn of_daemon(daemon: &Daemon) -> Vec<(Vec<String>, SecretRef)> {
    let mut all = Vec::new();
    let place = |path: &[&str]| path.iter().map(ToString::to_string).collect::<Vec<_>>();
    for (name, channel) in &daemon.channels {
        let mut channel = channel.clone();
        let kind = channel.name();
        for (key, secret) in channel.secrets() {
            let mut path = vec!["channels", name, kind];
            path.extend(key.split('/'));
            all.push((place(&path), secret.clone()));
        }
    }
    if let Some(otlp) = &daemon.otlp {
        for (header, value) in &otlp.headers {
            if let TextOrSecret::Secret(secret) = value {
                let header = place(&["telemetry", "otlp", "headers", header]);
                all.push((header, secret.clone()));
            }
        }
        if let Some(client) = &otlp.client {
            let key = place(&["telemetry", "otlp", "tls", "client", "key"]);
            all.push((key, client.key.clone()));
        }
    }
    all
}

fn readable(subject: &Subject<'_>) -> Vec<Hit> {
    files(subject, |path, sight| match sight {
        Sight::Open { mode } => Some(format!(
            "every user of this machine can read or write {} (mode {mode:03o})",
            path.display()
        )),
        Sight::Guarded | Sight::Missing => None,
    })
}

fn missing(subject: &Subject<'_>) -> Vec<Hit> {
    files(subject, |path, sight| match sight {
        Sight::Missing => Some(format!("{} is not here", path.display())),
        Sight::Open { .. } | Sight::Guarded => None,
    })
}

/// How secrets of well-known kinds begin.
const BEGINNINGS: [&str; 18] = [
    "-----BEGIN",
    "AKIA",
    "AIza",
    "EAAC",
    "GOCSPX-",
    "Basic ",
    "Bearer ",
    "dop_v1_",
    "eyJ",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "pk_live_",
    "sk-",
    "sk_live_",
    "xoxb-",
    "xoxp-",
];

fn looks_like_one(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        let extras = [
            ("authorize_params", &probe.authorize_params),
            ("token_params", &probe.token_params),
            ("headers", &probe.headers),
        ];
        for (key, map) in extras {
            for (name, value) in map {
                let is_long = value.len() >= 16;
                if is_long
                    && BEGINNINGS
                        .iter()
                        .any(|beginning| value.starts_with(beginning))
                {
                    hits.push(subject.at(probe, &[key, name], "this value looks like a secret"));
                }
            }
        }
    }
    hits
}
