//! What a replay found, for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Page, Seen, kind};
use crate::alert::{Incident, Severity};

/// Probes that are named as noisy.
const MOST_NOISY: usize = 3;

/// The figures.
pub(super) struct Summary<'a> {
    pages: &'a [&'a Page],
    seen: &'a Seen,
}

impl<'a> Summary<'a> {
    pub(super) fn of(pages: &'a [&'a Page], seen: &'a Seen) -> Self {
        Self { pages, seen }
    }

    pub(super) fn text(&self, took: Duration) -> String {
        let mut text = self.alerts();
        if !self.pages.is_empty() {
            text.push('\n');
        }
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<18}{value}");
        };
        line("runs", self.runs());
        line("alerts", self.counts());
        if !self.pages.is_empty() {
            let delays: Vec<SignedDuration> = self
                .pages
                .iter()
                .map(|page| page.first.fired_at.duration_since(page.first.started_at))
                .collect();
            line("time to detect", spread(delays));
            line("duration", spread(self.durations()));
            line("longest", self.longest());
            line("noisiest", self.noisiest());
        }
        let speed = self.seen.runs as f64 / took.as_secs_f64().max(1e-3);
        line(
            "replayed in",
            format!("{:.1} s, {speed:.0} runs a second", took.as_secs_f64()),
        );
        text
    }

    /// A block for each alert: when and where, then the figures.
    fn alerts(&self) -> String {
        let mut text = String::new();
        for page in self.pages {
            let end = match page.last.resolved_at {
                Some(end) => length(end.duration_since(page.first.fired_at)),
                None => "still open".to_owned(),
            };
            let ticket = match page.first.severity {
                Severity::Page => "",
                Severity::Ticket => ", ticket",
            };
            let _ = writeln!(
                text,
                "{}  {}{ticket}, {end}  {}\n{:22}{}",
                minute(page.first.fired_at),
                kind(page.first.kind),
                page.first.summary(),
                "",
                page.first.reason()
            );
            if page.last.scope != page.first.scope {
                let _ = writeln!(text, "{:22}later {}", "", page.last.summary());
            }
        }
        text
    }

    fn runs(&self) -> String {
        let over = match (self.seen.first, self.seen.last) {
            (Some(first), Some(last)) => length(last.duration_since(first)),
            _ => "no time".to_owned(),
        };
        let probes = self.seen.probes.len();
        format!("{} of {probes} probes over {over}", self.seen.runs)
    }

    fn counts(&self) -> String {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for page in self.pages {
            *kinds.entry(kind(page.first.kind)).or_default() += 1;
        }
        let kinds: Vec<String> = kinds
            .into_iter()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        let open = self
            .pages
            .iter()
            .filter(|page| page.last.resolved_at.is_none());
        let mut counts = match self.pages.len() {
            0 => "none".to_owned(),
            all => format!("{all}: {}", kinds.join(", ")),
        };
        match open.count() {
            0 => {}
            open => {
                let _ = write!(counts, "; {open} still open");
            }
        }
        counts
    }

    fn durations(&self) -> Vec<SignedDuration> {
        let end = self.seen.last.unwrap_or_default();
        self.pages
            .iter()
            .map(|page| {
                let until = page.last.resolved_at.unwrap_or(end);
                until.duration_since(page.first.fired_at)
            })
            .collect()
    }

    fn longest(&self) -> String {
        let durations = self.durations();
        let longest = self
            .pages
            .iter()
            .zip(durations)
            .max_by_key(|(_, took)| *took);
        longest.map_or(String::new(), |(page, took)| {
            let from = minute(page.first.fired_at);
            format!("{}, from {from}: {}", length(took), page.last.summary())
        })
    }

    /// Probes that were bad in most alerts.
    fn noisiest(&self) -> String {
        let mut alerts: BTreeMap<String, usize> = BTreeMap::new();
        for page in self.pages {
            for member in bad(&page.last) {
                *alerts.entry(member).or_default() += 1;
            }
        }
        let mut alerts: Vec<(String, usize)> = alerts.into_iter().collect();
        alerts.sort_by(|(name, a), (other, b)| b.cmp(a).then_with(|| name.cmp(other)));
        let named = alerts.iter().take(MOST_NOISY);
        let named: Vec<String> = named
            .map(|(name, count)| match count {
                1 => format!("{name} in 1 alert"),
                _ => format!("{name} in {count} alerts"),
            })
            .collect();
        named.join(", ")
    }
}

fn bad(incident: &Incident) -> impl Iterator<Item = String> {
    let bad = incident.members.iter().filter(|member| member.is_bad);
    bad.map(|member| format!("{} at {}", member.probe, member.location))
}

/// The middle one, the 95th of a hundred and the longest.
fn spread(mut all: Vec<SignedDuration>) -> String {
    all.sort_unstable();
    let at = |share: f64| {
        let index = (share * all.len() as f64).ceil() as usize;
        all.get(index.max(1) - 1).copied().unwrap_or_default()
    };
    format!(
        "median {}, 95 % within {}, longest {}",
        length(at(0.5)),
        length(at(0.95)),
        length(at(1.0))
    )
}

/// To the minute, in UTC.
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A length of time in the unit that a person would choose.
fn length(span: SignedDuration) -> String {
    let minutes = (span.as_secs() + 30) / 60;
    match minutes {
        ..120 => format!("{minutes} min"),
        120..2880 => format!("{:.1} h", minutes as f64 / 60.0),
        _ => format!("{:.1} days", minutes as f64 / 1440.0),
    }
}
