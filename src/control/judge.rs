//! Whose fault it was, from what a look at this machine found.

use std::collections::BTreeSet;

use super::{Contact, Doubt, Findings, Reach, Rehearsal, Sighting, Trial, coinciding, doubts};
use crate::taxonomy::Class;

/// Clocks further apart than this make tokens fail at the edges of their lifetime.
pub const CLOCK_LIMIT_MS: i64 = 30_000;

/// Clocks that are this close agree.
const CLOCK_SPREAD_MS: i64 = 10_000;

/// A browser does not start in less memory.
const MEMORY_LOW_BYTES: u64 = 64 << 20;

/// A browser's profile does not fit in less room.
const DISK_LOW_BYTES: u64 = 16 << 20;

/// Whose fault a failure was, and what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub blame: Blame,
    /// In one line for a person.
    pub reason: String,
}

/// Whose fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum Blame {
    /// This machine's, or its network's: the provider was not judged.
    Ours,
    /// Not this machine's.
    Theirs,
    /// Nothing shows that it was ours, and nothing that it was not. The failure stands.
    Undecided,
}

/// Judges a failure that [`super::is_doubtful`]. A fault of ours that was found counts only for classes that it can
/// explain, and an answer of somebody else over the same way outweighs every suspicion against the way.
pub fn judge(failure: &Sighting, recent: &[Sighting], findings: &Findings) -> Judgement {
    let doubts = failure.class.map_or(&[][..], doubts);
    let others: BTreeSet<&str> = coinciding(failure, recent)
        .map(|other| other.provider.as_str())
        .collect();
    let judged = rehearsal(failure, doubts, findings, !others.is_empty()).or_else(|| {
        doubts.iter().find_map(|doubt| match doubt {
            Doubt::Clock => clock(failure, findings),
            Doubt::Machine => machine(findings),
            Doubt::Path => path(failure, findings),
        })
    });
    judged.unwrap_or_else(|| Judgement {
        blame: Blame::Undecided,
        reason: unexplained(&others, findings),
    })
}

fn ours(reason: impl Into<String>) -> Option<Judgement> {
    Some(Judgement {
        blame: Blame::Ours,
        reason: reason.into(),
    })
}

fn theirs(reason: impl Into<String>) -> Option<Judgement> {
    Some(Judgement {
        blame: Blame::Theirs,
        reason: reason.into(),
    })
}

fn unexplained(others: &BTreeSet<&str>, findings: &Findings) -> String {
    let at_home = match findings.rehearsal {
        Rehearsal::Passed => "signing in at the built-in provider works",
        Rehearsal::Overdue => "the built-in provider was not signed in at in time",
        Rehearsal::NotHeld | Rehearsal::Failed { .. } => {
            "nothing was found wrong with this machine"
        }
    };
    match others.is_empty() {
        true => format!("{at_home}; no independent place to compare with"),
        false => {
            let others: Vec<&str> = others.iter().copied().collect();
            format!(
                "{at_home}, and {} failed at the same time",
                others.join(", ")
            )
        }
    }
}

/// Our clock, by what others say of the time.
fn clock(failure: &Sighting, findings: &Findings) -> Option<Judgement> {
    let independent: Vec<&Trial> = independent(failure, findings).collect();
    if let Some(offset_ms) = agreed_offset_ms(&independent) {
        let side = if offset_ms > 0 { "behind" } else { "ahead" };
        return if offset_ms.abs() > CLOCK_LIMIT_MS {
            let off = offset_ms.unsigned_abs() / 1000;
            ours(format!("the clock of this machine is {off} s {side}"))
        } else {
            theirs("the clock of this machine agrees with those of others")
        };
    }
    let expired = |trial: &&Trial| trial.result == Err(Class::TlsExpired);
    let is_telling = is_vouched_for(&independent) || sites(&independent) >= 2;
    if is_telling && independent.iter().all(expired) {
        return ours(
            "certificates of independent places are out of date too: the clock of this machine is wrong",
        );
    }
    None
}

/// Clock of others minus ours, where at least two agree, or one that the configuration vouches for.
pub fn agreed_offset_ms(trials: &[&Trial]) -> Option<i64> {
    let told = |trial: &&Trial| trial.result.ok()?.clock_offset_ms;
    let mut offsets: Vec<i64> = trials.iter().filter_map(told).collect();
    offsets.sort_unstable();
    let middle = *offsets.get(offsets.len() / 2)?;
    let agreeing = offsets
        .iter()
        .filter(|offset| (**offset - middle).abs() <= CLOCK_SPREAD_MS)
        .count();
    let is_vouched = trials
        .iter()
        .any(|trial| trial.is_named() && told(trial) == Some(middle));
    (is_vouched || (agreeing >= 2 && agreeing * 2 > offsets.len())).then_some(middle)
}

/// What fails at a provider on this machine as well does not fail because of any other.
fn rehearsal(
    failure: &Sighting,
    doubts: &[Doubt],
    findings: &Findings,
    do_others_fail: bool,
) -> Option<Judgement> {
    if doubts == [Doubt::Clock] {
        return None;
    }
    match &findings.rehearsal {
        // A browser that fails is no reason for a request that was sent without it.
        Rehearsal::Failed { in_browser, why } if failure.in_browser || !in_browser => ours(
            format!("signing in at the built-in provider on this machine fails too: {why}"),
        ),
        Rehearsal::Overdue if do_others_fail && doubts.contains(&Doubt::Machine) => ours(
            "signing in at the built-in provider on this machine takes too long too: it is overloaded",
        ),
        Rehearsal::Failed { .. } | Rehearsal::Overdue | Rehearsal::NotHeld | Rehearsal::Passed => {
            None
        }
    }
}

