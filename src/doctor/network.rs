//! The way out: route, proxies, every provider and place that the configuration names, the clock by their word, and the
//! channels' hosts.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::{ANSWER, Check, Level};
use crate::clock;
use crate::config::Daemon;
use crate::control::{
    self, Answer, Blame, CLOCK_LIMIT_MS, Findings, Judgement, Reach, Sighting, Site, Trial,
};
use crate::egress::{self, Questions, Target};
use crate::http::Http;
use crate::machine;
use crate::notify::{Channel, Server};
use crate::run::Finding;
use crate::vault;

pub(super) async fn checks(config: &Daemon, http: &Http) -> Vec<Check> {
    let deadline = Instant::now() + ANSWER;
    let places = places(config);
    let (asked, channels) = tokio::join!(
        join_all(places.iter().map(|place| ask(http, place, deadline))),
        join_all(
            config
                .channels
                .iter()
                .map(|(name, channel)| channel_check(http, name, channel, deadline))
        ),
    );
    let questions = Questions {
        targets: places.clone(),
        names: config.egress.names.clone(),
        failing: asked
            .iter()
            .find(|asked| asked.result.is_err())
            .map(|asked| asked.target.url.clone()),
        browser_proxy: None,
    };
    let around = egress::around(http, &questions, Instant::now() + ANSWER).await;
    let findings = Findings {
        trials: asked.iter().map(Asked::trial).collect(),
        lookups: around.lookups,
        proxies: around.proxies,
        nameservers: around.nameservers,
        has_route: machine::has_route(),
        ..Findings::default()
    };
    let goes_out = asked.iter().any(|asked| asked.reach != Reach::Loopback);
    let mut checks = vec![route(goes_out)];
    checks.extend(contacts(&findings));
    checks.extend(
        asked
            .iter()
            .map(|asked| place_check(asked, &findings, clock::now())),
    );
    checks.push(clock_check(&findings.trials));
    checks.extend(channels);
    checks
}

/// Whether there is a network at all; it matters where something beyond this machine is to be reached.
pub(super) fn route(is_needed: bool) -> Check {
    match (machine::has_route(), is_needed) {
        (Some(true), _) => Check::ok("network", "there is a route beyond this machine"),
        (None, _) => Check::skipped("network", "the system does not tell its routes"),
        (Some(false), true) => Check::fault(
            "network",
            "no route leads beyond this machine",
            "see what is there: ip address; ip route",
        ),
        (Some(false), false) => Check::warning(
            "network",
            "no route leads beyond this machine",
            "see what is there: ip address; ip route",
        ),
    }
}

/// Every site that is probed, and every place that the configuration names for comparison.
fn places(config: &Daemon) -> Vec<Target> {
    let named = config.egress.targets.iter().map(|url| Target {
        url: url.clone(),
        providers: Vec::new(),
    });
    let mut probed: BTreeMap<Url, Target> = BTreeMap::new();
    for probe in &config.probes {
        if let Some(url) = egress::front_door(probe) {
            let target = probed.entry(url.clone()).or_insert(Target {
                url,
                providers: Vec::new(),
            });
            if !target.providers.contains(&probe.provider) {
                target.providers.push(probe.provider.clone());
            }
        }
    }
    probed.into_values().chain(named).collect()
}

/// A place, and what came of asking it.
struct Asked<'a> {
    target: &'a Target,
    reach: Reach,
    result: Result<Answer, Finding>,
}

impl Asked<'_> {
    fn trial(&self) -> Trial {
        egress::trial(self.target, self.reach, &self.result)
    }
}

async fn ask<'a>(http: &Http, target: &'a Target, deadline: Instant) -> Asked<'a> {
    let (reach, result) = tokio::join!(
        egress::reach(http, &target.url, deadline),
        egress::ask(http, &target.url, deadline)
    );
    Asked {
        target,
        reach,
        result,
    }
}

/// A place that does not answer is this machine's fault where the same judgement says so that judges runs.
fn place_check(asked: &Asked<'_>, findings: &Findings, now: Timestamp) -> Check {
    let what = match asked.target.providers.is_empty() {
        true => "target",
        false => "provider",
    };
    let origin = origin(&asked.target.url);
    let finding = match &asked.result {
        Ok(_) => return Check::ok(what, format!("{origin} answers")),
        Err(finding) => finding,
    };
    let failure = Sighting {
        provider: asked.target.providers.first().cloned().unwrap_or_default(),
        site: Site::of(&asked.target.url),
        reach: asked.reach,
        in_browser: false,
        ended_at: now,
        class: Some(finding.class),
    };
    let Judgement { blame, reason } = control::judge(&failure, &[], findings);
    let level = match blame {
        Blame::Ours => Level::Fault,
        Blame::Theirs | Blame::Undecided => Level::Elsewhere,
    };
    let why = match blame {
        Blame::Undecided => String::new(),
        Blame::Ours | Blame::Theirs => format!("; {reason}"),
    };
    let found = format!("{origin}: {}{why}", words(finding));
    Check::new(what, level, found).mended_by(format!("authcanary explain {}", finding.class))
}

