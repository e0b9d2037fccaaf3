//! Refresh tokens: asked for and never used, used and never asked for, left behind.

use crate::probe::{Flow, Probe, Step};
use crate::provider;

use super::Severity::{Advice, Warning};
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Warning,
        "offline-access-unused",
        "a refresh token is asked for, and no step refreshes with it",
        "add `- refresh: {}` to `steps`, or leave the scope out",
        Check::Files(unused),
    ),
    Rule::of(
        Warning,
        "refresh-without-offline-access",
        "a step refreshes, and no refresh token is asked for",
        "add the scope `offline_access` (`access_type: offline` under `authorize_params` at Google), or leave the step out",
        Check::Files(not_asked_for),
    ),
    Rule::of(
        Warning,
        "offline-access-prompt",
        "`offline_access` is asked for with a `prompt` that is not `consent`, and is ignored then (OpenID Connect Core section 11)",
        "leave `prompt` out, since the probe sends `consent` by itself, or write `prompt: consent`",
        Check::Files(prompt),
    ),
    Rule::of(
        Advice,
        "refresh-token-left-behind",
        "every run leaves a refresh token at the provider, which keeps only so many for an account",
        "add `- revoke: {}` as the last step",
        Check::Files(left_behind),
    ),
];

/// Providers that give a refresh token without being asked for one.
const ALWAYS: [&str; 16] = [
    "adfs",
    "aws-cognito",
    "authentik",
    "box",
    "fitbit",
    "github",
    "gitlab",
    "hubspot",
    "keycloak",
    "linkedin",
    "netsuite",
    "slack",
    "stripe",
    "twitch",
    "zoho",
    "zoom",
];

fn probes<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = &'a Probe> {
    subject
        .probes()
        .filter(|probe| probe.flow == Flow::AuthorizationCode)
}

fn has(probe: &Probe, is_it: impl Fn(&Step) -> bool) -> bool {
    probe.steps.iter().any(is_it)
}

fn scope(probe: &Probe) -> Option<&str> {
    const WORDS: [&str; 4] = [
        "offline_access",
        "offline",
        "refresh_token",
        "offline.access",
    ];
    let mut scopes = probe.scopes.iter().map(String::as_str);
    scopes.find(|scope| WORDS.contains(scope))
}

/// Where a refresh token is asked for.
fn asked(probe: &Probe) -> Option<Vec<&'static str>> {
    let offline = |name: &str| {
        probe
            .authorize_params
            .get(name)
            .is_some_and(|value| value == "offline")
    };
    if scope(probe).is_some() {
        Some(vec!["scopes"])
    } else if offline("access_type") {
        Some(vec!["authorize_params", "access_type"])
    } else if offline("token_access_type") {
        Some(vec!["authorize_params", "token_access_type"])
    } else {
        None
    }
}

fn unused(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in
        probes(subject).filter(|probe| !has(probe, |step| matches!(step, Step::Refresh { .. })))
    {
        if let Some(path) = asked(probe) {
            let message = "a refresh token is asked for, and no step refreshes with it";
            hits.push(subject.at(probe, &path, message));
        }
    }
    hits
}

fn not_asked_for(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in probes(subject) {
        let name = provider::find(&probe.provider).map(|provider| provider.name);
        if asked(probe).is_some() || name.is_some_and(|name| ALWAYS.contains(&name)) {
            continue;
        }
        let refresh = probe
            .steps
            .iter()
            .position(|step| matches!(step, Step::Refresh { .. }));
        if let Some(index) = refresh {
            let message =
                "no scope or parameter asks for a refresh token, so most providers give none";
            hits.push(subject.at(probe, &["steps", &index.to_string()], message));
        }
    }
    hits
}

fn prompt(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in probes(subject).filter(|probe| scope(probe) == Some("offline_access")) {
        let prompt = probe.authorize_params.get("prompt");
        if let Some(prompt) =
            prompt.filter(|prompt| prompt.split(' ').all(|word| word != "consent"))
        {
            let message = format!("with `prompt: {prompt}` the scope `offline_access` is ignored");
            hits.push(subject.at(probe, &["authorize_params", "prompt"], message));
        }
    }
    hits
}

fn left_behind(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in
        probes(subject).filter(|probe| has(probe, |step| matches!(step, Step::Refresh { .. })))
    {
        let ends_it = |step: &Step| matches!(step, Step::Revoke { .. } | Step::Logout { .. });
        if let Some(path) = asked(probe).filter(|_| !has(probe, ends_it)) {
            let message = "each run leaves a refresh token behind, since no step revokes it";
            hits.push(subject.at(probe, &path, message));
        }
    }
    hits
}
