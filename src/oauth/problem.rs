//! Finds what an answer calls its error: in JSON, in a form, or in a `WWW-Authenticate` challenge. Only finds it; what
//! it means is decided in `verdict`.

use serde_json::{Map, Value};

use super::{form, text};

/// An error as the provider names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// `error`, or what stands in its place.
    pub error: Option<String>,
    /// `error_description`, or what stands in its place.
    pub description: Option<String>,
}

/// Looks for an error in an answer. The body is asked before the challenge, because it says more.
pub fn read(headers: &[(String, String)], body: &str) -> Option<Problem> {
    in_body(body).or_else(|| {
        headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate")
            .find_map(|(_, value)| in_challenge(value))
    })
}

fn in_body(body: &str) -> Option<Problem> {
    in_json(body).or_else(|| in_parameters(&form::pairs(body.trim())))
}

/// Looks for an error in a JSON text.
pub fn in_json(body: &str) -> Option<Problem> {
    let Ok(Value::Object(object)) = serde_json::from_str(body) else {
        return None;
    };
    in_object(&object)
}

/// Looks for an error in a JSON object: as RFC 6749 section 5.2 has it, or nested as many APIs have it.
pub fn in_object(object: &Map<String, Value>) -> Option<Problem> {
    match object.get("error")? {
        Value::String(error) if !error.is_empty() => Some(Problem {
            error: Some(error.clone()),
            description: describe(object),
        }),
        Value::Object(nested) => Some(Problem {
            error: ["status", "type", "error", "code"]
                .into_iter()
                .find_map(|name| text(nested, name))
                .map(str::to_owned),
            description: describe(nested),
        }),
        _ => None,
    }
}

fn describe(object: &Map<String, Value>) -> Option<String> {
    ["error_description", "message", "description"]
        .into_iter()
        .find_map(|name| text(object, name))
        .map(str::to_owned)
}

/// Looks for an error among decoded parameters.
pub fn in_parameters(pairs: &[(String, String)]) -> Option<Problem> {
    let value = |wanted: &str| {
        let pair = pairs.iter().find(|(name, _)| name == wanted);
        pair.map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    };
    Some(Problem {
        error: Some(value("error")?),
        description: value("error_description"),
    })
}

/// Looks for an error in a challenge such as `Bearer error="invalid_token"` (RFC 6750 section 3, RFC 9449 section
/// 7.1).
fn in_challenge(challenge: &str) -> Option<Problem> {
    let parameters = self::challenge(challenge);
    let value = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone())
    };
    Some(Problem {
        error: Some(value("error")?),
        description: value("error_description"),
    })
}

/// The parameters of a challenge, in order, names in lower case (RFC 9110 section 11.6.1).
pub fn challenge(challenge: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut rest = challenge;
    while let Some((before, after)) = rest.split_once('=') {
        let name = before.rsplit([' ', ',']).next().unwrap_or_default();
        let (value, next) = parameter(after);
        parameters.push((name.to_ascii_lowercase(), value));
        rest = next;
    }
    parameters
}

/// A token or a quoted string (RFC 9110 section 5.6.4), and what follows it.
fn parameter(text: &str) -> (String, &str) {
    let Some(inside) = text.trim_start().strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &inside[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            _ => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redaction_leaves_the_error_readable() {
        let check = |content_type: &str, body: &str, error: &str, description: &str| {
            let redactor = crate::redact::Redactor::default();
            let kept = redactor.body(Some(content_type), body.as_bytes());
            let problem = read(&[], &kept).unwrap();
            assert_eq!(problem.error.as_deref(), Some(error), "{kept}");
            assert_eq!(problem.description.as_deref(), Some(description), "{kept}");
        };
        let form = "application/x-www-form-urlencoded";
        let json = "application/json";
        check(
            form,
            "state=s&error=access_denied&error_description=a+b&code=c",
            "access_denied",
            "a b",
        );
        check(
            json,
            r#"{"error":"invalid_grant","error_description":"code expired"}"#,
            "invalid_grant",
            "code expired",
        );
        check(
            json,
            r#"{"error":{"code":401,"status":"UNAUTHENTICATED","message":"m"}}"#,
            "UNAUTHENTICATED",
            "m",
        );
        check(
            json,
            r#"{"error":{"code":"invalid_token","message":"m"}}"#,
            "invalid_token",
            "m",
        );
        let challenge =
            redactor_header(r#"Bearer error="invalid_token", error_description="it expired""#);
        assert_eq!(
            in_challenge(&challenge).unwrap().error.as_deref(),
            Some("invalid_token")
        );
    }

    fn redactor_header(challenge: &str) -> String {
        crate::redact::Redactor::default().header("www-authenticate", challenge)
    }

    #[test]
    fn finds_the_error_wherever_it_stands() {
        let check = |challenge: &str, body: &str, expected: Option<(&str, &str)>| {
            let headers = [("www-authenticate".to_owned(), challenge.to_owned())];
            let found = read(&headers, body).map(|problem| {
                (
                    problem.error.unwrap_or_default(),
                    problem.description.unwrap_or_default(),
                )
            });
            let expected = expected.map(|(error, text)| (error.to_owned(), text.to_owned()));
            assert_eq!(found, expected, "{challenge} {body}");
        };
        check("", "", None);
        check("", "{}", None);
        check("", "<html>error=no</html>", None);
        check("", r#"{"error":null}"#, None);
        check("", r#"{"error":"e"}"#, Some(("e", "")));
        check(
            "",
            r#"{"error":"e","error_description":"d"}"#,
            Some(("e", "d")),
        );
        check(
            "",
            r#"{"error":{"code":404,"status":"NOT_FOUND","message":"m"}}"#,
            Some(("NOT_FOUND", "m")),
        );
        check("", "error=e&error_description=a+b", Some(("e", "a b")));
        check("Bearer", "", None);
        check("Bearer realm=\"x\"", "", None);
        check(
            r#"Bearer realm="a, error=\"no\"", error="invalid_token", error_description="The \"x\" expired""#,
            "",
            Some(("invalid_token", "The \"x\" expired")),
        );
        check(
            "DPoP error=use_dpop_nonce,algs=\"ES256\"",
            "",
            Some(("use_dpop_nonce", "")),
        );
        check(
            "Bearer error=\"invalid_token\"",
            r#"{"error":"body_wins"}"#,
            Some(("body_wins", "")),
        );
        check("Bearer error=\"open", "", Some(("open", "")));
    }
}
