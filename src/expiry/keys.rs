//! Signing keys that vanished or changed too early. A key has no end of its own; what breaks sign-ins is a provider that
//! takes one away while tokens it signed are good, or signs with one before those who keep copies of the key set can
//! know it (OpenID Connect Core section 10.1.1).

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{Expiry, Kind};

/// Keys and signers that are remembered.
const KEYS: usize = 64;

/// How long a change is told.
const TOLD: SignedDuration = SignedDuration::from_hours(24);

/// Key sets and signers as seen by the runs so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    newest: Option<KeySet>,
    /// Keys that signed tokens, and until when the last of these is good.
    signers: BTreeMap<String, Timestamp>,
    trouble: Option<Expiry>,
}

#[derive(Debug, Clone)]
struct KeySet {
    names: BTreeSet<String>,
    seen_at: Timestamp,
    /// Until when a copy may be used without asking again.
    fresh_until: Timestamp,
}

impl Keys {
    /// What went wrong lately.
    pub(super) fn trouble(&self, now: Timestamp) -> Option<Expiry> {
        let is_recent = |expiry: &&Expiry| now.duration_since(expiry.at) < TOLD;
        self.trouble.as_ref().filter(is_recent).cloned()
    }

    /// Takes in what a run learned: the names in the key set, how long it may be kept, and the key of the ID token.
    pub(super) fn learn(&mut self, facts: &BTreeMap<String, String>, at: Timestamp) {
        let Some(names) = facts.get("jwks.kids") else {
            return;
        };
        let names = names.split_whitespace().take(KEYS);
        let names: BTreeSet<String> = names.map(str::to_owned).collect();
        self.look_for_vanished(&names, at);
        if let Some(signer) = facts.get("id_token.kid") {
            self.look_for_early(signer, at);
            let until = facts.get("id_token.expires_at");
            let until = until.and_then(|text| text.parse().ok());
            if self.signers.len() < KEYS || self.signers.contains_key(signer) {
                self.signers.insert(signer.clone(), until.unwrap_or(at));
            }
        }
        let max_age = facts.get("jwks.max_age_s");
        let max_age = max_age.and_then(|text| text.parse().ok()).unwrap_or(0);
        self.newest = Some(KeySet {
            names,
            seen_at: at,
            fresh_until: at
                .checked_add(SignedDuration::from_secs(max_age))
                .unwrap_or(at),
        });
    }

    fn look_for_vanished(&mut self, names: &BTreeSet<String>, at: Timestamp) {
        self.signers.retain(|_, until| *until > at);
        let gone = |(name, _): &(&String, &Timestamp)| !names.contains(*name);
        let Some((name, until)) = self.signers.iter().find(gone) else {
            return;
        };
        self.trouble = Some(Expiry {
            kind: Kind::SigningKey,
            at,
            what: format!(
                "signing key {name} left the key set while tokens it signed are good until {until}"
            ),
            is_refusal: false,
        });
        self.signers.retain(|name, _| names.contains(name));
    }

    fn look_for_early(&mut self, signer: &str, at: Timestamp) {
        let Some(before) = &self.newest else {
            return;
        };
        if at < before.fresh_until && !before.names.contains(signer) {
            let KeySet {
                seen_at,
                fresh_until,
                ..
            } = before;
            self.trouble = Some(Expiry {
                kind: Kind::SigningKey,
                at,
                what: format!(
                    "signing key {signer} is in use, while the key set of {seen_at} without it may be kept until {fresh_until}"
                ),
                is_refusal: false,
            });
        }
    }
}
