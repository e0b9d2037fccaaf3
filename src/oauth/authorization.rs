//! The authorization request: the address that the browser opens.

use std::collections::BTreeMap;

use url::Url;

use super::values::{Challenge, Nonce, State};
use crate::probe::ResponseMode;

/// What goes into an authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3, OpenID Connect Core section
/// 3.1.2.1).
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    pub endpoint: &'a Url,
    pub client_id: &'a str,
    /// Exactly as registered.
    pub redirect_uri: &'a str,
    pub scopes: &'a [String],
    pub state: &'a State,
    /// Sent only with the scope `openid`.
    pub nonce: &'a Nonce,
    pub challenge: &'a Challenge,
    /// `None` leaves the default of the flow.
    pub response_mode: Option<ResponseMode>,
    /// Parameters of the probe file. They win over what is chosen here, but not over what binds the answer to this
    /// run.
    pub extra: &'a BTreeMap<String, String>,
}

/// Parameters that no probe file may change: without them the answer could not be told from a forged one.
const BINDING: [&str; 7] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
];

impl AuthorizationRequest<'_> {
    /// The whole address. A query that the endpoint already has is kept (RFC 6749 section 3.1); of parameters that
    /// stand in both, ours is sent, once.
    pub fn url(&self) -> Url {
        let ours = self.parameters();
        let kept: Vec<(String, String)> = self
            .endpoint
            .query_pairs()
            .into_owned()
            .filter(|(name, _)| ours.iter().all(|(own, _)| own != name))
            .collect();
        let mut url = self.endpoint.clone();
        url.set_fragment(None);
        url.query_pairs_mut()
            .clear()
            .extend_pairs(kept)
            .extend_pairs(ours);
        url
    }

    fn parameters(&self) -> Vec<(&str, String)> {
        let mut all = vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.client_id.to_owned()),
            ("redirect_uri", self.redirect_uri.to_owned()),
            ("state", self.state.expose().to_owned()),
            ("code_challenge", self.challenge.as_str().to_owned()),
            ("code_challenge_method", "S256".to_owned()),
        ];
        if self.asks("openid") {
            all.push(("nonce", self.nonce.expose().to_owned()));
        }
        let mut chosen = Vec::new();
        if !self.scopes.is_empty() {
            chosen.push(("scope", self.scopes.join(" ")));
        }
        if self.asks("offline_access") {
            // Without it the scope must be ignored (OpenID Connect Core section 11).
            chosen.push(("prompt", "consent".to_owned()));
        }
        if let Some(mode) = self.response_mode {
            let name: &str = mode.into();
            chosen.push(("response_mode", name.to_owned()));
        }
        all.extend(
            chosen
                .into_iter()
                .filter(|(name, _)| !self.extra.contains_key(*name)),
        );
        let extra = self.extra.iter().filter(|(name, value)| {
            // An empty value takes a chosen parameter away.
            !BINDING.contains(&name.as_str()) && !value.is_empty()
        });
        all.extend(extra.map(|(name, value)| (name.as_str(), value.clone())));
        all
    }

    fn asks(&self, scope: &str) -> bool {
        self.scopes.iter().any(|asked| asked == scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::values::Verifier;

    fn check(
        endpoint: &str,
        scopes: &[&str],
        mode: Option<ResponseMode>,
        extra: &[(&str, &str)],
        expected: &str,
    ) {
        let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let extra = extra
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let request = AuthorizationRequest {
            endpoint: &endpoint.parse().unwrap(),
            client_id: "c&1",
            redirect_uri: "https://app/cb?x=1",
            scopes: &scopes,
            state: &State::new("s"),
            nonce: &Nonce::new("n"),
            challenge: &Verifier::new("v").challenge(),
            response_mode: mode,
            extra: &extra,
        };
        let challenge = "TJRIXgwhrmxBzh3-e2v6zupato5AokdvUCCOUm9QYIA";
        let ours = format!(
            "response_type=code&client_id=c%261&redirect_uri=https%3A%2F%2Fapp%2Fcb%3Fx%3D1&state=s\
             &code_challenge={challenge}&code_challenge_method=S256"
        );
        assert_eq!(request.url().as_str(), expected.replace("OURS", &ours));
    }

    #[test]
    fn the_address_holds_what_was_asked_for() {
        let op = "https://op/authorize";
        check(op, &[], None, &[], "https://op/authorize?OURS");
        check(
            op,
            &["a", "b"],
            None,
            &[],
            "https://op/authorize?OURS&scope=a+b",
        );
        check(
            op,
            &["openid"],
            None,
            &[],
            "https://op/authorize?OURS&nonce=n&scope=openid",
        );
        check(
            op,
            &["openid", "offline_access"],
            Some(ResponseMode::FormPost),
            &[],
            "https://op/authorize?OURS&nonce=n&scope=openid+offline_access&prompt=consent&response_mode=form_post",
        );
    }

    #[test]
    fn the_probe_file_wins_except_over_what_binds_the_answer() {
        let op = "https://op/authorize";
        let offline = ["offline_access"];
        check(
            op,
            &offline,
            None,
            &[("audience", "api"), ("prompt", "login"), ("state", "fixed")],
            "https://op/authorize?OURS&scope=offline_access&audience=api&prompt=login",
        );
        check(
            op,
            &offline,
            None,
            &[("prompt", "")],
            "https://op/authorize?OURS&scope=offline_access",
        );
    }

    #[test]
    fn a_query_of_the_endpoint_is_kept_and_nothing_stands_twice() {
        check(
            "https://op/authorize?p=b2c&scope=old&client_id=old#x",
            &["new"],
            None,
            &[],
            "https://op/authorize?p=b2c&OURS&scope=new",
        );
    }
}
