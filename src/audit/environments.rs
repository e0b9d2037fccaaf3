//! What two environments must not have in common, and environments that point at each other.

use url::Url;

use crate::config::is_loopback;
use crate::probe::Probe;
use crate::secret::SecretRef;

use super::Severity::Warning;
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Warning,
        "shared-client-id",
        "two environments of one provider use one client id, so that tokens and settings of one pass for the other's",
        "register a client for each environment",
        Check::Files(client_id),
    ),
    Rule::of(
        Warning,
        "shared-secret",
        "two environments use one secret reference: whoever holds that of a test environment holds production's",
        "give each environment a secret of its own",
        Check::Files(secret),
    ),
    Rule::of(
        Warning,
        "shared-redirect-uri",
        "two environments have one redirect URI, so that codes of one are sent to the other's application",
        "register a redirect URI for each environment",
        Check::Files(redirect_uri),
    ),
    Rule::of(
        Warning,
        "production-at-sandbox",
        "an environment that is named for production points at a sandbox, test or staging server",
        "write the production issuer, or name the environment for what it is",
        Check::Files(production_at_sandbox),
    ),
    Rule::of(
        Warning,
        "sandbox-at-production",
        "an environment that is named for tests points at the production server",
        "write the issuer of the test system, or name the environment for what it is",
        Check::Files(sandbox_at_production),
    ),
];

/// What an environment is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Production,
    Test,
    Other,
}

const PRODUCTION: [&str; 4] = ["prod", "production", "prd", "live"];
const TEST: [&str; 22] = [
    "demo",
    "dev",
    "development",
    "e2e",
    "int",
    "integration",
    "nonprod",
    "pre",
    "preprod",
    "preview",
    "qa",
    "sandbox",
    "sbx",
    "stage",
    "staging",
    "stg",
    "test",
    "testing",
    "tst",
    "uat",
    "acc",
    "acceptance",
];

/// Hosts of production, each with the one of its tests.
const PAIRS: [(&str, &str); 6] = [
    ("login.salesforce.com", "test.salesforce.com"),
    ("account.docusign.com", "account-d.docusign.com"),
    ("connect.squareup.com", "connect.squareupsandbox.com"),
    ("www.paypal.com", "www.sandbox.paypal.com"),
    ("api-m.paypal.com", "api-m.sandbox.paypal.com"),
    ("appcenter.intuit.com", "sandbox-quickbooks.api.intuit.com"),
];

/// Ends of hosts that only test systems have.
const TEST_HOSTS: [&str; 4] = [
    ".oktapreview.com",
    ".trexcloud.com",
    ".sandbox.my.salesforce.com",
    ".accounts.dev",
];

fn kind(name: &str) -> Kind {
    let words = words(name);
    let any = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if any(&TEST) || words.iter().any(|word| word == "non") {
        Kind::Test
    } else if any(&PRODUCTION) {
        Kind::Production
    } else {
        Kind::Other
    }
}

/// Words of a name, in lower case, without the numbers at their ends.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .map(|word| {
            word.trim_end_matches(|c: char| c.is_ascii_digit())
                .to_owned()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// What a server is, by its address: well-known hosts, then the words of host and path. The last part of a host is
/// left out, since `.dev` and `.live` are domains like any other.
fn kind_of_server(url: &Url) -> Kind {
    let host = url.host_str().unwrap_or_default().to_lowercase();
    if is_loopback(url) || url.domain().is_none() {
        return Kind::Other;
    }
    if PAIRS.iter().any(|(_, test)| *test == host)
        || TEST_HOSTS.iter().any(|end| host.ends_with(end))
    {
        return Kind::Test;
    }
    if PAIRS.iter().any(|(production, _)| *production == host) {
        return Kind::Production;
    }
    let labels = host.rsplit_once('.').map_or("", |(labels, _)| labels);
    // Here `live` is a brand.
    kind(&format!("{labels}/{}", url.path()).replace("live", ""))
}

fn servers(probe: &Probe) -> Vec<(Vec<&'static str>, Url)> {
    let issuer = probe
        .server
        .issuer
        .as_deref()
        .and_then(|text| Url::parse(text).ok());
    let token = probe.server.endpoints.token.clone();
    let authorization = probe.server.endpoints.authorization.clone();
    let all = [
        (vec!["issuer"], issuer),
        (vec!["endpoints", "authorization"], authorization),
        (vec!["endpoints", "token"], token),
    ];
    all.into_iter()
        .filter_map(|(path, url)| Some((path, url?)))
        .collect()
}

fn mismatched(subject: &Subject<'_>, environment: Kind, server: Kind, what: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject
        .probes()
        .filter(|probe| kind(&probe.environment) == environment)
    {
        let found = servers(probe)
            .into_iter()
            .find(|(_, url)| kind_of_server(url) == server);
        if let Some((path, url)) = found {
            let message = format!("`{}` points at {}, {what}", probe.environment, url.as_str());
            hits.push(subject.at(probe, &path, message));
        }
    }
    hits
}

