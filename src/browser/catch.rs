//! The redirect URI as the browser is to hold it back: which requests are for it, and what they carry. Pure.

use serde::Deserialize;
use serde_json::{Value as Json, json};
use url::Url;

use crate::probe::{RedirectUri, ResponseMode};
use crate::secret::Secret;

/// The callback, caught before it left the browser. The parameters are as they came, still encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Where the parameters stood.
    pub mode: ResponseMode,
    /// Query, fragment or form body.
    pub parameters: Secret,
}

/// What is held back, and where its parameters are expected.
#[derive(Debug, Clone)]
pub(super) struct Catch {
    pub(super) uri: RedirectUri,
    pub(super) mode: Option<ResponseMode>,
}

/// A request at the redirect URI that was held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caught {
    /// The parameters stood in its address.
    Complete(Callback),
    /// They stand in the body, which is yet to be asked for.
    Posted { request: String },
}

impl Catch {
    pub(super) fn is_http(&self) -> bool {
        matches!(self.uri.url().scheme(), "http" | "https")
    }

    pub(super) fn holds(&self, request: &Request) -> Option<Caught> {
        let callback = self.holds_address(&request.method, &request.url)?;
        if request.method != "POST" {
            return Some(Caught::Complete(callback));
        }
        Some(Caught::Posted {
            request: request.request.clone(),
        })
    }

    pub(super) fn holds_paused(&self, paused: &Paused) -> Option<Caught> {
        let request = &paused.request;
        let fragment = request.url_fragment.as_deref().unwrap_or_default();
        let callback =
            self.holds_address(&request.method, &format!("{}{fragment}", request.url))?;
        if request.method != "POST" {
            return Some(Caught::Complete(callback));
        }
        Some(match (&request.post_data, &paused.network_id) {
            (None, Some(id)) => Caught::Posted {
                request: id.clone(),
            },
            (data, _) => Caught::Complete(Callback {
                mode: ResponseMode::FormPost,
                parameters: Secret::new(data.clone().unwrap_or_default()),
            }),
        })
    }

    /// The parameters, where `address` is the redirect URI with something added.
    pub(super) fn holds_address(&self, method: &str, address: &str) -> Option<Callback> {
        let url = Url::parse(address).ok()?;
        let wanted = self.uri.url();
        let same_place = url.scheme() == wanted.scheme()
            && url.host_str() == wanted.host_str()
            && url.port_or_known_default() == wanted.port_or_known_default()
            && url.path() == wanted.path();
        let query = url.query().unwrap_or_default();
        let kept = wanted.query().is_none_or(|own| query.starts_with(own));
        if !same_place || !(kept || method == "POST") {
            return None;
        }
        Some(self.parameters(query, url.fragment().unwrap_or_default()))
    }

    /// Some providers add a fragment of their own to answers in the query (`#_=_`), so what was asked for goes first.
    fn parameters(&self, query: &str, fragment: &str) -> Callback {
        let own = self.uri.url().query().unwrap_or_default();
        let in_query = query.len() > own.len();
        let (mode, parameters) = match self.mode {
            Some(ResponseMode::Fragment) if !fragment.is_empty() => {
                (ResponseMode::Fragment, fragment)
            }
            _ if !in_query && !fragment.is_empty() => (ResponseMode::Fragment, fragment),
            _ => (ResponseMode::Query, query),
        };
        Callback {
            mode,
            parameters: Secret::new(parameters),
        }
    }

    /// The patterns by which the browser holds requests back before they are sent. Absent for schemes that no browser
    /// can load.
    pub(super) fn pattern(&self) -> Option<Pattern> {
        if !self.is_http() {
            return None;
        }
        let url = self.uri.url();
        let mut bidi = json!({
            "type": "pattern",
            "protocol": url.scheme(),
            "hostname": escape(url.host_str()?, &BIDI_SPECIAL),
            "pathname": escape(url.path(), &BIDI_SPECIAL),
        });
        if let Some(port) = url.port() {
            bidi["port"] = port.to_string().into();
        }
        let mut bare = url.clone();
        bare.set_query(None);
        let devtools = format!("{}*", escape(bare.as_str(), &DEVTOOLS_SPECIAL));
        Some(Pattern { bidi, devtools })
    }
}

