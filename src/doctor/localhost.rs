//! The name `localhost`: the driver of Chromium asks the system for it when it opens a session, and does not say so when
//! it fails.

use std::io;
use std::net::IpAddr;

use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{ANSWER, Check};
use crate::browser::Settings;

const NAME: &str = "localhost";

/// A driver elsewhere asks another machine.
pub(super) async fn checks(settings: &Settings) -> Vec<Check> {
    if settings.url.is_some() {
        return Vec::new();
    }
    let found = match timeout(ANSWER, lookup_host((NAME, 0))).await {
        Ok(found) => found.map(|all| all.map(|address| address.ip()).collect()),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    vec![judge(found)]
}

fn judge(found: io::Result<Vec<IpAddr>>) -> Check {
    let fault = |found: String| {
        let mend = "add to /etc/hosts, in a container to that of its image: 127.0.0.1 localhost and ::1 localhost";
        Check::fault(
            NAME,
            format!("{found}: the driver of the browser opens no session without it"),
            mend,
        )
    };
    let addresses = match found {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => return fault("the name has no address here".to_owned()),
        Err(error) => return fault(format!("the name is not known here ({error})")),
    };
    match addresses.iter().find(|address| !address.is_loopback()) {
        Some(elsewhere) => fault(format!("the name leads to {elsewhere}")),
        None => Check::ok(NAME, "the name is that of this machine"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn the_name_of_this_machine_leads_to_itself() {
        let check = |found: io::Result<&[&str]>, level: Level, words: &str| {
            let found = found.map(|all| all.iter().map(|it| it.parse().unwrap()).collect());
            let judged = judge(found);
            assert_eq!(judged.level, level, "{judged:?}");
            assert!(judged.found.contains(words), "{judged:?}");
            assert_eq!(judged.mend.is_some(), level == Level::Fault);
        };
        check(Ok(&["127.0.0.1"]), Level::Ok, "");
        check(Ok(&["::1", "127.0.0.1"]), Level::Ok, "");
        check(Ok(&["127.0.0.1", "192.0.2.7"]), Level::Fault, "192.0.2.7");
        check(Ok(&[]), Level::Fault, "no address");
        let unknown = io::Error::other("name or service not known");
        check(Err(unknown), Level::Fault, "not known here");
    }
}
