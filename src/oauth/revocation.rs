//! The revocation answer (RFC 7009 section 2.2), and whether the token is refused afterwards.

use super::{Reply, refusal};
use crate::run::Fault;
use crate::taxonomy::Class;

/// Success is the status alone; the body does not matter unless it carries an error.
pub fn read(reply: &Reply<'_>) -> Result<(), Fault> {
    if reply.is_success() && !reply.hides_an_error() {
        Ok(())
    } else {
        Err(reply.fault())
    }
}

/// The revoked token was used once more, which must be refused.
pub fn refused_afterwards(reply: &Reply<'_>) -> Result<(), Fault> {
    refusal::demand(reply, "the revoked token", Class::AcceptedRevokedToken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::reply;

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
}
