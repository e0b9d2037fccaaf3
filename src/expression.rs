//! Conditions of a probe file, in CEL, over an answer: `status == 200 && body.email == account.username`.
//!
//! `headers` have lower-case names; of a name that stands more than once, the values are joined with a comma. `body`
//! is the JSON of the answer, or its text. `account` has only the `username`, and `token` only what may be shown: no
//! condition can reach a secret.

use std::collections::HashMap;
use std::thread;

use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr};
use cel::{Context, IdedExpr, Program, Value};
use serde_json::Value as Json;

/// What a condition may look at.
pub const VARIABLES: [&str; 5] = ["status", "headers", "body", "account", "token"];

/// Longer conditions are refused.
const LIMIT_BYTES: usize = 2048;

/// Deeper nesting of brackets is refused, before the parser has to follow it.
const LIMIT_DEPTH: usize = 32;

/// Deeper trees are refused, before they are evaluated; a long sum makes one without any bracket.
const LIMIT_TREE: usize = 200;

/// Enough for the deepest condition, also in a debug build; only what is touched is taken from the system.
const STACK_BYTES: usize = 32 << 20;

/// A condition that is known to compile.
#[derive(Debug)]
pub struct Condition(Program);

/// Why a condition cannot be used, or could not be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    #[error("longer than {LIMIT_BYTES} bytes, or nested deeper than anybody could read")]
    TooLarge,
    #[error("not an expression: {0}")]
    Syntax(String),
    #[error("there is no `{0}`; known are {known}", known = VARIABLES.join(", "))]
    UnknownVariable(String),
    #[error("cannot be decided: {0}")]
    Evaluation(String),
    #[error("gives {0}, not true or false")]
    NotBoolean(String),
}

/// An answer and what is known around it.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub status: u16,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
    pub username: Option<&'a str>,
    /// Claims of the ID token and figures such as `expires_in`; never a token itself.
    pub token: &'a serde_json::Map<String, Json>,
}

/// Reads a condition, and sees that it only names what there is.
pub fn compile(text: &str) -> Result<Condition, ExpressionError> {
    if text.len() > LIMIT_BYTES || depth(text) > LIMIT_DEPTH {
        return Err(ExpressionError::TooLarge);
    }
    contain(|| {
        let program = Program::compile(text)
            .map_err(|errors| ExpressionError::Syntax(first_fault(&errors)))?;
        Names::default().check(program.expression())?;
        Ok(Condition(program))
    })
    .map_err(ExpressionError::Syntax)?
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, ExpressionError> {
        contain(|| match self.0.execute(&facts.context()) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(ExpressionError::NotBoolean(other.type_of().to_string())),
            Err(error) => Err(ExpressionError::Evaluation(shortened(&error.to_string()))),
        })
        .map_err(ExpressionError::Evaluation)?
    }

    /// For which statuses it holds; `None` where it looks at anything else as well, and can so not be told beforehand.
    pub fn statuses(&self, statuses: &[u16]) -> Option<Vec<u16>> {
        let references = self.0.references();
        if references.variables().iter().any(|name| *name != "status") {
            return None;
        }
        let holds = |status: &u16| {
            let mut context = Context::default();
            context.add_variable_from_value("status", Value::Int((*status).into()));
            matches!(self.0.execute(&context), Ok(Value::Bool(true)))
        };
        contain(|| statuses.iter().copied().filter(holds).collect()).ok()
    }
}

impl Facts<'_> {
    fn context(&self) -> Context<'static, 'static> {
        let mut headers: HashMap<String, Value> = HashMap::new();
        for (name, value) in self.headers {
            let joined = match headers.get(name) {
                Some(Value::String(first)) => format!("{first}, {value}"),
                _ => value.clone(),
            };
            headers.insert(name.clone(), joined.into());
        }
        let account = HashMap::from([("username".to_owned(), self.username.into())]);
        let body = match serde_json::from_slice::<Json>(self.body) {
            Ok(json) => value(&json),
            Err(_) => String::from_utf8_lossy(self.body).into_owned().into(),
        };
        let mut context = Context::default();
        context.add_variable_from_value("status", Value::Int(self.status.into()));
        context.add_variable_from_value("headers", map(headers));
        context.add_variable_from_value("body", body);
        context.add_variable_from_value("account", map(account));
        context.add_variable_from_value("token", object(self.token));
        context
    }
}

