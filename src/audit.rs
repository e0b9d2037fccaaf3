//! The audit behind `validate`: what a schema cannot know and people get wrong in practice. Each rule is one row of a
//! table and one function from files that were read to the places that break it; the commands print what comes out.
//!
//! The rules are pure. What has to be looked up for them is brought by [`disk`] (modes of files) and, only when asked
//! for, by [`ask`] (providers). No secret is fetched.

mod alerts;
pub mod ask;
mod channels;
pub mod disk;
mod environments;
mod expectations;
mod intervals;
mod offline_access;
mod online;
mod reach;
mod reading;
mod redirects;
mod routes;
mod runbooks;
mod secrets;
mod steps;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};

use crate::config::{Daemon, Fault, Place, Places, Reading};
use crate::probe::{Probe, ProbeId};

use ask::Answers;
use disk::Disk;

/// How bad a finding is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Severity {
    /// Cannot work, or is not safe.
    Error,
    /// Works, and bites one day.
    Warning,
    /// Worth a thought.
    Advice,
}

impl Severity {
    /// Its name in files and output.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Stable: files name it to silence it.
    pub id: &'static str,
    pub severity: Severity,
    /// What it looks for, in one sentence.
    pub what: &'static str,
    /// What to do about it, in one sentence.
    pub fix: &'static str,
    check: Check,
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// The reader of the files holds them to it; this row only says what it means.
    Reading,
    /// The files as they were read.
    Files(fn(&Subject<'_>) -> Vec<Hit>),
    /// The files, and what providers say of themselves.
    Online(fn(&Subject<'_>, &Answers) -> Vec<Hit>),
}

impl Rule {
    const fn of(
        severity: Severity,
        id: &'static str,
        what: &'static str,
        fix: &'static str,
        check: Check,
    ) -> Self {
        Self {
            id,
            severity,
            what,
            fix,
            check,
        }
    }

    /// Whether only `--online` can tell.
    pub fn is_online(&self) -> bool {
        matches!(self.check, Check::Online(_))
    }
}

/// Every rule, in the order of the documents.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let groups: [&'static [Rule]; 14] = [
        reading::RULES,
        redirects::RULES,
        environments::RULES,
        intervals::RULES,
        secrets::RULES,
        offline_access::RULES,
        steps::RULES,
        expectations::RULES,
        alerts::RULES,
        channels::RULES,
        routes::RULES,
        runbooks::RULES,
        reach::RULES,
        online::RULES,
    ];
    groups.into_iter().flatten()
}

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    pub severity: Severity,
    /// The file as it was named or found.
    pub file: String,
    /// Counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Counted in characters from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// Path of the key, such as `environments.prod.client.auth`; empty for the file as a whole.
    pub field: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// A rule was broken here.
#[derive(Debug)]
struct Hit {
    place: Place,
    message: String,
    /// Where it is more than the rule says for all.
    fix: Option<String>,
    /// The probe whose settings silence it.
    probe: Option<ProbeId>,
}

impl Hit {
    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// What the rules look at.
struct Subject<'a> {
    daemon: &'a Daemon,
    places: &'a Places,
    disk: &'a Disk,
    starts: intervals::Starts,
}

impl Subject<'_> {
    fn probes(&self) -> std::slice::Iter<'_, Probe> {
        self.daemon.probes.iter()
    }

    /// A hit at a setting of a probe.
    fn at(&self, probe: &Probe, path: &[&str], message: impl Into<String>) -> Hit {
        let place = self.places.of_probe(&probe.id, path);
        Hit {
            place: place.unwrap_or_else(|| whole(&probe.source)),
            message: message.into(),
            fix: None,
            probe: Some(probe.id.clone()),
        }
    }

    /// A hit at a setting of the daemon file.
    fn at_daemon(&self, path: &[&str], message: impl Into<String>) -> Hit {
        let place = self.places.of_daemon(path);
        Hit {
            place: place.unwrap_or_else(|| whole(&self.daemon.source)),
            message: message.into(),
            fix: None,
            probe: None,
        }
    }

