//! Names what the browser and its driver report: the network's word for a page that did not load, and the driver's word
//! for a browser that is gone.

use crate::run::Finding;
use crate::taxonomy::Class;

/// Words of browsers for a document that did not load, and the class they mean. The first that is contained counts.
const LOAD: [(&str, Class); 28] = [
    ("ERR_NAME_NOT_RESOLVED", Class::DnsFailure),
    ("ERR_NAME_RESOLUTION_FAILED", Class::DnsFailure),
    ("ERR_DNS", Class::DnsFailure),
    ("NS_ERROR_UNKNOWN_HOST", Class::DnsFailure),
    ("ERR_CONNECTION_REFUSED", Class::ConnectRefused),
    ("NS_ERROR_CONNECTION_REFUSED", Class::ConnectRefused),
    ("ERR_ADDRESS_UNREACHABLE", Class::ConnectRefused),
    ("ERR_CONNECTION_TIMED_OUT", Class::ConnectTimeout),
    ("NS_ERROR_NET_TIMEOUT", Class::ConnectTimeout),
    ("ERR_TIMED_OUT", Class::RequestTimeout),
    ("ERR_CERT_DATE_INVALID", Class::TlsExpired),
    ("SEC_ERROR_EXPIRED", Class::TlsExpired),
    ("ERR_CERT_COMMON_NAME_INVALID", Class::TlsHostnameMismatch),
    ("SSL_ERROR_BAD_CERT_DOMAIN", Class::TlsHostnameMismatch),
    ("ERR_CERT", Class::TlsUntrusted),
    ("SEC_ERROR", Class::TlsUntrusted),
    ("ERR_SSL", Class::TlsHandshake),
    ("SSL_ERROR", Class::TlsHandshake),
    ("ERR_PROXY", Class::ProxyError),
    ("ERR_TUNNEL", Class::ProxyError),
    ("NS_ERROR_PROXY", Class::ProxyError),
    ("ERR_TOO_MANY_REDIRECTS", Class::RedirectLoop),
    ("NS_ERROR_REDIRECT_LOOP", Class::RedirectLoop),
    ("ERR_INVALID", Class::MalformedResponse),
    ("ERR_RESPONSE", Class::MalformedResponse),
    ("ERR_CONTENT", Class::MalformedResponse),
    ("ERR_HTTP2", Class::MalformedResponse),
    ("ERR_UNSAFE_PORT", Class::ConnectRefused),
];

/// What a document that did not load means; `None` where it was only left for another one.
pub(super) fn of_load(error: &str, url: &str) -> Option<Finding> {
    // Left for the next page, answered with 204, or turned into a download.
    if error.is_empty() || error.contains("ABORTED") || error.contains("NS_BINDING") {
        return None;
    }
    let class = LOAD
        .iter()
        .find(|(word, _)| error.contains(word))
        .map_or(Class::ConnectionReset, |(_, class)| *class);
    let place = url::Url::parse(url).ok();
    let host = place
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or("a page");
    Some(Finding::new(
        class,
        format!("the browser could not load {host}: {error}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: &str, expected: Option<Class>) {
        let found = of_load(error, "https://op.example.com/auth?code=secret");
        assert_eq!(
            found.as_ref().map(|finding| finding.class),
            expected,
            "{error}"
        );
        assert!(!format!("{found:?}").contains("secret"));
    }

    #[test]
    fn each_word_of_a_browser_has_its_class() {
        check("net::ERR_NAME_NOT_RESOLVED", Some(Class::DnsFailure));
        check("net::ERR_CONNECTION_REFUSED", Some(Class::ConnectRefused));
        check("net::ERR_CERT_AUTHORITY_INVALID", Some(Class::TlsUntrusted));
        check("net::ERR_CERT_DATE_INVALID", Some(Class::TlsExpired));
        check("net::ERR_SSL_PROTOCOL_ERROR", Some(Class::TlsHandshake));
        check("net::ERR_EMPTY_RESPONSE", Some(Class::ConnectionReset));
        check("net::ERR_TOO_MANY_REDIRECTS", Some(Class::RedirectLoop));
        check("NS_ERROR_CONNECTION_REFUSED", Some(Class::ConnectRefused));
        check("net::ERR_ABORTED", None);
        check("NS_BINDING_ABORTED", None);
    }
}
