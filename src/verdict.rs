//! Names what stopped a journey: stage, class, cause, action, and one line that says it. Looks at the stop and at
//! nothing else.
//!
//! What was checked here comes with its class. An answer of the provider is given to the rules of [`answer`].

mod answer;

use crate::run::{Fault, Finding, Raw, Stop, Verdict};
use crate::taxonomy::{Class, Family, Stage};

/// Judges a stop. Every stop has a verdict.
pub fn judge(stop: &Stop) -> Verdict {
    let (class, detail, raw) = match &stop.fault {
        Fault::Answer(raw) | Fault::Callback(raw) => {
            let class = answer::class(stop.stage, raw);
            (class, describe(stop.stage, raw), Some(raw.clone()))
        }
        Fault::Check(finding) | Fault::Transport(finding) | Fault::Page(finding) => {
            (finding.class, finding.detail.clone(), None)
        }
        Fault::Monitor(finding) => (own_fault(finding), finding.detail.clone(), None),
    };
    Verdict {
        stage: stage_of(class, stop.stage),
        class,
        cause: class.cause(),
        action: class.action(),
        detail,
        raw,
    }
}

/// A fault of ours never takes a class that would be counted against the provider.
fn own_fault(finding: &Finding) -> Class {
    if finding.class.family() == Family::Monitor {
        finding.class
    } else {
        Class::Internal
    }
}

/// Some classes say by themselves where in the journey it broke; all others broke at the step that was being walked.
fn stage_of(class: Class, walked: Stage) -> Stage {
    match class {
        Class::DnsFailure => Stage::Dns,
        Class::ConnectRefused | Class::ConnectTimeout | Class::ProxyError => Stage::Connect,
        Class::TlsHandshake
        | Class::TlsExpired
        | Class::TlsUntrusted
        | Class::TlsHostnameMismatch => Stage::Tls,
        Class::BrowserCrashed => Stage::Browser,
        Class::WebdriverUnavailable
        | Class::SecretUnavailable
        | Class::Overloaded
        | Class::Internal => Stage::Monitor,
        Class::ConfigInvalid => Stage::Config,
        _ => walked,
    }
}

/// The answer in one line: who answered, with what.
fn describe(stage: Stage, raw: &Raw) -> String {
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
    if let Some(wait) = answer::header(raw, "retry-after") {
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

#[cfg(test)]
mod tests;
