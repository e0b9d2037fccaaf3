//! Which names stand for secrets.

/// What to do with the value of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Keep,
    Hide,
    /// A signed document that on-call reads: only the signature goes, unless it is no JWT.
    Signature,
    /// An authorization code in a query, and most often an error code in JSON: see `reads_as_error_code`.
    Code,
}

/// Parts of a name that make its value a secret.
const PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "assertion",
    "verifier",
    "samlresponse",
    "cookie",
    "session",
    "credential",
    "authorization",
    "apikey",
    "privatekey",
    "signature",
    "ticket",
    "csrf",
    "xsrf",
    "devicecode",
    "usercode",
    "authcode",
    "onetime",
    "jwt",
];

/// Whole names, without separators, that make their value a secret.
const WHOLE: &[&str] = &[
    "state",
    "otp",
    "totp",
    "otc",
    "pin",
    "pass",
    "sid",
    "relaystate",
    "authreqid",
    "mfacode",
    "securitycode",
    "verificationcode",
    "smscode",
    "auth",
    "sig",
    "dpop",
];

/// Ends of names that tell about a secret and hold none, such as `token_type` or `session_supported`.
const HARMLESS_ENDS: &[&str] = &[
    "endpoint",
    "supported",
    "type",
    "typehint",
    "expiresin",
    "expiresat",
    "expiry",
    "lifetime",
    "alg",
    "enc",
    "method",
    "methods",
    "uri",
    "url",
    "iframe",
    "required",
    "use",
    "nonce",
    "error",
    "errordescription",
];

/// The rule for a name of a parameter, member, header, cookie or input.
pub(super) fn rule(name: &str) -> Rule {
    let plain: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match plain.as_str() {
        "code" => return Rule::Code,
        "idtoken" | "idtokenhint" | "logouttoken" | "request" => return Rule::Signature,
        _ => {}
    }
    if HARMLESS_ENDS.iter().any(|end| plain.ends_with(end)) {
        return Rule::Keep;
    }
    let edge = plain.starts_with("otp") || plain.ends_with("otp");
    if edge || WHOLE.contains(&plain.as_str()) || PARTS.iter().any(|part| plain.contains(part)) {
        return Rule::Hide;
    }
    Rule::Keep
}

/// Error codes are words or numbers (`invalid_grant`, `AADSTS50011`, `E0000007`, `40001`); authorization codes mix
/// letters and digits at random.
pub(super) fn reads_as_error_code(value: &str) -> bool {
    let letters = value.trim_end_matches(|c: char| c.is_ascii_digit());
    value.len() <= 48
        && letters
            .chars()
            .all(|c| c.is_ascii_alphabetic() || "_-. ".contains(c))
}

/// Headers whose values look random and are what support desks ask for.
pub(super) fn is_identifier_header(name: &str) -> bool {
    const PARTS: &[&str] = &[
        "request-id",
        "requestid",
        "correlation",
        "trace",
        "etag",
        "-ray",
        "-id",
        "policy",
    ];
    PARTS.iter().any(|part| name.contains(part))
}
