//! RP-initiated logout: the address that the browser opens, and what comes back.

use url::Url;

use super::values::{RawIdToken, State};
use super::{form, refuse};
use crate::run::Fault;
use crate::taxonomy::Class;

/// The logout request (OpenID Connect RP-Initiated Logout section 2). `state` is only sent with an address to return
/// to.
pub fn url(
    endpoint: &Url,
    client_id: &str,
    hint: Option<&RawIdToken>,
    back_to: Option<&Url>,
    state: &State,
) -> Url {
    let mut url = endpoint.clone();
    url.set_fragment(None);
    let mut query = url.query_pairs_mut();
    if let Some(hint) = hint {
        query.append_pair("id_token_hint", hint.expose());
    }
    query.append_pair("client_id", client_id);
    if let Some(back_to) = back_to {
        query.append_pair("post_logout_redirect_uri", back_to.as_str());
        query.append_pair("state", state.expose());
    }
    drop(query);
    url
}

/// The query that came back must carry our state (section 3).
pub fn returned(parameters: &str, state: &State) -> Result<(), Fault> {
    let pairs = form::pairs(parameters);
    let found = pairs.iter().find(|(name, _)| name == "state");
    if found.is_some_and(|(_, value)| value == state.expose()) {
        return Ok(());
    }
    let detail = "the redirect after logout does not carry the `state` that was sent";
    Err(refuse(Class::StateMismatch, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_holds_what_is_known() {
        let endpoint = "https://op/logout?tenant=1#x".parse().unwrap();
        let state = State::new("s");
        let bare = url(&endpoint, "c", None, None, &state);
        assert_eq!(bare.as_str(), "https://op/logout?tenant=1&client_id=c");
        let back = "https://app/bye".parse().unwrap();
        let full = url(
            &endpoint,
            "c",
            Some(&RawIdToken::new("t")),
            Some(&back),
            &state,
        );
        assert_eq!(
            full.as_str(),
            "https://op/logout?tenant=1&id_token_hint=t&client_id=c\
             &post_logout_redirect_uri=https%3A%2F%2Fapp%2Fbye&state=s"
        );
    }

    #[test]
    fn the_state_comes_back() {
        let state = State::new("s");
        assert_eq!(returned("state=s&x=1", &state), Ok(()));
        for wrong in ["", "state=t", "x=s"] {
            assert!(returned(wrong, &state).is_err(), "{wrong}");
        }
    }
}
