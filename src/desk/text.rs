//! An incident in words: one line that a tired person understands, and the figures behind it.

use jiff::Timestamp;

use crate::alert::{Alert, Figures, Finding, Incident, Kind, Scope, State, Stream, Test};
use crate::phrase;

/// Names that a summary tells before it counts.
const NAMED: usize = 3;

/// The alert of an incident, without what the configuration adds.
/// `is_whole` says that its scope leaves no probe out of what it names.
pub(super) fn alert(incident: &Incident, is_whole: bool) -> Alert {
    Alert {
        fingerprint: incident.fingerprint.clone(),
        state: State::Pending,
        severity: incident.severity,
        kind: incident.kind,
        scope: incident.scope.clone(),
        verdict: incident.finding.clone(),
        summary: summary(incident, is_whole),
        reason: reason(&incident.figures),
        runbook_url: None,
        evidence: Vec::new(),
        runs: incident.runs.clone(),
        deploys: Vec::new(),
        labels: [].into(),
        started_at: incident.started_at,
        fired_at: None,
        resolved_at: None::<Timestamp>,
    }
}

fn summary(incident: &Incident, is_whole: bool) -> String {
    let place = place(&incident.scope, is_whole);
    let finding = incident.finding.as_ref();
    match (incident.kind, incident.stream) {
        (Kind::Latency, Stream::SlowStage(stage)) => {
            format!(
                "{place}: {} takes {} than usual",
                plain(stage.as_str()),
                slower(incident)
            )
        }
        (Kind::Latency, _) => format!("{place}: signing in takes {} than usual", slower(incident)),
        (Kind::Monitor, Stream::Unknown) => match finding {
            Some(finding) => format!("{place}: this monitor cannot judge: {}", what(finding)),
            None => format!("{place}: runs do not happen"),
        },
        (Kind::Monitor, _) => {
            let what = finding.map(what).unwrap_or_default();
            format!("{place}: all fails alike, so it is likely our own network: {what}")
        }
        _ => {
            let who = match incident.figures.rate() > 0.9 {
                true => "nobody can sign in",
                false => "sign-ins fail",
            };
            let what = finding
                .map(|it| format!(": {}", what(it)))
                .unwrap_or_default();
            format!("{place}: {who}{what}")
        }
    }
}

fn slower(incident: &Incident) -> String {
    match incident.figures.slowdown {
        Some(times) if times >= 1.05 => format!("{times:.1} times longer"),
        _ => "longer".to_owned(),
    }
}

fn what(finding: &Finding) -> String {
    let (class, stage) = (finding.class.as_str(), finding.stage.as_str());
    format!("{} at {}", plain(class), plain(stage))
}

fn plain(word: &str) -> String {
    word.replace('_', " ")
}

/// The narrowest words for a scope.
fn place(scope: &Scope, is_whole: bool) -> String {
    let probes: Vec<&str> = scope.probe.iter().map(|id| id.as_str()).collect();
    match (&scope.provider[..], &scope.environment[..], &probes[..]) {
        (_, _, [one]) => (*one).to_owned(),
        (_, _, some @ [_, ..]) if !is_whole => named(some),
        ([provider], [environment], _) => format!("{provider} in {environment}"),
        ([provider], _, _) => format!("{provider} everywhere"),
        (_, [environment], []) => format!("everything in {environment}"),
        (_, _, []) if scope.location.len() == 1 => {
            format!("everything seen from {}", scope.location[0])
        }
        (_, _, []) => "everything".to_owned(),
        (_, _, some) => named(some),
    }
}

/// The first of some names, and how many more there are.
pub(super) fn named<S: AsRef<str>>(names: &[S]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    let first = first.join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// `7 of the last 9 runs failed in 10 min; baseline 6.0 %; odds of this by chance 1 in 3,984,372`
fn reason(figures: &Figures) -> String {
    let Figures {
        bad, runs, over, ..
    } = figures;
    let (bad, runs, over) = (bad, runs, phrase::span(*over));
    let baseline = percent(figures.baseline);
    let counted = match figures.test {
        Test::Window => format!("{bad} of the last {runs} runs in {over}; baseline {baseline}"),
        Test::Hours => {
            format!("{bad} of {runs} runs in {over}, hour after hour; baseline {baseline}")
        }
        Test::Streak => {
            return format!(
                "{bad} of the last {runs} runs in {over}; this does not pass by itself; baseline {baseline}"
            );
        }
    };
    format!(
        "{counted}; odds of this by chance 1 in {}",
        grouped(figures.one_in())
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A number in groups of three digits, and a power of ten where that tells more.
fn grouped(number: f64) -> String {
    if !number.is_finite() || number >= 1e12 {
        return format!("10^{:.0}", number.log10().min(300.0));
    }
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
