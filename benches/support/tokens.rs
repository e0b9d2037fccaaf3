//! Probes that need no browser, and what `/metrics` says of them.

use std::fmt::Write as _;

/// The sum of all series of a name in a text of `/metrics` that hold these words.
pub(crate) fn sum(metrics: &str, name: &str, words: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.contains(words));
    lines
        .filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '))
        .filter(|(labels, _)| labels.is_empty() || labels.starts_with('{'))
        .map(|(_, value)| value.parse::<f64>().unwrap())
        .sum()
}

/// So many probes of the built-in provider, each of which asks it for a token.
pub(crate) fn token_probes(issuer: &str, probes: usize, every: &str) -> String {
    let mut file = format!(
        "version: 1\nprovider: loopback\nflow: client_credentials\nevery: {every}\ntimeout: 30s\nenvironments:\n"
    );
    for n in 0..probes {
        let client = "{id: demo-basic, auth: client_secret_basic, secret: {env: BENCH_SECRET}}";
        let _ = writeln!(file, "  e{n}: {{issuer: \"{issuer}\", client: {client}}}");
    }
    file
}
