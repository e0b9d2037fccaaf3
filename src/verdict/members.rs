//! Names of members of an error, as providers have them, and what they say by being there. Names are compared without
//! case and separators.

use serde_json::{Map, Value};

/// Members that hold a code.
pub(super) const CODES: [&str; 34] = [
    "error",
    "errorcode",
    "code",
    "errorsubcode",
    "errorsubtype",
    "suberror",
    "subcode",
    "errorreason",
    "reason",
    "status",
    "statuscode",
    "type",
    "errortype",
    "errorname",
    "name",
    "errcode",
    "errno",
    "retcode",
    "category",
    "subcategory",
    "tag",
    "issue",
    "key",
    "id",
    "errorsummary",
    "faultcode",
    "serviceerrorcode",
    "messagekey",
    "errorkey",
    "declinecode",
    "oerrorcode",
    "errorcodes",
    "internalcode",
    "result",
];

/// Members that hold a text for people.
pub(super) const TEXTS: [&str; 34] = [
    "errordescription",
    "description",
    "message",
    "messages",
    "msg",
    "detail",
    "details",
    "title",
    "hint",
    "errordebug",
    "debug",
    "errormessage",
    "errormsg",
    "errmsg",
    "errorsummary",
    "errorusermsg",
    "errorusertitle",
    "usermessage",
    "developermessage",
    "faultstring",
    "fault",
    "reason",
    "error",
    "errors",
    "err",
    "moreinfo",
    "explanation",
    "cause",
    "summary",
    "statusmessage",
    "submsg",
    "errordetail",
    "errordetails",
    "responsemessage",
];

/// Members under which an error object hangs.
pub(super) const NESTS: [&str; 15] = [
    "error",
    "errors",
    "fault",
    "direct",
    "detail",
    "details",
    "errordetails",
    "oerrordetails",
    "response",
    "body",
    "result",
    "errorcauses",
    "errorresponse",
    "errorinfo",
    "err",
];

/// `{"field": "refresh_token", "code": "invalid"}` is a sentence in two members.
pub(super) fn about_a_field(object: &Map<String, Value>) -> Option<String> {
    let text = |names: &[&str]| {
        let mut members = names.iter().filter_map(|name| object.get(*name)?.as_str());
        members.next()
    };
    let field = text(&[
        "field",
        "param",
        "parameter",
        "argument",
        "property",
        "path",
    ])?;
    let complaint = text(&["code", "issue", "reason", "type", "error"])?;
    Some(format!("{field} {complaint}"))
}

/// Whether a JSON object says by itself that it is an error. A `message` alone does not.
pub(super) fn admits_failure(object: &Map<String, Value>) -> bool {
    object.iter().any(|(name, value)| {
        let name = squash(name);
        let filled = match value {
            Value::Null => false,
            Value::Bool(yes) => *yes,
            Value::Number(number) => number.as_f64() != Some(0.0),
            Value::String(text) => {
                !text.is_empty()
                    && !["0", "false", "ok", "success", "none"]
                        .contains(&text.to_lowercase().as_str())
            }
            Value::Array(list) => !list.is_empty(),
            Value::Object(inner) => !inner.is_empty(),
        };
        let number = value.as_f64();
        match name.as_str() {
            "error" | "errors" | "errorcode" | "errcode" | "errormessage" | "errmsg" | "fault"
            | "errortype" | "errordescription" | "errorsummary" | "exception" | "errorresponse"
            | "errorinfo" | "err" => {
                // Some have `{"error": {"code": "ok"}}` in good answers.
                filled && !is_fine(value)
            }
            "ok" | "success" | "succeeded" | "issuccess" => {
                value == &Value::Bool(false) || value.as_str() == Some("false")
            }
            "retcode" | "errno" => filled,
            "status" if is_failure(value) => says_something(object) && is_without_data(object),
            // A number may be anything; with a sentence beside it, it is a status.
            "status" | "code" | "statuscode" => {
                let is_status = number.is_some_and(|number| (400.0..1000.0).contains(&number));
                let is_own = number.is_some_and(|number| number >= 1000.0);
                says_something(object) && (is_status || is_own && is_bare(object))
            }
            "direct" => value.get("errorCode").is_some(),
            _ => false,
        }
    })
}

/// An envelope that says how the call went, not a record that has a state of its own.
fn is_failure(status: &Value) -> bool {
    let words = ["error", "fail", "failure"];
    status
        .as_str()
        .is_some_and(|status| words.iter().any(|word| status.eq_ignore_ascii_case(word)))
}

fn is_without_data(object: &Map<String, Value>) -> bool {
    let beside = ["data", "result", "payload", "id"];
    object
        .iter()
        .all(|(name, value)| value.is_null() || !beside.contains(&squash(name).as_str()))
}

fn says_something(object: &Map<String, Value>) -> bool {
    const NAMES: [&str; 8] = [
        "error",
        "message",
        "msg",
        "errormessage",
        "detail",
        "description",
        "reason",
        "title",
    ];
    object.iter().any(|(name, value)| {
        value.as_str().is_some_and(|text| !text.is_empty())
            && NAMES.contains(&squash(name).as_str())
    })
}

/// A number and a sentence, no data: what APIs with codes of their own say of a failure. Of a success they say so.
fn is_bare(object: &Map<String, Value>) -> bool {
    object.values().all(|value| match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(inner) => inner.is_empty(),
        Value::String(text) => {
            let text = text.trim().to_lowercase();
            ![
                "ok",
                "success",
                "successful",
                "succeeded",
                "成功",
                "操作成功",
                "请求成功",
            ]
            .contains(&text.as_str())
        }
        _ => true,
    })
}

fn is_fine(error: &Value) -> bool {
    let code = error.get("code").or_else(|| error.get("errorCode"));
    code.is_some_and(|code| {
        code.as_i64() == Some(0)
            || code
                .as_str()
                .is_some_and(|code| code.eq_ignore_ascii_case("ok"))
    })
}

/// A name without case and separators.
pub(super) fn squash(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '='))
        .flat_map(char::to_lowercase)
        .collect()
}

/// One word, or words that are glued together.
pub(super) fn looks_like_a_code(value: &str) -> bool {
    value.len() <= 120
        && !value.contains(char::is_whitespace)
        && value.chars().any(char::is_alphanumeric)
        && !value.contains("://")
}
