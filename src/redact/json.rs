//! JSON, also broken or cut: the text is scanned rather than parsed, and stays as it was apart from hidden values.

use super::names::{self, Rule};
use super::{DEPTH_LIMIT, mark, text, value};

/// A JSON text, or what is left of one.
pub(super) fn redact(json: &str, depth: usize) -> String {
    if depth > DEPTH_LIMIT {
        return mark(json);
    }
    let mut scan = Scan {
        clean: String::with_capacity(json.len()),
        containers: Vec::new(),
        rule: Rule::Keep,
        after: '{',
        depth,
    };
    let mut rest = json;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => scan.string(rest),
            '{' | '[' => scan.open(first),
            '}' | ']' => scan.close(first),
            ',' => scan.next(),
            ':' => scan.pass(first),
            space if space.is_whitespace() => scan.pass(space),
            _ => scan.scalar(rest),
        };
        if !first.is_whitespace() {
            scan.after = first;
        }
        rest = &rest[length..];
    }
    scan.clean
}

struct Scan {
    clean: String,
    containers: Vec<Container>,
    /// Rule of the name before the value that comes next.
    rule: Rule,
    /// First character of the token before this one.
    after: char,
    depth: usize,
}

/// An open object or array.
struct Container {
    is_object: bool,
    /// It belongs to a secret's name, and so does all in it.
    is_hidden: bool,
}

impl Scan {
    fn pass(&mut self, character: char) -> usize {
        self.clean.push(character);
        character.len_utf8()
    }

    fn open(&mut self, bracket: char) -> usize {
        self.containers.push(Container {
            is_object: bracket == '{',
            is_hidden: self.effective() == Rule::Hide,
        });
        self.rule = Rule::Keep;
        self.pass(bracket)
    }

    fn close(&mut self, bracket: char) -> usize {
        self.containers.pop();
        self.rule = Rule::Keep;
        self.pass(bracket)
    }

    fn next(&mut self) -> usize {
        self.rule = Rule::Keep;
        self.pass(',')
    }

    fn effective(&self) -> Rule {
        if self
            .containers
            .last()
            .is_some_and(|inside| inside.is_hidden)
        {
            return Rule::Hide;
        }
        self.rule
    }

    /// A string is a name only where one may stand: a value that a colon follows by mistake is still a value.
    fn expects_name(&self) -> bool {
        let in_object = self.containers.last().is_none_or(|inside| inside.is_object);
        in_object && ['{', ','].contains(&self.after)
    }

    /// A string: a name when a colon follows, a value otherwise. One without an end reaches to the end of the text.
    fn string(&mut self, rest: &str) -> usize {
        let end = unescaped(&rest[1..], b'"').map(|end| end + 1);
        let raw = &rest[1..end.unwrap_or(rest.len())];
        let length = end.map_or(rest.len(), |end| end + 1);
        let decoded = unescape(raw);
        let has_colon = end.is_some() && rest[length..].trim_start().starts_with(':');
        let is_name = has_colon && self.expects_name();
        let clean = if is_name {
            self.rule = names::rule(&decoded);
            text::redact_known_shapes(&decoded)
        } else {
            let clean = self.value(&decoded);
            self.rule = Rule::Keep;
            clean
        };
        self.clean.push('"');
        if clean == decoded {
            self.clean.push_str(raw);
        } else {
            self.clean.push_str(&escape(&clean));
        }
        if end.is_some() {
            self.clean.push('"');
        }
        length
    }

    fn value(&self, decoded: &str) -> String {
        match self.effective() {
            Rule::Hide => mark(decoded),
            Rule::Signature => text::signed(decoded),
            Rule::Code if !names::reads_as_error_code(decoded) => mark(decoded),
            Rule::Code | Rule::Keep => value(decoded, self.depth + 1),
        }
    }

    /// A number or word; in broken JSON, anything.
    fn scalar(&mut self, rest: &str) -> usize {
        let length = rest
            .find(|c: char| c.is_whitespace() || "\"{}[],:".contains(c))
            .unwrap_or(rest.len());
        let word = &rest[..length];
        let plain = ["true", "false", "null"].contains(&word);
        if !plain && self.effective() == Rule::Hide {
            self.clean.push_str(&mark(word));
        } else {
            self.clean.push_str(&text::redact(word));
        }
        length
    }
}

/// Where `quote` first stands without a backslash before it.
pub(super) fn unescaped(text: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// The string itself; a faulty escape leaves it as it is written.
fn unescape(raw: &str) -> String {
    if !raw.contains('\\') {
        return raw.to_owned();
    }
    serde_json::from_str(&format!("\"{raw}\"")).unwrap_or_else(|_| raw.to_owned())
}

fn escape(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
