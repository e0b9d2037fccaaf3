//! What was seen, in one line for a person.

use crate::run::Raw;
use crate::taxonomy::Stage;

/// The answer in one line: who answered, with what.
pub(super) fn describe(stage: Stage, raw: &Raw) -> String {
    let mut line = match raw.status {
        Some(status) => format!("{} answered {status}", endpoint(stage)),
        None => "the provider came back to the redirect URI with".to_owned(),
    };
    if let Some(error) = &raw.error {
        line.push(' ');
        line.push_str(&one_line(error));
    }
    if let Some(description) = &raw.error_description {
        line.push_str(": ");
        line.push_str(&one_line(description));
    }
    if let Some(wait) = crate::oauth::header(&raw.headers, "retry-after") {
        line.push_str(&format!(" (retry after {})", one_line(wait)));
    }
    line
}

fn endpoint(stage: Stage) -> &'static str {
    match stage {
        Stage::Discovery => "metadata document",
        Stage::Jwks => "key set",
        Stage::Par => "pushed authorization endpoint",
        Stage::Authorize
        | Stage::Login
        | Stage::Mfa
        | Stage::Consent
        | Stage::Callback
        | Stage::Browser => "authorization endpoint",
        Stage::DeviceAuthorization => "device authorization endpoint",
        Stage::TokenExchange | Stage::IdToken | Stage::Refresh => "token endpoint",
        Stage::Userinfo => "userinfo endpoint",
        Stage::Resource => "resource",
        Stage::Introspection => "introspection endpoint",
        Stage::Revocation => "revocation endpoint",
        Stage::Logout => "logout endpoint",
        Stage::Config | Stage::Dns | Stage::Connect | Stage::Tls | Stage::Monitor => "provider",
    }
}

/// Foreign text on one line, cut to a readable length.
fn one_line(text: &str) -> String {
    const LIMIT: usize = 300;
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