/// Which requests the browser holds back; it may take more than the redirect URI, and those are let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// WebDriver BiDi, `network.UrlPatternPattern`.
    pub(super) bidi: Json,
    /// DevTools, `Fetch.RequestPattern`.
    pub(super) devtools: String,
}

/// Characters that mean something in a pattern.
const BIDI_SPECIAL: [char; 6] = ['(', ')', '{', '}', '*', '\\'];
const DEVTOOLS_SPECIAL: [char; 3] = ['*', '?', '\\'];

fn escape(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Paused {
    pub(super) request_id: String,
    network_id: Option<String>,
    request: PausedRequest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PausedRequest {
    url: String,
    /// With its `#`.
    url_fragment: Option<String>,
    method: String,
    post_data: Option<String>,
}

/// A request as WebDriver BiDi tells it.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) request: String,
    pub(super) url: String,
    pub(super) method: String,
    pub(super) destination: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catch(uri: &str, mode: Option<ResponseMode>) -> Catch {
        Catch {
            uri: RedirectUri::parse(uri).unwrap(),
            mode,
        }
    }

    fn check(uri: &str, mode: Option<ResponseMode>, address: &str, expected: Option<&str>) {
        let callback = catch(uri, mode).holds_address("GET", address);
        let found = callback
            .as_ref()
            .map(|callback| callback.parameters.expose());
        assert_eq!(found, expected, "{uri} against {address}");
    }

    #[test]
    fn only_the_redirect_uri_itself_is_held_back() {
        let cases = [
            (
                "https://app.example.com/cb",
                "https://app.example.com/cb?code=1",
                Some("code=1"),
            ),
            (
                "https://app.example.com/cb",
                "https://app.example.com:443/cb?code=1",
                Some("code=1"),
            ),
            (
                "https://app.example.com/cb",
                "https://app.example.com/cb/?code=1",
                None,
            ),
            (
                "https://app.example.com/cb",
                "https://app.example.com/callback?code=1",
                None,
            ),
            (
                "https://app.example.com/cb",
                "http://app.example.com/cb?code=1",
                None,
            ),
            ("http://127.0.0.1/cb", "http://127.0.0.1:81/cb?code=1", None),
            (
                "http://127.0.0.1:80/cb",
                "http://127.0.0.1/cb?code=1",
                Some("code=1"),
            ),
            (
                "https://app.example.com",
                "https://app.example.com/?code=1",
                Some("code=1"),
            ),
            (
                "https://app.example.com/cb?t=1",
                "https://app.example.com/cb?t=1&code=1",
                Some("t=1&code=1"),
            ),
            (
                "https://app.example.com/cb?t=1",
                "https://app.example.com/cb?code=1",
                None,
            ),
            ("myapp://cb", "myapp://cb?code=1", Some("code=1")),
            ("myapp://cb", "myapp://other?code=1", None),
            (
                "com.example.app:/cb",
                "com.example.app:/cb#code=1",
                Some("code=1"),
            ),
        ];
        for (uri, address, expected) in cases {
            check(uri, None, address, expected);
        }
    }

    #[test]
    fn what_was_asked_for_goes_first() {
        let uri = "https://app.example.com/cb";
        let query = Some(ResponseMode::Query);
        let fragment = Some(ResponseMode::Fragment);
        check(
            uri,
            query,
            "https://app.example.com/cb?code=1#_=_",
            Some("code=1"),
        );
        check(
            uri,
            None,
            "https://app.example.com/cb?code=1#_=_",
            Some("code=1"),
        );
        check(
            uri,
            fragment,
            "https://app.example.com/cb?x=1#code=1",
            Some("code=1"),
        );
        check(
            uri,
            fragment,
            "https://app.example.com/cb?error=no",
            Some("error=no"),
        );
        check(
            uri,
            query,
            "https://app.example.com/cb#code=1",
            Some("code=1"),
        );
    }
}
