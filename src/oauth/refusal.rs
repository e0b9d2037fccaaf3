//! Answers that must be refusals: to a revoked token, a reused code, a wrong verifier.

use super::{Reply, problem, refuse};
use crate::run::Fault;
use crate::taxonomy::Class;

/// Errors that refuse the client and so say nothing about what was tried.
const ABOUT_THE_CLIENT: [&str; 3] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
];

/// Demands that the provider refused what was sent; `accepted` is the class if it did not, and `what` names the thing
/// in the message. A server in trouble, or one that refuses the client, proves nothing: then its answer is the fault.
pub fn demand(reply: &Reply<'_>, what: &str, accepted: Class) -> Result<(), Fault> {
    let body = str::from_utf8(reply.body).unwrap_or_default();
    let error = problem::read(reply.headers, body).and_then(|problem| problem.error);
    let about_the_client = error
        .as_deref()
        .is_some_and(|error| ABOUT_THE_CLIENT.contains(&error));
    match reply.status {
        _ if about_the_client => Err(reply.fault()),
        200..300 if error.is_none() => {
            let detail = format!("{what} was accepted (status {})", reply.status);
            Err(refuse(accepted, detail))
        }
        200..300 | 400 | 401 | 403 => Ok(()),
        _ => Err(reply.fault()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{class_of, reply};

    #[test]
    fn only_a_refusal_of_the_thing_itself_is_good() {
        let check = |status: u16, body: &str, expected: Result<(), Option<Class>>| {
            let reply = reply(status, &[], body);
            let found = demand(&reply, "the revoked token", Class::AcceptedRevokedToken);
            let found = found.map_err(|fault| class_of(&fault));
            assert_eq!(found, expected, "{status} {body}");
        };
        check(401, "", Ok(()));
        check(403, "", Ok(()));
        check(400, r#"{"error":"invalid_grant"}"#, Ok(()));
        check(200, r#"{"error":"invalid_grant"}"#, Ok(()));
        check(
            200,
            r#"{"sub":"u"}"#,
            Err(Some(Class::AcceptedRevokedToken)),
        );
        check(204, "", Err(Some(Class::AcceptedRevokedToken)));
        check(401, r#"{"error":"invalid_client"}"#, Err(None));
        check(302, "", Err(None));
        check(429, "", Err(None));
        check(503, "", Err(None));
    }
}
