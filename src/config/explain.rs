//! Checks the shape of a file by its JSON Schema and says in plain sentences what does not fit: the key that was
//! probably meant, the words that are allowed, what stands where something else is due.

use std::sync::LazyLock;
use std::time::Duration;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::fault::rule;
use super::scalar::{FORMATS, Reason, Scalar, Size, plain};
use super::schema::{FileKind, follow, node, schema};
use super::words::{NOT_YET, OTHER_NAMES, advised, another, found, listed, nearest, type_words};
use super::yaml::{Document, Mark, child, shorten};

/// Something that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    /// JSON pointer of what the fault is about; for a missing key, of the mapping that lacks it.
    pub(super) pointer: String,
    /// Whether the key is at fault, not its value.
    pub(super) at_key: bool,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// The known key that is missing, or that an unknown one was probably meant to be.
    pub(super) known_key: Option<String>,
    /// Id of the rule that it breaks, where there is one of its own.
    pub(super) rule: Option<&'static str>,
}

impl Misfit {
    /// Where it stands in the file.
    pub(super) fn mark(&self, document: &Document) -> Mark {
        match self.at_key {
            true => document.key_mark(&self.pointer),
            false => document.value_mark(&self.pointer),
        }
    }
}

/// Everything about the shape of `value` that does not fit a file of this kind.
pub(super) fn misfits(kind: FileKind, value: &Value) -> Vec<Misfit> {
    let shape = match kind {
        FileKind::Daemon => &*DAEMON,
        FileKind::Probe => &*PROBE,
    };
    let mut explainer = Explainer {
        schema: &shape.schema,
        misfits: Vec::new(),
    };
    for error in shape.validator.iter_errors(value) {
        explainer.explain(&error);
    }
    without_consequences(explainer.misfits)
}

static DAEMON: LazyLock<Shape> = LazyLock::new(|| Shape::new(FileKind::Daemon));
static PROBE: LazyLock<Shape> = LazyLock::new(|| Shape::new(FileKind::Probe));

/// A schema, compiled once for all files: that takes longer than to check one of them.
struct Shape {
    schema: Value,
    validator: Validator,
}

impl Shape {
    fn new(kind: FileKind) -> Self {
        let schema = schema(Some(kind));
        let mut options = jsonschema::draft202012::options().should_validate_formats(true);
        for (name, reason) in FORMATS {
            options = options.with_format(*name, |text: &str| reason(text).is_none());
        }
        let validator = options
            .build(&schema)
            .expect("the schema is our own, and tested to be one");
        Self { schema, validator }
    }
}

/// A key that is missing because it is misspelt is one fault, not two.
fn without_consequences(misfits: Vec<Misfit>) -> Vec<Misfit> {
    let is_misspelt = |missing: &Misfit| {
        misfits.iter().any(|other| {
            let parent = other.pointer.rsplit_once('/').map(|(parent, _)| parent);
            other.at_key
                && other.known_key.is_some()
                && other.known_key == missing.known_key
                && parent == Some(missing.pointer.as_str())
        })
    };
    let consequences: Vec<bool> = misfits.iter().map(is_misspelt).collect();
    let marked = misfits.into_iter().zip(consequences);
    marked
        .filter(|(_, consequence)| !consequence)
        .map(|(misfit, _)| misfit)
        .collect()
}

struct Explainer<'a> {
    schema: &'a Value,
    misfits: Vec<Misfit>,
}

