//! The UserInfo answer (OpenID Connect Core section 5.3.2): plain JSON, or a signed token of the same claims.

use serde_json::{Map, Value};

use super::jwt::{Unverified, Verified};
use super::{Reply, id_token, problem, quoted, refuse, text};
use crate::run::Fault;
use crate::taxonomy::Class;

/// What came: claims, or a token whose signature is yet to be checked.
#[derive(Debug)]
pub enum Userinfo {
    Plain(Map<String, Value>),
    Signed(Unverified),
}

/// Reads the answer. An error that hides behind a success status is given to `verdict`.
pub fn read(reply: &Reply<'_>) -> Result<Userinfo, Fault> {
    if !reply.is_success() {
        return Err(reply.fault());
    }
    let declared = reply.header("content-type").unwrap_or_default();
    let body = reply.body.trim_ascii();
    if declared.to_ascii_lowercase().contains("application/jwt") || body.starts_with(b"eyJ") {
        let token = str::from_utf8(body).unwrap_or_default();
        return Unverified::parse(token, "the userinfo token").map(Userinfo::Signed);
    }
    let claims = reply.object("the userinfo answer")?;
    if !claims.contains_key("sub") && problem::in_object(&claims).is_some() {
        return Err(reply.fault());
    }
    Ok(Userinfo::Plain(claims))
}

/// The claims of a signed answer; issuer and audience are compared where they are there.
pub fn signed(
    token: Verified,
    issuer: Option<&str>,
    client_id: &str,
) -> Result<Map<String, Value>, Fault> {
    let claims = token.claims;
    if let (Some(found), Some(issuer)) = (text(&claims, "iss"), issuer)
        && found != issuer
    {
        let detail = format!(
            "the userinfo is of issuer {}, expected {}",
            quoted(found),
            quoted(issuer)
        );
        return Err(refuse(Class::IssuerMismatch, detail));
    }
    if let Some(audience) = id_token::audience(&claims)
        && !audience.iter().any(|entry| entry == client_id)
    {
        let detail = format!("the userinfo is for {}", quoted(&audience.join(", ")));
        return Err(refuse(Class::AudienceMismatch, detail));
    }
    Ok(claims)
}

/// The answer must be about who signed in: otherwise somebody's token was swapped for another's. Without an ID token
/// there is nothing to compare with.
pub fn same_subject(claims: &Map<String, Value>, subject: Option<&str>) -> Result<(), Fault> {
    let Some(subject) = subject else {
        return Ok(());
    };
    match text(claims, "sub") {
        Some(found) if found == subject => Ok(()),
        Some(_) => Err(refuse(
            Class::TokenConfusion,
            "the userinfo is about another subject than the ID token",
        )),
        None => Err(refuse(
            Class::MalformedResponse,
            "the userinfo has no `sub`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::signature::tests::{Signer, key_set};
    use crate::oauth::signature::{Trust, verify};
    use crate::oauth::testing::{class_of, reply};

    fn read_here(status: u16, content_type: &str, body: &str) -> Result<Userinfo, Fault> {
        let headers = [("content-type".to_owned(), content_type.to_owned())];
        read(&reply(status, &headers, body))
    }

    fn check(body: &str, expected: Option<Class>) {
        let found = read_here(200, "application/json", body);
        let found = found.and_then(|userinfo| match userinfo {
            Userinfo::Plain(claims) => same_subject(&claims, Some("u1")),
            Userinfo::Signed(_) => panic!("not signed"),
        });
        assert_eq!(
            found.err().and_then(|fault| class_of(&fault)),
            expected,
            "{body}"
        );
    }

    #[test]
    fn the_subject_is_the_one_of_the_id_token() {
        check(r#"{"sub":"u1"}"#, None);
        check(
            r#"{"sub":"u1","message":"invalid_token is only a word","error":"x"}"#,
            None,
        );
        check(r#"{"sub":"u2"}"#, Some(Class::TokenConfusion));
        check(r#"{"sub":"U1"}"#, Some(Class::TokenConfusion));
        check(r#"{"sub":1}"#, Some(Class::MalformedResponse));
        check("{}", Some(Class::MalformedResponse));
        check("<html>", Some(Class::MalformedResponse));
        check("", Some(Class::MalformedResponse));
        assert_eq!(same_subject(&Map::new(), None), Ok(()));
    }

    #[test]
    fn errors_are_left_to_the_verdict() {
        let hidden = read_here(200, "application/json", r#"{"error":"invalid_token"}"#);
        assert!(matches!(hidden, Err(Fault::Answer(_))));
        assert!(matches!(read_here(401, "", ""), Err(Fault::Answer(_))));
    }

    #[test]
    fn a_signed_answer_is_read_and_checked() {
        let signer = Signer::new("PS256");
        let check = |claims: Value, expected: Option<Class>| {
            let text = signer.token(serde_json::json!({}), &claims);
            let Ok(Userinfo::Signed(token)) = read_here(200, "application/jwt; a=b", &text) else {
                panic!("not signed");
            };
            let trust = Trust {
                keys: &key_set(std::slice::from_ref(&signer.jwk)),
                registered: None,
                listed: &[],
                secret: None,
            };
            let found = signed(verify(&token, &trust).unwrap(), Some("https://op"), "probe");
            assert_eq!(
                found.err().and_then(|fault| class_of(&fault)),
                expected,
                "{claims}"
            );
        };
        check(serde_json::json!({"sub": "u"}), None);
        check(
            serde_json::json!({"iss": "https://op", "aud": ["probe"]}),
            None,
        );
        check(
            serde_json::json!({"iss": "https://evil"}),
            Some(Class::IssuerMismatch),
        );
        check(
            serde_json::json!({"aud": "other"}),
            Some(Class::AudienceMismatch),
        );
    }
}
