use serde_json::json;

use super::*;
use crate::oauth::jwt::Unverified;
use crate::oauth::signature::tests::{Signer, key_set};
use crate::oauth::signature::{Trust, verify};
use crate::oauth::testing::class_of;

const NOW: i64 = 1_790_000_000;

fn good() -> Value {
    json!({
        "iss": "https://op.example",
        "aud": "probe",
        "sub": "u1",
        "iat": NOW - 5,
        "exp": NOW + 3600,
        "nonce": "n-1",
    })
}

fn verified(claims: Value, typ: Option<&str>, alg: &str) -> Verified {
    let header = crate::oauth::jwt::Header {
        alg: alg.to_owned(),
        kid: None,
        typ: typ.map(str::to_owned),
    };
    let Value::Object(claims) = claims else {
        panic!("claims are an object")
    };
    Verified { header, claims }
}

fn validate_at(token: Verified, offset_s: Option<i64>) -> Result<IdToken, Fault> {
    let expected = Expected {
        issuer: Some("https://op.example"),
        client_id: "probe",
        binding: Binding::SignIn(&Nonce::new("n-1")),
        access: Some(&AccessToken::new("at")),
        now: Timestamp::from_second(NOW).unwrap(),
        clock_offset_ms: offset_s.map(|seconds| seconds * 1000),
    };
    validate(token, &expected)
}

/// The good token with one claim changed; `null` takes it away.
fn check(name: &str, value: impl Into<Value>, expected: Result<(), Class>) {
    let value = value.into();
    let mut claims = good();
    if value.is_null() {
        claims.as_object_mut().unwrap().shift_remove(name);
    } else {
        claims[name] = value.clone();
    }
    let found = validate_at(verified(claims, Some("JWT"), "RS256"), None);
    let found = found.map(drop).map_err(|fault| class_of(&fault).unwrap());
    assert_eq!(found, expected, "{name} = {value}");
}

#[test]
fn each_claim_is_checked() {
    check("extra", json!([1]), Ok(()));
    for name in ["iss", "aud", "sub", "exp", "iat"] {
        check(name, Value::Null, Err(Class::MalformedResponse));
        check(name, json!({}), Err(Class::MalformedResponse));
    }
    for issuer in [
        "https://op.example/",
        "http://op.example",
        "https://OP.example",
    ] {
        check("iss", json!(issuer), Err(Class::IssuerMismatch));
    }
    check("aud", json!(["other", "probe"]), Ok(()));
    check("aud", json!("other"), Err(Class::AudienceMismatch));
    check("aud", json!(["other"]), Err(Class::AudienceMismatch));
    check("aud", json!([]), Err(Class::MalformedResponse));
    check("azp", json!("probe"), Ok(()));
    check("azp", json!("other"), Err(Class::AudienceMismatch));
    check("nonce", json!("n-2"), Err(Class::NonceMismatch));
    check("nonce", Value::Null, Err(Class::NonceMismatch));
    check("exp", json!(NOW as f64 + 0.5), Ok(()));
    check("exp", json!("soon"), Err(Class::MalformedResponse));
    check("exp", json!(1e300), Err(Class::MalformedResponse));
}

#[test]
fn time_is_checked_with_leeway() {
    check("exp", json!(NOW - 59), Ok(()));
    check("exp", json!(NOW - 61), Err(Class::TokenExpired));
    check("exp", json!(-NOW), Err(Class::TokenExpired));
    check("iat", json!(NOW + 59), Ok(()));
    check("iat", json!(NOW + 61), Err(Class::TokenNotYetValid));
    check("nbf", json!(NOW + 59), Ok(()));
    check("nbf", json!(NOW + 900), Err(Class::TokenNotYetValid));
    check("iat", json!(0), Ok(()));
}

#[test]
fn a_clock_of_ours_that_is_off_is_named() {
    let check = |change: (&str, i64), offset_s: i64, expected: Option<Class>| {
        let mut claims = good();
        claims[change.0] = change.1.into();
        let found = validate_at(verified(claims, None, "RS256"), Some(offset_s));
        let found = found.err().map(|fault| class_of(&fault).unwrap());
        assert_eq!(found, expected, "{change:?} {offset_s}");
    };
    check(("exp", NOW - 300), -600, Some(Class::ClockSkew));
    check(("exp", NOW - 300), 0, Some(Class::TokenExpired));
    check(("exp", NOW - 300), 600, Some(Class::TokenExpired));
    check(("iat", NOW + 300), 300, Some(Class::ClockSkew));
    check(("iat", NOW + 300), -300, Some(Class::TokenNotYetValid));
    check(("iat", NOW + 300), i64::MAX / 1000, Some(Class::ClockSkew));
    check(("iat", NOW), 7200, None);
}

#[test]
fn tokens_of_other_kinds_are_not_taken() {
    let check = |typ: Option<&str>, expected: bool| {
        let found = validate_at(verified(good(), typ, "RS256"), None);
        assert_eq!(found.is_ok(), expected, "{typ:?}");
    };
    check(None, true);
    check(Some("JWT"), true);
    check(Some("application/at+jwt"), false);
    check(Some("AT+JWT"), false);
    check(Some("logout+jwt"), false);
}

#[test]
fn the_access_token_must_be_the_one_that_came_with_it() {
    let check = |alg: &str, hash: &'static Algorithm| {
        let hash = digest::digest(hash, b"at");
        let half = &hash.as_ref()[..hash.as_ref().len() / 2];
        let mut claims = good();
        claims["at_hash"] = BASE64_URL_SAFE_NO_PAD.encode(half).into();
        assert!(
            validate_at(verified(claims.clone(), None, alg), None).is_ok(),
            "{alg}"
        );
        claims["at_hash"] = "AAAA".into();
        let fault = validate_at(verified(claims, None, alg), None).unwrap_err();
        assert_eq!(class_of(&fault), Some(Class::TokenConfusion), "{alg}");
    };
    check("RS256", &digest::SHA256);
    check("PS384", &digest::SHA384);
    check("ES512", &digest::SHA512);
    check("EdDSA", &digest::SHA512);
    check("Ed25519", &digest::SHA512);
}

#[test]
fn a_refreshed_token_is_about_the_same_subject() {
    let check = |subject: &str, nonce: Option<&str>, expected: Option<Class>| {
        let mut claims = good();
        claims["nonce"] = nonce.into();
        let expected_of_it = Expected {
            issuer: None,
            client_id: "probe",
            binding: Binding::Refresh {
                nonce: &Nonce::new("n-1"),
                subject,
            },
            access: None,
            now: Timestamp::from_second(NOW).unwrap(),
            clock_offset_ms: None,
        };
        let found = validate(verified(claims, None, "RS256"), &expected_of_it);
        assert_eq!(found.err().and_then(|fault| class_of(&fault)), expected);
    };
    check("u1", None, None);
    check("u1", Some("n-1"), None);
    check("u1", Some("n-2"), Some(Class::NonceMismatch));
    check("u2", None, Some(Class::TokenConfusion));
}

#[test]
fn a_whole_token_goes_from_text_to_subject() {
    let signer = Signer::new("ES512");
    let text = signer.token(json!({"kid": "x"}), &good());
    let trust = Trust {
        keys: &key_set(std::slice::from_ref(&signer.jwk)),
        registered: None,
        listed: &[],
        secret: None,
    };
    let token = Unverified::parse(&text, "the ID token").unwrap();
    let id_token = validate_at(verify(&token, &trust).unwrap(), None).unwrap();
    assert_eq!(
        (id_token.subject.as_str(), id_token.alg.as_str()),
        ("u1", "ES512")
    );
}
