//! Conditions that say the same whatever comes, and so say nothing.

use crate::expression;
use crate::probe::{Expectation, Probe, Step};

use super::Severity::{Error, Warning};
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Error,
        "expect-never-true",
        "an `expect` cannot hold for any status, so that the step always fails",
        "correct the condition: `==` for one status, `||` between several",
        Check::Files(never_expected),
    ),
    Rule::of(
        Warning,
        "expect-always-true",
        "an `expect` holds for every status, so that it checks nothing",
        "name what must hold, such as `status == 200`",
        Check::Files(always_expected),
    ),
    Rule::of(
        Warning,
        "error-rule-never-fires",
        "an entry of `errors` can fit no answer: its condition never holds, or an earlier entry has it already",
        "correct the condition, or leave the entry out",
        Check::Files(rule_never_fires),
    ),
    Rule::of(
        Error,
        "error-rule-always-fires",
        "an entry of `errors` fits every answer, so that every failure gets its class",
        "name what the answer must look like",
        Check::Files(rule_always_fires),
    ),
];

/// Every status an answer can have.
fn answers() -> Vec<u16> {
    (100..600).collect()
}

/// How far a condition over the status alone reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Never,
    Sometimes,
    Always,
}

fn reach(condition: &Expectation, statuses: &[u16]) -> Reach {
    let compiled = expression::compile(&condition.0).ok();
    match compiled.and_then(|condition| condition.statuses(statuses)) {
        Some(held) if held.is_empty() => Reach::Never,
        Some(held) if held.len() == statuses.len() => Reach::Always,
        Some(_) | None => Reach::Sometimes,
    }
}

fn expected(subject: &Subject<'_>, wanted: Reach, message: &str) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        for (index, step) in probe.steps.iter().enumerate() {
            let (key, expect) = match step {
                Step::Userinfo { expect } => ("userinfo", expect),
                Step::Resource { expect, .. } => ("resource", expect),
                Step::Introspect { expect } => ("introspect", expect),
                Step::Refresh { .. } | Step::Revoke { .. } | Step::Logout { .. } => continue,
            };
            if expect
                .as_ref()
                .is_some_and(|expect| reach(expect, &answers()) == wanted)
            {
                let path = ["steps", &index.to_string(), key, "expect"];
                hits.push(subject.at(probe, &path, message));
            }
        }
    }
    hits
}

fn never_expected(subject: &Subject<'_>) -> Vec<Hit> {
    expected(subject, Reach::Never, "no status fits this condition")
}

fn always_expected(subject: &Subject<'_>) -> Vec<Hit> {
    expected(subject, Reach::Always, "every status fits this condition")
}

/// Calls `judge` for each error rule with those before it.
fn error_rules(
    subject: &Subject<'_>,
    judge: impl Fn(&Probe, usize) -> Option<&'static str>,
) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        for index in 0..probe.errors.len() {
            if let Some(message) = judge(probe, index) {
                hits.push(subject.at(probe, &["errors", &index.to_string(), "when"], message));
            }
        }
    }
    hits
}

/// Parameters at the redirect URI count as status 0.
fn seen_by_rules() -> Vec<u16> {
    std::iter::once(0).chain(answers()).collect()
}

fn rule_never_fires(subject: &Subject<'_>) -> Vec<Hit> {
    error_rules(subject, |probe, index| {
        let when = &probe.errors[index].when;
        if probe.errors[..index]
            .iter()
            .any(|earlier| earlier.when == *when)
        {
            return Some("an earlier entry has this condition, and the first that fits counts");
        }
        (reach(when, &seen_by_rules()) == Reach::Never).then_some("no status fits this condition")
    })
}

fn rule_always_fires(subject: &Subject<'_>) -> Vec<Hit> {
    error_rules(subject, |probe, index| {
        let reach = reach(&probe.errors[index].when, &seen_by_rules());
        (reach == Reach::Always).then_some("every answer fits this condition")
    })
}
