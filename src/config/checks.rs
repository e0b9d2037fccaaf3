//! What a schema cannot say about a probe: settings that need or exclude each other.

use std::time::Duration;

use crate::probe::{ClientAuth, Flow};
use crate::secret::names_a_secret;
use crate::taxonomy::Family;

use super::fault::rule;
use super::layers::Layers;
use super::probe::Settings;
use super::report::Report;
use super::script::{LoginSettings, StepSettings};
use super::yaml::child;

/// Without an issuer there is no metadata, and every address in use must be given.
pub(super) fn check_server(
    settings: &Settings,
    has_browser: bool,
    scopes: &[String],
    layers: &Layers,
    report: &mut Report<'_>,
) {
    if layers.has("issuer") {
        return;
    }
    if !layers.has("endpoints") {
        let help = "`issuer`: exactly as the provider writes it; or `endpoints`, for a server without metadata";
        return report.key(&layers.own, "the key `issuer` is missing", help);
    }
    let Some(endpoints) = &settings.endpoints else {
        return;
    };
    let with_id_token = has_browser && scopes.iter().any(|scope| scope == "openid");
    let uses = |key: &str| {
        settings
            .steps
            .iter()
            .flatten()
            .flatten()
            .any(|step| step.key() == key)
    };
    let needs = [
        ("token", endpoints.token.is_some(), true),
        (
            "authorization",
            endpoints.authorization.is_some(),
            has_browser,
        ),
        ("jwks", endpoints.jwks.is_some(), with_id_token),
        ("userinfo", endpoints.userinfo.is_some(), uses("userinfo")),
        (
            "introspection",
            endpoints.introspection.is_some(),
            uses("introspect"),
        ),
        ("revocation", endpoints.revocation.is_some(), uses("revoke")),
        (
            "end_session",
            endpoints.end_session.is_some(),
            uses("logout"),
        ),
    ];
    for (key, given, needed) in needs {
        if needed && !given {
            let message = format!("the key `{key}` is missing");
            report.key(
                layers.place("endpoints"),
                message,
                "add it, or give `issuer` to find it by",
            );
        }
    }
    if with_id_token {
        let message = "the key `issuer` is missing: ID tokens are checked against it";
        report.key(
            &layers.own,
            message,
            "add `issuer`, or leave `openid` out of `scopes`",
        );
    }
}

pub(super) fn check_client(
    settings: &Settings,
    flow: Flow,
    layers: &Layers,
    report: &mut Report<'_>,
) {
    if !layers.has("client") {
        let help = "`client`: id, auth and secret as registered at the provider";
        return report.key(&layers.own, "the key `client` is missing", help);
    }
    let Some(client) = &settings.client else {
        return;
    };
    let place = layers.place("client");
    match (client.auth, &client.secret) {
        (ClientAuth::None, Some(_)) => {
            let message = "`auth: none` is a client without a secret, and a secret is given";
            report.key(
                &child(place, "secret"),
                message,
                "leave `secret` out, or change `auth`",
            );
        }
        (ClientAuth::None, None) if flow == Flow::ClientCredentials => {
            let message = "a client without a secret has no credentials to get a token by";
            report.value(
                &child(place, "auth"),
                message,
                "change `auth`, and add `secret`",
            );
        }
        (ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost, None) => {
            let help = "add `secret: {env: NAME}`; a public client has `auth: none` instead";
            report.key(place, "the client has no secret", help);
        }
        (ClientAuth::None, None)
        | (ClientAuth::ClientSecretBasic | ClientAuth::ClientSecretPost, Some(_)) => {}
    }
}

