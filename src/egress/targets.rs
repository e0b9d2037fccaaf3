//! Whom to ask: the places that the configuration names for this, and the providers that it probes.

use std::collections::BTreeMap;

use url::Url;

use super::Settings;
use crate::control::Site;
use crate::probe::Probe;

/// Providers that are asked at most; so many say enough, and the rest is left in peace.
const PROVIDERS: usize = 6;

/// An independent place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `http` and `https` are asked by a GET, `tcp` by a connection.
    pub url: Url,
    /// Providers that are probed there; empty for a place that the configuration names.
    pub providers: Vec<String>,
}

/// The named places, then one address for each site that the probes go to.
pub fn targets(settings: &Settings, probes: &[Probe]) -> Vec<Target> {
    let named = settings.targets.iter().map(|url| Target {
        url: url.clone(),
        providers: Vec::new(),
    });
    let mut by_site: BTreeMap<Site, Target> = BTreeMap::new();
    for probe in probes {
        let Some(url) = front_door(probe) else {
            continue;
        };
        let target = by_site.entry(Site::of(&url)).or_insert_with(|| Target {
            url,
            providers: Vec::new(),
        });
        if !target.providers.contains(&probe.provider) {
            target.providers.push(probe.provider.clone());
        }
    }
    named.chain(by_site.into_values().take(PROVIDERS)).collect()
}

/// What costs a provider least to answer: its metadata, else the front door of the token endpoint's host.
pub fn front_door(probe: &Probe) -> Option<Url> {
    if let Some(issuer) = &probe.server.issuer {
        let issuer = issuer.trim_end_matches('/');
        return Url::parse(&format!("{issuer}/.well-known/openid-configuration")).ok();
    }
    probe.server.endpoints.token.as_ref()?.join("/").ok()
}
