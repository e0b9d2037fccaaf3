//! Redirect URIs and issuers as texts: providers compare them letter by letter, people do not.

use url::Url;

use crate::config::is_loopback;
use crate::probe::{Probe, RedirectUri};

use super::Severity::{Error, Warning};
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Error,
        "redirect-uri-http",
        "a redirect URI is plain http outside loopback, so that codes cross the network in clear",
        "register and write an https address, or one on 127.0.0.1 or [::1] for an app on the same machine",
        Check::Files(plain_http),
    ),
    Rule::of(
        Error,
        "redirect-uri-wildcard",
        "a redirect URI holds a `*`, and is compared letter by letter by the standard",
        "write one whole address that is registered",
        Check::Files(wildcard),
    ),
    Rule::of(
        Warning,
        "redirect-uri-nearly-same",
        "two redirect URIs of one client differ only by a slash at the end, by letter case or by the port",
        "compare both with the registration: most providers take exactly one of them",
        Check::Files(nearly_same),
    ),
    Rule::of(
        Warning,
        "issuer-nearly-same",
        "two issuers of one provider differ only by a slash at the end, by letter case or by the default port",
        "write both as the metadata has it: issuers are compared letter by letter",
        Check::Files(nearly_same_issuer),
    ),
];

fn redirects<'a>(subject: &'a Subject<'_>) -> impl Iterator<Item = (&'a Probe, &'a RedirectUri)> {
    subject
        .probes()
        .filter_map(|probe| Some((probe, probe.redirect_uri.as_ref()?)))
}

fn plain_http(subject: &Subject<'_>) -> Vec<Hit> {
    redirects(subject)
        .filter(|(_, uri)| uri.url().scheme() == "http" && !is_loopback(uri.url()))
        .map(|(probe, _)| {
            let message = "is plain http: an authorization code would cross the network in clear";
            subject.at(probe, &["redirect_uri"], message)
        })
        .collect()
}

fn wildcard(subject: &Subject<'_>) -> Vec<Hit> {
    redirects(subject)
        .filter(|(_, uri)| uri.as_str().contains('*'))
        .map(|(probe, _)| subject.at(probe, &["redirect_uri"], "holds a `*`"))
        .collect()
}

fn nearly_same(subject: &Subject<'_>) -> Vec<Hit> {
    let all: Vec<_> = redirects(subject).collect();
    let mut hits = Vec::new();
    for (index, (probe, uri)) in all.iter().enumerate() {
        let other = all[..index].iter().find(|(other, before)| {
            other.provider == probe.provider
                && other.client.id == probe.client.id
                && other.server.issuer == probe.server.issuer
                && before.as_str() != uri.as_str()
                && shape(before.url(), false) == shape(uri.url(), false)
        });
        if let Some((other, before)) = other {
            let message = format!(
                "`{}` and `{}` of {} differ only by {}",
                uri.as_str(),
                before.as_str(),
                subject.line(other, &["redirect_uri"]),
                difference(before.as_str(), uri.as_str()),
            );
            hits.push(subject.at(probe, &["redirect_uri"], message));
        }
    }
    hits
}

fn nearly_same_issuer(subject: &Subject<'_>) -> Vec<Hit> {
    let issuers = subject
        .probes()
        .filter_map(|probe| Some((probe, probe.server.issuer.as_deref()?)));
    let all: Vec<_> = issuers
        .filter_map(|(probe, text)| Some((probe, text, Url::parse(text).ok()?)))
        .collect();
    let mut hits = Vec::new();
    for (index, (probe, text, url)) in all.iter().enumerate() {
        let other = all[..index].iter().find(|(other, before, before_url)| {
            other.provider == probe.provider
                && before != text
                && shape(before_url, true) == shape(url, true)
        });
        if let Some((other, before, _)) = other {
            let message = format!(
                "`{text}` and `{before}` of {} differ only by {}",
                subject.line(other, &["issuer"]),
                difference(before, text),
            );
            hits.push(subject.at(probe, &["issuer"], message));
        }
    }
    hits
}

/// What is left of an address when all is taken away that people do not see.
fn shape(url: &Url, with_port: bool) -> (String, String, Option<u16>) {
    let path = url.path().trim_end_matches('/').to_lowercase();
    let query = url.query().unwrap_or_default();
    (
        format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
        format!("{path}?{query}"),
        url.port().filter(|_| with_port),
    )
}

fn difference(one: &str, other: &str) -> &'static str {
    let slash = |text: &str| text.trim_end_matches('/').to_owned();
    if slash(one) == slash(other) {
        "a slash at the end"
    } else if one.eq_ignore_ascii_case(other) {
        "letter case"
    } else if slash(one).eq_ignore_ascii_case(&slash(other)) {
        "letter case and a slash at the end"
    } else {
        "the port"
    }
}