impl Explainer<'_> {
    fn explain(&mut self, error: &ValidationError<'_>) {
        let pointer = error.instance_path().as_str();
        let value = error.instance().as_ref();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                for key in unexpected {
                    self.unknown_key(error, pointer, key);
                }
            }
            ValidationErrorKind::Required { property } => {
                let key = property.as_str().unwrap_or_default();
                self.missing_key(error, pointer, key);
            }
            ValidationErrorKind::Type { kind } => self.wrong_type(error, pointer, value, kind),
            ValidationErrorKind::Enum { options } => {
                let words = options.as_array().map(Vec::as_slice).unwrap_or_default();
                self.wrong_word(pointer, value, &texts(words));
            }
            ValidationErrorKind::Constant { expected_value } => {
                self.wrong_word(pointer, value, &texts(std::slice::from_ref(expected_value)));
            }
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => {
                self.no_branch(error, pointer, value, context);
            }
            ValidationErrorKind::OneOfMultipleValid { .. }
            | ValidationErrorKind::MinProperties { .. }
            | ValidationErrorKind::MaxProperties { .. } => {
                self.not_one_key(error, pointer, value);
            }
            ValidationErrorKind::Format { format } => self.bad_text(pointer, value, format),
            ValidationErrorKind::PropertyNames { error: inner } => {
                self.bad_key(pointer, inner);
            }
            ValidationErrorKind::MinLength { .. } | ValidationErrorKind::MinItems { .. } => {
                self.add(pointer, "must not be empty".to_owned(), None);
                if pointer.starts_with("/routes/") && pointer.ends_with("/to") {
                    self.known_as(rule::ROUTE_WITHOUT_CHANNEL);
                }
            }
            ValidationErrorKind::Minimum { limit } => {
                self.add(pointer, format!("must be at least {limit}"), None);
            }
            ValidationErrorKind::Maximum { limit } => {
                self.add(pointer, format!("must be at most {limit}"), None);
            }
            ValidationErrorKind::UniqueItems => {
                self.add(pointer, "holds the same item twice".to_owned(), None);
            }
            // No schema of ours uses the other keywords; the values stay hidden all the same.
            _ => self.add(pointer, error.masked_with("the value").to_string(), None),
        }
    }

    fn add(&mut self, pointer: &str, message: String, help: Option<String>) {
        self.misfits.push(Misfit {
            pointer: pointer.to_owned(),
            at_key: false,
            message,
            help,
            known_key: None,
            rule: None,
        });
    }

    /// The schema node that holds the keyword which failed.
    fn holder(&self, error: &ValidationError<'_>) -> Option<&Value> {
        let path = error.schema_path().as_str();
        node(self.schema, path.rsplit_once('/')?.0)
    }

    fn known_keys(&self, error: &ValidationError<'_>) -> Vec<String> {
        let properties = self.holder(error).and_then(|node| node.get("properties"));
        let keys = properties.and_then(Value::as_object).map(|map| map.keys());
        keys.into_iter().flatten().cloned().collect()
    }

    fn unknown_key(&mut self, error: &ValidationError<'_>, pointer: &str, key: &str) {
        let known = self.known_keys(error);
        let other = OTHER_NAMES.iter().find(|(name, _)| *name == key);
        let near = nearest(key, known.iter().map(String::as_str));
        let help = match (near, other) {
            (Some(near), None) => format!("did you mean `{near}`?"),
            (_, Some((_, advice))) => (*advice).to_owned(),
            (None, None) => format!("known here are {}", known.join(", ")),
        };
        self.misfits.push(Misfit {
            pointer: child(pointer, key),
            at_key: true,
            message: format!("unknown key `{}`", shorten(key)),
            help: Some(help),
            known_key: other
                .and_then(|(_, advice)| advised(advice))
                .or(near)
                .map(str::to_owned),
            rule: None,
        });
    }

    fn missing_key(&mut self, error: &ValidationError<'_>, pointer: &str, key: &str) {
        let property = self
            .holder(error)
            .and_then(|node| node.get("properties")?.get(key));
        let own = property.and_then(|node| node.get("description"));
        let text = own.or_else(|| follow(self.schema, property?)?.get("description"));
        let first = text
            .and_then(Value::as_str)
            .and_then(|text| text.split(". ").next());
        let help = first.map(|text| format!("`{key}`: {}", text.trim_end_matches('.')));
        self.misfits.push(Misfit {
            pointer: pointer.to_owned(),
            at_key: true,
            message: format!("the key `{key}` is missing"),
            help,
            known_key: Some(key.to_owned()),
            rule: None,
        });
    }

    fn wrong_type(
        &mut self,
        error: &ValidationError<'_>,
        pointer: &str,
        value: &Value,
        kind: &TypeKind,
    ) {
        let wanted = match kind {
            TypeKind::Single(kind) => kind.as_str(),
            TypeKind::Multiple(_) => "",
        };
        if self.is_secret(error) {
            return self.literal_secret(pointer, value);
        }
        let format = self
            .holder(error)
            .and_then(|node| node.get("format")?.as_str());
        let help = match (wanted, value) {
            ("string", Value::Number(number)) if format == Some(Duration::FORMAT) => {
                Some(format!("write a unit: {number}s, {number}m"))
            }
            ("string", Value::Number(_)) if format == Some(Size::FORMAT) => {
                Some("write it with a unit: 64KiB, 1MiB, 4GiB".to_owned())
            }
            ("string", Value::Number(_) | Value::Bool(_)) => Some("put it in quotes".to_owned()),
            ("boolean", Value::String(_)) => Some("write true or false".to_owned()),
            ("array", Value::String(_)) => Some("write it in brackets: […]".to_owned()),
            ("object", Value::Null) => Some("write {} if it has no settings".to_owned()),
            _ => None,
        };
        let message = format!(
            "must be {}, but {} stands here",
            match format {
                Some(Duration::FORMAT) => "a duration",
                Some(Size::FORMAT) => "a size",
                _ => type_words(wanted),
            },
            found(value)
        );
        self.add(pointer, message, help);
    }

    fn is_secret(&self, error: &ValidationError<'_>) -> bool {
        let properties = self.holder(error).and_then(|node| node.get("properties"));
        properties.is_some_and(|keys| keys.get("credential").is_some() && keys.get("env").is_some())
    }

    fn literal_secret(&mut self, pointer: &str, value: &Value) {
        let message = match value {
            Value::Null => "a secret is missing here".to_owned(),
            _ => "a secret must not stand in the file".to_owned(),
        };
        let help = "write where it is kept: {env: NAME}, {file: /run/secrets/name}, {credential: name} (systemd) or \
                    {command: [program, argument]}";
        self.add(pointer, message, Some(help.to_owned()));
        if !value.is_null() {
            self.known_as(rule::LITERAL_SECRET);
        }
    }

    /// What was added last breaks this rule.
    fn known_as(&mut self, rule: &'static str) {
        if let Some(last) = self.misfits.last_mut() {
            last.rule = Some(rule);
        }
    }

    fn wrong_word(&mut self, pointer: &str, value: &Value, words: &[String]) {
        let Some(text) = scalar_text(value) else {
            let message = format!(
                "must be {}, but {} stands here",
                listed(words),
                found(value)
            );
            return self.add(pointer, message, None);
        };
        let message = match NOT_YET.contains(&text.as_str()) {
            true => format!("`{text}` is not supported by this version"),
            false if pointer == "/version" => {
                format!("version {} of the file format is not known", shorten(&text))
            }
            false => format!("`{}` is not {}", shorten(&text), listed(words)),
        };
        let near = nearest(&text, words.iter().map(String::as_str));
        let near = near.filter(|_| !NOT_YET.contains(&text.as_str()));
        self.add(
            pointer,
            message,
            near.map(|near| format!("did you mean `{near}`?")),
        );
    }

    /// None of several shapes fits: speak about the one whose type fits, or list them.
    fn no_branch(
        &mut self,
        error: &ValidationError<'_>,
        pointer: &str,
        value: &Value,
        context: &[Vec<ValidationError<'static>>],
    ) {
        if value.is_object()
            && context
                .iter()
                .flatten()
                .all(|inner| is_required(inner, pointer))
        {
            return self.not_one_key(error, pointer, value);
        }
        let words = context
            .iter()
            .flatten()
            .filter_map(|inner| constant(inner, pointer));
        let words: Vec<String> = words.collect();
        let fitting = context.iter().find(|branch| {
            !branch.iter().any(|inner| {
                let here = inner.instance_path().as_str() == pointer;
                let kind = inner.kind();
                here && (matches!(kind, ValidationErrorKind::Type { .. })
                    || constant(inner, pointer).is_some())
            })
        });
        if let Some(branch) = fitting {
            for inner in branch {
                self.explain(inner);
            }
            return;
        }
        let mut shapes: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        for inner in context.iter().flatten() {
            if let ValidationErrorKind::Type {
                kind: TypeKind::Single(kind),
            } = inner.kind()
                && inner.instance_path().as_str() == pointer
            {
                let shape = type_words(kind.as_str()).to_owned();
                let is_said =
                    shapes.contains(&shape) || (kind.as_str() == "string" && !words.is_empty());
                if !is_said {
                    shapes.push(shape);
                }
            }
        }
        if value.is_string() && shapes.len() == words.len() {
            return self.wrong_word(pointer, value, &words);
        }
        let found = another(value, &shapes);
        let message = format!("must be {}, but {found} stands here", shapes.join(" or "));
        let near = value
            .as_str()
            .and_then(|text| nearest(text, words.iter().map(String::as_str)));
        self.add(
            pointer,
            message,
            near.map(|near| format!("did you mean `{near}`?")),
        );
    }

    /// A mapping that must have exactly one of its keys has none or several.
    fn not_one_key(&mut self, error: &ValidationError<'_>, pointer: &str, value: &Value) {
        let mut choices = self.known_keys(error);
        if let Some(branches) = self
            .holder(error)
            .and_then(|node| node.get("oneOf")?.as_array())
        {
            let required = branches
                .iter()
                .filter_map(|branch| branch.pointer("/required/0")?.as_str());
            choices = required.map(str::to_owned).collect();
        }
        let Some(map) = value.as_object() else {
            return; // Said by its type already.
        };
        let (given, other): (Vec<&str>, Vec<&str>) = map
            .keys()
            .map(String::as_str)
            .partition(|key| choices.iter().any(|it| it == key));
        let is_misspelt = |key: &&str| nearest(key, choices.iter().map(String::as_str)).is_some();
        let message = match given.as_slice() {
            [] if choices.is_empty() => "must not be empty".to_owned(),
            [] if other.iter().any(is_misspelt) => return, // Said as an unknown key already.
            [] => format!("needs one of {}", choices.join(", ")),
            several => format!("{} exclude each other; keep one", several.join(" and ")),
        };
        self.add(pointer, message, None);
    }

    fn bad_text(&mut self, pointer: &str, value: &Value, format: &str) {
        let reason = reason_of(format, value.as_str().unwrap_or_default());
        self.add(pointer, reason.message, reason.help);
        if let Some(rule) = reason.rule {
            self.known_as(rule);
        }
    }

    fn bad_key(&mut self, pointer: &str, inner: &ValidationError<'_>) {
        let key = inner.instance().as_str().unwrap_or_default().to_owned();
        let reason = match inner.kind() {
            ValidationErrorKind::Format { format } => reason_of(format, &key),
            _ => reason_of("", &key),
        };
        self.misfits.push(Misfit {
            pointer: child(pointer, &key),
            at_key: true,
            message: format!("`{}` is {}", shorten(&key), reason.message),
            help: reason.help,
            known_key: None,
            rule: reason.rule,
        });
    }
}

fn reason_of(format: &str, text: &str) -> Reason {
    let reader = FORMATS.iter().find(|(name, _)| *name == format);
    reader
        .and_then(|(_, reason)| reason(text))
        .unwrap_or_else(|| plain("does not fit"))
}

fn is_required(error: &ValidationError<'_>, pointer: &str) -> bool {
    matches!(error.kind(), ValidationErrorKind::Required { .. })
        && error.instance_path().as_str() == pointer
}

fn constant(error: &ValidationError<'_>, pointer: &str) -> Option<String> {
    match error.kind() {
        ValidationErrorKind::Constant { expected_value }
            if error.instance_path().as_str() == pointer =>
        {
            scalar_text(expected_value)
        }
        _ => None,
    }
}

fn texts(values: &[Value]) -> Vec<String> {
    values.iter().filter_map(scalar_text).collect()
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