pub(super) fn check_account(
    settings: &Settings,
    has_browser: bool,
    layers: &Layers,
    report: &mut Report<'_>,
) {
    if !has_browser {
        return;
    }
    if !layers.has("redirect_uri") {
        let help = "`redirect_uri`: exactly as registered; the browser never opens it";
        report.key(&layers.own, "the key `redirect_uri` is missing", help);
    }
    let is_scripted = matches!(settings.login, Some(LoginSettings::Steps(_)));
    // A login that is badly shaped may have been meant as a script.
    let may_be_scripted = is_scripted || (layers.has("login") && settings.login.is_none());
    if !layers.has("account") && !may_be_scripted {
        let help = "`account`: {username: …, password: {env: …}} of an account made for this";
        report.key(
            &layers.own,
            "the key `account` is missing: `login: auto` signs in with it",
            help,
        );
    }
}

/// Parameters that the probe makes itself.
const OWN_AUTHORIZE_PARAMS: [&str; 10] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "request",
    "response_mode",
    "response_type",
    "scope",
    "state",
];
const OWN_TOKEN_PARAMS: [&str; 8] = [
    "client_assertion",
    "client_id",
    "client_secret",
    "code",
    "code_verifier",
    "grant_type",
    "redirect_uri",
    "refresh_token",
];
const OWN_HEADERS: [&str; 8] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "traceparent",
    "transfer-encoding",
    "upgrade",
];

pub(super) fn check_extras(settings: &Settings, layers: &Layers, report: &mut Report<'_>) {
    let extras = [
        (
            "authorize_params",
            &settings.authorize_params,
            OWN_AUTHORIZE_PARAMS.as_slice(),
        ),
        (
            "token_params",
            &settings.token_params,
            OWN_TOKEN_PARAMS.as_slice(),
        ),
        ("headers", &settings.headers, OWN_HEADERS.as_slice()),
    ];
    for (key, map, own) in extras {
        for name in map.iter().flatten().map(|(name, _)| name) {
            let place = child(layers.place(key), name);
            if own.contains(&name.to_lowercase().as_str()) {
                report.key(&place, "the probe sets this by itself", "leave it out");
            } else if names_a_secret(name) {
                let message = "a secret must not stand in the file";
                let help = "client and account secrets are references under `client` and `account`";
                report.by(rule::LITERAL_SECRET).value(&place, message, help);
            }
        }
    }
}

/// A fault of ours is never the meaning of an answer: such a rule would hide a broken provider.
pub(super) fn check_errors(settings: &Settings, layers: &Layers, report: &mut Report<'_>) {
    let rules = settings.errors.iter().flatten().enumerate();
    for (index, rule) in rules.filter_map(|(index, rule)| Some((index, rule.as_ref()?))) {
        if rule.class.family() == Family::Monitor {
            let place = format!("{}/{index}/class", layers.place("errors"));
            let message = format!(
                "`{}` is a fault of the monitor itself, which no answer of a provider can mean",
                rule.class
            );
            let help = "name what is wrong at the provider or the client, such as `server_error`";
            report.value(&place, message, help);
        }
    }
}

pub(super) fn check_steps(
    settings: &Settings,
    flow: Flow,
    timeout: Duration,
    layers: &Layers,
    report: &mut Report<'_>,
) {
    for (index, step) in settings.steps.iter().flatten().enumerate() {
        let Some(step) = step else {
            continue;
        };
        let place = format!("{}/{index}/{}", layers.place("steps"), step.key());
        if step.within().is_some_and(|within| within > timeout) {
            let message = "longer than the whole run may take";
            report.value(
                &format!("{place}/within"),
                message,
                "raise `timeout`, or lower this",
            );
        }
        let needs_user = match step {
            StepSettings::Userinfo(_) | StepSettings::Refresh(_) | StepSettings::Logout(_) => true,
            StepSettings::Resource(_) | StepSettings::Introspect(_) | StepSettings::Revoke(_) => {
                false
            }
        };
        if needs_user && flow == Flow::ClientCredentials {
            let message = "nobody signs in with `client_credentials`, so this step cannot work";
            report.key(&place, message, "leave it out");
        }
    }
    let guards = settings.guards.iter().flatten().next();
    if guards.is_some() && flow == Flow::ClientCredentials {
        let message = "guards need a sign-in, and `client_credentials` has none";
        report.key(layers.place("guards"), message, "leave them out");
    }
}
