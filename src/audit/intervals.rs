//! Time: runs that do not fit between two starts, sign-ins that are more than the budget, browsers that are too few.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::alert::{CONFIRMED_AFTER, MOST_CONFIRMATIONS};
use crate::probe::{Cadence, Flow, Probe, ProbeId};
use crate::provider;
use crate::schedule;

use super::Severity::{Advice, Error, Warning};
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Error,
        crate::config::rule::TIMEOUT_OVER_INTERVAL,
        "a run may last longer than the time to the next one",
        "lower `timeout`, or let the probe run less often",
        Check::Files(timeout_over_interval),
    ),
    Rule::of(
        Advice,
        "attempts-over-interval",
        "a run that fails is confirmed a minute later, and such an attempt may last into the next scheduled run",
        "lower `timeout`, or let the probe run less often",
        Check::Files(attempts_over_interval),
    ),
    Rule::of(
        Warning,
        "login-over-budget",
        "the probes of an account sign in more often than `budget.logins_per_minute` allows, so that some runs never will",
        "let them run less often, give one an account of its own, or raise the budget if the provider bears it",
        Check::Files(over_budget),
    ),
    Rule::of(
        Warning,
        "lockout-danger",
        "`stop_after_refused_credentials` is not below the number of wrong passwords that locks the account",
        "lower it to 3 or less",
        Check::Files(lockout),
    ),
    Rule::of(
        Warning,
        "totp-too-often",
        "one TOTP secret is used more often than it gives codes: one in 30 s, and a code counts once",
        "let its probes run less often, or enrol an authenticator for each",
        Check::Files(totp_too_often),
    ),
    Rule::of(
        Warning,
        "totp-shared",
        "two probes use one TOTP secret: when they sign in within the same 30 s, one has to wait for the next code",
        "give each probe an account of its own, with an authenticator of its own",
        Check::Files(totp_shared),
    ),
    Rule::of(
        Advice,
        "browser-capacity",
        "when a provider stops answering, every run takes its whole `timeout`, and there are too few browsers for that",
        "raise `browser.max_sessions`, lower `timeout`, or let probes run less often",
        Check::Files(browser_capacity),
    ),
    Rule::of(
        Advice,
        "cron-without-timezone",
        "`cron` names hours and no `timezone` says where, so UTC is meant",
        "write `timezone: Europe/Berlin` or the like, or `timezone: UTC` to say so",
        Check::Files(cron_without_timezone),
    ),
];

/// Starts are looked at from here on: a Monday, in no zone's change of clocks.
fn origin() -> Timestamp {
    Timestamp::constant(1_704_067_200, 0)
}

/// More starts of one probe tell nothing new.
const STARTS: usize = 1000;
/// Days whose starts are compared, in seconds.
const SPAN: i64 = 86_400;

/// The starts of probes within a day, worked out once: cron patterns take their time.
#[derive(Debug, Default)]
pub(super) struct Starts(OnceCell<BTreeMap<ProbeId, Vec<Timestamp>>>);

impl Starts {
    fn of<'a>(&'a self, subject: &Subject<'_>, probe: &Probe) -> &'a [Timestamp] {
        let all = || {
            let each = subject
                .probes()
                .map(|probe| (probe.id.clone(), starts(probe)));
            each.collect()
        };
        let all = self.0.get_or_init(all);
        all.get(&probe.id).map_or(&[], Vec::as_slice)
    }
}

/// The starts of a probe within a day, at most the first thousand.
fn starts(probe: &Probe) -> Vec<Timestamp> {
    let mut starts = Vec::new();
    let mut now = origin();
    while starts.len() < STARTS {
        let next = schedule::next_start(&probe.id, &probe.cadence, now);
        match next {
            Some(next) if next.duration_since(origin()).as_secs() <= SPAN => starts.push(next),
            _ => break,
        }
        now = starts[starts.len() - 1];
    }
    starts
}

/// The most runs of a probe within so long a time of a day.
pub(super) fn most_within(subject: &Subject<'_>, probe: &Probe, span: Duration) -> usize {
    match probe.cadence {
        Cadence::Every(every) => {
            let runs = span.as_secs_f64() / every.as_secs_f64();
            // More than any rule asks for is as good as without end.
            runs.min(STARTS as f64) as usize
        }
        Cadence::Cron { .. } => {
            let seconds = i64::try_from(span.as_secs()).unwrap_or(SPAN);
            busiest(subject, &[probe], seconds)
        }
    }
}

