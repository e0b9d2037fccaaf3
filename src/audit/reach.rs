//! Whether the provider can be asked at all: connection, certificate, clock, metadata document.

use jiff::SignedDuration;

use crate::probe::Probe;

use super::Severity::{Error, Warning};
use super::ask::{Answers, Provider, Refusal};
use super::online::missing;
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Warning,
        "provider-unreachable",
        "the provider gives no answer from here, so that it cannot be asked",
        "check the name and the way there from where the daemon runs: `curl -v ISSUER/.well-known/openid-configuration`",
        Check::Online(unreachable),
    ),
    Rule::of(
        Error,
        "certificate-refused",
        "the certificate of the provider is not trusted, not for this host, or not valid now",
        "correct the host, set `http.ca_file` for a private authority, or have the provider renew it",
        Check::Online(certificate_refused),
    ),
    Rule::of(
        Warning,
        "certificate-ends",
        "the certificate of the provider ends within three weeks",
        "tell whoever runs the provider to renew it",
        Check::Online(certificate_ends),
    ),
    Rule::of(
        Warning,
        "clock-offset",
        "our clock and the provider's are more than 30 s apart, so that fresh tokens look old or not yet valid",
        "run a time service on this machine; if its clock is right, tell whoever runs the provider",
        Check::Online(clock_offset),
    ),
    Rule::of(
        Error,
        "metadata-missing",
        "there is no metadata document at the well-known places of the issuer",
        "correct `issuer`, or give `endpoints` for a provider without metadata",
        Check::Online(metadata_missing),
    ),
];

/// Certificates that end sooner are worth a word.
const CERTIFICATE_DAYS: i64 = 21;
/// Clocks further apart make tokens fail at the edges of their lifetime.
const CLOCK_LIMIT_MS: u64 = 30_000;

/// Probes whose issuer was asked, with what it answered.
pub(super) fn asked<'a>(
    subject: &'a Subject<'_>,
    answers: &'a Answers,
) -> impl Iterator<Item = (&'a Probe, &'a Provider)> {
    subject
        .probes()
        .filter_map(|probe| Some((probe, answers.provider(probe.server.issuer.as_deref()?)?)))
}

/// Where there is no document for the reason that `told` picks out.
fn refused(
    subject: &Subject<'_>,
    answers: &Answers,
    told: fn(&Refusal) -> Option<&String>,
) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, provider) in asked(subject, answers) {
        if let Some(why) = provider.document.as_ref().err().and_then(told) {
            hits.push(subject.at(probe, &["issuer"], why));
        }
    }
    hits
}

fn unreachable(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    refused(subject, answers, |refusal| match refusal {
        Refusal::NoAnswer(why) => Some(why),
        Refusal::Certificate(_) | Refusal::NoDocument(_) => None,
    })
}

fn certificate_refused(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    refused(subject, answers, |refusal| match refusal {
        Refusal::Certificate(why) => Some(why),
        Refusal::NoAnswer(_) | Refusal::NoDocument(_) => None,
    })
}

fn metadata_missing(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = refused(subject, answers, |refusal| match refusal {
        Refusal::NoDocument(why) => Some(why),
        Refusal::NoAnswer(_) | Refusal::Certificate(_) => None,
    });
    // With every endpoint in the file nobody looks for the document.
    hits.retain(|hit| {
        let probe = subject
            .probes()
            .find(|probe| hit.probe.as_ref() == Some(&probe.id));
        probe.is_none_or(|probe| !missing(probe, None).is_empty())
    });
    hits
}

fn certificate_ends(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, provider) in
        asked(subject, answers).filter(|(_, provider)| provider.document.is_ok())
    {
        let left = provider
            .certificate_ends
            .map(|ends| ends.duration_since(answers.now));
        if let Some(left) =
            left.filter(|left| *left < SignedDuration::from_hours(24 * CERTIFICATE_DAYS))
        {
            let message = format!("the certificate ends in {} days", left.as_hours() / 24);
            hits.push(subject.at(probe, &["issuer"], message));
        }
    }
    hits
}

fn clock_offset(subject: &Subject<'_>, answers: &Answers) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (probe, provider) in asked(subject, answers) {
        let offset = provider
            .clock_offset_ms
            .filter(|offset| offset.unsigned_abs() > CLOCK_LIMIT_MS);
        if let Some(offset) = offset {
            let way = if offset > 0 { "ahead of" } else { "behind" };
            let message = format!(
                "the provider's clock is {} s {way} ours",
                offset.unsigned_abs() / 1000
            );
            hits.push(subject.at(probe, &["issuer"], message));
        }
    }
    hits
}
