//! Faults: which are switched on, and which of them the request in hand gets to see. Nothing here acts on a request; the
//! parts of the server ask what was drawn for it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

mod kind;

pub(super) use kind::Moment;
pub use kind::{Endpoint, Kind, TokenName};

/// A fault that is switched on at an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Where it shows.
    pub endpoint: Endpoint,
    /// What goes wrong there.
    pub fault: Kind,
    /// How often it still shows; without end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Share of the requests that see it, in (0, 1], spread evenly and without chance: 0.25 is every fourth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

impl Fault {
    /// A fault that shows at each request until it is cleared.
    pub fn new(endpoint: Endpoint, fault: Kind) -> Self {
        Self {
            endpoint,
            fault,
            times: None,
            share: None,
        }
    }

    /// Shows only so many times.
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Refuses figures out of range and faults that would never show where they are put.
    pub fn check(&self) -> Result<(), FaultError> {
        let name = self.fault.name();
        if !self.fault.places().contains(&self.endpoint) {
            return Err(FaultError::Misplaced {
                name,
                endpoint: self.endpoint,
                places: self.fault.places(),
            });
        }
        if self.times == Some(0)
            || self
                .share
                .is_some_and(|share| !(share > 0.0 && share <= 1.0))
        {
            return Err(FaultError::NeverShows { name });
        }
        match &self.fault {
            Kind::Status(status) if !(200..=599).contains(status) => Err(FaultError::OutOfRange {
                name,
                range: "200 to 599",
            }),
            Kind::Drip(ms) | Kind::Latency(ms) | Kind::LateForm(ms) if *ms > MAX_DELAY_MS => {
                Err(FaultError::OutOfRange {
                    name,
                    range: "0 to 3600000 milliseconds",
                })
            }
            Kind::ClockOffset(seconds) if seconds.unsigned_abs() > MAX_OFFSET_S => {
                Err(FaultError::OutOfRange {
                    name,
                    range: "-315360000 to 315360000 seconds",
                })
            }
            _ => Ok(()),
        }
    }
}

const MAX_DELAY_MS: u64 = 3_600_000;
const MAX_OFFSET_S: u64 = 10 * 365 * 86_400;

/// Why a fault is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// It has no meaning at that endpoint.
    #[error("fault {name} has no effect at {}, only at {}", endpoint.name(), names(places))]
    Misplaced {
        name: &'static str,
        endpoint: Endpoint,
        places: &'static [Endpoint],
    },
    /// `times` or `share` leave nothing of it.
    #[error("fault {name} would never show: times starts at 1, share lies above 0 and up to 1")]
    NeverShows { name: &'static str },
    /// Its figure makes no sense.
    #[error("fault {name} takes {range}")]
    OutOfRange {
        name: &'static str,
        range: &'static str,
    },
}

fn names(places: &[Endpoint]) -> String {
    let names: Vec<&str> = places.iter().map(|place| place.name()).collect();
    names.join(", ")
}

/// The faults that are switched on, shared between the server and whoever switches them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Active>>>);

#[derive(Debug)]
struct Active {
    fault: Fault,
    /// Requests that could have seen it.
    met: u64,
}

impl Faults {
    /// Switches one on until it is cleared. It takes the place of one of the same name at the same endpoint.
    pub fn set(&self, endpoint: Endpoint, fault: Kind) -> Result<(), FaultError> {
        self.put(Fault::new(endpoint, fault))
    }

    /// Switches one on with its `times` and `share`.
    pub fn put(&self, fault: Fault) -> Result<(), FaultError> {
        fault.check()?;
        let mut active = self.lock();
        active.retain(|old| !same(&old.fault, &fault));
        active.push(Active { fault, met: 0 });
        Ok(())
    }

    /// Switches all off.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Switches those of one endpoint off.
    pub fn clear_at(&self, endpoint: Endpoint) {
        self.lock()
            .retain(|active| active.fault.endpoint != endpoint);
    }

    /// Those that are on, with the `times` that are left.
    pub fn list(&self) -> Vec<Fault> {
        self.lock()
            .iter()
            .map(|active| active.fault.clone())
            .collect()
    }