/// The end of the chain of errors is the part that people look for.
fn words(finding: &Finding) -> String {
    let last = finding.detail.rsplit(": ").next().unwrap_or_default();
    format!("{last} ({})", finding.class)
}

fn origin(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{}://{host}:{port}", url.scheme()),
        (host, _) => format!("{}://{}", url.scheme(), host.unwrap_or_default()),
    }
}

fn contacts(findings: &Findings) -> Vec<Check> {
    let mut checks = Vec::new();
    for proxy in &findings.proxies {
        checks.push(match proxy.answers {
            true => Check::ok("proxy", format!("{} takes connections", proxy.name)),
            false => Check::fault(
                "proxy",
                format!("{} cannot be reached", proxy.name),
                "correct HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the daemon, or `http.proxy` of its file",
            ),
        });
    }
    for server in &findings.nameservers {
        checks.push(match server.answers {
            true => Check::ok("nameserver", format!("{} answers", server.name)),
            false => Check::fault(
                "nameserver",
                format!("{} does not answer", server.name),
                "correct /etc/resolv.conf, or restart what stands in it: systemctl restart systemd-resolved",
            ),
        });
    }
    for lookup in &findings.lookups {
        checks.push(match lookup.resolves {
            true => Check::ok("name", format!("{} resolves", lookup.name)),
            false => Check::fault(
                "name",
                format!("{} does not resolve", lookup.name),
                format!("getent ahosts {}; cat /etc/resolv.conf", lookup.name),
            ),
        });
    }
    checks
}

/// Our clock, by the word of all who answered.
fn clock_check(trials: &[Trial]) -> Check {
    const NAME: &str = "clock";
    const MEND: &str = "timedatectl set-ntp true; where chrony runs: chronyc makestep";
    let all: Vec<&Trial> = trials.iter().collect();
    let told = all
        .iter()
        .filter_map(|trial| trial.result.ok()?.clock_offset_ms);
    let alone = told.clone().next().filter(|_| told.count() == 1);
    let words = |offset_ms: i64| {
        let side = if offset_ms > 0 { "behind" } else { "ahead" };
        format!("{} s {side}", offset_ms.unsigned_abs().div_ceil(1000))
    };
    match (control::agreed_offset_ms(&all), alone) {
        (Some(offset_ms), _) if offset_ms.abs() > CLOCK_LIMIT_MS => {
            Check::fault(NAME, format!("{} of others", words(offset_ms)), MEND)
        }
        (Some(_), _) => Check::ok(NAME, "agrees with the clocks of others"),
        (None, Some(offset_ms)) if offset_ms.abs() > CLOCK_LIMIT_MS => Check::warning(
            NAME,
            format!(
                "{} of the only server that tells the time: one of the two is wrong",
                words(offset_ms)
            ),
            MEND,
        ),
        (None, Some(_)) => Check::ok(NAME, "agrees with the only server that tells the time"),
        (None, None) if all.is_empty() => Check::skipped(NAME, "no server to compare with"),
        (None, None) => Check::skipped(NAME, "the servers tell no time, or disagree"),
    }
}

/// Opens a connection to the channel's host, and sends nothing.
async fn channel_check(http: &Http, name: &str, channel: &Channel, deadline: Instant) -> Check {
    const NAME: &str = "channel";
    let (url, with_tls) = match address(channel).await {
        Ok(address) => address,
        Err(why) => return Check::skipped(NAME, format!("{name}: {why}")),
    };
    let host = origin(&url);
    let is_web = ["http", "https"].contains(&url.scheme());
    if let Some(proxy) = http.proxy_for(&url).filter(|_| is_web) {
        return Check::skipped(
            NAME,
            format!("{name}: {host} is behind the proxy {}", origin(&proxy)),
        );
    }
    match http.reach(&url, with_tls, deadline).await {
        Ok(()) => Check::ok(NAME, format!("{name}: {host} takes connections")),
        Err(finding) => Check::fault(
            NAME,
            format!("{name}: {host}: {}", words(&finding)),
            format!("authcanary explain {}", finding.class),
        ),
    }
}

/// Where the channel's notices go, and whether TLS is spoken from the first byte on.
async fn address(channel: &Channel) -> Result<(Url, bool), String> {
    let url = match channel.server() {
        Server::At(url) if url.scheme().starts_with("smtp") => with_port(&url),
        Server::At(url) => url,
        Server::Kept(secret) => {
            let secret = vault::resolve(&secret).await;
            let secret = secret.map_err(|_| "its address cannot be fetched".to_owned())?;
            Url::parse(secret.expose()).map_err(|_| "its secret is no address".to_owned())?
        }
        Server::Here => return Err("a program of this machine".to_owned()),
    };
    let with_tls = ["https", "smtps"].contains(&url.scheme());
    Ok((url, with_tls))
}

/// Submission has a port of its own with TLS from the start, and one without (RFC 8314 section 7.3, RFC 6409).
fn with_port(url: &Url) -> Url {
    let mut url = url.clone();
    if url.port().is_none() {
        let port = if url.scheme() == "smtps" { 465 } else { 587 };
        // Only an address without a host takes no port, and the file holds none.
        let _ = url.set_port(Some(port));
    }
    url
}
