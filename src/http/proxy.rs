//! Which requests go through a proxy.

use std::env;

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::{HttpError, Settings};

/// Always reached directly when the proxy comes from the environment, as browsers do.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// Proxies by scheme of the target, and what goes around them.
pub(super) struct Route {
    http: Option<String>,
    https: Option<String>,
    except: String,
    matcher: Matcher,
}

impl Route {
    /// The proxy of the settings, or those of the environment.
    pub(super) fn new(settings: &Settings) -> Result<Self, HttpError> {
        let Some(proxy) = &settings.proxy else {
            return Ok(Self::of_environment(|name| env::var(name).ok()));
        };
        if proxy.password().is_some() {
            return Err(HttpError::ProxyPassword);
        }
        if !["http", "https"].contains(&proxy.scheme()) {
            return Err(HttpError::ProxyScheme(proxy.clone()));
        }
        let proxy = Some(proxy.to_string());
        Ok(Self::build(
            proxy.clone(),
            proxy,
            settings.no_proxy.join(","),
        ))
    }

    /// Lower-case names first; they are what other programs read first too.
    fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |name: &str| {
            let value = variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
            value.filter(|value| !value.is_empty())
        };
        let all = read("all_proxy");
        let except = [Some(LOOPBACK.to_owned()), read("no_proxy")];
        Self::build(
            read("http_proxy").or_else(|| all.clone()),
            read("https_proxy").or(all),
            except.into_iter().flatten().collect::<Vec<_>>().join(","),
        )
    }

    fn build(http: Option<String>, https: Option<String>, except: String) -> Self {
        let mut builder = Matcher::builder().no(except.clone());
        if let Some(proxy) = &http {
            builder = builder.http(proxy.clone());
        }
        if let Some(proxy) = &https {
            builder = builder.https(proxy.clone());
        }
        Self {
            http,
            https,
            except,
            matcher: builder.build(),
        }
    }

    /// For the HTTP client.
    pub(super) fn proxies(&self) -> impl Iterator<Item = reqwest::Result<reqwest::Proxy>> {
        let http = self.http.iter().map(reqwest::Proxy::http);
        let https = self.https.iter().map(reqwest::Proxy::https);
        let except = reqwest::NoProxy::from_string(&self.except);
        http.chain(https)
            .map(move |proxy| Ok(proxy?.no_proxy(except.clone())))
    }

    /// No proxy at all.
    pub(super) fn direct() -> Self {
        Self::build(None, None, String::new())
    }

    pub(super) fn is_proxied(&self, url: &Url) -> bool {
        self.of(url).is_some()
    }

    /// The proxy that a request to `url` goes through, without its password.
    pub(super) fn of(&self, url: &Url) -> Option<Url> {
        let target = url.as_str().parse().ok()?;
        let proxy = self.matcher.intercept(&target)?;
        let mut proxy = Url::parse(&proxy.uri().to_string()).ok()?;
        // An address that has no place for them has none to hide.
        let _ = proxy.set_username("");
        let _ = proxy.set_password(None);
        Some(proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_by_scheme_and_never_for_loopback() {
        let route = Route::of_environment(|name| match name {
            "https_proxy" => Some("http://proxy.example:3128".to_owned()),
            "NO_PROXY" => Some("corp.example".to_owned()),
            _ => None,
        });
        let check = |url: &str, expected: bool| {
            assert_eq!(route.is_proxied(&url.parse().unwrap()), expected, "{url}");
        };
        check("https://sso.example.com/", true);
        check("http://sso.example.com/", false);
        check("https://sso.corp.example/", false);
        check("https://127.0.0.1:8443/", false);
        check("https://localhost/", false);
        check("https://[::1]/", false);
        let proxy = route.of(&"https://sso.example.com/".parse().unwrap());
        assert_eq!(proxy.unwrap().as_str(), "http://proxy.example:3128/");
    }
}
