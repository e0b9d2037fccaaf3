//! The revocation answer (RFC 7009 section 2.2).

use serde_json::Value;

use super::{Reply, problem};
use crate::run::Fault;

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