/// The shortest time between two starts of a day; `None` where it has fewer than two.
fn shortest(subject: &Subject<'_>, probe: &Probe) -> Option<Duration> {
    if let Cadence::Every(every) = probe.cadence {
        return Some(every);
    }
    let starts = subject.starts.of(subject, probe);
    let gaps = starts
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]));
    gaps.min().and_then(|gap| gap.try_into().ok())
}

fn timeout_over_interval(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        if let Cadence::Cron { .. } = probe.cadence
            && let Some(shortest) =
                shortest(subject, probe).filter(|shortest| probe.timeout > *shortest)
        {
            let message = format!(
                "a run may last {}, and `cron` starts the next after {}",
                seconds(probe.timeout),
                seconds(shortest)
            );
            hits.push(subject.at(
                probe,
                &[setting(subject, probe, "timeout", "cron")],
                message,
            ));
        }
    }
    hits
}

/// Attempts as they follow each other when every one takes its whole timeout.
fn attempts_over_interval(subject: &Subject<'_>) -> Vec<Hit> {
    let pause = CONFIRMED_AFTER.unsigned_abs();
    let mut hits = Vec::new();
    for probe in subject.probes() {
        let Some(interval) = shortest(subject, probe) else {
            continue;
        };
        let starts = (1..=MOST_CONFIRMATIONS).map(|nth| (probe.timeout + pause) * nth);
        let late = starts
            .zip(2..)
            .find(|(start, _)| *start < interval && *start + probe.timeout > interval);
        if let Some((start, nth)) = late {
            let cadence = match probe.cadence {
                Cadence::Every(_) => "every",
                Cadence::Cron { .. } => "cron",
            };
            let message = format!(
                "attempt {nth} may begin after {} and last {}, and the next run begins after {}",
                seconds(start),
                seconds(probe.timeout),
                seconds(interval)
            );
            hits.push(subject.at(
                probe,
                &[setting(subject, probe, "timeout", cadence)],
                message,
            ));
        }
    }
    hits
}

/// The setting to speak of: the first where it is given, else the second.
fn setting<'a>(subject: &Subject<'_>, probe: &Probe, first: &'a str, second: &'a str) -> &'a str {
    match subject.places.gives(&probe.id, first) {
        true => first,
        false => second,
    }
}

/// Probes that sign in, by the account that they do it with.
fn by_account<'a>(subject: &'a Subject<'_>) -> BTreeMap<String, Vec<&'a Probe>> {
    let mut accounts: BTreeMap<String, Vec<&Probe>> = BTreeMap::new();
    for probe in subject
        .probes()
        .filter(|probe| probe.flow == Flow::AuthorizationCode)
    {
        if let Some(account) = &probe.account {
            let server = probe.server.issuer.clone();
            let server = server.or_else(|| {
                probe
                    .server
                    .endpoints
                    .token
                    .as_ref()
                    .map(ToString::to_string)
            });
            let key = format!("{server:?} {} {:?}", account.username, account.password);
            accounts.entry(key).or_default().push(probe);
        }
    }
    accounts
}

fn over_budget(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probes in by_account(subject).values() {
        let most = busiest(subject, probes, 60);
        let tightest = probes
            .iter()
            .min_by_key(|probe| probe.budget.logins_per_minute);
        let Some(probe) = tightest.filter(|probe| most > probe.budget.logins_per_minute as usize)
        else {
            continue;
        };
        let hour = busiest(subject, probes, 3600);
        let account = probe
            .account
            .as_ref()
            .map_or("", |account| &account.username);
        let message = format!(
            "{} {most} times within a minute and {hour} times an hour as {account}, and the budget is {} a minute",
            counted(probes.len(), "probe signs in", "probes sign in"),
            probe.budget.logins_per_minute
        );
        let place: &[&str] = match subject.places.gives(&probe.id, "budget") {
            true => &["budget", "logins_per_minute"],
            false => &["every"],
        };
        hits.push(subject.at(probe, place, message));
    }
    hits
}

/// The most starts of these probes within so many seconds.
fn busiest(subject: &Subject<'_>, probes: &[&Probe], seconds: i64) -> usize {
    let starts = probes
        .iter()
        .flat_map(|probe| subject.starts.of(subject, probe));
    let mut all: Vec<Timestamp> = starts.copied().collect();
    all.sort();
    let (mut from, mut most) = (0, 0);
    for (index, start) in all.iter().enumerate() {
        while start.duration_since(all[from]).as_secs() >= seconds {
            from += 1;
        }
        most = most.max(index - from + 1);
    }
    most
}

