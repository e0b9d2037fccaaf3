//! Who is told: one way only, ways that break together, ways that nothing uses.

use std::collections::BTreeSet;

use url::Url;

use crate::config::is_loopback;
use crate::notify::Channel;

use super::Severity::{Advice, Warning};
use super::{Check, Hit, Rule, Subject};

pub(super) const RULES: &[Rule] = &[
    Rule::of(
        Warning,
        "no-channel",
        "probes run and there is no channel, so that nobody is told; alerts are seen on the pages and in the API alone",
        "add `channels` and `routes`; where alerts come from your metrics, ignore this rule",
        Check::Files(none),
    ),
    Rule::of(
        Warning,
        "single-channel",
        "all alerts go through one channel, so that nobody is told while it is down",
        "add a second channel of another kind, and name both in `routes`",
        Check::Files(single),
    ),
    Rule::of(
        Warning,
        "channels-not-independent",
        "all channels hang on one service or server, so that they fail together",
        "add one that does not need it: another kind, or mail by another server",
        Check::Files(dependent),
    ),
    Rule::of(
        Warning,
        "channel-behind-provider",
        "a channel runs on a server that probes watch: when that is down, its notice does not arrive",
        "see that routes for this provider name another channel as well",
        Check::Files(behind_provider),
    ),
    Rule::of(
        Warning,
        "channel-unused",
        "no route names this channel, so that it gets only what no route takes",
        "name it in `routes`, or leave it out",
        Check::Files(unused),
    ),
    Rule::of(
        Warning,
        "channel-http",
        "notices go over plain http outside loopback: anybody on the way can read and change them",
        "write https",
        Check::Files(plain_http),
    ),
    Rule::of(
        Advice,
        "webhook-unsigned",
        "a webhook has no `secret`, so that its receiver cannot tell our notices from forged ones",
        "add `secret: {env: NAME}`, and check the signature",
        Check::Files(unsigned),
    ),
];

fn none(subject: &Subject<'_>) -> Vec<Hit> {
    let is_silent = subject.places.has_daemon_file() && subject.daemon.channels.is_empty();
    if !is_silent || subject.daemon.probes.is_empty() {
        return Vec::new();
    }
    vec![subject.at_daemon(
        &["channels"],
        "there is no channel: nobody is told when sign-in breaks",
    )]
}

/// Channels that a route names.
fn used<'a>(subject: &'a Subject<'_>) -> BTreeSet<&'a str> {
    let routes = subject.daemon.routes.iter();
    routes
        .flat_map(|route| &route.to)
        .map(String::as_str)
        .collect()
}

fn single(subject: &Subject<'_>) -> Vec<Hit> {
    let mut names = subject.daemon.channels.keys();
    match (names.next(), names.next()) {
        (Some(only), None) => {
            let message = format!("`{only}` is the only channel");
            vec![subject.at_daemon(&["channels", only], message)]
        }
        _ => Vec::new(),
    }
}

fn dependent(subject: &Subject<'_>) -> Vec<Hit> {
    let channels = &subject.daemon.channels;
    let media: BTreeSet<String> = channels.values().map(Channel::needs).collect();
    match media.first() {
        Some(medium) if channels.len() > 1 && media.len() == 1 => {
            let message = format!("all {} channels need {medium}", channels.len());
            vec![subject.at_daemon(&["channels"], message)]
        }
        _ => Vec::new(),
    }
}

fn behind_provider(subject: &Subject<'_>) -> Vec<Hit> {
    let mut watched: BTreeSet<String> = BTreeSet::new();
    for probe in subject.probes() {
        let issuer = probe
            .server
            .issuer
            .as_deref()
            .and_then(|text| Url::parse(text).ok());
        let hosts = issuer.iter().chain(&probe.server.endpoints.token);
        // Tests on one machine have everything on one host.
        let hosts = hosts
            .filter(|url| !is_loopback(url))
            .filter_map(Url::host_str);
        watched.extend(hosts.map(str::to_lowercase));
        if probe.provider == "slack" {
            watched.insert("Slack".to_owned());
        }
    }
    let channels = subject.daemon.channels.iter();
    channels
        .map(|(name, channel)| (name, channel.needs()))
        .filter(|(_, medium)| watched.contains(medium))
        .map(|(name, medium)| {
            let message = format!("needs {medium}, which probes watch");
            subject.at_daemon(&["channels", name], message)
        })
        .collect()
}

fn unused(subject: &Subject<'_>) -> Vec<Hit> {
    // Without routes every channel gets everything.
    if subject.daemon.routes.is_empty() {
        return Vec::new();
    }
    let used = used(subject);
    let names = subject.daemon.channels.keys();
    names
        .filter(|name| !used.contains(name.as_str()))
        .map(|name| subject.at_daemon(&["channels", name], format!("no route names `{name}`")))
        .collect()
}

fn plain_http(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (name, channel) in &subject.daemon.channels {
        let is_open = |url: &Url| url.scheme() == "http" && !is_loopback(url);
        for (key, _) in channel.addresses().iter().filter(|(_, url)| is_open(url)) {
            let mut path = vec!["channels", name, channel.name()];
            path.extend(key.split('/'));
            hits.push(subject.at_daemon(&path, "is plain http"));
        }
    }
    hits
}

fn unsigned(subject: &Subject<'_>) -> Vec<Hit> {
    let mut hits = Vec::new();
    for (name, channel) in &subject.daemon.channels {
        if let Channel::Webhook(webhook) = channel
            && webhook.secret.is_none()
            && webhook.headers.is_empty()
        {
            let message = "has neither `secret` nor headers that its receiver could know us by";
            hits.push(subject.at_daemon(&["channels", name, "webhook"], message));
        }
    }
    hits
}
