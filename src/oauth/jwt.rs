//! Compact JSON Web Tokens. What a token says and what is proven are two types: claims of an [`Unverified`] token can
//! not be taken for those of a [`Verified`] one.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{kind, refuse, text};
use crate::run::Fault;
use crate::taxonomy::Class;

/// Longer tokens are refused unread.
const LIMIT_BYTES: usize = 64 * 1024;

/// A token in three parts whose signature nobody has looked at.
#[derive(Clone)]
pub struct Unverified {
    /// Header and payload as they were signed.
    pub(super) message: String,
    /// The signature, still encoded.
    pub(super) signature: String,
    pub(super) header: Header,
    pub(super) claims: Map<String, Value>,
}

/// What a token says about its own signature (RFC 7515 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub alg: String,
    pub kid: Option<String>,
    pub typ: Option<String>,
}

/// Claims whose signature held. Made by [`super::signature`] alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    pub(super) header: Header,
    pub(super) claims: Map<String, Value>,
}

impl Unverified {
    /// Takes a token apart. `what` names it in messages.
    pub fn parse(token: &str, what: &str) -> Result<Self, Fault> {
        Self::take_apart(token.trim())
            .map_err(|complaint| refuse(Class::MalformedResponse, format!("{what} {complaint}")))
    }

    fn take_apart(token: &str) -> Result<Self, String> {
        if token.len() > LIMIT_BYTES {
            return Err(format!("is longer than {LIMIT_BYTES} bytes"));
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(match parts.len() {
                5 => "is encrypted (five parts), which was not asked for".to_owned(),
                parts => format!("has {parts} parts, a signed JWT has three"),
            });
        };
        let header = Header::read(&object(header, "header")?)?;
        let claims = object(payload, "payload")?;
        let (message, _) = token
            .rsplit_once('.')
            .expect("a token in three parts has two dots");
        Ok(Self {
            message: message.to_owned(),
            signature: signature.to_owned(),
            header,
            claims,
        })
    }

    /// What the token says about its signature.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

impl Header {
    fn read(object: &Map<String, Value>) -> Result<Self, String> {
        if object.contains_key("crit") {
            // RFC 7515 section 4.1.11: an extension that is not understood must be refused.
            return Err("demands an extension (`crit`) that is not understood".to_owned());
        }
        let alg = text(object, "alg").ok_or("has no `alg` in its header")?;
        Ok(Self {
            alg: alg.to_owned(),
            kid: text(object, "kid").map(str::to_owned),
            typ: text(object, "typ").map(str::to_owned),
        })
    }
}

impl Verified {
    /// What the token says about its signature.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

impl std::fmt::Debug for Unverified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unverified")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

fn object(part: &str, name: &str) -> Result<Map<String, Value>, String> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|error| format!("has a {name} that is not base64url: {error}"))?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(format!(
            "has a {name} that is {}, not an object",
            kind(&other)
        )),
        Err(error) => Err(format!("has a {name} that is not JSON: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::class_of;

    fn token(header: &str, payload: &str) -> String {
        let [header, payload] = [header, payload].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        format!("{header}.{payload}.c2ln")
    }

    #[test]
    fn a_token_is_taken_apart() {
        let text = token(r#"{"alg":"RS256","kid":"k1","jku":"x"}"#, r#"{"sub":"u"}"#);
        let jwt = Unverified::parse(&format!(" {text}\n"), "it").unwrap();
        assert_eq!(jwt.header().kid.as_deref(), Some("k1"));
        assert_eq!(jwt.claims["sub"], "u");
        assert_eq!(format!("{}.{}", jwt.message, jwt.signature), text);
        assert!(!format!("{jwt:?}").contains("c2ln"));
    }

    #[test]
    fn what_is_no_signed_token_says_so() {
        let check = |token: &str, expected: &str| {
            let fault = Unverified::parse(token, "the token").unwrap_err();
            assert_eq!(class_of(&fault), Some(Class::MalformedResponse));
            let shown = format!("{fault:?}");
            assert!(shown.contains(expected), "{shown}");
        };
        check("", "1 parts");
        check("a.b", "2 parts");
        check("a.b.c.d.e", "encrypted");
        check("?.b.c", "header that is not base64url");
        check(&token("[]", "{}"), "header that is an array");
        check(&token("{", "{}"), "header that is not JSON");
        check(&token("{}", "{}"), "no `alg`");
        check(&token(r#"{"alg":""}"#, "{}"), "no `alg`");
        check(&token(r#"{"alg":"a"}"#, "7"), "payload that is a number");
        check(&token(r#"{"alg":"a","crit":["b64"]}"#, "{}"), "`crit`");
        check(&"a".repeat(LIMIT_BYTES + 1), "longer than");
    }
}
