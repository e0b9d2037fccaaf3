//! The two files as text, with the comments that a newcomer needs and no more.

use std::fmt::Write;

use super::scalar::{list, reference, scalar};
use super::{Answers, DaemonAnswers, Offer};
use crate::probe::{ClientAuth, Flow};

/// The probe file.
pub fn probe_file(offer: &Offer, answers: &Answers) -> String {
    let mut text = String::new();
    let mut line = |part: &str| {
        let _ = writeln!(text, "{part}");
    };
    line(&format!(
        "# Signs in at {} as a user would. Every key: docs/files.md; the whole of it for editors: `authcanary schema probe`.",
        offer.issuer
    ));
    line("version: 1");
    line(&format!("provider: {}", scalar(&answers.provider)));
    line(&format!("flow: {}", flow(answers.flow)));
    line(&format!("every: {}", scalar_duration(&answers.every)));
    line(&format!("scopes: {}", list(&answers.scopes)));
    line("environments:");
    line(&format!("  {}:", scalar(&answers.environment)));
    line(&format!("    issuer: {}", scalar(&offer.issuer)));
    line(&format!("    client: {}", client(answers)));
    if let Some(redirect_uri) = &answers.redirect_uri {
        line(
            "    # Exactly as registered. The browser never opens it, so that of the real application will do.",
        );
        line(&format!("    redirect_uri: {}", scalar(redirect_uri)));
    }
    if let Some(account) = &answers.account {
        line("    # An account made for this, never a person's.");
        line("    account:");
        line(&format!("      username: {}", scalar(&account.username)));
        line(&format!("      password: {}", reference(&account.password)));
        match &account.totp {
            Some(totp) => line(&format!("      totp: {}", reference(totp))),
            None => line(
                "      # totp: {env: NAME}   # where the account has an authenticator: its base32 secret",
            ),
        }
    }
    if answers.flow == Flow::AuthorizationCode {
        line(
            "# Finds user name, password, code and consent by itself; where it does not get through, a list of steps.",
        );
        line("login: auto");
    }
    let steps = steps(offer, answers);
    if !steps.is_empty() {
        line("steps:");
        steps.iter().for_each(|step| line(&format!("  - {step}")));
    }
    if answers.flow == Flow::AuthorizationCode {
        line(
            "  # - resource: {get: \"https://api.example.com/me\", expect: \"status == 200\"}   # your own API with the access token",
        );
    }
    text
}

/// What follows the sign-in, as far as the provider offers it and the scopes give cause.
fn steps(offer: &Offer, answers: &Answers) -> Vec<&'static str> {
    if answers.flow == Flow::ClientCredentials {
        return Vec::new();
    }
    let asks = |name: &str| answers.scopes.iter().any(|scope| scope == name);
    let refreshes = asks("offline_access");
    let mut steps = Vec::new();
    if offer.has_userinfo && asks("openid") {
        steps.push("userinfo: {}");
    }
    if refreshes {
        steps.push("refresh: {}");
    }
    if offer.has_revocation {
        // An access token may well be good until it ends, wherever it is revoked.
        steps.push(match refreshes {
            true => "revoke: {verify: true}",
            false => "revoke: {}",
        });
    }
    if offer.has_logout && asks("openid") {
        steps.push("logout: {}");
    }
    steps
}

fn client(answers: &Answers) -> String {
    let auth = match answers.auth {
        ClientAuth::ClientSecretBasic => "client_secret_basic",
        ClientAuth::ClientSecretPost => "client_secret_post",
        ClientAuth::None => "none",
    };
    let id = scalar(&answers.client_id);
    match &answers.secret {
        Some(secret) => format!("{{id: {id}, auth: {auth}, secret: {}}}", reference(secret)),
        None => format!("{{id: {id}, auth: {auth}}}"),
    }
}

fn flow(flow: Flow) -> &'static str {
    match flow {
        Flow::AuthorizationCode => "authorization_code",
        Flow::ClientCredentials => "client_credentials",
    }
}

/// Begins with a digit, and is no number.
fn scalar_duration(text: &str) -> String {
    match text.chars().all(|c| c.is_ascii_alphanumeric()) && text.ends_with(char::is_alphabetic) {
        true => text.to_owned(),
        false => scalar(text),
    }
}

/// The daemon file.
pub fn daemon_file(answers: &DaemonAnswers) -> String {
    let mut text = String::new();
    let mut line = |part: &str| {
        let _ = writeln!(text, "{part}");
    };
    line("# Every key: docs/files.md; what is wrong or will be one day: `authcanary validate`.");
    line("version: 1");
    match &answers.location {
        Some(location) => line(&format!("location: {}", scalar(location))),
        None => line(
            "# location: fra1                 # where this daemon runs, a label of all it reports",
        ),
    }
    match &answers.listen {
        Some(listen) => line(&format!("listen: {}", serde_json::json!(listen))),
        None => line(
            "listen: 127.0.0.1:8420           # pages, API and /metrics; beyond loopback only with api.tokens",
        ),
    }
    line("probes: [probes/*.yaml]");
    match &answers.store {
        Some(store) => line(&format!(
            "store: {{path: {}}}",
            scalar(&store.to_string_lossy())
        )),
        None => line(
            "# store: {path: /var/lib/authcanary}   # by default the user's state folder, or the one that systemd gives",
        ),
    }
    if let Some(ca_file) = &answers.ca_file {
        line(
            "# For the requests of the probe itself; the browser trusts what this machine trusts.",
        );
        line(&format!(
            "http: {{ca_file: {}}}",
            scalar(&ca_file.to_string_lossy())
        ));
    }
    if !answers.browser_args.is_empty() {
        if answers.is_root {
            line(
                "# Chromium's own sandbox cannot start for root. Run the daemon as a user of its own, and take this away.",
            );
        }
        line(&format!(
            "browser: {{args: {}}}",
            list(&answers.browser_args)
        ));
    }
    line(
        "# Where notices go; without channels nobody is woken. See docs/channels.md, and try one by",
    );
    line("# `authcanary notify test mail`.");
    line("# channels:");
    line(
        "#   mail: {email: {smtp: \"smtps://mail.example.com\", from: canary@example.com, to: [sre@example.com]}}",
    );
    text
}
