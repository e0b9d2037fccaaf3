//! The configuration against what the provider says of itself (OpenID Connect Discovery section 3, RFC 8414 section 2).
//! A member that is left out has the default that these give it; where they give none, nothing is concluded.

use serde_json::{Map, Value};

use crate::oauth::metadata::{Endpoint, Metadata};
use crate::oauth::quoted;
use crate::probe::{ClientAuth, Flow, Probe, Step};

use super::Severity::{Error, Warning};
use super::ask::Answers;
use super::reach::asked;
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Error,
        "issuer-differs",
        "the metadata names another issuer; both are compared letter by letter",
        "write the issuer as the metadata has it",
        Check::Online(issuer_differs),
    ),
    Rule::of(
        Error,
        "endpoint-missing",
        "a step needs an endpoint that neither the metadata nor the file gives",
        "leave the step out, or give the address under `endpoints`",
        Check::Online(endpoint_missing),
    ),
    Rule::of(
        Warning,
        "scope-unsupported",
        "a scope is not among those that the provider lists",
        "correct it; a provider may support more than it lists, and then this rule can be ignored",
        Check::Online(scope),
    ),
    Rule::of(
        Error,
        "grant-unsupported",
        "the provider does not list the grant that `flow` or `refresh` uses",
        "choose another flow, or leave the step out",
        Check::Online(grant),
    ),
    Rule::of(
        Error,
        "client-auth-unsupported",
        "the provider does not list this `client.auth` for its token endpoint",
        "write one that it lists and that the client is registered with",
        Check::Online(client_auth),
    ),
    Rule::of(
        Warning,
        "pkce-unsupported",
        "the provider does not list the PKCE method S256, so that a stolen code of a public client could be used",
        "have the provider switch it on (RFC 7636; RFC 9700 section 2.1.1 asks for it)",
        Check::Online(pkce),
    ),
    Rule::of(
        Error,
        "request-form-required",
        "the provider takes only pushed or signed authorization requests (RFC 9126, RFC 9101), and probes send plain ones",
        "have plain requests allowed for the client of the probe",
        Check::Online(request_form),
    ),
    Rule::of(
        Error,
        "response-type-unsupported",
        "the provider does not list the response type `code`",
        "have the code flow switched on for this issuer; there is no other here",
        Check::Online(response_type),
    ),
    Rule::of(
        Error,
        "response-mode-unsupported",
        "the provider does not list this `response_mode`",
        "write one that it lists, or leave it out",
        Check::Online(response_mode),
    ),
    Rule::of(
        Error,
        "id-token-alg-unsupported",
        "the provider does not list this `client.id_token_alg`",
        "write the algorithm that the client is registered with",
        Check::Online(id_token_alg),
    ),
    Rule::of(
        Warning,
        "prompt-unsupported",
        "the provider does not list this value of `prompt`",
        "write one that it lists, or leave it out",
        Check::Online(prompt),
    ),
];

/// Those of them that have a metadata document.
fn documented<'a>(
    subject: &'a Subject<'_>,
    answers: &'a Answers,
) -> impl Iterator<Item = (&'a Probe, &'a Map<String, Value>)> {
    asked(subject, answers)
        .filter_map(|(probe, provider)| Some((probe, provider.document.as_ref().ok()?)))
}

fn issuer_differs(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in documented(subject, answers) {
        let found = document.get("issuer").and_then(Value::as_str);
        if found != probe.server.issuer.as_deref() {
            let message = match found {
                Some(found) => format!("the metadata is of issuer {}", quoted(found)),
                None => "the metadata names no issuer".to_owned(),
            };
            hits.push(subject.at(probe, &["issuer"], message));
        }
    }
    hits
}

/// Endpoints that this probe needs and nobody gives.
pub(super) fn missing(probe: &Probe, document: Option<&Map<String, Value>>) -> Vec<Endpoint> {
    let given = Metadata::given(&probe.server);
    let listed = |endpoint: Endpoint| {
        let name: &str = endpoint.into();
        document.is_some_and(|document| document.get(name).is_some_and(Value::is_string))
    };
    let mut needed = Endpoint::needed_by(probe);
    needed.retain(|&endpoint| given.endpoint(endpoint).is_err() && !listed(endpoint));
    needed
}

fn endpoint_missing(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in documented(subject, answers) {
        for endpoint in missing(probe, Some(document)) {
            let wants = |step: &Step| match endpoint {
                Endpoint::Userinfo => matches!(step, Step::Userinfo { .. }),
                Endpoint::Introspection => matches!(step, Step::Introspect { .. }),
                Endpoint::Revocation => matches!(step, Step::Revoke { .. }),
                Endpoint::EndSession => matches!(step, Step::Logout { .. }),
                Endpoint::Authorization | Endpoint::Token | Endpoint::Jwks => false,
            };
            let name: &str = endpoint.into();
            let message = format!("the metadata has no {name}");
            let step = probe
                .steps
                .iter()
                .position(wants)
                .map(|index| index.to_string());
            hits.push(match &step {
                Some(index) => subject.at(probe, &["steps", index], message),
                None => subject.at(probe, &["issuer"], message),
            });
        }
    }
    hits
}

/// What the provider lists under a name; `None` where it does not say.
fn listed<'a>(document: &'a Map<String, Value>, name: &str) -> Option<Vec<&'a str>> {
    let list = document.get(name)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).collect())
}

/// The list, or the default of the specifications.
fn listed_or<'a>(
    document: &'a Map<String, Value>,
    name: &str,
    default: &[&'a str],
) -> Vec<&'a str> {
    listed(document, name).unwrap_or_else(|| default.to_vec())
}

