use proptest::prelude::*;

use super::*;

fn decide(text: &str, status: u16, body: &str) -> Result<bool, ExpressionError> {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let token = serde_json::json!({"claims": {"sub": "u1"}, "expires_in": 3600});
    let facts = Facts {
        status,
        headers: &[
            header("content-type", "application/json"),
            header("via", "a"),
            header("via", "b"),
        ],
        body: body.as_bytes(),
        username: Some("ann@example.com"),
        token: token.as_object().unwrap(),
    };
    compile(text)?.holds(&facts)
}

#[test]
fn conditions_decide_over_an_answer() {
    let body =
        r#"{"email":"ann@example.com","n":5,"f":0.5,"list":[{"a":1},{"a":2}],"nothing":null}"#;
    let check = |text: &str, expected: bool| {
        assert_eq!(decide(text, 200, body), Ok(expected), "{text}");
    };
    check("status == 200", true);
    check("status >= 200 && status < 300", true);
    check("status in [200, 204]", true);
    check("status != 200", false);
    check("body.email == account.username", true);
    check("body.n == 5 && body.n > 4 && body.f < 1.0", true);
    check("body.list.all(x, x.a > 0)", true);
    check(
        "body.list.exists(x, x.a == 2) && size(body.list) == 2",
        true,
    );
    check("body.list[1].a == 2", true);
    check("body.nothing == null", true);
    check("has(body.email) && !has(body.phone)", true);
    check(
        "headers['content-type'].startsWith('application/json')",
        true,
    );
    check("headers.via == 'a, b'", true);
    check("body.email.matches('^ann@')", true);
    check("token.claims.sub == 'u1' && token.expires_in > 60", true);
    check("'email' in body", true);
}

#[test]
fn a_body_that_is_not_json_is_text() {
    assert_eq!(
        decide("body.contains('down')", 503, "we are down"),
        Ok(true)
    );
    assert_eq!(decide("body == ''", 204, ""), Ok(true));
}

#[test]
fn what_cannot_be_decided_says_why() {
    let check = |text: &str, expected: &str| {
        let error = decide(text, 200, r#"{"a":"x"}"#).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    };
    check("", "not an expression");
    check("status ==", "not an expression");
    check("status = 200", "not an expression");
    check(
        "statsu == 200",
        "no `statsu`; known are status, headers, body, account, token",
    );
    check("[1].all(x, y == 1)", "no `y`");
    check("[1].all(x, x == 1) && x == 1", "no `x`");
    check("password == ''", "no `password`");
    check("account.password == ''", "cannot be decided");
    check("token.access_token == ''", "cannot be decided");
    check("body.missing == 1", "cannot be decided");
    check("body.a > 1", "cannot be decided");
    check("nonsense(status)", "cannot be decided");
    check("1 / 0 == 1", "cannot be decided");
    check("status", "not true or false");
    check(&"a".repeat(5000), "longer than");
    check(&format!("status{} == 1", "+1".repeat(500)), "nested deeper");
}

#[test]
fn no_shape_of_text_exhausts_the_stack() {
    let shapes = [
        "(",
        "[",
        "{",
        "!",
        "-",
        "- ",
        "! ",
        "((",
        "[[",
        "1+",
        "a.",
        "a[0]",
        "status||",
        "status&&",
        "status?status:",
        "f(",
        "\"",
        "'",
        "{1:",
        "{'a':{",
        "[1,",
        "a.b(",
        ".a",
        "[0]",
        ")",
        "[1].all(x,",
        "\\",
        "//",
        "0x",
        "1e",
        "r'",
        "b\"",
        "`",
        "?",
        ":",
        "status.a(",
        "\u{0}",
        "é",
    ];
    for shape in shapes {
        for times in [3, 31, 120, 2048 / shape.len()] {
            let _ = compile(&shape.repeat(times));
            let _ = compile(&format!("status{}", shape.repeat(times)));
        }
    }
    for tail in [
        "+1", ".a", "[0]", "||true", "&&true", "==1", "*2", " in [1]",
    ] {
        let text = format!("status{}", tail.repeat(2000 / tail.len()));
        let _ = decide(&text, 200, "");
    }
}

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused(text in "\\PC{0,80}") {
        let _ = decide(&text, 200, "{}");
    }

    #[test]
    fn any_soup_of_tokens_is_compiled_or_refused(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "status", "body", ".", "a", "[", "]", "(", ")", "{", "}", "==", "&&", "?", ":", "!",
                "-", "1", "0.5", "'x'", "has", "all", "x", ",", "in", "map", "\"", "9223372036854775807",
                "matches", "size", "u", "null", "%", "/", "*", "'('",
            ]),
            0..24,
        )
    ) {
        let _ = decide(&words.join(" "), 200, r#"{"a":[1,2]}"#);
    }

    #[test]
    fn any_body_is_decided(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let token = serde_json::Map::new();
        let facts = Facts { status: 200, headers: &[], body: &body, username: None, token: &token };
        prop_assert_eq!(compile("status == 200").unwrap().holds(&facts), Ok(true));
    }
}

#[test]
fn brackets_in_strings_and_comments_hide_nothing() {
    for (open, close) in [("[')',", "]"), ("[\")\",", "]"), ("(//)\n", ")")] {
        for times in [40, 120, 290] {
            let text = format!("{}1{}", open.repeat(times), close.repeat(times));
            assert!(
                matches!(compile(&text), Err(ExpressionError::TooLarge)),
                "{text}"
            );
        }
    }
}
