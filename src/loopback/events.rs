//! What the server saw and did, in order: the ground truth for tests and for people. It never holds a password, a
//! code or a token, and no user name that is not one of the accounts.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use strum::IntoStaticStr;

/// The list keeps so many and forgets the oldest.
const MAX_EVENTS: usize = 2_000;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Counts from 1 without gaps; ask for those after the last one seen.
    pub number: u64,
    pub at: Timestamp,
    pub event: EventKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The fault that was shown, the error that was answered, the token that was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    AuthorizationRequested,
    AuthorizationRefused,
    LoginAccepted,
    LoginRefused,
    AccountLocked,
    MfaAccepted,
    MfaRefused,
    ConsentGiven,
    ConsentDenied,
    SessionStarted,
    CodeIssued,
    ErrorReturned,
    /// The application at the redirect URI of the demo was called. A probe never lets that happen.
    CallbackArrived,
    CodeRedeemed,
    /// A code came twice; the tokens of the first time are dead.
    CodeReused,
    ClientTokenIssued,
    TokenRequestRefused,
    Refreshed,
    /// A rotated refresh token came again; its whole family is dead.
    RefreshTokenReused,
    Revoked,
    Introspected,
    UserinfoServed,
    ResourceServed,
    BearerRefused,
    LoggedOut,
    FaultShown,
}

/// The list, shared by all parts of the server.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    next: u64,
    events: VecDeque<Event>,
}

impl Events {
    /// Notes one event.
    pub(super) fn note(&self, event: EventKind, about: About<'_>) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.next += 1;
        let event = Event {
            number: log.next,
            at: crate::clock::now(),
            event,
            client: about.client.map(str::to_owned),
            account: about.account.map(str::to_owned),
            detail: about.detail.map(str::to_owned),
        };
        tracing::debug!(
            loopback.event = <&str>::from(event.event),
            loopback.client = event.client,
            loopback.detail = event.detail,
            "loopback provider saw an event"
        );
        if log.events.len() == MAX_EVENTS {
            log.events.pop_front();
        }
        log.events.push_back(event);
    }

    /// Those that came after a number, oldest first.
    pub(super) fn after(&self, number: u64) -> Vec<Event> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = log.events.iter().filter(|event| event.number > number);
        newer.cloned().collect()
    }
}

/// Whom and what an event is about.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct About<'a> {
    pub(super) client: Option<&'a str>,
    pub(super) account: Option<&'a str>,
    pub(super) detail: Option<&'a str>,
}

impl<'a> About<'a> {
    pub(super) fn client(client: &'a str) -> Self {
        Self {
            client: Some(client),
            ..Self::default()
        }
    }

    pub(super) fn account(self, account: &'a str) -> Self {
        Self {
            account: Some(account),
            ..self
        }
    }

    pub(super) fn detail(self, detail: &'a str) -> Self {
        Self {
            detail: Some(detail),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_its_numbers_go_on() {
        let events = Events::default();
        for _ in 0..MAX_EVENTS + 5 {
            events.note(EventKind::Refreshed, About::client("demo"));
        }
        let kept = events.after(0);
        assert_eq!((kept.len(), kept[0].number), (MAX_EVENTS, 6));
        assert_eq!(events.after(MAX_EVENTS as u64 + 4).len(), 1);
    }
}
