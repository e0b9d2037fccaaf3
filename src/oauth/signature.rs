//! Whether a token was signed by the provider, with an algorithm that was agreed on.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};

use super::jwks::{Key, KeySet, Material};
use super::jwt::{Unverified, Verified};
use super::{quoted, refuse};
use crate::run::Fault;
use crate::secret::Secret;
use crate::taxonomy::Class;

/// What signatures are held against.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    pub keys: &'a KeySet,
    /// The algorithm as registered for the client, such as `ES256`.
    pub registered: Option<&'a str>,
    /// Algorithms of the metadata; empty where nothing is known.
    pub listed: &'a [String],
    /// The client's secret: the key of the `HS` family (OpenID Connect Core section 10.1).
    pub secret: Option<&'a Secret>,
}

/// Why a signature is not proven.
#[derive(Debug, Clone, PartialEq)]
pub enum Unproven {
    /// No key of the set fits. The set may be old: fetch it once more, then try again (OpenID Connect Core section
    /// 10.1.1).
    KeyUnknown(String),
    /// It does not hold, and no newer key set would change that.
    Refused(Fault),
}

impl From<Unproven> for Fault {
    /// For the second try, after which there is no other.
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::KeyUnknown(detail) => refuse(Class::SigningKeyUnknown, detail),
            Unproven::Refused(fault) => fault,
        }
    }
}

/// Checks the signature of a token (OpenID Connect Core section 3.1.3.7, points 6 to 8).
pub fn verify(token: &Unverified, trust: &Trust<'_>) -> Result<Verified, Unproven> {
    let scheme = agreed(&token.header.alg, trust).map_err(Unproven::Refused)?;
    match scheme {
        Scheme::Hmac(algorithm) => verify_by_secret(token, algorithm, trust)?,
        Scheme::Rsa(_) | Scheme::Ec(..) | Scheme::P521 | Scheme::Ed25519 => {
            verify_by_key(token, scheme, trust.keys)?;
        }
    }
    Ok(Verified {
        header: token.header.clone(),
        claims: token.claims.clone(),
    })
}

/// How a signature is computed, and by what kind of key.
#[derive(Debug, Clone, Copy)]
enum Scheme {
    Rsa(Algorithm),
    Ec(Algorithm, &'static str),
    /// ES512, which the JOSE crate does not know.
    P521,
    Ed25519,
    Hmac(Algorithm),
}

impl Scheme {
    fn of(alg: &str) -> Option<Self> {
        Some(match alg {
            "RS256" => Self::Rsa(Algorithm::RS256),
            "RS384" => Self::Rsa(Algorithm::RS384),
            "RS512" => Self::Rsa(Algorithm::RS512),
            "PS256" => Self::Rsa(Algorithm::PS256),
            "PS384" => Self::Rsa(Algorithm::PS384),
            "PS512" => Self::Rsa(Algorithm::PS512),
            "ES256" => Self::Ec(Algorithm::ES256, "P-256"),
            "ES384" => Self::Ec(Algorithm::ES384, "P-384"),
            "ES512" => Self::P521,
            "EdDSA" | "Ed25519" => Self::Ed25519,
            "HS256" => Self::Hmac(Algorithm::HS256),
            "HS384" => Self::Hmac(Algorithm::HS384),
            "HS512" => Self::Hmac(Algorithm::HS512),
            _ => return None,
        })
    }

    /// Whether a key is of the kind that this scheme takes.
    fn takes(self, material: &Material) -> bool {
        match (self, material) {
            (Self::Rsa(_), Material::Rsa { .. }) => true,
            (Self::Ec(_, curve), Material::Ec { crv, .. }) => curve == crv,
            (Self::P521, Material::Ec { crv, .. }) => crv == "P-521",
            // Ed448 keys are let through, so that the message can name them.
            (Self::Ed25519, Material::Okp { crv, .. }) => crv == "Ed25519" || crv == "Ed448",
            _ => false,
        }
    }
}

/// The algorithm must be the registered one, or one that the metadata list. `none` never is, and the `HS` family only
/// where it is registered: otherwise a public key could be taken for a secret.
fn agreed(alg: &str, trust: &Trust<'_>) -> Result<Scheme, Fault> {
    let mismatch = |complaint: String| {
        let detail = format!("the token is signed with {}: {complaint}", quoted(alg));
        Err(refuse(Class::AlgorithmMismatch, detail))
    };
    if alg.eq_ignore_ascii_case("none") {
        return mismatch("that is no signature at all".to_owned());
    }
    if let Some(registered) = trust.registered.filter(|&registered| registered != alg) {
        return mismatch(format!(
            "registered for the client is {}",
            quoted(registered)
        ));
    }
    let listed = trust.listed.is_empty() || trust.listed.iter().any(|listed| listed == alg);
    if trust.registered.is_none() && !listed {
        return mismatch("the metadata do not list it".to_owned());
    }
    match Scheme::of(alg) {
        None => mismatch("this algorithm is not supported here".to_owned()),
        Some(Scheme::Hmac(_)) if trust.registered.is_none() => {
            mismatch("name it as `id_token_alg` of the client if it is registered so".to_owned())
        }
        Some(scheme) => Ok(scheme),
    }
}

fn verify_by_secret(
    token: &Unverified,
    algorithm: Algorithm,
    trust: &Trust<'_>,
) -> Result<(), Unproven> {
    let Some(secret) = trust.secret else {
        let detail = "the token is signed with the client secret, and this client has none";
        return Err(Unproven::Refused(refuse(Class::AlgorithmMismatch, detail)));
    };
    let key = DecodingKey::from_secret(secret.expose().as_bytes());
    if holds(token, &key, algorithm) {
        return Ok(());
    }
    let detail = "the signature of the token does not verify with the client secret";
    Err(Unproven::Refused(refuse(Class::SignatureInvalid, detail)))
}

fn verify_by_key(token: &Unverified, scheme: Scheme, keys: &KeySet) -> Result<(), Unproven> {
    let alg = quoted(&token.header.alg);
    let candidates = candidates(token, keys);
    let fitting: Vec<&Key> = candidates
        .iter()
        .copied()
        .filter(|key| scheme.takes(&key.material))
        .filter(|key| {
            key.alg
                .as_ref()
                .is_none_or(|own| is_same(own, &token.header.alg))
        })
        .collect();
    if fitting.is_empty() {
        let Some(kid) = &token.header.kid else {
            let detail = format!("the key set has no key for {alg}, and the token names none");
            return Err(Unproven::KeyUnknown(detail));
        };
        if candidates.iter().any(|key| key.kid.is_some()) {
            let detail = format!(
                "the key {} of the key set is not one for {alg}",
                quoted(kid)
            );
            return Err(Unproven::Refused(refuse(Class::AlgorithmMismatch, detail)));
        }
        let detail = format!("the key {} is not in the key set", quoted(kid));
        return Err(Unproven::KeyUnknown(detail));
    }
    let mut complaints = Vec::new();
    for key in &fitting {
        match verify_with(token, scheme, &key.material) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(complaint) => complaints.push(complaint),
        }
    }
    if complaints.len() == fitting.len() {
        let detail = format!("the key for {alg} is of no use: {}", complaints.join(", "));
        return Err(Unproven::Refused(refuse(Class::MetadataInvalid, detail)));
    }
    if fitting.iter().all(|key| key.kid.is_none()) && token.header.kid.is_some() {
        let detail =
            format!("no key of the key set verifies the {alg} signature, and none has a name");
        return Err(Unproven::KeyUnknown(detail));
    }
    let detail = format!("the {alg} signature of the token does not verify");
    Err(Unproven::Refused(refuse(Class::SignatureInvalid, detail)))
}