/// JSON as CEL sees it. Whole numbers become `int`, so that they compare with literals.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(fraction)) => Value::Float(fraction),
            (None, None) => Value::Null,
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(list) => list.iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(members) => object(members),
    }
}

fn object(members: &serde_json::Map<String, Json>) -> Value {
    map(members
        .iter()
        .map(|(name, json)| (name.clone(), value(json)))
        .collect())
}

fn map(members: HashMap<String, Value>) -> Value {
    members.into()
}

/// Walks an expression: every name must be known, and nothing too deep.
#[derive(Default)]
struct Names<'a> {
    /// Names that the macros around bind themselves, such as `x` in `all(x, …)`.
    bound: Vec<&'a str>,
    depth: usize,
}

impl<'a> Names<'a> {
    fn check(&mut self, expression: &'a IdedExpr) -> Result<(), ExpressionError> {
        self.depth += 1;
        if self.depth > LIMIT_TREE {
            return Err(ExpressionError::TooLarge);
        }
        match &expression.expr {
            Expr::Ident(name) => self.check_name(name)?,
            Expr::Comprehension(made) => {
                self.check_all([&made.iter_range, &made.accu_init])?;
                let before = self.bound.len();
                self.bound.extend([made.iter_var.as_str(), &made.accu_var]);
                self.bound.extend(made.iter_var2.as_deref());
                self.check_all([&made.loop_cond, &made.loop_step, &made.result])?;
                self.bound.truncate(before);
            }
            Expr::Call(call) => {
                self.check_all(call.target.as_deref().into_iter().chain(&call.args))?;
            }
            Expr::List(list) => self.check_all(&list.elements)?,
            Expr::Map(map) => self.check_all(map.entries.iter().flat_map(parts))?,
            Expr::Struct(made) => self.check_all(made.entries.iter().flat_map(parts))?,
            Expr::Select(select) => self.check(&select.operand)?,
            Expr::Literal(_) | Expr::Unspecified => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn check_all(
        &mut self,
        expressions: impl IntoIterator<Item = &'a IdedExpr>,
    ) -> Result<(), ExpressionError> {
        expressions
            .into_iter()
            .try_for_each(|expression| self.check(expression))
    }

    fn check_name(&self, name: &str) -> Result<(), ExpressionError> {
        // Names with `@` are those that macros make up.
        if VARIABLES.contains(&name) || self.bound.contains(&name) || name.starts_with('@') {
            return Ok(());
        }
        Err(ExpressionError::UnknownVariable(name.to_owned()))
    }
}

fn parts(entry: &IdedEntryExpr) -> Vec<&IdedExpr> {
    match &entry.expr {
        EntryExpr::MapEntry(pair) => vec![&pair.key, &pair.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

/// How deep brackets and leading signs nest, never too low. The parser follows each by recursion. A bracket in a string
/// or a comment closes nothing, so where there may be one, none is taken to close.
fn depth(text: &str) -> usize {
    let hides = text.contains(['"', '\'']) || text.contains("//");
    let (mut open, mut signs, mut deepest) = (0_usize, 0_usize, 0_usize);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' if !hides => open = open.saturating_sub(1),
            _ => {}
        }
        signs = if matches!(c, '!' | '-') { signs + 1 } else { 0 };
        deepest = deepest.max(open + signs);
    }
    deepest
}

/// Runs `work` on a stack of its own, where neither a panic nor deep recursion can reach the caller: the parser is
/// generated code, panics on odd input, and takes some 150 KiB of stack for each pair of brackets in a debug build.
fn contain<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    const GAVE_UP: &str = "the evaluator gave up on it";
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(STACK_BYTES);
        let running = builder.spawn_scoped(scope, work);
        let running = running.map_err(|error| error.to_string())?;
        running.join().map_err(|_| GAVE_UP.to_owned())
    })
}

fn first_fault(errors: &cel::ParseErrors) -> String {
    let Some(error) = errors.errors.first() else {
        return "unknown fault".to_owned();
    };
    let message = error.msg.lines().next().unwrap_or_default();
    // What would have fitted instead is a long list of token names that helps nobody.
    let message = message.split(" expecting ").next().unwrap_or_default();
    let message = shortened(&message.replace("'<EOF>'", "its end"));
    format!("{message} (column {})", error.pos.1)
}

/// Messages may hold a whole body.
fn shortened(message: &str) -> String {
    const LIMIT: usize = 200;
    match message.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests;
