//! Names what an answer means, and what stopped a journey: stage, class, cause, action, and the rule that decided.
//! Looks at what it is given and at nothing else.
//!
//! Rules are asked from narrow to broad, and the first that has something to say wins: what the probe itself must see to
//! (is the answer ours, was something accepted that must be refused), the provider's own table, code families that
//! only one provider uses, gateways in front of the provider, the meaning of texts and codes, and last the status.

mod case;
mod codes;
mod concepts;
mod decide;
mod detail;
mod gateway;
mod good;
mod markup;
mod meaning;
mod members;
mod rules;
mod seen;
mod status;
mod text;

use serde_json::{Map, Value};

pub use case::{Answer, Case, Context, Judgement, Page};

use crate::expression::{self, Facts};
use crate::probe::ErrorRule;
use crate::provider::{self, Provider};
use crate::run::{Fault, Finding, PageEvidence, Raw, Stop, Verdict};
use crate::taxonomy::{Class, Family, Outcome, Stage};
use decide::{Found, decide};

/// What is known around a stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// As the probe names it.
    pub provider: &'a str,
    /// Rules of the probe file; they are asked first.
    pub errors: &'a [ErrorRule],
    /// The page at which the browser's part stopped.
    pub page: Option<&'a PageEvidence>,
    /// Facts around the answer, by the names that [`Context`] reads.
    pub context: Option<&'a Map<String, Value>>,
}

/// Judges a stop. Every stop has a verdict.
pub fn judge(stop: &Stop, known: &Known<'_>) -> Verdict {
    let found = match &stop.fault {
        Fault::Answer(raw) => of_raw(stop.stage, raw, Answer::Body(raw.body.clone()), known),
        Fault::Callback(raw) => of_raw(stop.stage, raw, Answer::Callback(raw.body.clone()), known),
        Fault::Check(finding) | Fault::Transport(finding) => Found::plain(finding.class, "check"),
        Fault::Page(finding) => of_page(stop.stage, finding, known),
        Fault::Monitor(finding) => Found::plain(own_fault(finding), "monitor"),
    };
    let (detail, raw) = match &stop.fault {
        Fault::Answer(raw) | Fault::Callback(raw) => {
            (detail::describe(stop.stage, raw), Some(raw.clone()))
        }
        Fault::Check(finding)
        | Fault::Transport(finding)
        | Fault::Page(finding)
        | Fault::Monitor(finding) => (finding.detail.clone(), None),
    };
    Verdict {
        stage: stage_of(found.class, stop.stage),
        class: found.class,
        cause: found.cause(),
        action: found.action(),
        detail,
        rule: Some(found.rule),
        raw,
    }
}

/// Judges one answer. An answer without fault is `ok`.
pub fn classify(case: &Case) -> Judgement {
    classify_among(case, provider::ALL)
}

/// The same with the tables of these providers alone.
fn classify_among(case: &Case, providers: &[&'static Provider]) -> Judgement {
    match decide(case, providers) {
        Some(found) => Judgement {
            outcome: found.class.outcome(),
            stage: stage_of(found.class, case.stage),
            class: Some(found.class),
            cause: Some(found.cause()),
            action: Some(found.action()),
            retryable: found.action().retryable(),
            rule: found.rule,
        },
        None => Judgement {
            outcome: Outcome::Ok,
            stage: case.stage,
            class: None,
            cause: None,
            action: None,
            retryable: false,
            rule: "ok".to_owned(),
        },
    }
}

/// An answer that stopped a step is never `ok`: where no rule finds a fault, it is not what the step needs.
fn of_raw(stage: Stage, raw: &Raw, answer: Answer, known: &Known<'_>) -> Found {
    if let Some(found) = by_own_rules(raw, known.errors) {
        return found;
    }
    let answer = match (raw.body.trim(), &raw.error) {
        ("", Some(error)) => told_apart(&answer, error, raw.error_description.as_deref()),
        _ => answer,
    };
    let case = Case {
        provider: known.provider.to_owned(),
        stage,
        status: raw.status,
        headers: raw.headers.clone(),
        answer,
        context: known.context(),
    };
    decide(&case, provider::ALL).unwrap_or_else(|| Found::plain(Class::MalformedResponse, "check"))
}

/// Rules of the probe file, over status (0 for redirect parameters), headers and body. One that cannot be decided, such
/// as one over a member that is not there, does not hold.
fn by_own_rules(raw: &Raw, rules: &[ErrorRule]) -> Option<Found> {
    let facts = Facts {
        status: raw.status.unwrap_or_default(),
        headers: &raw.headers,
        body: raw.body.as_bytes(),
        username: None,
        token: &Map::new(),
    };
    let (index, rule) = rules.iter().enumerate().find(|(_, rule)| {
        let condition = expression::compile(&rule.when.0);
        condition.is_ok_and(|condition| condition.holds(&facts).unwrap_or(false))
    })?;
    Some(Found {
        class: rule.class,
        blame: Some((
            rule.cause.unwrap_or(rule.class.cause()),
            rule.action.unwrap_or(rule.class.action()),
        )),
        rule: format!("probe/errors[{index}]"),
    })
}

/// An answer of which only error and description were kept.
fn told_apart(answer: &Answer, error: &str, description: Option<&str>) -> Answer {
    let pairs = [
        ("error", error),
        ("error_description", description.unwrap_or_default()),
    ];
    match answer {
        Answer::Callback(_) => Answer::Callback(
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .finish(),
        ),
        Answer::Body(_) | Answer::Page(_) => {
            let members: Map<String, Value> = pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            Answer::Body(Value::Object(members).to_string())
        }
    }
}

/// What the browser's part saw is believed; where it could not tell, the page may.
fn of_page(stage: Stage, finding: &Finding, known: &Known<'_>) -> Found {
    let seen = Found::plain(finding.class, "page");
    let open = matches!(
        finding.class,
        Class::UnexpectedPage
            | Class::ServerError
            | Class::InvalidRequest
            | Class::AccessDenied
            | Class::HttpClientError
    );
    let Some(page) = known.page.filter(|_| open) else {
        return seen;
    };
    let case = Case {
        provider: known.provider.to_owned(),
        stage,
        status: None,
        headers: Vec::new(),
        answer: Answer::Page(Page {
            url: page.url.clone(),
            title: page.title.clone(),
            text: page.text.clone(),
        }),
        context: known.context(),
    };
    let told = decide(&case, provider::ALL);
    told.filter(|told| told.class != Class::UnexpectedPage && !meaning::is_vague(told.class))
        .unwrap_or(seen)
}

impl Known<'_> {
    fn context(&self) -> Context {
        Context(self.context.cloned().unwrap_or_default())
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

#[cfg(test)]
mod tests;
