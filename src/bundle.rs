//! What is handed on of a run, to a viewer or to a provider's support desk: a HAR, commands that ask again what failed,
//! and one page that tells it all. Made of the record alone; nothing is in it that the record does not have.

mod curl;
mod har;
mod markdown;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

pub use curl::script as curl;
pub use har::har;
pub use markdown::page as markdown;

use crate::run::{Exchange, Hop, Run};
use crate::taxonomy::{Family, Stage};

/// What stands for a secret in everything that is kept.
const HIDDEN: &str = "[redacted-";

/// A request of a run, whoever sent it.
#[derive(Debug, Clone, Copy)]
enum Sent<'a> {
    ByProbe(&'a Exchange),
    ByBrowser { hop: &'a Hop, at: Timestamp },
}

impl<'a> Sent<'a> {
    fn method(self) -> &'a str {
        match self {
            Self::ByProbe(exchange) => &exchange.method,
            Self::ByBrowser { hop, .. } => &hop.method,
        }
    }

    fn url(self) -> &'a str {
        match self {
            Self::ByProbe(exchange) => &exchange.url,
            Self::ByBrowser { hop, .. } => &hop.url,
        }
    }

    fn at(self) -> Timestamp {
        match self {
            Self::ByProbe(exchange) => exchange.started_at,
            Self::ByBrowser { at, .. } => at,
        }
    }

    fn outcome(self) -> String {
        let (status, error) = match self {
            Self::ByProbe(exchange) => (exchange.status, &exchange.error),
            Self::ByBrowser { hop, .. } => (hop.status, &hop.error),
        };
        match (status, error) {
            (Some(status), None) => format!("answered {status}"),
            (Some(status), Some(error)) => format!("answered {status}, then {error}"),
            (None, Some(error)) => error.clone(),
            (None, None) => "held back".to_owned(),
        }
    }
}

/// Requests of the browser, with their time.
fn hops(run: &Run) -> Vec<Sent<'_>> {
    let Some(evidence) = &run.evidence else {
        return Vec::new();
    };
    let began = evidence.browser_started_at.unwrap_or(run.started_at);
    let hops = evidence.hops.iter().map(|hop| Sent::ByBrowser {
        hop,
        at: began + SignedDuration::from_millis(hop.at_ms.try_into().unwrap_or_default()),
    });
    hops.collect()
}

/// Requests of the probe itself.
fn exchanges(run: &Run) -> Vec<Sent<'_>> {
    let exchanges = run.evidence.iter().flat_map(|it| &it.exchanges);
    exchanges.map(Sent::ByProbe).collect()
}

/// Where it failed: the request that got the answer which stopped the run, and before it the one that began the way there.
/// Empty for a run that passed, and where the fault was ours.
fn failing(run: &Run) -> Vec<Sent<'_>> {
    let Some(verdict) = &run.verdict else {
        return Vec::new();
    };
    if verdict.class.family() == Family::Monitor {
        return Vec::new();
    }
    if verdict.stage.is_in_browser() {
        return in_browser(run, verdict.stage);
    }
    let broken = |sent: &&Sent<'_>| match sent {
        Sent::ByProbe(exchange) => exchange.error.is_some(),
        Sent::ByBrowser { hop, .. } => hop.error.is_some(),
    };
    let (exchanges, hops) = (exchanges(run), hops(run));
    if matches!(verdict.stage, Stage::Dns | Stage::Connect | Stage::Tls) {
        let last = exchanges
            .last()
            .filter(broken)
            .or(hops.iter().rfind(broken));
        return last.copied().into_iter().collect();
    }
    let of_stage = |sent: &&Sent<'_>| match sent {
        Sent::ByProbe(exchange) => exchange.stage == verdict.stage,
        Sent::ByBrowser { .. } => false,
    };
    // What is wrong with an ID token came with the token answer, the last one before it.
    let last = exchanges.iter().rfind(of_stage).or(exchanges.last());
    last.copied().into_iter().collect()
}

/// The authorization request, and the last one that was answered: the callback, which was held back, is not asked again.
fn in_browser(run: &Run, stage: Stage) -> Vec<Sent<'_>> {
    let mut answered = hops(run);
    answered.retain(|sent| match sent {
        Sent::ByBrowser { hop, .. } => hop.status.is_some() || hop.error.is_some(),
        Sent::ByProbe(_) => false,
    });
    match answered.as_slice() {
        [] => Vec::new(),
        [only] => vec![*only],
        [.., last] if stage == Stage::Logout => vec![*last],
        [first, .., last] => vec![*first, *last],
    }
}

/// To the millisecond, in UTC.
fn exact(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
