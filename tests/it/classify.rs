//! `classify` as people run it: lines in, lines out.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn every_line_gets_an_answer_of_its_own() {
    let lines = [
        r#"{"id":"a","provider":"okta","stage":"token_exchange","http_status":400,"body":"{\"error\":\"invalid_scope\"}"}"#,
        "no case",
        "",
        r#"{"id":"b","provider":"slack","stage":"resource","http_status":200,"body":"{\"ok\":true}","context":{}}"#,
        r#"{"id":"c","stage":"resource"}"#,
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_authcanary"))
        .arg("classify")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(lines.join("\n").as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [a, refused, b, c] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(
        (&a["class"], &a["action"]),
        (&"invalid_scope".into(), &"fix_config".into())
    );
    assert_eq!(
        (&a["rule"], &a["retryable"]),
        (&"code/invalid_scope".into(), &false.into())
    );
    assert_eq!(
        (&refused["id"], &refused["line"]),
        (&Value::Null, &2.into())
    );
    assert_eq!((&b["outcome"], &b["class"]), (&"ok".into(), &Value::Null));
    assert_eq!((&c["id"], &c["line"]), (&"c".into(), &5.into()));
    assert!(c["error"].as_str().unwrap().contains("callback_query"));
}
