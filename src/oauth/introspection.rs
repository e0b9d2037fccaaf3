//! The introspection answer (RFC 7662 section 2.2).

use serde_json::{Map, Value};

use super::{Reply, problem, refuse};
use crate::run::Fault;
use crate::taxonomy::Class;

/// Reads the answer and gives its members. A token that should be active and is not is `invalid_token`; one that
/// should be revoked and is not is `accepted_revoked_token`.
pub fn read(reply: &Reply<'_>, should_be_active: bool) -> Result<Map<String, Value>, Fault> {
    if !reply.is_success() {
        return Err(reply.fault());
    }
    let members = reply.object("the introspection answer")?;
    match (members.get("active"), should_be_active) {
        (Some(Value::Bool(active)), expected) if *active == expected => Ok(members),
        (Some(Value::Bool(false)), _) => Err(refuse(
            Class::InvalidToken,
            "introspection calls the access token inactive, right after it was issued",
        )),
        (Some(Value::Bool(true)), _) => Err(refuse(
            Class::AcceptedRevokedToken,
            "introspection calls the token active after it was revoked",
        )),
        _ if problem::in_object(&members).is_some() => Err(reply.fault()),
        _ => Err(refuse(
            Class::MalformedResponse,
            "the introspection answer has no `active` that is true or false",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{class_of, reply};

    #[test]
    fn only_active_as_expected_is_good() {
        let check = |body: &str, should_be_active: bool, expected: Option<Class>| {
            let found = read(&reply(200, &[], body), should_be_active);
            assert_eq!(
                found.err().and_then(|fault| class_of(&fault)),
                expected,
                "{body}"
            );
        };
        check(r#"{"active":true,"scope":"a"}"#, true, None);
        check(r#"{"active":false}"#, false, None);
        check(r#"{"active":false}"#, true, Some(Class::InvalidToken));
        check(
            r#"{"active":true}"#,
            false,
            Some(Class::AcceptedRevokedToken),
        );
        check(r#"{"active":"true"}"#, true, Some(Class::MalformedResponse));
        check("{}", true, Some(Class::MalformedResponse));
        check("<html>", true, Some(Class::MalformedResponse));
        let hidden = read(&reply(200, &[], r#"{"error":"invalid_client"}"#), true);
        assert!(matches!(hidden, Err(Fault::Answer(_))));
        assert!(matches!(
            read(&reply(401, &[], ""), true),
            Err(Fault::Answer(_))
        ));
    }
}