fn not_listed(what: &str, list: &[&str]) -> String {
    format!(
        "{what} is not among those of the provider: {}",
        quoted(&list.join(" ")).trim_matches('`')
    )
}

fn scope(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in documented(subject, answers) {
        let Some(list) = listed(document, "scopes_supported") else {
            continue;
        };
        for (index, scope) in probe.scopes.iter().enumerate() {
            if !list.contains(&scope.as_str()) {
                let message = not_listed(&format!("`{scope}`"), &list);
                hits.push(subject.at(probe, &["scopes", &index.to_string()], message));
            }
        }
    }
    hits
}

fn grant(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in documented(subject, answers) {
        let Some(list) = listed(document, "grant_types_supported") else {
            // The default speaks of the code and implicit grants alone, and few mean it so.
            continue;
        };
        let own = match probe.flow {
            Flow::AuthorizationCode => "authorization_code",
            Flow::ClientCredentials => "client_credentials",
        };
        if !list.contains(&own) {
            hits.push(subject.at(probe, &["flow"], not_listed(&format!("`{own}`"), &list)));
        }
        let refresh = probe
            .steps
            .iter()
            .position(|step| matches!(step, Step::Refresh { .. }));
        if let Some(index) = refresh.filter(|_| !list.contains(&"refresh_token")) {
            let message = not_listed("`refresh_token`", &list);
            hits.push(subject.at(probe, &["steps", &index.to_string()], message));
        }
    }
    hits
}

fn client_auth(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in documented(subject, answers) {
        let default = ["client_secret_basic"];
        let list = listed_or(document, "token_endpoint_auth_methods_supported", &default);
        let method = match probe.client.auth {
            ClientAuth::ClientSecretBasic => "client_secret_basic",
            ClientAuth::ClientSecretPost => "client_secret_post",
            // Many take public clients and do not list them: `none` is left out of the list where nothing is checked.
            ClientAuth::None => continue,
        };
        if !list.contains(&method) {
            let message = not_listed(&format!("`{method}`"), &list);
            hits.push(subject.at(probe, &["client", "auth"], message));
        }
    }
    hits
}

/// Probes of the code flow.
fn of_code<'a>(
    subject: &'a Subject<'_>,
    answers: &'a Answers,
) -> impl Iterator<Item = (&'a Probe, &'a Map<String, Value>)> {
    documented(subject, answers).filter(|(probe, _)| probe.flow == Flow::AuthorizationCode)
}

fn pkce(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in of_code(subject, answers) {
        let list = listed(document, "code_challenge_methods_supported");
        if list.as_ref().is_some_and(|list| list.contains(&"S256")) {
            continue;
        }
        // A client with a secret is safe enough with a provider that says nothing.
        let is_public = probe.client.auth == ClientAuth::None;
        if let Some(list) = list.or_else(|| is_public.then(Vec::new)) {
            let message = match list.is_empty() {
                true => "the provider lists no PKCE method".to_owned(),
                false => not_listed("`S256`", &list),
            };
            hits.push(subject.at(probe, &["client", "auth"], message));
        }
    }
    hits
}

fn request_form(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    const DEMANDS: [(&str, &str); 2] = [
        ("require_pushed_authorization_requests", "pushed"),
        ("require_signed_request_object", "signed"),
    ];
    let mut hits = Vec::new();
    for (probe, document) in of_code(subject, answers) {
        let demanded = |name: &str| document.get(name) == Some(&Value::Bool(true));
        if let Some((_, form)) = DEMANDS.iter().find(|(name, _)| demanded(name)) {
            let message = format!("the provider takes only {form} authorization requests");
            hits.push(subject.at(probe, &["issuer"], message));
        }
    }
    hits
}

fn response_type(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    of_code(subject, answers)
        .filter_map(|(probe, document)| {
            Some((probe, listed(document, "response_types_supported")?))
        })
        .filter(|(_, list)| !list.contains(&"code"))
        .map(|(probe, list)| subject.at(probe, &["flow"], not_listed("`code`", &list)))
        .collect()
}

fn response_mode(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in of_code(subject, answers) {
        let list = listed_or(document, "response_modes_supported", &["query", "fragment"]);
        let mode: Option<&str> = probe.response_mode.map(Into::into);
        if let Some(mode) = mode.filter(|mode| !list.contains(mode)) {
            let message = not_listed(&format!("`{mode}`"), &list);
            hits.push(subject.at(probe, &["response_mode"], message));
        }
    }
    hits
}

fn id_token_alg(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in of_code(subject, answers) {
        let list = listed(document, "id_token_signing_alg_values_supported");
        if let (Some(alg), Some(list)) = (&probe.client.id_token_alg, list)
            && !list.contains(&alg.as_str())
        {
            let message = not_listed(&format!("`{alg}`"), &list);
            hits.push(subject.at(probe, &["client", "id_token_alg"], message));
        }
    }
    hits
}

fn prompt(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, document) in of_code(subject, answers) {
        let Some(list) = listed(document, "prompt_values_supported") else {
            continue;
        };
        let prompt = probe.authorize_params.get("prompt");
        let words = prompt.iter().flat_map(|prompt| prompt.split(' '));
        for word in words.filter(|word| !word.is_empty() && !list.contains(word)) {
            let message = not_listed(&format!("`{word}`"), &list);
            hits.push(subject.at(probe, &["authorize_params", "prompt"], message));
        }
    }
    hits
}
