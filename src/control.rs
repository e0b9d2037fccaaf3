//! Do these failures look like ours? Decides whether a failure calls for a look at this machine, and, from what that
//! look found, whose fault it was. Pure: takes verdicts with their times and findings, and looks at nothing else.
//!
//! Only evidence that something is wrong *here* makes a failure ours, and only one that could explain it. Two providers
//! that fail at once are no such evidence: one may hang on the other, or both on a third.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use url::{Host, Url};

use crate::taxonomy::Class;

mod judge;

pub use judge::{Blame, CLOCK_LIMIT_MS, Judgement, agreed_offset_ms, judge};

/// Failures this close to each other coincide.
const TOGETHER: SignedDuration = SignedDuration::from_secs(120);

/// What is behind one operator, as far as a name shows it: the registered domain, or an address with its port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Site(String);

impl Site {
    /// The site of an address. Two names below one registered domain are one site; names in zones such as `co.uk` keep
    /// three parts.
    pub fn of(url: &Url) -> Self {
        let port = url.port_or_known_default().unwrap_or_default();
        Self(match url.host() {
            Some(Host::Domain(name)) if !is_local(name) => registered(name),
            Some(host) => format!("{host}:{port}"),
            None => url.as_str().to_owned(),
        })
    }

    /// Of something without an address.
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of this machine, or an address that a scheme without rules of its own keeps as a name.
fn is_local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

fn registered(name: &str) -> String {
    let parts: Vec<&str> = name.trim_end_matches('.').split('.').collect();
    let is_shared_zone =
        matches!(parts.as_slice(), [.., zone, top] if top.len() == 2 && zone.len() <= 3);
    let keep = if is_shared_zone { 3 } else { 2 };
    parts[parts.len().saturating_sub(keep)..].join(".")
}

/// How far the way to a target goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// This machine.
    Loopback,
    /// A network that is not routed in public.
    Private,
    Public,
    /// As far as the proxy; the rest is the proxy's.
    Proxied,
}

impl Reach {
    /// Of an address that is reached directly.
    pub fn of(address: IpAddr) -> Self {
        let is_private = match address {
            IpAddr::V4(v4) => v4.is_private() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
        };
        if address.is_loopback() || address.is_unspecified() {
            Self::Loopback
        } else if is_private {
            Self::Private
        } else {
            Self::Public
        }
    }

    /// Whether an answer over `self` proves that `other` works as well.
    fn covers(self, other: Self) -> bool {
        self == other || (self > other && self != Self::Proxied)
    }
}

/// One run that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// As the probe names it.
    pub provider: String,
    /// Where it was going when it ended.
    pub site: Site,
    pub reach: Reach,
    /// Whether it ended in the browser's part.
    pub in_browser: bool,
    pub ended_at: Timestamp,
    /// Absent where the run passed.
    pub class: Option<Class>,
}

impl Sighting {
    /// Whether nothing but this machine has part in both.
    fn is_unrelated(&self, provider: &str, site: &Site) -> bool {
        let is_same_provider = self.provider == provider && provider != "generic";
        self.site != *site && !is_same_provider
    }
}

/// Faults of ours that could be behind a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// The way out: route, name resolution, proxy, interception.
    Path,
    Clock,
    /// The browser, memory, disk.
    Machine,
}

/// What could be behind a class; empty where an answer was understood, which proves that the way to it works.
fn doubts(class: Class) -> &'static [Doubt] {
    use Doubt::{Clock, Machine, Path};
    match class {
        Class::DnsFailure
        | Class::ConnectRefused
        | Class::ConnectTimeout
        | Class::ProxyError
        | Class::TlsHandshake
        | Class::TlsUntrusted
        | Class::TlsHostnameMismatch => &[Path],
        Class::ConnectionReset | Class::RequestTimeout | Class::NavigationTimeout => {
            &[Machine, Path]
        }
        Class::TlsExpired | Class::TokenExpired | Class::TokenNotYetValid | Class::ClockSkew => {
            &[Clock]
        }
        Class::ElementNotFound | Class::UnexpectedPage | Class::CallbackNotReached => &[Machine],
        _ => &[],
    }
}

/// Whether this machine should be looked at before the failure is believed. A class of the network or the clock always
/// calls for it, a class of the page only when an unrelated provider fails too.
pub fn is_doubtful(failure: &Sighting, recent: &[Sighting]) -> bool {
    match failure.class.map(doubts) {
        None | Some([]) => false,
        Some([Doubt::Machine]) => coinciding(failure, recent).next().is_some(),
        Some(_) => true,
    }
}

/// Failures of unrelated providers at about the same time that nothing but this machine explains either.
fn coinciding<'a>(
    failure: &'a Sighting,
    recent: &'a [Sighting],
) -> impl Iterator<Item = &'a Sighting> {
    recent.iter().filter(|other| {
        let apart = failure.ended_at.duration_since(other.ended_at).abs();
        let is_open = other.class.is_some_and(|class| !doubts(class).is_empty());
        is_open && apart <= TOGETHER && failure.is_unrelated(&other.provider, &other.site)
    })
}

/// What a look at this machine found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// How the provider on this machine was signed in at.
    pub rehearsal: Rehearsal,
    /// Independent places that were asked.
    pub trials: Vec<Trial>,
    /// Independent names that were looked up.
    pub lookups: Vec<Lookup>,
    pub proxies: Vec<Contact>,
    /// Servers of the machine's name resolution; empty where they were not asked.
    pub nameservers: Vec<Contact>,
    /// Whether any route leads beyond this machine; `None` where it cannot be told.
    pub has_route: Option<bool>,
    /// Memory that may still be used, in bytes.
    pub memory_bytes: Option<u64>,
    /// Room where temporary files and browser profiles go, in bytes.
    pub disk_bytes: Option<u64>,
}

/// A sign-in at the built-in provider, with the same browser and HTTP client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Rehearsal {
    #[default]
    NotHeld,
    Passed,
    /// It took too long, which a machine that is only busy does as well.
    Overdue,
    /// What stopped it, in one line.
    Failed {
        in_browser: bool,
        why: String,
    },
}

/// An independent place, and what came of asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    pub site: Site,
    /// Providers that are probed there; empty for a place that the configuration names for this.
    pub providers: Vec<String>,
    pub reach: Reach,
    pub result: Result<Answer, Class>,
}

/// Something answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answer {
    /// Its clock minus ours, where it told.
    pub clock_offset_ms: Option<i64>,
}

impl Trial {
    /// Whether the configuration vouches for the place.
    fn is_named(&self) -> bool {
        self.providers.is_empty()
    }

    fn is_unrelated(&self, failure: &Sighting) -> bool {
        let shares_provider = |name: &String| !failure.is_unrelated(name, &self.site);
        failure.site != self.site && !self.providers.iter().any(shares_provider)
    }
}

/// An independent name, and whether it has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    pub name: String,
    pub resolves: bool,
}

/// A server of ours, and whether it can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub name: String,
    pub answers: bool,
}

#[cfg(test)]
mod tests;