/// The keys that the token names; where it names none, all of them; where no key has a name, those.
fn candidates<'a>(token: &Unverified, keys: &'a KeySet) -> Vec<&'a Key> {
    let Some(kid) = &token.header.kid else {
        return keys.0.iter().collect();
    };
    let named: Vec<&Key> = keys
        .0
        .iter()
        .filter(|key| key.kid.as_ref() == Some(kid))
        .collect();
    if named.is_empty() {
        keys.0.iter().filter(|key| key.kid.is_none()).collect()
    } else {
        named
    }
}

/// `EdDSA` and `Ed25519` are two names of one algorithm (RFC 9864).
fn is_same(one: &str, other: &str) -> bool {
    let plain = |alg: &str| {
        if alg == "Ed25519" {
            "EdDSA".to_owned()
        } else {
            alg.to_owned()
        }
    };
    plain(one) == plain(other)
}

/// Whether the signature holds; `Err` says why the key cannot be used at all.
fn verify_with(token: &Unverified, scheme: Scheme, material: &Material) -> Result<bool, String> {
    match (scheme, material) {
        (Scheme::Rsa(algorithm), Material::Rsa { n, e }) => {
            let (n, e) = (bytes(n)?, bytes(e)?);
            // RFC 7518 section 3.3; the crypto library refuses shorter keys without saying so.
            let bits = n.iter().skip_while(|&&byte| byte == 0).count() * 8;
            if bits < 2048 {
                return Err(format!("an RSA key of {bits} bits, 2048 are the least"));
            }
            Ok(holds(
                token,
                &DecodingKey::from_rsa_raw_components(&n, &e),
                algorithm,
            ))
        }
        (Scheme::Ec(algorithm, _), Material::Ec { x, y, .. }) => {
            let width = if algorithm == Algorithm::ES256 {
                32
            } else {
                48
            };
            let point = point(x, y, width)?;
            Ok(holds(token, &DecodingKey::from_ec_der(&point), algorithm))
        }
        (Scheme::P521, Material::Ec { x, y, .. }) => {
            let key = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point(x, y, 66)?);
            let signature = bytes(&token.signature).unwrap_or_default();
            Ok(key.verify(token.message.as_bytes(), &signature).is_ok())
        }
        (Scheme::Ed25519, Material::Okp { crv, x }) => {
            if crv != "Ed25519" {
                return Err(format!("the curve {} is not supported here", quoted(crv)));
            }
            Ok(holds(
                token,
                &DecodingKey::from_ed_der(&bytes(x)?),
                Algorithm::EdDSA,
            ))
        }
        _ => Err("it is a key of another kind".to_owned()),
    }
}

fn holds(token: &Unverified, key: &DecodingKey, algorithm: Algorithm) -> bool {
    crypto::verify(&token.signature, token.message.as_bytes(), key, algorithm).unwrap_or(false)
}

/// An uncompressed point. Coordinates have the width of the curve (RFC 7518 section 6.2.1.2); shorter ones, of signers
/// that dropped leading zeros, are filled up.
fn point(x: &str, y: &str, width: usize) -> Result<Vec<u8>, String> {
    let mut point = vec![4];
    for coordinate in [bytes(x)?, bytes(y)?] {
        let missing = width
            .checked_sub(coordinate.len())
            .ok_or("a coordinate is too long for its curve")?;
        point.extend(std::iter::repeat_n(0, missing));
        point.extend(coordinate);
    }
    Ok(point)
}

fn bytes(encoded: &str) -> Result<Vec<u8>, String> {
    BASE64_URL_SAFE_NO_PAD
        .decode(encoded.trim_end_matches('='))
        .map_err(|error| format!("not base64url: {error}"))
}

#[cfg(test)]
pub(super) mod tests;
