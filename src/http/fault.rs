//! Names what went wrong below HTTP, by the types in the error chain and by how far the connection got.

use std::error::Error;
use std::io;

use rustls::CertificateError;

use super::timing::{Marks, Phase};
use super::tls::NothingTrusted;
use crate::run::Finding;
use crate::taxonomy::Class;

/// The class of an error of the HTTP client.
pub(super) fn classify(error: &reqwest::Error, marks: &Marks, is_proxied: bool) -> Finding {
    let class = class(error, marks.phase(), is_proxied);
    Finding::new(class, describe(error, class))
}

fn class(error: &reqwest::Error, phase: Phase, is_proxied: bool) -> Class {
    if let Some(error) = find::<rustls::Error>(error) {
        return tls(error);
    }
    if error.is_builder() {
        return Class::ConfigInvalid;
    }
    let io = find::<io::Error>(error).map(io::Error::kind);
    if let Some(class) = find::<io::Error>(error).and_then(own_fault) {
        return class;
    }
    match phase {
        // Until the handshake with the target begins, only the proxy was spoken to.
        Phase::Resolving | Phase::Connecting if is_proxied => Class::ProxyError,
        Phase::Resolving => Class::DnsFailure,
        Phase::Connecting => connecting(error, io),
        Phase::Handshake if error.is_timeout() => Class::RequestTimeout,
        Phase::Handshake if io.is_some_and(is_dropped) => Class::ConnectionReset,
        Phase::Handshake => Class::TlsHandshake,
        Phase::Open => answering(error, io),
    }
}

/// A handshake on a connection of our own making failed.
pub(super) fn of_handshake(error: &io::Error) -> Class {
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref());
    match inside {
        Some(error) => tls(error),
        None if is_dropped(error.kind()) => Class::ConnectionReset,
        None => Class::TlsHandshake,
    }
}

fn connecting(error: &reqwest::Error, io: Option<io::ErrorKind>) -> Class {
    match io {
        Some(io::ErrorKind::ConnectionRefused) => Class::ConnectRefused,
        Some(kind) if is_dropped(kind) => Class::ConnectionReset,
        _ if error.is_dns() => Class::DnsFailure,
        // Timed out, or a router says that nobody is there.
        _ => Class::ConnectTimeout,
    }
}

fn answering(error: &reqwest::Error, io: Option<io::ErrorKind>) -> Class {
    if let Some(error) = find::<hyper::Error>(error) {
        if error.is_parse_too_large() {
            return Class::ResponseTooLarge;
        }
        if error.is_parse() {
            return Class::MalformedResponse;
        }
    }
    match io {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => Class::MalformedResponse,
        Some(io::ErrorKind::TimedOut) => Class::RequestTimeout,
        _ => Class::ConnectionReset,
    }
}

/// Faults of this machine: no more files or ports, or a rule that forbids the connection.
fn own_fault(error: &io::Error) -> Option<Class> {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw)? {
        Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM | Errno::EADDRNOTAVAIL => {
            Some(Class::Overloaded)
        }
        Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT => Some(Class::Internal),
        _ => None,
    }
}

fn is_dropped(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
    };
    [
        BrokenPipe,
        ConnectionAborted,
        ConnectionReset,
        NotConnected,
        UnexpectedEof,
    ]
    .contains(&kind)
}

fn tls(error: &rustls::Error) -> Class {
    let rustls::Error::InvalidCertificate(error) = error else {
        return Class::TlsHandshake;
    };
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Class::TlsExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Class::TlsHostnameMismatch
        }
        CertificateError::Other(error) if error.0.is::<NothingTrusted>() => Class::ConfigInvalid,
        _ => Class::TlsUntrusted,
    }
}

/// The deadline passed before the answer was complete.
pub(super) fn deadline_passed(marks: &Marks, is_proxied: bool, has_head: bool) -> Finding {
    let (class, detail) = match marks.phase() {
        _ if has_head => (Class::RequestTimeout, "the body was not complete in time"),
        Phase::Resolving | Phase::Connecting if is_proxied => {
            (Class::ProxyError, "the proxy gave no connection in time")
        }
        Phase::Resolving => (Class::DnsFailure, "name resolution gave no answer in time"),
        Phase::Connecting => (Class::ConnectTimeout, "no answer to connect in time"),
        Phase::Handshake => (
            Class::RequestTimeout,
            "connected, but no TLS handshake in time",
        ),
        Phase::Open => (Class::RequestTimeout, "connected, but no answer in time"),
    };
    Finding::new(class, detail)
}

/// The chain without the address, which stands in the exchange, and without repetitions.
fn describe(error: &reqwest::Error, class: Class) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in causes(error).skip(1) {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    if parts.is_empty() {
        return class.to_string();
    }
    parts.join(": ")
}

fn find<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    causes(error)
        .filter_map(|cause| cause.downcast_ref())
        .last()
}

/// The error and what is behind it. An `io::Error` made of another error skips that one in `source`.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |error| {
        behind(*error)
    })
}

fn behind<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inside) => Some(inside),
        None => error.source(),
    }
}
