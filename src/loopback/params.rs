//! Parameters of a request: form-encoded, each at most once (RFC 6749 section 3.1).

use std::collections::BTreeMap;

/// The parameters of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Params(BTreeMap<String, String>);

/// A parameter came more than once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter is repeated")]
pub(super) struct Repeated {
    /// What could be read all the same, the first of each, to tell the client where a redirect is possible.
    pub(super) rest: Params,
}

impl Params {
    /// Reads a query or a form body. A parameter without a value counts as absent.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Repeated> {
        let mut params = BTreeMap::new();
        let mut repeated = false;
        for (name, value) in form_urlencoded::parse(text) {
            if value.is_empty() {
                continue;
            }
            if params.contains_key(name.as_ref()) {
                repeated = true;
                continue;
            }
            params.insert(name.into_owned(), value.into_owned());
        }
        let params = Self(params);
        if repeated {
            return Err(Repeated { rest: params });
        }
        Ok(params)
    }

    /// The value of a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The words of a parameter that is a list with spaces between.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        self.get(name)
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: &str, value: Option<&str>) {
        let params = Params::parse(text.as_bytes()).unwrap();
        assert_eq!(params.get(name), value, "{text}");
    }

    #[test]
    fn parameters_are_decoded_and_empty_ones_are_absent() {
        check("a=1&b=x+y%2Bz", "b", Some("x y+z"));
        check("a=", "a", None);
        check("", "a", None);
    }

    #[test]
    fn a_repeated_parameter_is_seen_and_the_rest_is_kept() {
        let error = Params::parse(b"scope=openid&state=s&scope=email").unwrap_err();
        assert_eq!(error.rest.get("state"), Some("s"));
    }
}