fn production_at_sandbox(subject: &Subject<'_>) -> Vec<Hit> {
    mismatched(
        subject,
        Kind::Production,
        Kind::Test,
        "which looks like a test system",
    )
}

fn sandbox_at_production(subject: &Subject<'_>) -> Vec<Hit> {
    mismatched(
        subject,
        Kind::Test,
        Kind::Production,
        "which looks like production",
    )
}

fn client_id(subject: &Subject<'_>) -> Vec<Hit> {
    shared(subject, |probe| {
        let key = format!("{} {}", probe.provider, probe.client.id);
        vec![(
            vec!["client", "id"],
            key,
            format!("client id `{}`", probe.client.id),
        )]
    })
}

fn secret(subject: &Subject<'_>) -> Vec<Hit> {
    shared(subject, |probe| {
        secrets(probe)
            .into_iter()
            .map(|(path, secret)| (path, format!("{secret:?}"), secret.to_string()))
            .collect()
    })
}

/// The secrets of a probe, by the place of each.
pub(super) fn secrets(probe: &Probe) -> Vec<(Vec<&'static str>, &SecretRef)> {
    let account = probe.account.as_ref();
    let all = [
        (vec!["client", "secret"], probe.client.secret.as_ref()),
        (
            vec!["account", "password"],
            account.and_then(|account| account.password.as_ref()),
        ),
        (
            vec!["account", "totp"],
            account.and_then(|account| account.totp.as_ref()),
        ),
    ];
    all.into_iter()
        .filter_map(|(path, secret)| Some((path, secret?)))
        .collect()
}

/// One host and path: the query does not tell applications apart.
fn redirect_uri(subject: &Subject<'_>) -> Vec<Hit> {
    shared(subject, |probe| {
        let Some(uri) = &probe.redirect_uri else {
            return Vec::new();
        };
        let mut url = uri.url().clone();
        url.set_query(None);
        let path = url.path().trim_end_matches('/').to_owned();
        let start = (url.scheme(), url.host_str(), url.port_or_known_default());
        vec![(
            vec!["redirect_uri"],
            format!("{start:?} {path}"),
            format!("redirect URI {url}"),
        )]
    })
}

/// A place, what must not be the same there, and how it is called.
type Mark = (Vec<&'static str>, String, String);

fn shared(subject: &Subject<'_>, marks: impl Fn(&Probe) -> Vec<Mark>) -> Vec<Hit> {
    let mut seen: Vec<(&Probe, Mark)> = Vec::new();
    let mut hits = Vec::new();
    for probe in subject.probes() {
        for (path, key, name) in marks(probe) {
            let other = seen.iter().find(|(other, (_, before, _))| {
                *before == key && other.environment != probe.environment
            });
            if let Some((other, (other_path, ..))) = other {
                let message = format!(
                    "the {name} of `{}` is that of `{}` as well ({})",
                    probe.environment,
                    other.environment,
                    subject.line(other, other_path),
                );
                hits.push(subject.at(probe, &path, message));
            }
            seen.push((probe, (path, key, name)));
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_environments_tell_what_they_are() {
        for name in ["prod", "production", "prod-eu", "eu_prod2", "live"] {
            assert_eq!(kind(name), Kind::Production, "{name}");
        }
        for name in [
            "staging",
            "pre-prod",
            "non-prod",
            "dev2",
            "prod-test",
            "sandbox.eu",
        ] {
            assert_eq!(kind(name), Kind::Test, "{name}");
        }
        for name in ["eu", "main", "products", "contest"] {
            assert_eq!(kind(name), Kind::Other, "{name}");
        }
    }

    #[test]
    fn addresses_of_servers_tell_what_they_are() {
        let check = |address: &str| kind_of_server(&Url::parse(address).unwrap());
        for address in [
            "https://sso.staging.example.com/realms/main",
            "https://sso.example.com/realms/test",
            "https://test.salesforce.com",
            "https://acme.oktapreview.com/oauth2/default",
            "https://dev-123456.okta.com",
            "https://auth.example.test.example.com",
        ] {
            assert_eq!(check(address), Kind::Test, "{address}");
        }
        for address in [
            "https://login.salesforce.com",
            "https://sso.prod.example.com",
        ] {
            assert_eq!(check(address), Kind::Production, "{address}");
        }
        for address in [
            "https://sso.example.com/realms/main",
            "https://accounts.google.com",
            "https://auth.example.dev",
            "https://login.live.com",
            "http://127.0.0.1:8080/test",
        ] {
            assert_eq!(check(address), Kind::Other, "{address}");
        }
    }
}
