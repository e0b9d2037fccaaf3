//! The expiry radar: what a sign-in depends on and when it ends. Some of it is declared in the probe file, some is seen
//! by the runs (certificates, key sets, lifetimes), some is read from the error that says it is over.
//!
//! A time in the past means that it has ended, or, of a signing key, when it was changed in a way that breaks sign-ins.

mod dates;
mod keys;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::{EnumIter, IntoStaticStr};
use url::Url;

use crate::probe::Probe;
use crate::run::{Evidence, Exchange, Run, Verdict};
use crate::signin::PASSWORD_IS_DUE;
use crate::taxonomy::{Class, Outcome, Stage};

use keys::Keys;

/// Hosts whose certificates are kept.
const HOSTS: usize = 32;

/// What kind of thing ends.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    EnumIter,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Kind {
    /// Of a host that the probe itself asks.
    TlsCertificate,
    /// Of the provider: gone while tokens it signed are good, or in use before others can know it.
    SigningKey,
    /// By its lifetime or its idle limit.
    RefreshToken,
    ClientSecret,
    /// The key that the client signs with.
    ClientKey,
    ClientCertificate,
    /// Of the account that signs in.
    AccountPassword,
}

impl Kind {
    /// The name in files, labels and the API.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Something that ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expiry {
    pub kind: Kind,
    pub at: Timestamp,
    /// What it is and how this is known, in a few words.
    pub what: String,
    /// Whether a run that failed over it is how this is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_refusal: bool,
}

/// Everything that ends at a probe, the first to end first.
pub fn expiries(probe: &Probe, seen: &Seen, now: Timestamp) -> Vec<Expiry> {
    let mut all = declared(probe);
    all.extend(
        seen.certificates
            .iter()
            .map(|(host, (at, subject))| Expiry {
                kind: Kind::TlsCertificate,
                at: *at,
                what: format!("certificate of {host} ({subject})"),
                is_refusal: false,
            }),
    );
    all.extend(seen.keys.trouble(now));
    all.extend(refresh_token(probe, seen));
    for refused in seen.refused.values() {
        let is_same = |expiry: &Expiry| expiry.kind == refused.kind;
        // What was known to be over by then explains the refusal.
        if all.iter().any(|one| is_same(one) && one.at <= refused.at) {
            continue;
        }
        // Otherwise the provider knows better. There are many certificates, and the refusal is about one.
        if refused.kind != Kind::TlsCertificate {
            all.retain(|one| !is_same(one));
        }
        all.push(refused.clone());
    }
    all.sort_by_key(|expiry| expiry.at);
    all
}

/// When the first thing of each kind ends.
pub fn first_of_each(expiries: &[Expiry]) -> BTreeMap<&'static str, Timestamp> {
    let mut first = BTreeMap::new();
    for expiry in expiries {
        let at = first.entry(expiry.kind.as_str()).or_insert(expiry.at);
        *at = expiry.at.min(*at);
    }
    first
}

fn declared(probe: &Probe) -> Vec<Expiry> {
    let expires = &probe.expires;
    let client = &probe.client.id;
    let account = probe
        .account
        .as_ref()
        .map(|account| account.username.as_str());
    let all = [
        (
            Kind::ClientSecret,
            expires.client_secret,
            format!("secret of client {client}"),
        ),
        (
            Kind::ClientKey,
            expires.client_key,
            format!("key of client {client}"),
        ),
        (
            Kind::ClientCertificate,
            expires.client_certificate,
            format!("certificate of client {client}"),
        ),
        (
            Kind::AccountPassword,
            expires.account_password,
            format!("password of {}", account.unwrap_or("the account")),
        ),
    ];
    let declared = all.into_iter().filter_map(|(kind, at, what)| {
        let what = format!("{what} (as declared)");
        Some(Expiry {
            kind,
            at: at?,
            what,
            is_refusal: false,
        })
    });
    declared.collect()
}

/// The end of the newest refresh token: of its life, or of the time it may lie unused.
fn refresh_token(probe: &Probe, seen: &Seen) -> Option<Expiry> {
    let refresh = seen.refresh.as_ref()?;
    let limits = &probe.expires.refresh_token;
    let end = |since: Timestamp, lifetime: Option<Duration>| since.checked_add(lifetime?).ok();
    let told =
        end(refresh.granted_at, refresh.lifetime).map(|at| (at, "by what the provider says"));
    let declared =
        end(refresh.granted_at, limits.lifetime).map(|at| (at, "by its declared lifetime"));
    let idle = end(refresh.used_at, limits.idle)
        .map(|at| (at, "by the declared limit, if it lies unused"));
    let (at, why) = [told.or(declared), idle].into_iter().flatten().min()?;
    Some(Expiry {
        kind: Kind::RefreshToken,
        at,
        what: format!("the newest refresh token, {why}"),
        is_refusal: false,
    })
}