/// Wrong passwords after which an account is locked, as providers are set up at first.
fn locks_after(name: &str) -> u32 {
    match provider::find(name).map(|provider| provider.name) {
        Some("microsoft-entra" | "azure-ad-b2c" | "okta" | "auth0" | "salesforce") => 10,
        Some("keycloak") => 30,
        _ => 5,
    }
}

fn lockout(subject: &Subject<'_>) -> Vec<Hit> {
    let signs_in = |probe: &&Probe| probe.flow == Flow::AuthorizationCode;
    let mut hits = Vec::new();
    for probe in subject.probes().filter(signs_in) {
        let (tries, limit) = (
            probe.budget.stop_after_refused_credentials,
            locks_after(&probe.provider),
        );
        if tries >= limit {
            let message = format!(
                "{tries} wrong passwords are tried, and {limit} are often enough to lock an account"
            );
            hits.push(subject.at(
                probe,
                &["budget", "stop_after_refused_credentials"],
                message,
            ));
        }
    }
    hits
}

/// Probes that use a TOTP secret, by its reference.
fn by_totp<'a>(subject: &'a Subject<'_>) -> BTreeMap<String, Vec<&'a Probe>> {
    let mut secrets: BTreeMap<String, Vec<&Probe>> = BTreeMap::new();
    for probe in subject
        .probes()
        .filter(|probe| probe.flow == Flow::AuthorizationCode)
    {
        if let Some(totp) = probe
            .account
            .as_ref()
            .and_then(|account| account.totp.as_ref())
        {
            secrets.entry(format!("{totp:?}")).or_default().push(probe);
        }
    }
    secrets
}

fn totp_shared(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probes in by_totp(subject).values() {
        for pair in probes.windows(2) {
            let message = format!(
                "the TOTP secret of {} is that of {} as well ({})",
                pair[1].id,
                pair[0].id,
                subject.line(pair[0], &["account", "totp"])
            );
            hits.push(subject.at(pair[1], &["account", "totp"], message));
        }
    }
    hits
}

fn totp_too_often(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probes in by_totp(subject).values() {
        let fastest = probes
            .iter()
            .filter_map(|probe| Some((probe, shortest(subject, probe)?)));
        let fastest = fastest.min_by_key(|(_, shortest)| *shortest);
        let per_hour = busiest(subject, probes, 3600);
        if let Some((probe, _)) =
            fastest.filter(|(_, shortest)| per_hour > 120 || *shortest < Duration::from_secs(30))
        {
            let message = format!("codes are needed {per_hour} times an hour, and there are 120");
            hits.push(subject.at(probe, &[setting(subject, probe, "every", "cron")], message));
        }
    }
    hits
}

fn browser_capacity(subject: &Subject<'_>) -> Vec<Hit> {
    if !subject.places.has_daemon_file() {
        return Vec::new();
    }
    let browsers = subject
        .probes()
        .filter(|probe| probe.flow == Flow::AuthorizationCode);
    let busy: f64 = browsers
        .filter_map(|probe| {
            Some(probe.timeout.as_secs_f64() / shortest(subject, probe)?.as_secs_f64())
        })
        .sum();
    let there = subject.daemon.browser.max_sessions;
    if busy <= there as f64 {
        return Vec::new();
    }
    let message = format!(
        "if every run took its whole timeout, {} would be needed at a time, and there may be {there}",
        counted(busy.ceil() as usize, "browser", "browsers")
    );
    vec![subject.at_daemon(&["browser", "max_sessions"], message)]
}

fn cron_without_timezone(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for probe in subject.probes() {
        let Cadence::Cron { pattern, .. } = &probe.cadence else {
            continue;
        };
        let fields: Vec<&str> = pattern.split_whitespace().collect();
        let hour = fields.get(if fields.len() > 5 { 2 } else { 1 });
        let names_hours = hour.is_some_and(|hour| !hour.starts_with('*'));
        if names_hours && !subject.places.gives(&probe.id, "timezone") {
            hits.push(subject.at(
                probe,
                &["cron"],
                "these hours are in UTC, since no `timezone` is given",
            ));
        }
    }
    hits
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

/// `1 probe`, `2 probes`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