    /// A hit at a key at the top of a probe's file.
    fn at_file(&self, probe: &Probe, key: &str, message: impl Into<String>) -> Hit {
        let place = self.places.of_file(&probe.source, &[key]);
        Hit {
            place: place.unwrap_or_else(|| whole(&probe.source)),
            message: message.into(),
            fix: None,
            probe: Some(probe.id.clone()),
        }
    }

    /// `file:line` of a setting of a probe, for messages about two.
    fn line(&self, probe: &Probe, path: &[&str]) -> String {
        match self.places.of_probe(&probe.id, path) {
            Some(place) => format!("{}:{}", place.file.display(), place.line),
            None => probe.source.display().to_string(),
        }
    }

    fn is_ignored(&self, rule: &str, probe: Option<&ProbeId>) -> bool {
        let own = probe.map(|probe| self.places.ignored_for(probe));
        let all = own
            .into_iter()
            .chain([self.places.ignored_everywhere()])
            .flatten();
        all.into_iter().any(|(id, _)| id == rule)
    }
}

fn whole(file: &std::path::Path) -> Place {
    Place {
        file: file.to_owned(),
        line: 0,
        column: 0,
        field: String::new(),
    }
}

/// Everything that is wrong, in the order of files and lines: faults of reading, then what the rules find in the files
/// that have none. `answers` are there when providers were asked.
pub fn audit(reading: &Reading, disk: &Disk, answers: Option<&Answers>) -> Vec<Finding> {
    let faults: Vec<&Fault> = reading
        .faults
        .iter()
        .flat_map(|faults| faults.iter())
        .collect();
    let mut findings: Vec<Finding> = faults.iter().map(|fault| of_fault(fault)).collect();
    if let Some(daemon) = &reading.daemon {
        let subject = Subject {
            daemon,
            places: &reading.places,
            disk,
            starts: intervals::Starts::default(),
        };
        // What is read of a file with faults is not all that it says.
        let is_sound = |place: &Place| faults.iter().all(|fault| fault.file != place.file);
        for rule in rules() {
            let hits = match (rule.check, answers) {
                (Check::Files(check), _) => check(&subject),
                (Check::Online(check), Some(answers)) => check(&subject, answers),
                (Check::Online(_), None) | (Check::Reading, _) => Vec::new(),
            };
            let kept = hits
                .into_iter()
                .filter(|hit| is_sound(&hit.place))
                .filter(|hit| !subject.is_ignored(rule.id, hit.probe.as_ref()));
            findings.extend(kept.map(|hit| of_hit(rule, hit)));
        }
    }
    findings.sort_by(|a, b| order(a).cmp(&order(b)));
    // A setting at the top of a file is that of many probes; once is enough.
    findings.dedup_by(|a, b| order(a) == order(b));
    findings
}

fn order(finding: &Finding) -> impl Ord {
    (
        finding.file.clone(),
        finding.line,
        finding.column,
        finding.rule.clone(),
        // Faults of reading share one id, and each counts.
        (finding.rule == crate::config::rule::INVALID).then(|| finding.message.clone()),
    )
}

fn of_fault(fault: &Fault) -> Finding {
    Finding {
        rule: fault.rule.to_owned(),
        severity: Severity::Error,
        file: fault.file.display().to_string(),
        line: fault.line,
        column: fault.column,
        field: fault.field.clone(),
        message: fault.message.clone(),
        fix: fault.help.clone().or_else(|| general_fix(fault.rule)),
    }
}

/// What its rule says for all; the one of all other faults says nothing in particular.
fn general_fix(id: &str) -> Option<String> {
    let rule = rules().find(|rule| rule.id == id && id != crate::config::rule::INVALID);
    rule.map(|rule| rule.fix.to_owned())
}

fn of_hit(rule: &Rule, hit: Hit) -> Finding {
    Finding {
        rule: rule.id.to_owned(),
        severity: rule.severity,
        file: hit.place.file.display().to_string(),
        line: hit.place.line,
        column: hit.place.column,
        field: hit.place.field,
        message: hit.message,
        fix: Some(hit.fix.unwrap_or_else(|| rule.fix.to_owned())),
    }
}
