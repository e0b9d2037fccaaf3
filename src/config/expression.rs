//! Expressions of the files: compiled when a file is read, so that a typo is a fault of the file and not of a run.

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr};

use crate::probe::Expectation;

use super::scalar::{Reason, Scalar, plain};
use super::words::nearest;
use super::yaml::shorten;

/// What an expression may look at.
const VARIABLES: [&str; 5] = ["status", "headers", "body", "account", "token"];
/// Longer ones are a program, not a condition.
const MAX_BYTES: usize = 1024;
/// The compiler recurses on brackets without a limit of its own. Counted without regard to where they close or to
/// strings, so that nothing slips through.
const MAX_BRACKETS: usize = 32;
/// One bracket costs the compiler up to 200 KiB in a debug build, which the usual 2 MiB do not bear.
const COMPILER_STACK_BYTES: usize = 64 * 1024 * 1024;

impl Scalar for Expectation {
    const FORMAT: &'static str = "cel-expression";
    const EXAMPLES: &'static [&'static str] = &["status == 200", "body.email == account.username"];

    fn read(text: &str) -> Result<Self, Reason> {
        if text.len() > MAX_BYTES {
            return Err(plain("an expression of more than 1024 bytes"));
        }
        if text.matches(['(', '[', '{']).count() > MAX_BRACKETS {
            return Err(plain("an expression of more than 32 brackets"));
        }
        match compile(text)? {
            None => Ok(Self(text.to_owned())),
            Some(name) => Err(
                plain(&format!("nothing is called `{name}` in an expression")).helped(
                    &match nearest(&name, VARIABLES) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("known are {}", VARIABLES.join(", ")),
                    },
                ),
            ),
        }
    }
}

/// The first name in the expression that means nothing; a reason where it does not compile. On a thread of its own,
/// where the compiler has the stack it needs and a panic of it is a bad expression.
fn compile(text: &str) -> Result<Option<String>, Reason> {
    let unusable = || plain("not an expression that can be compiled");
    let work = || {
        let program = cel::Program::compile(text).map_err(|errors| syntax(&errors))?;
        let mut unknown = BTreeSet::new();
        unknown_names(program.expression(), &mut VARIABLES.to_vec(), &mut unknown);
        // Sorted, so that the first one reported is always the same one.
        Ok(unknown.first().map(|name| (*name).to_owned()))
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(COMPILER_STACK_BYTES);
        let thread = thread.spawn_scoped(scope, work).map_err(|_| unusable())?;
        thread.join().map_err(|_| unusable())?
    })
}

fn syntax(errors: &cel::ParseErrors) -> Reason {
    let first = errors.errors.first();
    let message = first.map_or("", |error| error.msg.trim());
    // What would have fitted is a list of token names that helps nobody; so is what the parser says of itself.
    let message = message.split(" expecting ").next().unwrap_or_default();
    let message = message
        .trim_start_matches("Syntax error: ")
        .replace("'<EOF>'", "its end");
    let message = shorten(&message);
    let column = first.map_or(0, |error| error.pos.1);
    match message.split_once(['(', '`']) {
        Some(_) => plain("not a CEL expression"),
        None => plain(&format!("not a CEL expression: {message}")),
    }
    .helped(&format!(
        "look at character {} of the expression",
        column.max(1)
    ))
}

/// Names that are neither in `known` nor bound by a comprehension such as `exists(x, …)`.
fn unknown_names<'a>(
    expression: &'a IdedExpr,
    known: &mut Vec<&'a str>,
    unknown: &mut BTreeSet<&'a str>,
) {
    match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) => {}
        Expr::Ident(name) => {
            // The compiler's own names begin with `@`.
            if !name.starts_with('@') && !known.contains(&name.as_str()) {
                unknown.insert(name);
            }
        }
        Expr::Call(call) => {
            for part in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
                unknown_names(part, known, unknown);
            }
        }
        Expr::Select(select) => unknown_names(&select.operand, known, unknown),
        Expr::List(list) => {
            for element in &list.elements {
                unknown_names(element, known, unknown);
            }
        }
        Expr::Map(map) => unknown_in_entries(&map.entries, known, unknown),
        Expr::Struct(whole) => unknown_in_entries(&whole.entries, known, unknown),
        Expr::Comprehension(comprehension) => {
            unknown_names(&comprehension.iter_range, known, unknown);
            unknown_names(&comprehension.accu_init, known, unknown);
            let outside = known.len();
            known.extend([comprehension.iter_var.as_str(), &comprehension.accu_var]);
            known.extend(comprehension.iter_var2.as_deref());
            unknown_names(&comprehension.loop_cond, known, unknown);
            unknown_names(&comprehension.loop_step, known, unknown);
            unknown_names(&comprehension.result, known, unknown);
            known.truncate(outside);
        }
    }
}

fn unknown_in_entries<'a>(
    entries: &'a [IdedEntryExpr],
    known: &mut Vec<&'a str>,
    unknown: &mut BTreeSet<&'a str>,
) {
    for entry in entries {
        match &entry.expr {
            EntryExpr::StructField(field) => unknown_names(&field.value, known, unknown),
            EntryExpr::MapEntry(entry) => {
                unknown_names(&entry.key, known, unknown);
                unknown_names(&entry.value, known, unknown);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Result<String, String> {
        Expectation::read(text)
            .map(|it| it.0)
            .map_err(|reason| reason.message)
    }

    #[test]
    fn expressions_see_only_what_there_is() {
        for text in [
            "status == 200",
            "body.roles.exists(role, role == 'admin')",
            "body.items.all(i, i.ok) && size(body.items) > 0",
            "has(body.email) && headers['content-type'].startsWith('application/json')",
            "body.map(x, x.id).filter(y, y > 1).size() == 2",
        ] {
            assert_eq!(check(text), Ok(text.to_owned()));
        }
        for text in [
            "",
            "status =",
            "code == 200",
            "body.exists(r, q == 1)",
            "'",
            "}",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_depth_overflows_the_stack() {
        let parts = [
            "(", "[", "{1:", "a(", "x[", "!(", "!", "-", "1+", "a.", "a?", "a?b:", "a||",
            "x.all(y,",
        ];
        for part in parts {
            for times in [MAX_BRACKETS, MAX_BYTES / part.len(), 5000] {
                assert!(check(&part.repeat(times)).is_err(), "{part} {times}");
            }
        }
        for part in ["!", "-", "a+", "a.b||", "a?b:"] {
            let times = MAX_BYTES / part.len() - 1;
            // Either answer will do; that one comes is the point.
            let _ = check(&format!("{}1", part.repeat(times)));
        }
        let nested = format!(
            "{}body{}",
            "(".repeat(MAX_BRACKETS),
            ")".repeat(MAX_BRACKETS)
        );
        assert!(check(&nested).is_ok());
    }

    proptest! {
        #[test]
        fn no_expression_makes_the_compiler_panic(text in "[a-z0-9 .()\\[\\]{}'\"!&|=<>+*/%?:,\\\\-]{0,60}") {
            let _ = Expectation::read(&text);
        }
    }
}
