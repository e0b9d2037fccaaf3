//! Whether somebody is there at all: a connection, a handshake, and no request.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{Shared, fault, tls};
use crate::run::Finding;
use crate::taxonomy::Class;

pub(super) async fn open(
    shared: &Shared,
    url: &Url,
    with_tls: bool,
    deadline: Instant,
) -> Result<(), Finding> {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(Finding::new(
            Class::ConfigInvalid,
            "a host or a port is missing",
        ));
    };
    let bare = host.trim_matches(['[', ']']);
    let lookup = shared.resolver.clone().addresses(bare);
    let addresses: Vec<SocketAddr> = match timeout_at(deadline, lookup).await {
        Ok(Ok(addresses)) => addresses
            .into_iter()
            .map(|it| SocketAddr::new(it, port))
            .collect(),
        Ok(Err(error)) => return Err(Finding::new(Class::DnsFailure, error.to_string())),
        Err(_) => {
            return Err(Finding::new(
                Class::DnsFailure,
                "name resolution gave no answer in time",
            ));
        }
    };
    let stream = match timeout_at(deadline, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(not_connected(&error)),
        Err(_) => {
            return Err(Finding::new(
                Class::ConnectTimeout,
                "no answer to connect in time",
            ));
        }
    };
    if !with_tls {
        return Ok(());
    }
    match timeout_at(deadline, tls::handshake(&shared.tls, bare, stream)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Finding::new(fault::of_handshake(&error), error.to_string())),
        Err(_) => Err(Finding::new(
            Class::RequestTimeout,
            "connected, but no TLS handshake in time",
        )),
    }
}

fn not_connected(error: &io::Error) -> Finding {
    let class = match error.kind() {
        io::ErrorKind::ConnectionRefused => Class::ConnectRefused,
        // A router says that nobody is there, or nobody says anything.
        _ => Class::ConnectTimeout,
    };
    Finding::new(class, error.to_string())
}
