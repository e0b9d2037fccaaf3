//! Parameters of a request, form-encoded (RFC 6749 appendix B). Any of them may be a secret, so none shows.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;

use super::values::{AccessToken, RefreshToken};
use crate::secret::Secret;

/// Parameters in the order they were set; each name stands once (RFC 6749 section 3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, Secret)>);

impl Form {
    /// A token request for this grant.
    pub fn grant(grant_type: &str) -> Self {
        Self::default().with("grant_type", grant_type)
    }

    /// A client credentials grant (RFC 6749 section 4.4.2).
    pub fn client_credentials(scopes: &[String]) -> Self {
        let form = Self::grant("client_credentials");
        if scopes.is_empty() {
            form
        } else {
            form.with("scope", &scopes.join(" "))
        }
    }

    /// A refresh token grant; the scope stays as granted (RFC 6749 section 6).
    pub fn refresh(token: &RefreshToken) -> Self {
        Self::grant("refresh_token").with("refresh_token", token.expose())
    }

    /// A question about an access token (RFC 7662 section 2.1).
    pub fn introspect(token: &AccessToken) -> Self {
        Self::of_token(token.expose(), "access_token")
    }

    /// The end of an access token (RFC 7009 section 2.1).
    pub fn revoke_access(token: &AccessToken) -> Self {
        Self::of_token(token.expose(), "access_token")
    }

    /// The end of a refresh token, and of the access tokens that came of it (RFC 7009 section 2.1).
    pub fn revoke_refresh(token: &RefreshToken) -> Self {
        Self::of_token(token.expose(), "refresh_token")
    }

    fn of_token(token: &str, hint: &str) -> Self {
        Self::default()
            .with("token", token)
            .with("token_type_hint", hint)
    }

    /// Sets a parameter, in place of an earlier one of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = Secret::new(value),
            None => self.0.push((name.to_owned(), Secret::new(value))),
        }
        self
    }

    /// Sets every one of `extra`.
    #[must_use]
    pub fn with_all(self, extra: &BTreeMap<String, String>) -> Self {
        extra
            .iter()
            .fold(self, |form, (name, value)| form.with(name, value))
    }

    /// Its pairs, for sending.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
    }

    /// The body to send.
    pub fn encode(&self) -> Secret {
        let mut encoded = Serializer::new(String::new());
        encoded.extend_pairs(self.pairs());
        Secret::new(encoded.finish())
    }
}

/// The pairs of a query, fragment or form, decoded; its leading `?` or `#` is left out.
pub(crate) fn pairs(encoded: &str) -> Vec<(String, String)> {
    let encoded = encoded.strip_prefix(['?', '#']).unwrap_or(encoded);
    form_urlencoded::parse(encoded.as_bytes())
        .into_owned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_and_nothing_shows() {
        let extra = BTreeMap::from([
            ("audience".to_owned(), "api".to_owned()),
            ("scope".to_owned(), "x y".to_owned()),
        ]);
        let form = Form::client_credentials(&["a".to_owned(), "b".to_owned()]).with_all(&extra);
        assert_eq!(
            form.encode().expose(),
            "grant_type=client_credentials&scope=x+y&audience=api"
        );
        assert!(!format!("{form:?}").contains("x y"));
    }

    #[test]
    fn token_requests_name_what_they_send() {
        let refresh = RefreshToken::new("r&t");
        let cases = [
            (
                Form::refresh(&refresh),
                "grant_type=refresh_token&refresh_token=r%26t",
            ),
            (
                Form::revoke_refresh(&refresh),
                "token=r%26t&token_type_hint=refresh_token",
            ),
            (
                Form::revoke_access(&AccessToken::new("a")),
                "token=a&token_type_hint=access_token",
            ),
            (
                Form::introspect(&AccessToken::new("a")),
                "token=a&token_type_hint=access_token",
            ),
            (
                Form::client_credentials(&[]),
                "grant_type=client_credentials",
            ),
        ];
        for (form, expected) in cases {
            assert_eq!(form.encode().expose(), expected);
        }
    }
}
