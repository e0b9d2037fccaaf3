//! Addresses of the files. Credentials in one are refused, and the message never repeats it.

use url::{Host, Url};

use crate::probe::{RedirectUri, RedirectUriError};

use super::fault::rule;
use super::scalar::{Reason, Scalar, plain};

/// Any `http` or `https` address without credentials in it.
#[derive(Debug, Clone)]
pub(super) struct WebUrl(pub(super) Url);

impl Scalar for WebUrl {
    const FORMAT: &'static str = "web-address";
    const EXAMPLES: &'static [&'static str] =
        &["http://collector:4318", "https://grid.example.com"];

    fn read(text: &str) -> Result<Self, Reason> {
        let url = url(text)?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            _ => Err(plain("not an address that begins with http:// or https://")),
        }
    }
}

/// An address that tokens and secrets may be sent to: `https`, or `http` on loopback.
#[derive(Debug, Clone)]
pub(super) struct SafeUrl(pub(super) Url);

impl Scalar for SafeUrl {
    // The word that `Url` itself has in a schema, so that addresses of shared types are held to it as well.
    const FORMAT: &'static str = "uri";
    const EXAMPLES: &'static [&'static str] = &["https://api.example.com/me"];

    fn read(text: &str) -> Result<Self, Reason> {
        let WebUrl(url) = WebUrl::read(text)?;
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(
                plain("must be https: tokens would cross the network in clear")
                    .helped("plain http is taken only for 127.0.0.1, [::1] and localhost")
                    .by(rule::PLAIN_HTTP),
            );
        }
        Ok(Self(url))
    }
}

/// An issuer: kept as the exact text (OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2).
#[derive(Debug, Clone)]
pub(super) struct Issuer(pub(super) String);

impl Scalar for Issuer {
    const FORMAT: &'static str = "issuer";
    const EXAMPLES: &'static [&'static str] = &["https://sso.example.com/realms/main"];

    fn read(text: &str) -> Result<Self, Reason> {
        let SafeUrl(url) = SafeUrl::read(text)?;
        if text.contains("/.well-known/") {
            return Err(
                plain("this is the address of a metadata document, not the issuer")
                    .helped("write the part before `/.well-known/`"),
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(plain("an issuer has no query and no fragment"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Where mail is handed over.
#[derive(Debug, Clone)]
pub(super) struct SmtpUrl;

impl Scalar for SmtpUrl {
    const FORMAT: &'static str = "smtp-address";
    const EXAMPLES: &'static [&'static str] = &["smtps://mail.example.com", "smtp://localhost:25"];

    fn read(text: &str) -> Result<Self, Reason> {
        let wrong = || plain("not an address that begins with smtp:// or smtps://");
        if !text.starts_with("smtp://") && !text.starts_with("smtps://") {
            return Err(wrong());
        }
        let url = url(text)?;
        match url.has_host() {
            true => Ok(Self),
            false => Err(wrong()),
        }
    }
}

/// A place that can be asked whether it is there.
#[derive(Debug, Clone)]
pub(super) struct Place(pub(super) Url);

impl Scalar for Place {
    const FORMAT: &'static str = "place";
    const EXAMPLES: &'static [&'static str] =
        &["https://www.example.com/", "tcp://ns.example.net:853"];

    fn read(text: &str) -> Result<Self, Reason> {
        let wrong = || plain("not an address that begins with https://, http:// or tcp://");
        if !text.contains("://") {
            return Err(wrong().helped("write tcp://host:port for a plain connection"));
        }
        let url = url(text)?;
        match url.scheme() {
            "http" | "https" => Ok(Self(url)),
            "tcp" if url.has_host() && url.port().is_some() => Ok(Self(url)),
            "tcp" => Err(plain("a host or a port is missing").helped("write tcp://host:port")),
            _ => Err(wrong()),
        }
    }
}

/// A name that name resolution is asked for.
#[derive(Debug, Clone)]
pub(super) struct HostName(pub(super) String);

impl Scalar for HostName {
    const FORMAT: &'static str = "host-name";
    const EXAMPLES: &'static [&'static str] = &["example.com"];

    fn read(text: &str) -> Result<Self, Reason> {
        match Host::parse(text) {
            Ok(Host::Domain(name)) => Ok(Self(name)),
            Ok(_) => Err(plain("an address needs no name resolution").helped("write a name")),
            Err(_) => Err(plain("not a name of a host")),
        }
    }
}

impl Scalar for RedirectUri {
    const FORMAT: &'static str = "redirect-uri";
    const EXAMPLES: &'static [&'static str] = &[
        "https://app.example.com/callback",
        "com.example.app:/callback",
    ];

    fn read(text: &str) -> Result<Self, Reason> {
        RedirectUri::parse(text).map_err(|error| {
            let reason = plain(&error.to_string())
                .helped("write it exactly as it is registered at the provider");
            match error {
                RedirectUriError::Fragment => reason.by(rule::REDIRECT_URI_FRAGMENT),
                RedirectUriError::NotAbsolute(_) => reason,
            }
        })
    }
}

/// Whether requests to this address stay on this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Any address without credentials in it.
fn url(text: &str) -> Result<Url, Reason> {
    let url = Url::parse(text).map_err(|error| match error {
        _ if text.contains("${") => {
            plain("not an address").helped("environment variables are not put into texts")
        }
        url::ParseError::RelativeUrlWithoutBase => {
            plain("not a whole address").helped("begin with https:// or the like")
        }
        error => plain(&format!("not an address: {error}")),
    })?;
    if url.password().is_some() || !url.username().is_empty() {
        return Err(plain("credentials stand in this address")
            .helped("a secret is never written in a file; take them out of the address")
            .by(rule::LITERAL_SECRET));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<S: Scalar>(text: &str) -> Result<S, String> {
        S::read(text).map_err(|reason| reason.message)
    }

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for text in [
            "https://sso.example.com",
            "http://127.0.0.1:8080/x",
            "http://[::1]/",
            "http://localhost:3000",
        ] {
            assert!(check::<Issuer>(text).is_ok(), "{text}");
        }
        for text in [
            "http://sso.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "ftp://127.0.0.1",
            "https://user@sso.example.com",
            "https://sso.example.com?tenant=a",
            "https://sso.example.com#a",
        ] {
            assert!(check::<Issuer>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_issuer_keeps_its_exact_text() {
        for text in [
            "https://SSO.example.com",
            "https://sso.example.com/",
            "https://sso.example.com:443/a",
        ] {
            assert_eq!(Issuer::read(text).unwrap().0, text);
        }
    }
}
