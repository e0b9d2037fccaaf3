//! The way out of this machine: asks independent places, names, proxies and nameservers whether they are there. Contacts
//! only what the configuration names, and the nameservers of the machine; says what came back and judges nothing.

mod nameserver;
mod targets;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::control::{Answer, Contact, Lookup, Reach, Site, Trial};
use crate::http::{self, Http, Request};
use crate::redact::Redactor;
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
    let Questions { targets, names, .. } = questions;
    let (trials, lookups, proxies, nameservers) = tokio::join!(
        join_all(targets.iter().map(|target| attempt(http, target, deadline))),
        join_all(names.iter().map(|name| look_up(http, name, deadline))),
        proxies(http, questions, deadline),
        nameservers(http, questions.failing.as_ref(), deadline),
    );
    Egress {
        trials,
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

/// Asks one place, by a GET where it speaks HTTP: any answer will do.
pub async fn attempt(http: &Http, target: &Target, deadline: Instant) -> Trial {
    let reach = reach(http, &target.url, deadline).await;
    let result = match target.url.scheme() {
        "tcp" => connect(http, &target.url, deadline)
            .await
            .map(|()| Answer::default()),
        _ => get(http, &target.url, deadline).await,
    };
    Trial {
        site: Site::of(&target.url),
        providers: target.providers.clone(),
        reach,
        result,
    }
}

async fn get(http: &Http, url: &Url, deadline: Instant) -> Result<Answer, Class> {
    let session = http.session(Arc::new(Redactor::default()));
    let request = Request::get(Stage::Monitor, url.clone());
    match session.send(request, deadline).await {
        Ok(reply) => Ok(Answer {
            clock_offset_ms: http::clock_offset_ms(&reply),
        }),
        // More than we read is an answer too.
        Err(finding) if finding.class == Class::ResponseTooLarge => Ok(Answer::default()),
        Err(finding) => Err(finding.class),
    }
}

/// Opens a connection to host and port of `url` and closes it. Past every proxy.
pub async fn connect(http: &Http, url: &Url, deadline: Instant) -> Result<(), Class> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(Class::ConfigInvalid);
    };
    let addresses = match timeout_at(deadline, http.resolve(host)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(_)) | Err(_) => return Err(Class::DnsFailure),
    };
    let attempt = open_any(addresses, port);
    match timeout_at(deadline, attempt).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(Class::ConnectRefused)
        }
        Ok(Err(_)) | Err(_) => Err(Class::ConnectTimeout),
    }
}

async fn open_any(addresses: Vec<IpAddr>, port: u16) -> std::io::Result<()> {
    let addresses: Vec<SocketAddr> = addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect();
    TcpStream::connect(&addresses[..]).await.map(drop)
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
        answers: connect(http, url, deadline).await.is_ok(),
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
