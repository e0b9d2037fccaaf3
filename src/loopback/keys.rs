//! Signing keys and what they sign. Keys are made at start, live in memory only, and can be rotated.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Map, Value};
use x509_parser::der_parser;

use super::SigningAlg;

/// How many keys of a kind the key set shows: the one that signs, and those that signed before it.
const KEPT: usize = 8;

/// The keys of the server, newest first.
#[derive(Debug)]
pub(super) struct Keys {
    rsa: Vec<SigningKey>,
    ec: Vec<SigningKey>,
}

/// One key pair.
#[derive(Debug)]
pub(super) struct SigningKey {
    alg: Algorithm,
    private: EncodingKey,
    public: Jwk,
}

/// A key could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a signing key")]
pub(super) struct KeyError;

impl Keys {
    /// Makes one key of each kind.
    pub(super) fn new() -> Result<Self, KeyError> {
        Ok(Self {
            rsa: vec![SigningKey::new(SigningAlg::Rs256)?],
            ec: vec![SigningKey::new(SigningAlg::Es256)?],
        })
    }

    /// The public halves, as the key set shows them.
    pub(super) fn set(&self) -> JwkSet {
        let keys = self.rsa.iter().chain(&self.ec);
        JwkSet {
            keys: keys.map(|key| key.public.clone()).collect(),
        }
    }

    /// From now on this key signs.
    pub(super) fn rotate(&mut self, key: SigningKey) {
        let keys = match key.alg {
            Algorithm::ES256 => &mut self.ec,
            _ => &mut self.rsa,
        };
        keys.insert(0, key);
        keys.truncate(KEPT);
    }

    /// The key that signs for a client.
    pub(super) fn current(&self, alg: SigningAlg) -> &SigningKey {
        match alg {
            SigningAlg::Rs256 => &self.rsa[0],
            SigningAlg::Es256 => &self.ec[0],
        }
    }

    /// The claims of a token that one of these keys signed, expired or not.
    pub(super) fn verify(&self, token: &str) -> Option<Map<String, Value>> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let keys = self.set();
        let key = DecodingKey::from_jwk(keys.find(&header.kid?)?).ok()?;
        let mut validation = Validation::new(header.alg);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let token = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation).ok()?;
        Some(token.claims)
    }
}

impl SigningKey {
    /// Makes a key pair; takes up to a few hundred milliseconds for RSA.
    pub(super) fn new(alg: SigningAlg) -> Result<Self, KeyError> {
        let (alg, private) = match alg {
            SigningAlg::Rs256 => (Algorithm::RS256, rsa_key()?),
            SigningAlg::Es256 => (Algorithm::ES256, ec_key()?),
        };
        let mut public = Jwk::from_encoding_key(&private, alg).map_err(|_| KeyError)?;
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_id = Some(
            public
                .thumbprint(ThumbprintHash::SHA256)
                .map_err(|_| KeyError)?,
        );
        Ok(Self {
            alg,
            private,
            public,
        })
    }

    /// Signs claims, under another `kid` where one is given.
    pub(super) fn sign(&self, claims: &Map<String, Value>, kid: Option<&str>) -> String {
        let mut header = Header::new(self.alg);
        header.kid = kid
            .map(str::to_owned)
            .or_else(|| self.public.common.key_id.clone());
        jsonwebtoken::encode(&header, claims, &self.private)
            .expect("a key that was made for this algorithm signs a map")
    }
}

/// A token signed with HS256 under a text.
pub(super) fn sign_hs256(claims: &Map<String, Value>, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)
        .expect("any text is a key for HS256")
}

/// A token with `alg: none` and an empty signature (RFC 7519 section 6).
pub(super) fn unsigned(claims: &Map<String, Value>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = serde_json::json!({"alg": "none", "typ": "JWT"});
    format!(
        "{}.{}.",
        part(&header),
        part(&Value::Object(claims.clone()))
    )
}

/// The same token with one bit of its signature changed.
pub(super) fn spoil_signature(token: &str) -> String {
    let (message, signature) = token
        .rsplit_once('.')
        .expect("a signed token has three parts");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("we encoded it");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// `at_hash` of an access token for the SHA-256 algorithms (OpenID Connect Core section 3.1.3.6).
pub(super) fn at_hash(access_token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

/// SHA-256 of a text in base64url: the S256 challenge of a verifier, and how tokens are kept.
pub(super) fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// 256 random bits as text: codes, tokens, session ids.
pub(super) fn random() -> String {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes).expect("the system's random source works");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether two texts are equal, in a time that does not tell where they differ.
pub(super) fn equal(left: &str, right: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(
        sha256(left).as_bytes(),
        sha256(right).as_bytes(),
    )
    .is_ok()
}

fn rsa_key() -> Result<EncodingKey, KeyError> {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError)?;
    // The JWT crate wants PKCS#1, which stands inside PKCS#8 as its third member (RFC 5208 section 5).
    let (_, outer) = der_parser::parse_der(der.as_ref()).map_err(|_| KeyError)?;
    let members = outer.as_sequence().map_err(|_| KeyError)?;
    let inner = members.get(2).and_then(|member| member.as_slice().ok());
    Ok(EncodingKey::from_rsa_der(inner.ok_or(KeyError)?))
}

fn ec_key() -> Result<EncodingKey, KeyError> {
    let random = rand::SystemRandom::new();
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
        .map_err(|_| KeyError)?;
    Ok(EncodingKey::from_ec_der(der.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Map<String, Value> {
        Map::from_iter([("sub".to_owned(), Value::from("demo"))])
    }

    fn check(token: &str, keys: &Keys, verifies: bool) {
        assert_eq!(keys.verify(token).is_some(), verifies, "{token}");
    }

    #[test]
    fn only_whole_tokens_of_our_keys_verify() {
        let mut keys = Keys::new().unwrap();
        for alg in [SigningAlg::Rs256, SigningAlg::Es256] {
            let good = keys.current(alg).sign(&claims(), None);
            check(&good, &keys, true);
            check(&spoil_signature(&good), &keys, false);
            check(
                &keys.current(alg).sign(&claims(), Some("stranger")),
                &keys,
                false,
            );
            keys.rotate(SigningKey::new(alg).unwrap());
            check(&good, &keys, true);
        }
        check(&unsigned(&claims()), &keys, false);
        check(&sign_hs256(&claims(), "secret"), &keys, false);
        assert_eq!(keys.set().keys.len(), 4);
    }

    #[test]
    fn the_key_set_stays_small() {
        let mut keys = Keys::new().unwrap();
        for _ in 0..KEPT + 2 {
            keys.rotate(SigningKey::new(SigningAlg::Es256).unwrap());
        }
        assert_eq!(keys.set().keys.len(), 1 + KEPT);
    }

    #[test]
    fn the_challenge_is_that_of_the_specification() {
        // RFC 7636 appendix B
        assert_eq!(
            sha256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
