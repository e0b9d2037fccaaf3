//! `classify`: answers of providers in, verdicts out, a line of JSON each.

use std::io::{self, BufRead, Write};

use serde::Serialize;
use serde_json::Value;

use super::Exit;
use crate::verdict::{self, Case, Judgement};

/// Reads cases from stdin, one JSON object a line, and prints what each of them means.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// A case that was judged.
#[derive(Serialize)]
struct Judged {
    id: Value,
    #[serde(flatten)]
    judgement: Judgement,
}

/// A line that is no case.
#[derive(Serialize)]
struct Refused {
    id: Value,
    error: String,
    line: usize,
}

/// Runs the command. Only a broken pipe or stdin ends it early.
pub(super) fn run(_args: &Args) -> anyhow::Result<Exit> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        match answer(text.trim(), number) {
            Ok(judged) => serde_json::to_writer(&mut out, &judged)?,
            Err(refused) => serde_json::to_writer(&mut out, &refused)?,
        }
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(Exit::Ok)
}

fn answer(text: &str, line: usize) -> Result<Judged, Refused> {
    let parsed: Result<Value, _> = serde_json::from_str(text);
    let id = parsed.as_ref().ok().and_then(|value| value.get("id"));
    let id = id.cloned().unwrap_or_default();
    match parsed.and_then(serde_json::from_value::<Case>) {
        Ok(case) => Ok(Judged {
            id,
            judgement: verdict::classify(&case),
        }),
        Err(error) => Err(Refused {
            id,
            error: error.to_string(),
            line,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_case_says_so_and_where() {
        for text in [
            "nonsense",
            "{}",
            "[]",
            "3",
            r#"{"id":"a","stage":"moon","body":""}"#,
        ] {
            let Err(refused) = answer(text, 7) else {
                panic!("{text}")
            };
            assert_eq!(refused.line, 7);
            assert!(!refused.error.is_empty());
        }
        let Ok(judged) = answer(
            r#"{"id":"a","stage":"resource","http_status":503,"body":""}"#,
            1,
        ) else {
            panic!("no case")
        };
        assert_eq!(judged.id, "a");
    }
}