/// A machine that has nothing left to work with.
fn machine(findings: &Findings) -> Option<Judgement> {
    let mib = |bytes: u64| bytes >> 20;
    if let Some(bytes) = findings.memory_bytes.filter(|it| *it < MEMORY_LOW_BYTES) {
        return ours(format!(
            "this machine has only {} MiB of memory left",
            mib(bytes)
        ));
    }
    let bytes = findings.disk_bytes.filter(|it| *it < DISK_LOW_BYTES)?;
    ours(format!(
        "the folder for temporary files has only {} MiB left",
        mib(bytes)
    ))
}

/// The way out, as far as it is the way to the place that failed.
fn path(failure: &Sighting, findings: &Findings) -> Option<Judgement> {
    if let Some(judged) = by_proxy(failure, findings) {
        return Some(judged);
    }
    let independent: Vec<&Trial> = independent(failure, findings).collect();
    let answered = independent
        .iter()
        .find(|trial| trial.result.is_ok() && trial.reach.covers(failure.reach));
    if let Some(trial) = answered {
        return theirs(format!(
            "{} answered over the same network at that time",
            trial.site.as_str()
        ));
    }
    if failure.reach != Reach::Loopback && findings.has_route == Some(false) {
        return ours("this machine has no network: no route leads beyond it");
    }
    if failure.class == Some(Class::DnsFailure) {
        return by_names(failure, findings, &independent);
    }
    by_trials(failure, &independent)
}

fn by_proxy(failure: &Sighting, findings: &Findings) -> Option<Judgement> {
    if failure.reach != Reach::Proxied || findings.proxies.is_empty() {
        return None;
    }
    let dead = findings.proxies.iter().all(|proxy| !proxy.answers);
    dead.then(|| {
        ours(format!(
            "the proxy {} cannot be reached",
            listed(&findings.proxies)
        ))
    })?
}

/// Names that do not resolve: does any other?
fn by_names(failure: &Sighting, findings: &Findings, trials: &[&Trial]) -> Option<Judgement> {
    if let Some(lookup) = findings.lookups.iter().find(|lookup| lookup.resolves) {
        return theirs(format!("{} resolves", lookup.name));
    }
    let silent = |server: &Contact| !server.answers;
    if !findings.nameservers.is_empty() && findings.nameservers.iter().all(silent) {
        let servers = listed(&findings.nameservers);
        return ours(format!("name resolution is down: no answer from {servers}"));
    }
    if !findings.lookups.is_empty() {
        let names: Vec<&str> = findings
            .lookups
            .iter()
            .map(|lookup| lookup.name.as_str())
            .collect();
        return ours(format!(
            "names that should resolve do not either: {}",
            names.join(", ")
        ));
    }
    by_trials(failure, trials)
}

/// Nobody answered: enough of them to say that it is the way?
fn by_trials(failure: &Sighting, independent: &[&Trial]) -> Option<Judgement> {
    let same_way: Vec<&Trial> = independent
        .iter()
        .copied()
        .filter(|trial| trial.reach == failure.reach)
        .collect();
    let named: Vec<&Trial> = same_way
        .iter()
        .copied()
        .filter(|trial| trial.is_named())
        .collect();
    if !named.is_empty() {
        return ours(format!("{} cannot be reached either", places(&named)));
    }
    // Of other providers any may be down, but hardly all so that none of them is even reached.
    let is_unreached = |trial: &&Trial| trial.result.is_err_and(never_reached);
    if failure.class.is_some_and(never_reached)
        && sites(&same_way) >= 2
        && same_way.iter().all(is_unreached)
    {
        return ours(format!("{} cannot be reached either", places(&same_way)));
    }
    None
}

/// Whether nothing at all came from the place itself. A host that refuses, or accepts and says nothing, was reached.
fn never_reached(class: Class) -> bool {
    matches!(
        class,
        Class::DnsFailure | Class::ConnectTimeout | Class::ProxyError | Class::TlsUntrusted
    )
}

fn independent<'a>(
    failure: &'a Sighting,
    findings: &'a Findings,
) -> impl Iterator<Item = &'a Trial> {
    findings
        .trials
        .iter()
        .filter(|trial| trial.is_unrelated(failure))
}

fn is_vouched_for(trials: &[&Trial]) -> bool {
    trials.iter().any(|trial| trial.is_named())
}

fn sites(trials: &[&Trial]) -> usize {
    let sites: BTreeSet<_> = trials.iter().map(|trial| &trial.site).collect();
    sites.len()
}

/// Each with what it came to: `a.example (dns_failure), b.example (connect_timeout)`.
fn places(trials: &[&Trial]) -> String {
    let words: BTreeSet<String> = trials
        .iter()
        .map(|trial| match trial.result {
            Ok(_) => trial.site.as_str().to_owned(),
            Err(class) => format!("{} ({class})", trial.site.as_str()),
        })
        .collect();
    words.into_iter().collect::<Vec<_>>().join(", ")
}

fn listed(contacts: &[Contact]) -> String {
    let names: Vec<&str> = contacts
        .iter()
        .map(|contact| contact.name.as_str())
        .collect();
    names.join(", ")
}
