//! What conditions of a probe file may know of the tokens: claims and figures, never a token.

use serde_json::{Map, Value, json};

use super::id_token::IdToken;
use super::token::Tokens;

/// Members of `token` in conditions: `type`, `expires_in` (seconds), `scope`, `refreshable`, and of the ID token its
/// `alg` and `claims`.
pub fn shown(tokens: &Tokens, id_token: Option<&IdToken>) -> Map<String, Value> {
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put("type", json!(tokens.token_type));
    put(
        "expires_in",
        json!(tokens.expires_in.map(|lifetime| lifetime.as_secs())),
    );
    put("scope", json!(tokens.scope));
    put("refreshable", json!(tokens.refresh.is_some()));
    put("alg", json!(id_token.map(|token| token.alg.as_str())));
    put("claims", json!(id_token.map(|token| &token.claims)));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::reply;
    use crate::oauth::token::{Due, read};

    #[test]
    fn no_token_is_shown() {
        let body =
            r#"{"access_token":"at-1","refresh_token":"rt-1","id_token":"it-1","expires_in":60}"#;
        let tokens = read(&reply(200, &[], body), Due::default()).unwrap();
        let shown = Value::from(shown(&tokens, None)).to_string();
        let expected = r#"{"type":null,"expires_in":60,"scope":null,"refreshable":true,"alg":null,"claims":null}"#;
        assert_eq!(shown, expected);
    }
}