    /// What the request in hand gets to see.
    pub(super) fn draw(&self, endpoint: Endpoint, moment: Moment) -> Drawn {
        let mut drawn = Vec::new();
        self.lock().retain_mut(|active| {
            let here = active.fault.endpoint == endpoint
                || (active.fault.endpoint == Endpoint::Any && endpoint != Endpoint::Callback);
            if !here || !active.fault.fault.shows_at(moment) || !active.due() {
                return true;
            }
            drawn.push(active.fault.fault.clone());
            match &mut active.fault.times {
                Some(times) => {
                    *times -= 1;
                    *times > 0
                }
                None => true,
            }
        });
        Drawn(drawn.into())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Active>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Active {
    /// Counts the request, and says whether it is one of the share.
    fn due(&mut self) -> bool {
        let before = self.met;
        self.met += 1;
        let Some(share) = self.fault.share else {
            return true;
        };
        (self.met as f64 * share).floor() > (before as f64 * share).floor()
    }
}

fn same(left: &Fault, right: &Fault) -> bool {
    left.endpoint == right.endpoint && left.fault.name() == right.fault.name()
}

/// The faults that were drawn for one request.
#[derive(Debug, Clone)]
pub(super) struct Drawn(Arc<[Kind]>);

impl Default for Drawn {
    fn default() -> Self {
        Self(Arc::new([]))
    }
}

impl Drawn {
    /// Whether this very fault was drawn.
    pub(super) fn has(&self, kind: &Kind) -> bool {
        self.0.contains(kind)
    }

    /// The first for which `pick` has something to say.
    pub(super) fn find<T>(&self, pick: impl Fn(&Kind) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(pick)
    }

    /// Seconds by which the answer's clock is off.
    pub(super) fn clock_offset(&self) -> i64 {
        self.find(|kind| match kind {
            Kind::ClockOffset(seconds) => Some(*seconds),
            _ => None,
        })
        .unwrap_or(0)
    }

    /// All of them, for the list of events.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.fault.name(), self.endpoint.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, problem: Option<&str>) {
        let fault: Fault = serde_json::from_str(json).unwrap();
        let found = fault.check().err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), problem, "{json}");
    }

    #[test]
    fn a_fault_that_cannot_show_is_refused() {
        check(r#"{"endpoint": "token", "fault": {"status": 503}}"#, None);
        check(
            r#"{"endpoint": "token", "fault": {"status": 42}}"#,
            Some("fault status takes 200 to 599"),
        );
        check(
            r#"{"endpoint": "jwks", "fault": "wrong_nonce"}"#,
            Some("fault wrong_nonce has no effect at jwks, only at token, refresh"),
        );
        check(
            r#"{"endpoint": "any", "fault": "close", "times": 0}"#,
            Some("fault close would never show: times starts at 1, share lies above 0 and up to 1"),
        );
        check(
            r#"{"endpoint": "any", "fault": "close", "share": 1.5}"#,
            Some("fault close would never show: times starts at 1, share lies above 0 and up to 1"),
        );
    }

    /// Draws ten times and counts the hits.
    fn hits(fault: Fault) -> Vec<usize> {
        let faults = Faults::default();
        faults.put(fault).unwrap();
        (0..10)
            .filter(|_| {
                faults
                    .draw(Endpoint::Token, Moment::Submitted)
                    .has(&Kind::Close)
            })
            .collect()
    }

    #[test]
    fn times_and_share_are_exact() {
        let fault = Fault::new(Endpoint::Token, Kind::Close);
        assert_eq!(hits(fault.clone()).len(), 10);
        assert_eq!(hits(fault.clone().times(2)), [0, 1]);
        let share = |share| Fault {
            share: Some(share),
            ..fault.clone()
        };
        assert_eq!(hits(share(0.3)), [3, 6, 9]);
        assert_eq!(hits(share(0.5).times(2)), [1, 3]);
    }

    #[test]
    fn a_fault_of_the_form_waits_for_the_form() {
        let faults = Faults::default();
        faults
            .set(Endpoint::Login, Kind::RefusedCredentials)
            .unwrap();
        let drawn = |moment| {
            faults
                .draw(Endpoint::Login, moment)
                .has(&Kind::RefusedCredentials)
        };
        assert_eq!(
            (drawn(Moment::Shown), drawn(Moment::Submitted)),
            (false, true)
        );
    }
}
