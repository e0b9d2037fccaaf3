use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::{Value, json};

use super::*;
use crate::oauth::jwks;
use crate::oauth::testing::{class_of, reply};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs a message.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A signer of tests: a real key, and its public half as a JWK.
pub(in crate::oauth) struct Signer {
    alg: &'static str,
    pub(in crate::oauth) jwk: Value,
    sign: Sign,
}

impl Signer {
    pub(in crate::oauth) fn new(alg: &'static str) -> Self {
        match alg {
            "RS256" => Self::rsa(alg, &RSA_PKCS1_SHA256, KeySize::Rsa2048),
            "RS384" => Self::rsa(alg, &RSA_PKCS1_SHA384, KeySize::Rsa2048),
            "RS512" => Self::rsa(alg, &RSA_PKCS1_SHA512, KeySize::Rsa2048),
            "PS256" => Self::rsa(alg, &RSA_PSS_SHA256, KeySize::Rsa2048),
            "PS384" => Self::rsa(alg, &RSA_PSS_SHA384, KeySize::Rsa2048),
            "PS512" => Self::rsa(alg, &RSA_PSS_SHA512, KeySize::Rsa2048),
            "ES256" => Self::ec(alg, &ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => Self::ec(alg, &ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "ES512" => Self::ec(alg, &ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            "EdDSA" | "Ed25519" => Self::ed(alg),
            other => panic!("no signer for {other}"),
        }
    }

    fn rsa(alg: &'static str, encoding: &'static dyn RsaEncoding, size: KeySize) -> Self {
        let pair = RsaKeyPair::generate(size).unwrap();
        let public = pair.public_key();
        let jwk = json!({
            "kty": "RSA",
            "n": encode(public.modulus().big_endian_without_leading_zero()),
            "e": encode(public.exponent().big_endian_without_leading_zero()),
        });
        let sign = move |message: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut signature)
                .unwrap();
            signature
        };
        Self::with(alg, jwk, sign)
    }

    fn ec(alg: &'static str, algorithm: &'static EcdsaSigningAlgorithm, curve: &str) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)});
        let sign = move |message: &[u8]| {
            let signature = pair.sign(&SystemRandom::new(), message).unwrap();
            signature.as_ref().to_vec()
        };
        Self::with(alg, jwk, sign)
    }

    fn ed(alg: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())});
        Self::with(alg, jwk, move |message| {
            pair.sign(message).as_ref().to_vec()
        })
    }

    fn hmac(secret: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self::with("HS256", json!({}), move |message| {
            hmac::sign(&key, message).as_ref().to_vec()
        })
    }

    fn with(alg: &'static str, jwk: Value, sign: impl Fn(&[u8]) -> Vec<u8> + 'static) -> Self {
        let sign = Box::new(sign);
        Self { alg, jwk, sign }
    }

    pub(in crate::oauth) fn token(&self, header: Value, claims: &Value) -> String {
        let mut header = header;
        header["alg"] = self.alg.into();
        let message = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        format!("{message}.{}", encode((self.sign)(message.as_bytes())))
    }

    fn named(&self, kid: &str) -> Value {
        let mut jwk = self.jwk.clone();
        jwk["kid"] = kid.into();
        jwk
    }
}

pub(in crate::oauth) fn key_set(keys: &[Value]) -> KeySet {
    let body = json!({ "keys": keys }).to_string();
    jwks::read(&reply(200, &[], &body)).unwrap()
}

fn verify_here(token: &str, keys: &KeySet) -> Result<Verified, Unproven> {
    verify_as(token, keys, None, &[])
}

fn verify_as(
    token: &str,
    keys: &KeySet,
    registered: Option<&str>,
    listed: &[&str],
) -> Result<Verified, Unproven> {
    let trust = Trust {
        keys,
        registered,
        listed: &listed.iter().map(|&alg| alg.to_owned()).collect::<Vec<_>>(),
        secret: Some(&Secret::new("client secret")),
    };
    verify(&Unverified::parse(token, "the token").unwrap(), &trust)
}

/// The class of a refusal; `None` where another key set should be fetched.
fn refusal(result: Result<Verified, Unproven>) -> Option<Class> {
    match result.unwrap_err() {
        Unproven::KeyUnknown(_) => None,
        Unproven::Refused(fault) => Some(class_of(&fault).unwrap()),
    }
}

#[test]
fn every_algorithm_verifies_and_notices_a_change() {
    let all = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
        "Ed25519",
    ];
    for alg in all {
        let signer = Signer::new(alg);
        let keys = key_set(&[signer.named("1")]);
        let token = signer.token(json!({"kid": "1"}), &json!({"sub": "u"}));
        let verified = verify_here(&token, &keys).unwrap();
        assert_eq!(verified.claims()["sub"], "u", "{alg}");

        let (head, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", encode(r#"{"sub":"x"}"#));
        let cut = format!("{head}.{}", &signature[..8]);
        for wrong in [forged, cut, format!("{head}."), format!("{head}.?!")] {
            let class = refusal(verify_here(&wrong, &keys));
            assert_eq!(class, Some(Class::SignatureInvalid), "{alg}");
        }
        let stranger = key_set(&[Signer::new(alg).named("1")]);
        let class = refusal(verify_here(&token, &stranger));
        assert_eq!(class, Some(Class::SignatureInvalid), "{alg}");
    }
}

