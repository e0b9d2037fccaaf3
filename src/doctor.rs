//! Looks this machine over, and says what is wrong with it and what mends it. Changes nothing: it starts a browser and
//! ends it, and contacts what the configuration names, and nothing else.

mod browser;
mod localhost;
mod network;
mod settings;
mod storage;
mod system;

use std::fs;
use std::time::Duration;

use serde::Serialize;
use strum::IntoStaticStr;

use crate::browser as browsers;
use crate::config::Daemon;
use crate::http::Http;

/// Places and programs have this long to answer.
const ANSWER: Duration = Duration::from_secs(20);

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub check: &'static str,
    pub level: Level,
    /// What was found, in one line for a person.
    pub found: String,
    /// What mends it: a command, or a line of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// How well it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr, strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Level {
    Ok,
    /// It could not be looked at.
    Skipped,
    /// It works now, and may not when it matters.
    Warning,
    /// It does not work, and the fault is not this machine's.
    Elsewhere,
    /// It does not work.
    Fault,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, found)
    }

    fn skipped(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Level::Skipped, found)
    }

    fn warning(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(check, Level::Warning, found).mended_by(mend)
    }

    fn fault(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(check, Level::Fault, found).mended_by(mend)
    }

    fn new(check: &'static str, level: Level, found: impl Into<String>) -> Self {
        Self {
            check,
            level,
            found: found.into(),
            mend: None,
        }
    }

    fn mended_by(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

/// Looks at the machine, and with a configuration at all that it names, in an order in which things can be mended.
pub async fn examine(config: Option<&Daemon>) -> Vec<Check> {
    let usual = browsers::Settings::default();
    let browser = config.map_or(&usual, |config| &config.browser);
    // Before the browser: a driver that fails for want of it does not say so.
    let mut checks = localhost::checks(browser).await;
    checks.extend(browser::checks(browser).await);
    checks.extend(system::checks(browser));
    let Some(config) = config else {
        checks.push(network::route(false));
        return checks;
    };
    checks.extend(storage::checks(&config.store));
    checks.extend(settings::checks(config).await);
    match Http::new(&config.http) {
        Ok(http) => checks.extend(network::checks(config, &http).await),
        Err(error) => checks.push(Check::fault(
            "http",
            error.to_string(),
            "correct the `http` section of the daemon file",
        )),
    }
    checks
}

/// The command that installs packages, by the names that they have in the distribution at hand.
fn install(debian: &str, fedora: &str, alpine: &str) -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    install_on(&release, debian, fedora, alpine)
}

fn install_on(release: &str, debian: &str, fedora: &str, alpine: &str) -> String {
    let ids: Vec<&str> = release
        .lines()
        .filter_map(|line| {
            line.strip_prefix("ID=")
                .or_else(|| line.strip_prefix("ID_LIKE="))
        })
        .flat_map(|ids| ids.trim_matches('"').split(' '))
        .collect();
    let is = |names: &[&str]| ids.iter().any(|id| names.contains(id));
    if is(&["fedora", "rhel", "centos"]) {
        format!("dnf install {fedora}")
    } else if is(&["alpine"]) {
        format!("apk add {alpine}")
    } else {
        format!("apt-get install {debian}")
    }
}

/// As people write sizes.
fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mib @ 0..10_240 => format!("{mib} MiB"),
        mib => format!("{} GiB", mib >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_installed_as_the_distribution_does() {
        let check = |release: &str, expected: &str| {
            assert_eq!(install_on(release, "a", "b", "c"), expected, "{release}");
        };
        check("NAME=\"Debian\"\nID=debian\n", "apt-get install a");
        check("ID=ubuntu\nID_LIKE=debian\n", "apt-get install a");
        check(
            "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
            "dnf install b",
        );
        check("ID=alpine\n", "apk add c");
        check("", "apt-get install a");
    }

    #[test]
    fn sizes_are_written_as_people_do() {
        assert_eq!(size(64 << 20), "64 MiB");
        assert_eq!(size(24 << 30), "24 GiB");
    }
}
