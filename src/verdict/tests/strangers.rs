//! Whatever a stranger sends, reading it neither panics nor hangs, and what stops there has a verdict.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::oauth::metadata::Endpoint;
use crate::oauth::token::Due;
use crate::oauth::values::{Nonce, State};
use crate::oauth::{
    Kept, Reply, callback, id_token, introspection, jwks, jwt, metadata, refusal, revocation,
    signature, token, userinfo,
};
use crate::probe::{Endpoints, Server};
use crate::taxonomy::Outcome;

const ISSUER: &str = "https://op.example";

/// Members that some reader looks at.
const NAMES: [&str; 24] = [
    "issuer",
    "token_endpoint",
    "authorization_endpoint",
    "jwks_uri",
    "keys",
    "kty",
    "kid",
    "n",
    "e",
    "x",
    "y",
    "crv",
    "access_token",
    "id_token",
    "refresh_token",
    "expires_in",
    "scope",
    "token_type",
    "error",
    "error_description",
    "active",
    "sub",
    "aud",
    "exp",
];

const TEXTS: [&str; 14] = [
    "",
    "RSA",
    "EC",
    "OKP",
    "P-521",
    "Ed25519",
    "AQAB",
    ISSUER,
    "https://op.example/x",
    "Bearer",
    "invalid_grant",
    "eyJhbGciOiJSUzI1NiJ9.e30.AA",
    "a.b.c",
    "\u{0}é",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        prop::sample::select(TEXTS.to_vec()).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 40, 8, |inside| {
        let members =
            prop::collection::vec((prop::sample::select(NAMES.to_vec()), inside.clone()), 0..8);
        prop_oneof![
            prop::collection::vec(inside, 0..4).prop_map(Value::from),
            members.prop_map(|members| {
                let named = members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value));
                Value::Object(named.collect::<Map<_, _>>())
            }),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(NAMES.to_vec());
    let texts = prop::sample::select(TEXTS.to_vec());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        any_json().prop_map(|json| json.to_string().into_bytes()),
        prop::collection::vec((names, texts), 0..6).prop_map(|pairs| {
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(pairs)
                .finish()
                .into_bytes()
        }),
    ]
}

fn any_status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200), Just(200), Just(400), Just(401), any::<u16>()]
}

/// A stop has a verdict, and it is not ours.
fn blame<T>(found: Result<T, Fault>) {
    let Err(fault) = found else { return };
    let stop = Stop {
        stage: Stage::TokenExchange,
        fault,
    };
    let verdict = judge(&stop, &Known::default());
    assert_eq!(verdict.class.outcome(), Outcome::Failed);
    assert!(!verdict.detail.is_empty() && verdict.detail.len() < 2000);
}

proptest! {
    #[test]
    fn any_answer_is_read_by_every_reader(
        status in any_status(),
        content_type in prop::sample::select(vec!["", "application/json", "application/jwt", "text/html"]),
        challenge in "(Bearer |DPoP )?[ -~]{0,40}",
        body in any_body(),
    ) {
        let headers = [
            ("content-type".to_owned(), content_type.to_owned()),
            ("www-authenticate".to_owned(), challenge),
        ];
        let text = String::from_utf8_lossy(&body);
        let kept = Kept { headers: &headers, body: &text };
        let reply = Reply { status, headers: &headers, body: &body, kept };
        let server = Server { issuer: Some(ISSUER.to_owned()), endpoints: Endpoints::default() };
        let due = Due { id_token: true, refresh_token: true };
        blame(metadata::read(&reply, &server, &Endpoint::ALL));
        blame(jwks::read(&reply));
        blame(token::read(&reply, due));
        blame(userinfo::read(&reply));
        blame(introspection::read(&reply, true));
        blame(revocation::read(&reply));
        blame(refusal::demand(&reply, "it", Class::AcceptedReusedCode));
        metadata::worth_another(&reply);
    }

    #[test]
    fn any_callback_is_read(parameters in "[ -~é]{0,80}", promised in any::<bool>()) {
        let expected = callback::Expected {
            state: &State::new("s"),
            issuer: Some(ISSUER),
            iss_promised: promised,
        };
        for prefix in ["", "state=s&", "?state=s&code=", "#error=", "iss=", "code=c&state=s&iss="] {
            let parameters = format!("{prefix}{parameters}");
            blame(callback::read(&parameters, &parameters, &expected));
        }
    }

    #[test]
    fn any_token_is_taken_apart_and_checked(
        text in "[A-Za-z0-9_.=-]{0,60}",
        alg in prop::sample::select(vec!["RS256", "PS512", "ES256", "ES512", "EdDSA", "HS256", "none", "?"]),
        claims in any_json(),
        keys in prop::collection::vec(any_json(), 0..3),
    ) {
        use base64::Engine;
        use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
        blame(jwt::Unverified::parse(&text, "it"));
        let header = BASE64.encode(json!({"alg": alg, "kid": "AQAB"}).to_string());
        let token = format!("{header}.{}.{text}", BASE64.encode(claims.to_string()));
        let Ok(token) = jwt::Unverified::parse(&token, "it") else { return Ok(()) };
        let document = json!({ "keys": keys }).to_string();
        let kept = Kept { headers: &[], body: "" };
        let reply = Reply { status: 200, headers: &[], body: document.as_bytes(), kept };
        let keys = jwks::read(&reply).unwrap_or_default();
        let trust = signature::Trust { keys: &keys, registered: None, listed: &[], secret: None };
        blame(signature::verify(&token, &trust).map_err(Fault::from));
    }

    #[test]
    fn any_claims_are_checked(claims in any_json(), now in -2_000_000_000_i64..4_000_000_000, offset in any::<i64>()) {
        use base64::Engine;
        use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
        let secret = crate::secret::Secret::new("s");
        let message = format!(
            "{}.{}",
            BASE64.encode(r#"{"alg":"HS256"}"#),
            BASE64.encode(json!({"iss": ISSUER, "aud": "c", "sub": "u", "iat": claims, "exp": claims}).to_string()),
        );
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"s");
        let signature = BASE64.encode(aws_lc_rs::hmac::sign(&key, message.as_bytes()));
        let token = jwt::Unverified::parse(&format!("{message}.{signature}"), "it").unwrap();
        let keys = jwks::KeySet::default();
        let trust = signature::Trust {
            keys: &keys,
            registered: Some("HS256"),
            listed: &[],
            secret: Some(&secret),
        };
        let verified = signature::verify(&token, &trust).unwrap();
        blame(id_token::validate(verified, &id_token::Expected {
            issuer: Some(ISSUER),
            client_id: "c",
            binding: id_token::Binding::SignIn(&Nonce::new("n")),
            access: None,
            now: Timestamp::from_second(now).unwrap(),
            clock_offset_ms: Some(offset),
        }));
    }
}
