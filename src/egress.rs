//! The way out of this machine: asks independent places, names, proxies and nameservers whether they are there. Contacts
//! only what the configuration names, and the nameservers of the machine; says what came back and judges nothing.

mod nameserver;
mod targets;

use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::control::{Answer, Contact, Lookup, Reach, Site, Trial};
use crate::http::{self, Http, Request};
use crate::redact::Redactor;
use crate::run::Finding;
use crate::taxonomy::{Class, Stage};

pub use targets::{Target, front_door, targets};

/// Where the machine's own name resolution is set up.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The `egress` section of the daemon file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether failures that look like ours are looked into.
    pub control: bool,
    /// Independent places: `http`, `https` or `tcp` addresses.
    pub targets: Vec<Url>,
    /// Independent names that should resolve.
    pub names: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            control: true,
            targets: Vec::new(),
            names: Vec::new(),
        }
    }
}

/// What was found on the way out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    pub trials: Vec<Trial>,
    pub lookups: Vec<Lookup>,
    pub proxies: Vec<Contact>,
    pub nameservers: Vec<Contact>,
}

/// Whom and what to ask.
#[derive(Debug, Clone, Default)]
pub struct Questions {
    pub targets: Vec<Target>,
    /// Names that should resolve.
    pub names: Vec<String>,
    /// A proxy that the browser alone is told of.
    pub browser_proxy: Option<Url>,
    /// The address that failed.
    pub failing: Option<Url>,
}

/// Asks all at the same time; whoever has not answered at `deadline` did not.
pub async fn examine(http: &Http, questions: &Questions, deadline: Instant) -> Egress {
    let targets = questions.targets.iter();
    let (trials, around) = tokio::join!(
        join_all(targets.map(|target| attempt(http, target, deadline))),
        around(http, questions, deadline),
    );
    Egress { trials, ..around }
}

/// Everything but the targets themselves.
pub async fn around(http: &Http, questions: &Questions, deadline: Instant) -> Egress {
    let names = questions.names.iter();
    let (lookups, proxies, nameservers) = tokio::join!(
        join_all(names.map(|name| look_up(http, name, deadline))),
        proxies(http, questions, deadline),
        nameservers(http, questions.failing.as_ref(), deadline),
    );
    Egress {
        trials: Vec::new(),
        lookups,
        proxies,
        nameservers,
    }
}

/// How far the way to `url` goes. A name that is not resolved counts as public.
pub async fn reach(http: &Http, url: &Url, deadline: Instant) -> Reach {
    if http.proxy_for(url).is_some() {
        return Reach::Proxied;
    }
    let host = url.host_str().unwrap_or_default();
    match timeout_at(deadline, http.resolve(host)).await {
        Ok(Ok(addresses)) => addresses.first().map_or(Reach::Public, |it| Reach::of(*it)),
        Ok(Err(_)) | Err(_) => Reach::Public,
    }
}

/// Asks one place, and notes what came of it.
pub async fn attempt(http: &Http, target: &Target, deadline: Instant) -> Trial {
    let (reach, result) = tokio::join!(
        reach(http, &target.url, deadline),
        ask(http, &target.url, deadline)
    );
    trial(target, reach, &result)
}

/// What an answer, or none, says of a place.
pub fn trial(target: &Target, reach: Reach, result: &Result<Answer, Finding>) -> Trial {
    Trial {
        site: Site::of(&target.url),
        providers: target.providers.clone(),
        reach,
        result: result.as_ref().copied().map_err(|finding| finding.class),
    }
}

/// Asks by a GET where `url` speaks HTTP, by a connection otherwise: any answer will do.
pub async fn ask(http: &Http, url: &Url, deadline: Instant) -> Result<Answer, Finding> {
    if url.scheme() == "tcp" {
        return http
            .reach(url, false, deadline)
            .await
            .map(|()| Answer::default());
    }
    let session = http.session(Arc::new(Redactor::default()));
    let request = Request::get(Stage::Monitor, url.clone());
    match session.send(request, deadline).await {
        Ok(reply) => Ok(Answer {
            clock_offset_ms: http::clock_offset_ms(&reply),
        }),
        // More than we read is an answer too.
        Err(finding) if finding.class == Class::ResponseTooLarge => Ok(Answer::default()),
        Err(finding) => Err(finding),
    }
}

async fn look_up(http: &Http, name: &str, deadline: Instant) -> Lookup {
    Lookup {
        name: name.to_owned(),
        resolves: matches!(timeout_at(deadline, http.resolve(name)).await, Ok(Ok(_))),
    }
}

/// The proxies that the place at hand and the independent ones are reached through.
async fn proxies(http: &Http, questions: &Questions, deadline: Instant) -> Vec<Contact> {
    let urls = questions.targets.iter().map(|target| &target.url);
    let urls = urls.chain(&questions.failing);
    let mut proxies: Vec<Url> = urls
        .filter_map(|url| http.proxy_for(url))
        .chain(questions.browser_proxy.clone())
        .collect();
    proxies.sort();
    proxies.dedup();
    join_all(proxies.iter().map(|proxy| contact(http, proxy, deadline))).await
}

/// Whether a connection to host and port of `url` opens.
pub async fn contact(http: &Http, url: &Url, deadline: Instant) -> Contact {
    let host = url.host_str().unwrap_or_default();
    Contact {
        name: match url.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        },
        answers: http.reach(url, false, deadline).await.is_ok(),
    }
}

/// The machine's nameservers, asked for the name at hand. Nobody is asked where that name is resolved without them.
async fn nameservers(http: &Http, failing: Option<&Url>, deadline: Instant) -> Vec<Contact> {
    let Some(failing) = failing else {
        return Vec::new();
    };
    let host = failing.host_str().unwrap_or_default();
    if http.proxy_for(failing).is_some() || http.is_known(host) {
        return Vec::new();
    }
    let servers = nameserver::configured(Path::new(RESOLV_CONF));
    join_all(servers.into_iter().map(|server| async move {
        Contact {
            name: server.ip().to_string(),
            answers: nameserver::answers(server, host, deadline).await,
        }
    }))
    .await
}

#[cfg(test)]
mod tests;
