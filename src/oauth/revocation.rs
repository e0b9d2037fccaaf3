//! The revocation answer (RFC 7009 section 2.2), and whether the token is refused afterwards.

use serde_json::Value;

use super::{Reply, problem, refuse};
use crate::run::Fault;
use crate::taxonomy::Class;

/// Success is the status alone; the body does not matter unless it carries an error.
pub fn read(reply: &Reply<'_>) -> Result<(), Fault> {
    let hidden = match serde_json::from_slice(reply.body) {
        Ok(Value::Object(members)) => problem::in_object(&members).is_some(),
        _ => false,
    };
    if reply.is_success() && !hidden {
        Ok(())
    } else {
        Err(reply.fault())
    }
}

/// An answer to the revoked token: it must be a refusal of the token. A server in trouble proves nothing, and its answer is
/// the fault.
pub fn refused_afterwards(reply: &Reply<'_>) -> Result<(), Fault> {
    if reply.is_success() && read(reply).is_ok() {
        let detail = format!("the revoked token still works (status {})", reply.status);
        return Err(refuse(Class::AcceptedRevokedToken, detail));
    }
    match reply.status {
        200..300 | 400 | 401 | 403 => Ok(()),
        _ => Err(reply.fault()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{class_of, reply};

    #[test]
    fn the_status_decides() {
        for (status, body, good) in [
            (200, "", true),
            (200, "{}", true),
            (200, "<html>", true),
            (204, "", true),
            (200, r#"{"error":"unsupported_token_type"}"#, false),
            (302, "", false),
            (400, r#"{"error":"invalid_request"}"#, false),
            (503, "", false),
        ] {
            assert_eq!(
                read(&reply(status, &[], body)).is_ok(),
                good,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn a_revoked_token_must_be_refused() {
        let check = |status: u16, body: &str, expected: Result<(), Option<Class>>| {
            let found = refused_afterwards(&reply(status, &[], body));
            assert_eq!(
                found.map_err(|fault| class_of(&fault)),
                expected,
                "{status} {body}"
            );
        };
        check(401, "", Ok(()));
        check(400, r#"{"error":"invalid_grant"}"#, Ok(()));
        check(200, r#"{"error":"invalid_grant"}"#, Ok(()));
        check(
            200,
            r#"{"sub":"u"}"#,
            Err(Some(Class::AcceptedRevokedToken)),
        );
        check(503, "", Err(None));
        check(429, "", Err(None));
    }
}