/// What the runs of a probe have shown so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// End and subject of the certificate of each host.
    certificates: BTreeMap<String, (Timestamp, String)>,
    keys: Keys,
    refresh: Option<Refresh>,
    /// What an answer said is over, until a run passes again.
    refused: BTreeMap<Kind, Expiry>,
}

/// The newest refresh token.
#[derive(Debug, Clone)]
struct Refresh {
    granted_at: Timestamp,
    used_at: Timestamp,
    /// As the provider says.
    lifetime: Option<Duration>,
}

impl Seen {
    /// Takes in a run, which must be newer than those before. One without evidence shows less.
    pub fn learn(&mut self, run: &Run) {
        let passed = matches!(run.outcome, Outcome::Ok | Outcome::Degraded);
        if passed {
            self.refused.clear();
        }
        if let Some(evidence) = &run.evidence {
            self.learn_certificates(evidence, passed);
            self.keys.learn(&evidence.facts, run.started_at);
            self.learn_refresh(&evidence.facts);
        }
        if let Some(verdict) = &run.verdict
            && let Some(refused) = refused(verdict, run.started_at)
        {
            // The first of several in a row, or the one that names an earlier date.
            let known = self.refused.entry(refused.kind).or_insert(refused.clone());
            if refused.at < known.at {
                *known = refused;
            }
        }
    }

    fn learn_certificates(&mut self, evidence: &Evidence, passed: bool) {
        let found: BTreeMap<_, _> = evidence.exchanges.iter().filter_map(certificate).collect();
        // A run that stopped early has not asked everybody.
        if passed && !found.is_empty() {
            self.certificates.clear();
        }
        self.certificates.extend(found);
        while self.certificates.len() > HOSTS {
            self.certificates.pop_last();
        }
    }

    fn learn_refresh(&mut self, facts: &BTreeMap<String, String>) {
        let time = |name: &str| facts.get(name).and_then(|text| text.parse().ok());
        if let Some(granted_at) = time("refresh_token.granted_at") {
            let seconds = facts.get("refresh_token.expires_in_s");
            let seconds = seconds.and_then(|text| text.parse().ok());
            self.refresh = Some(Refresh {
                granted_at,
                used_at: granted_at,
                lifetime: seconds.map(Duration::from_secs),
            });
        }
        if let Some(refresh) = &mut self.refresh
            && let Some(used_at) = time("refresh_token.used_at")
        {
            refresh.used_at = used_at;
        }
    }
}

/// End and subject of the certificate that a host showed. Only the first of a chain counts: servers go on sending
/// others that no client needs any more.
fn certificate(exchange: &Exchange) -> Option<(String, (Timestamp, String))> {
    let leaf = exchange.peer.as_ref()?.certificates.first()?;
    let host = Url::parse(&exchange.url).ok()?.host_str()?.to_owned();
    Some((host, (leaf.not_after, leaf.subject.clone())))
}

/// What a verdict says is over: since the date that the answer names, else since now.
fn refused(verdict: &Verdict, at: Timestamp) -> Option<Expiry> {
    let raw = verdict.raw.as_ref();
    let description = raw.and_then(|raw| raw.error_description.as_deref());
    let text = description
        .or(raw.map(|raw| raw.body.as_str()))
        .unwrap_or(&verdict.detail);
    let lower = text.to_ascii_lowercase();
    let kind = match verdict.class {
        Class::ClientSecretExpired if lower.contains("certificate") => Kind::ClientCertificate,
        Class::ClientSecretExpired if lower.contains("assertion") => Kind::ClientKey,
        Class::ClientSecretExpired => Kind::ClientSecret,
        Class::RefreshTokenExpired => Kind::RefreshToken,
        Class::TlsExpired => Kind::TlsCertificate,
        Class::AccountLocked | Class::BadUserCredentials
            if verdict.stage == Stage::Login
                && (verdict.detail.starts_with(PASSWORD_IS_DUE)
                    || lower.contains("password") && lower.contains("expired")) =>
        {
            Kind::AccountPassword
        }
        _ => return None,
    };
    let named = dates::ended(text).filter(|named| *named <= at);
    let how = if named.is_some() {
        "as the answer says"
    } else {
        "since then or longer"
    };
    Some(Expiry {
        kind,
        at: named.unwrap_or(at),
        what: format!(
            "{}: refused as expired, {how}",
            kind.as_str().replace('_', " ")
        ),
        is_refusal: true,
    })
}

#[cfg(test)]
mod tests;
