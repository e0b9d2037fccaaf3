//! Runbooks: what the person who is woken finds behind the link of the notice.

use url::Url;

use super::Severity::{Error, Warning};
use super::ask::Answers;
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Warning,
        "runbook-missing",
        "alerts of a probe have no runbook address, and the built-in runbooks are served on loopback, where nobody else can open them",
        "write `alerts: {runbook: \"https://wiki.example.com/oauth/{class}\"}`, or let `listen` be an address that people reach",
        Check::Files(missing),
    ),
    Rule::of(
        Error,
        "runbook-invalid",
        "the address of a runbook is no web address, or holds a placeholder other than `{class}`",
        "write a whole https address; only `{class}` is replaced in it",
        Check::Files(invalid),
    ),
    Rule::of(
        Warning,
        "runbook-unreachable",
        "the page of a runbook does not answer, or says that it is not there",
        "see that the page exists for each class; `authcanary explain` lists the classes",
        Check::Online(unreachable),
    ),
];

/// The class that stands for all others when a runbook is looked for.
pub(super) const EXAMPLE_CLASS: &str = "redirect_uri_mismatch";

fn missing(subject: &Subject<'_>) -> Vec<Hit> {
    if subject.daemon.channels.is_empty() || !subject.daemon.listen.ip().is_loopback() {
        return Vec::new();
    }
    subject
        .probes()
        .filter(|probe| probe.alerts.runbook.is_none())
        .map(|probe| {
            subject.at(
                probe,
                &["alerts", "runbook"],
                format!("alerts of {} lead to no runbook", probe.id),
            )
        })
        .collect()
}

fn invalid(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        let Some(template) = &probe.alerts.runbook else {
            continue;
        };
        let filled = filled(template);
        let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        let message = if filled.contains(['{', '}']) {
            "only `{class}` is replaced; the rest stays as it is written"
        } else if !Url::parse(&filled).is_ok_and(|url| is_web(&url)) {
            "is no whole web address"
        } else {
            continue;
        };
        hits.push(subject.at(probe, &["alerts", "runbook"], message));
    }
    hits
}

/// The address for one class.
pub(super) fn filled(template: &str) -> String {
    template.replace("{class}", EXAMPLE_CLASS)
}

fn unreachable(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        let address = probe.alerts.runbook.as_deref().map(filled);
        let page = address.and_then(|address| Some((answers.page(&address)?, address)));
        let trouble = match page {
            Some((Err(trouble), address)) => format!("{address}: {trouble}"),
            // A page behind a sign-in is there for those who may see it.
            Some((Ok(status), address)) if *status >= 400 && ![401, 403].contains(status) => {
                format!("{address} answers with status {status}")
            }
            Some((Ok(_), _)) | None => continue,
        };
        hits.push(subject.at(probe, &["alerts", "runbook"], trouble));
    }
    hits
}
