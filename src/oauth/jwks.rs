//! The provider's key set (RFC 7517), read with tolerance: a key that is not understood is left out, as section 5
//! asks.

use serde_json::{Map, Value};

use super::{Reply, refuse, text, texts};
use crate::run::Fault;
use crate::taxonomy::Class;

/// Keys for checking signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(pub(super) Vec<Key>);

/// A public key for signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub(super) kid: Option<String>,
    /// The one algorithm it is for, where it says so.
    pub(super) alg: Option<String>,
    pub(super) material: Material,
}

/// The numbers of a key, still encoded in base64url (RFC 7518 section 6, RFC 8037 section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Material {
    Rsa { n: String, e: String },
    Ec { crv: String, x: String, y: String },
    Okp { crv: String, x: String },
}

/// Reads a key set. One without any key for signatures is refused, because nothing could be checked with it.
pub fn read(reply: &Reply<'_>) -> Result<KeySet, Fault> {
    if reply.status != 200 {
        return Err(reply.fault());
    }
    let document = reply.document("the key set")?;
    let Some(keys) = document.get("keys").and_then(Value::as_array) else {
        let detail = "the key set has no list `keys`";
        return Err(refuse(Class::MetadataInvalid, detail));
    };
    let usable: Vec<Key> = keys
        .iter()
        .filter_map(|key| Key::read(key.as_object()?))
        .collect();
    if usable.is_empty() {
        let detail = format!(
            "none of the {} keys of the key set is for signatures",
            keys.len()
        );
        return Err(refuse(Class::MetadataInvalid, detail));
    }
    Ok(KeySet(usable))
}

impl KeySet {
    /// Names of the keys, for evidence.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|key| key.kid.as_deref())
    }
}

impl Key {
    /// `None` for keys of other kinds and for keys that are for something else than checking signatures.
    fn read(key: &Map<String, Value>) -> Option<Self> {
        if text(key, "use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let operations = texts(key, "key_ops");
        if !operations.is_empty() && !operations.iter().any(|operation| operation == "verify") {
            return None;
        }
        let member = |name: &str| text(key, name).map(str::to_owned);
        let material = match text(key, "kty")? {
            "RSA" => Material::Rsa {
                n: member("n")?,
                e: member("e")?,
            },
            "EC" => Material::Ec {
                crv: member("crv")?,
                x: member("x")?,
                y: member("y")?,
            },
            "OKP" => Material::Okp {
                crv: member("crv")?,
                x: member("x")?,
            },
            _ => return None,
        };
        Some(Self {
            kid: member("kid"),
            alg: member("alg"),
            material,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{class_of, reply};

    #[test]
    fn keys_that_are_not_understood_are_left_out() {
        let body = r#"{"keys": [
            {"kty":"RSA","kid":"1","n":"AQAB","e":"AQAB","x5c":["..."],"new":{}},
            {"kty":"RSA","kid":"2","n":"AQAB","e":"AQAB","use":"enc"},
            {"kty":"RSA","kid":"3","n":7,"e":"AQAB"},
            {"kty":"EC","kid":"4","crv":"P-256","x":"a","y":"b","key_ops":["verify"]},
            {"kty":"EC","kid":"5","crv":"P-256","x":"a","y":"b","key_ops":["sign"]},
            {"kty":"OKP","kid":"6","crv":"Ed25519","x":"a"},
            {"kty":"AKP","kid":"7","alg":"ML-DSA-44","pub":"a"},
            {"kty":"oct","kid":"8","k":"a"},
            {"kid":"9"}, 5, null]}"#;
        let keys = read(&reply(200, &[], body)).unwrap();
        assert_eq!(keys.kids().collect::<Vec<_>>(), ["1", "4", "6"]);
    }

    #[test]
    fn a_set_without_a_key_is_refused() {
        let check = |body: &str, expected: Class| {
            let fault = read(&reply(200, &[], body)).unwrap_err();
            assert_eq!(class_of(&fault), Some(expected), "{body}");
        };
        check("", Class::MetadataInvalid);
        check("[]", Class::MetadataInvalid);
        check("{}", Class::MetadataInvalid);
        check(r#"{"status":"ok"}"#, Class::MetadataInvalid);
        check(r#"{"keys":{}}"#, Class::MetadataInvalid);
        check(r#"{"keys":[]}"#, Class::MetadataInvalid);
        check(
            r#"{"keys":[{"kty":"oct","k":"a"}]}"#,
            Class::MetadataInvalid,
        );
        let broken = read(&reply(503, &[], "")).unwrap_err();
        assert!(matches!(broken, Fault::Answer(_)));
    }
}
