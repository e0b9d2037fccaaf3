//! What the files refer to: secrets that can be fetched, and an address to listen on.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{Check, storage};
use crate::config::Daemon;
use crate::notify::Channel;
use crate::probe::Probe;
use crate::secret::{SecretRef, TextOrSecret};
use crate::telemetry::otlp;
use crate::vault::{self, VaultError};

pub(super) async fn checks(config: &Daemon) -> Vec<Check> {
    let mut checks = secrets(config).await;
    let is_running = storage::is_in_use(&config.store.path);
    checks.push(listen(config.listen, is_running).await);
    checks
}

/// Every secret is fetched as a run would, and dropped at once.
async fn secrets(config: &Daemon) -> Vec<Check> {
    let wanted = wanted(config);
    let mut checks = Vec::new();
    let mut good = 0;
    for (secret, user) in wanted.values() {
        match vault::resolve(secret).await {
            Ok(_) => good += 1,
            Err(error) => checks.push(missing(&error, user)),
        }
    }
    let total = wanted.len();
    let summary = match total {
        0 => "none is needed".to_owned(),
        total if good == total => format!("all {total} can be fetched"),
        total => format!("{good} of {total} can be fetched"),
    };
    if good == total {
        checks.push(Check::ok("secrets", summary));
    } else {
        checks.push(Check::skipped("secrets", summary));
    }
    checks
}

fn missing(error: &VaultError, user: &str) -> Check {
    let reason = error.source().map(|source| format!(": {source}"));
    let found = format!("{error}{}, which {user} needs", reason.unwrap_or_default());
    let mend = match error {
        VaultError::Missing { .. } | VaultError::Empty { .. } => {
            "set it for the daemon: in its unit by Environment= or EnvironmentFile=, in a shell by export"
        }
        VaultError::NoCredentials { .. } | VaultError::CredentialName { .. } => {
            "add LoadCredential= to the unit, and run this under it: systemd-run -P -p LoadCredential=… authcanary doctor"
        }
        VaultError::NoProgram { .. }
        | VaultError::NotStarted { .. }
        | VaultError::CommandFailed { .. }
        | VaultError::CommandSlow { .. } => "run the command by hand, as the daemon's user",
        VaultError::NotText { .. } | VaultError::TooLong { .. } | VaultError::Unreadable { .. } => {
            "write the secret, and nothing else, to that place, readable for the daemon's user"
        }
    };
    Check::fault("secrets", found, mend)
}

/// Every secret once, with the first that needs it.
fn wanted(config: &Daemon) -> BTreeMap<String, (SecretRef, String)> {
    let mut wanted = BTreeMap::new();
    let mut note = |secret: SecretRef, user: String| {
        wanted
            .entry(format!("{secret:?}"))
            .or_insert((secret, user));
    };
    for probe in &config.probes {
        for secret in of_probe(probe) {
            note(secret.clone(), format!("probe {}", probe.id));
        }
    }
    for (name, channel) in &config.channels {
        for secret in of_channel(channel) {
            note(secret, format!("channel {name}"));
        }
    }
    for secret in config.otlp.iter().flat_map(of_otlp) {
        note(secret.clone(), "telemetry.otlp".to_owned());
    }
    wanted
}

fn of_probe(probe: &Probe) -> impl Iterator<Item = &SecretRef> {
    let account = probe.account.iter();
    let account = account.flat_map(|account| account.password.iter().chain(&account.totp));
    probe.client.secret.iter().chain(account)
}

fn of_channel(channel: &Channel) -> Vec<SecretRef> {
    let mut channel = channel.clone();
    let secrets = channel.secrets().into_iter();
    secrets.map(|(_, secret)| secret.clone()).collect()
}

fn of_otlp(otlp: &otlp::Settings) -> impl Iterator<Item = &SecretRef> {
    let key = otlp.client.iter().map(|client| &client.key);
    let headers = otlp.headers.values().filter_map(TextOrSecret::secret);
    headers.chain(key)
}

async fn listen(address: SocketAddr, is_running: bool) -> Check {
    const NAME: &str = "listen";
    let port = address.port();
    match TcpListener::bind(address).await {
        Ok(_) => Check::ok(NAME, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_running => Check::ok(
            NAME,
            format!("{address} is taken, as it must be while the daemon runs"),
        ),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Check::fault(
            NAME,
            format!("{address} is taken by another program"),
            format!(
                "see which: ss -ltnp 'sport = :{port}'; stop it, or write another port in `listen`"
            ),
        ),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Check::fault(
            NAME,
            format!("{} is no address of this machine", address.ip()),
            "see which are: ip address; write one of them in `listen`",
        ),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Check::fault(
            NAME,
            format!("this user may not listen on port {port}"),
            "write a port above 1023 in `listen`",
        ),
        Err(error) => Check::fault(
            NAME,
            format!("{address}: {error}"),
            "write another address in `listen`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[tokio::test]
    async fn a_port_is_free_ours_or_somebody_else_s() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(listen(address, true).await.level, Level::Ok);
        let judged = listen(address, false).await;
        assert_eq!(judged.level, Level::Fault);
        assert!(
            judged
                .mend
                .unwrap()
                .contains(&format!("ss -ltnp 'sport = :{}'", address.port()))
        );
        assert_eq!(
            listen("127.0.0.1:0".parse().unwrap(), false).await.level,
            Level::Ok
        );
        let foreign = listen("192.0.2.1:0".parse().unwrap(), false).await;
        assert_eq!(foreign.level, Level::Fault);
    }
}
