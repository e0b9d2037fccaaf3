//! The corpus of recorded answers, with the tables of their providers and without them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::provider;

const ERRORS: &str = include_str!("../../../tests/corpus/provider-errors.jsonl");
/// Answers of providers without a table, in many languages, and of gateways; made after the rules, to try them.
const OTHERS: &str = include_str!("../../../tests/corpus/other-answers.jsonl");
const GOOD: &str = include_str!("../../../tests/corpus/good-answers.jsonl");
/// Good answers that look like errors, or are odd in other ways.
const OTHER_GOOD: &str = include_str!("../../../tests/corpus/other-good-answers.jsonl");

#[derive(Deserialize)]
struct Labelled {
    id: String,
    #[serde(flatten)]
    case: serde_json::Map<String, Value>,
    expect: Expect,
}

#[derive(Deserialize)]
struct Expect {
    class: Option<Class>,
    cause: Option<Cause>,
    action: Option<Action>,
    #[serde(default)]
    accept: Vec<Class>,
}

impl Labelled {
    fn case(&self) -> Case {
        serde_json::from_value(Value::Object(self.case.clone())).unwrap()
    }

    fn is_right(&self, judgement: &Judgement) -> bool {
        let exact = judgement.class == self.expect.class
            && judgement.cause == self.expect.cause
            && judgement.action == self.expect.action;
        exact
            || judgement
                .class
                .is_some_and(|class| self.expect.accept.contains(&class))
    }
}

fn lines(file: &str) -> Vec<Labelled> {
    file.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Share of right verdicts, and those that are wrong.
fn measure(cases: &[Labelled], tables: &[&'static Provider]) -> (f64, String) {
    let mut wrong = String::new();
    let mut right = 0;
    for labelled in cases {
        let judgement = classify_among(&labelled.case(), tables);
        if labelled.is_right(&judgement) {
            right += 1;
        } else {
            let id = &labelled.id;
            wrong.push_str(&format!(
                "{id}: {:?} by {}\n",
                judgement.class, judgement.rule
            ));
        }
    }
    (f64::from(right) / cases.len() as f64, wrong)
}

#[test]
fn the_corpus_is_judged_right() {
    let (share, wrong) = measure(&lines(ERRORS), provider::ALL);
    assert!(share >= 0.99, "{share}\n{wrong}");
}

#[test]
fn answers_that_no_table_was_written_for_are_judged_right() {
    let (share, wrong) = measure(&lines(OTHERS), provider::ALL);
    assert!(share >= 0.97, "{share}\n{wrong}");
}

#[test]
fn good_answers_raise_no_alarm() {
    for labelled in lines(GOOD).into_iter().chain(lines(OTHER_GOOD)) {
        for tables in [provider::ALL, &[]] {
            let judgement = classify_among(&labelled.case(), tables);
            assert_eq!(
                judgement.outcome,
                Outcome::Ok,
                "{} by {}",
                labelled.id,
                judgement.rule
            );
        }
    }
}

/// Every third provider loses its table; what the general rules make of its answers is counted. Each provider is left
/// out once.
#[test]
fn providers_without_tables_are_judged_by_the_general_rules() {
    let mut by_provider: BTreeMap<String, Vec<Labelled>> = BTreeMap::new();
    for labelled in lines(ERRORS) {
        let provider = labelled.case().provider;
        by_provider.entry(provider).or_default().push(labelled);
    }
    by_provider.remove("generic");
    let (mut right, mut all, mut wrong) = (0.0, 0.0, String::new());
    for third in 0..3 {
        let held_out = || by_provider.iter().skip(third).step_by(3);
        let tables: Vec<&'static Provider> = provider::ALL
            .iter()
            .copied()
            .filter(|table| !held_out().any(|(name, _)| name == table.name))
            .collect();
        for (_, cases) in held_out() {
            let (share, missed) = measure(cases, &tables);
            right += share * cases.len() as f64;
            all += cases.len() as f64;
            wrong.push_str(&missed);
        }
    }
    let share = right / all;
    println!(
        "{share:.3} of {all} answers are judged right without the table of their provider\n{wrong}"
    );
    assert!(share >= 0.93, "{share}\n{wrong}");
}

#[test]
fn phrases_of_tables_are_in_plain_form() {
    for provider in provider::ALL {
        for rule in provider.rules {
            for phrase in rule.says {
                for part in phrase.split('*') {
                    assert_eq!(
                        text::plain(part),
                        part.trim(),
                        "{}: {phrase}",
                        provider.name
                    );
                }
            }
            let says_something =
                !rule.codes.is_empty() || !rule.says.is_empty() || rule.fact.is_some();
            assert!(says_something, "{}", provider.name);
        }
    }
}

#[test]
fn names_of_providers_are_told_apart() {
    let mut seen = BTreeMap::new();
    for provider in provider::ALL {
        for name in std::iter::once(&provider.name).chain(provider.aliases) {
            assert!(seen.insert(*name, provider.name).is_none(), "{name}");
            assert!(provider::find(name).is_some(), "{name}");
        }
    }
}