#[test]
fn the_algorithm_must_be_agreed_on() {
    let signer = Signer::new("ES256");
    let keys = key_set(std::slice::from_ref(&signer.jwk));
    let token = signer.token(json!({}), &json!({}));
    assert!(verify_as(&token, &keys, Some("ES256"), &["RS256"]).is_ok());
    assert!(verify_as(&token, &keys, None, &["RS256", "ES256"]).is_ok());
    let mismatch = Some(Class::AlgorithmMismatch);
    assert_eq!(
        refusal(verify_as(&token, &keys, Some("RS256"), &[])),
        mismatch
    );
    assert_eq!(
        refusal(verify_as(&token, &keys, None, &["RS256"])),
        mismatch
    );
    for alg in ["none", "None", "ES256K", "RS1", "HS256"] {
        let header = encode(json!({"alg": alg}).to_string());
        let token = format!("{header}.{}.", encode("{}"));
        assert_eq!(
            refusal(verify_as(&token, &keys, None, &[])),
            mismatch,
            "{alg}"
        );
        assert_eq!(
            refusal(verify_as(&token, &keys, None, &[alg])),
            mismatch,
            "{alg}"
        );
    }
    let none = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode("{}"));
    assert_eq!(
        refusal(verify_as(&none, &keys, Some("none"), &["none"])),
        mismatch
    );
}

#[test]
fn the_client_secret_signs_only_where_it_is_registered() {
    let keys = KeySet::default();
    let good = Signer::hmac("client secret").token(json!({}), &json!({}));
    let bad = Signer::hmac("another").token(json!({}), &json!({}));
    assert!(verify_as(&good, &keys, Some("HS256"), &[]).is_ok());
    let class = refusal(verify_as(&bad, &keys, Some("HS256"), &[]));
    assert_eq!(class, Some(Class::SignatureInvalid));
    let class = refusal(verify_as(&good, &keys, None, &["HS256"]));
    assert_eq!(class, Some(Class::AlgorithmMismatch));
}

#[test]
fn the_key_is_found_by_name_and_by_kind() {
    let (one, two, ec) = (
        Signer::new("RS256"),
        Signer::new("RS256"),
        Signer::new("ES256"),
    );
    let claims = json!({});
    let named = key_set(&[ec.named("e"), one.named("1"), two.named("2")]);
    let bare = key_set(&[ec.jwk.clone(), one.jwk.clone(), two.jwk.clone()]);
    for keys in [&named, &bare] {
        assert!(verify_here(&two.token(json!({}), &claims), keys).is_ok());
        assert!(verify_here(&two.token(json!({"kid": "2"}), &claims), keys).is_ok());
    }
    let check = |header: Value, keys: &KeySet, expected: Option<Class>| {
        let result = verify_here(&two.token(header.clone(), &claims), keys);
        assert_eq!(refusal(result), expected, "{header}");
    };
    check(json!({"kid": "1"}), &named, Some(Class::SignatureInvalid));
    check(json!({"kid": "3"}), &named, None);
    check(json!({"kid": "e"}), &named, Some(Class::AlgorithmMismatch));
    check(json!({}), &key_set(&[ec.named("e")]), None);
    check(
        json!({}),
        &key_set(&[one.named("1")]),
        Some(Class::SignatureInvalid),
    );
    check(
        json!({"kid": "2"}),
        &key_set(std::slice::from_ref(&one.jwk)),
        None,
    );
    let mut for_pss = two.named("2");
    for_pss["alg"] = "PS256".into();
    check(
        json!({"kid": "2"}),
        &key_set(&[for_pss]),
        Some(Class::AlgorithmMismatch),
    );
}

#[test]
fn a_key_that_is_of_no_use_is_the_key_set_s_fault() {
    let check = |alg: &str, jwk: Value, expected: &str| {
        let token = format!(
            "{}.{}.AA",
            encode(json!({"alg": alg}).to_string()),
            encode("{}")
        );
        let Err(Unproven::Refused(Fault::Check(finding))) = verify_here(&token, &key_set(&[jwk]))
        else {
            panic!("not refused: {alg}");
        };
        assert_eq!(finding.class, Class::MetadataInvalid);
        assert!(finding.detail.contains(expected), "{}", finding.detail);
    };
    check(
        "RS256",
        json!({"kty": "RSA", "n": encode([255; 128]), "e": "AQAB"}),
        "1024 bits",
    );
    check(
        "RS256",
        json!({"kty": "RSA", "n": "?", "e": "AQAB"}),
        "base64url",
    );
    check(
        "ES256",
        json!({"kty": "EC", "crv": "P-256", "x": encode([1; 33]), "y": "AA"}),
        "too long",
    );
    check(
        "EdDSA",
        json!({"kty": "OKP", "crv": "Ed448", "x": encode([1; 57])}),
        "Ed448",
    );
}

#[test]
fn an_unknown_key_is_named_after_the_second_try() {
    let fault = Fault::from(Unproven::KeyUnknown(
        "the key `3` is not in the key set".into(),
    ));
    assert_eq!(class_of(&fault), Some(Class::SigningKeyUnknown));
}
