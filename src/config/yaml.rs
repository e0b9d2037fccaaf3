//! Text of a file to values with places. YAML 1.2 core schema; one document; anchors and aliases within a budget.
//! Whatever the bytes are, the answer is a value or a fault with its place: the parser is driven by events with an own
//! stack, so that depth and growth are bounded before anything recurses.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

/// Files larger than this are not configuration.
pub(super) const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Deeper than any known key stands.
const MAX_DEPTH: usize = 32;
/// Values of one file, with aliases unfolded.
const MAX_NODES: usize = 100_000;

/// Line and column, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A problem below the level of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) mark: Mark,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// A file as values, and where each stands.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    /// By JSON pointer: the key where there is one, and the value.
    places: HashMap<String, (Option<Mark>, Mark)>,
}

impl Document {
    /// Where the value of a pointer stands; of its nearest parent where it does not exist.
    pub(super) fn value_mark(&self, pointer: &str) -> Mark {
        self.nearest(pointer).1
    }

    /// Where the key of a pointer stands; the value where there is no key.
    pub(super) fn key_mark(&self, pointer: &str) -> Mark {
        let (key, value) = self.nearest(pointer);
        key.unwrap_or(value)
    }

    fn nearest(&self, pointer: &str) -> (Option<Mark>, Mark) {
        let mut rest = pointer;
        loop {
            if let Some(place) = self.places.get(rest) {
                return *place;
            }
            match rest.rfind('/') {
                Some(end) => rest = &rest[..end],
                None => return (None, Mark { line: 1, column: 1 }),
            }
        }
    }
}

/// Reads one file. Duplicate keys and the like are noted in `troubles` and the rest is read all the same; a text that
/// is no YAML gives no document.
pub(super) fn read(bytes: &[u8], troubles: &mut Vec<Trouble>) -> Option<Document> {
    let text = decode(bytes)
        .map_err(|trouble| troubles.push(trouble))
        .ok()?;
    let mut builder = Builder::default();
    let result = builder.run(text);
    troubles.append(&mut builder.troubles);
    let root = result.map_err(|trouble| troubles.push(trouble)).ok()?;
    let mut places = HashMap::new();
    let value = unfold(root, None, String::new(), &mut places);
    Some(Document { value, places })
}

fn decode(bytes: &[u8]) -> Result<&str, Trouble> {
    let start = Mark { line: 1, column: 1 };
    if bytes.len() > MAX_FILE_BYTES {
        return Err(trouble(start, "the file is larger than 1 MiB"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let last = good.rsplit('\n').next().unwrap_or_default();
        let mark = Mark {
            line: good.matches('\n').count() + 1,
            column: last.chars().count() + 1,
        };
        trouble(mark, "the file is not UTF-8 text")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A value under construction; aliases are copies of it.
#[derive(Debug, Clone)]
struct Node {
    mark: Mark,
    content: Content,
    /// This node and all below.
    count: usize,
    /// Levels below this node.
    depth: usize,
}

#[derive(Debug, Clone)]
enum Content {
    Scalar(Value),
    List(Vec<Node>),
    Mapping(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
struct Key {
    text: String,
    mark: Mark,
}

/// A list or mapping whose end has not come yet.
struct Open {
    node: Node,
    anchor: usize,
    keys: HashSet<String>,
    /// The key whose value comes next.
    key: Option<Key>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    troubles: Vec<Trouble>,
}

impl Builder {
    fn run(&mut self, text: &str) -> Result<Node, Trouble> {
        let mut parser = Parser::new_from_str(text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let place = mark_of(error.marker().line(), error.marker().col());
                Trouble {
                    mark: place,
                    message: format!("not valid YAML: {}", error.info()),
                    help: syntax_help(text, place.line),
                }
            })?;
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
                if documents > 1 {
                    let message = "a second document starts here; a file holds one";
                    return Err(trouble(start(&span), message));
                }
            }
            self.take(event, &span)?;
        }
        self.root
            .take()
            .ok_or_else(|| trouble(Mark { line: 1, column: 1 }, "the file is empty"))
    }

    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Trouble> {
        let mark = start(span);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_ref(), mark)
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), mark);
                self.begin(Content::List(Vec::new()), anchor, mark)
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), mark);
                self.begin(Content::Mapping(Vec::new()), anchor, mark)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(_) if self.awaits_key() => Err(trouble(mark, "an alias cannot be a key")),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) if self.nodes + node.count <= MAX_NODES => {
                    let node = node.clone();
                    self.place(node, 0)
                }
                Some(_) => Err(trouble(
                    mark,
                    "the aliases of this file unfold into too much",
                )),
                None => Err(trouble(mark, "this alias stands inside its own anchor")),
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, content: Content, anchor: usize, mark: Mark) -> Result<(), Trouble> {
        if self.awaits_key() {
            return Err(trouble(mark, "a list or mapping cannot be a key"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(trouble(mark, "nested too deeply"));
        }
        let node = Node {
            mark,
            content,
            count: 1,
            depth: 0,
        };
        self.open.push(Open {
            node,
            anchor,
            keys: HashSet::new(),
            key: None,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Trouble> {
        match self.open.pop() {
            Some(done) => self.place(done.node, done.anchor),
            None => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Cow<'_, Tag>>,
        mark: Mark,
    ) -> Result<(), Trouble> {
        if self.awaits_key() {
            self.key(text, mark);
            return Ok(());
        }
        self.tag(tag.map(Cow::as_ref), mark);
        let scalar = Scalar::parse_from_cow_and_metadata(text.into(), style, tag);
        let value = match scalar {
            Some(scalar) => plain(scalar, text),
            None => {
                let message = "the value does not fit its tag";
                self.troubles.push(trouble(mark, message));
                Value::String(text.to_owned())
            }
        };
        let node = Node {
            mark,
            content: Content::Scalar(value),
            count: 1,
            depth: 0,
        };
        self.place(node, anchor)
    }

    fn awaits_key(&self) -> bool {
        self.open.last().is_some_and(|open| {
            open.key.is_none() && matches!(open.node.content, Content::Mapping(_))
        })
    }

    fn key(&mut self, text: &str, mark: Mark) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        if !open.keys.insert(text.to_owned()) {
            let message = format!("the key `{}` stands here a second time", shorten(text));
            self.troubles.push(Trouble {
                mark,
                message,
                help: Some("keep one of the two".to_owned()),
            });
        }
        open.key = Some(Key {
            text: text.to_owned(),
            mark,
        });
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Trouble> {
        self.nodes += node.count;
        if self.nodes > MAX_NODES {
            return Err(trouble(node.mark, "too many values for one file"));
        }
        if self.open.len() + node.depth > MAX_DEPTH {
            return Err(trouble(node.mark, "nested too deeply"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.node.count += node.count;
        open.node.depth = open.node.depth.max(node.depth + 1);
        match (&mut open.node.content, open.key.take()) {
            (Content::Mapping(entries), Some(key)) => entries.push((key, node)),
            (Content::List(items), _) => items.push(node),
            (Content::Mapping(_) | Content::Scalar(_), _) => {
                unreachable!("only lists and mappings are open, and a mapping takes its key first")
            }
        }
        Ok(())
    }

    fn tag(&mut self, tag: Option<&Tag>, mark: Mark) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.troubles.push(Trouble {
                mark,
                message: format!("the tag `{}` is not understood", shorten(&tag.to_string())),
                help: Some("leave it out; secrets are references such as {env: NAME}".to_owned()),
            });
        }
    }
}

fn plain(scalar: Scalar<'_>, text: &str) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::Bool(value),
        Scalar::Integer(value) => Value::from(value),
        // `.inf` and `.nan` are no JSON numbers; as text they are refused where a number is due.
        Scalar::FloatingPoint(value) => {
            Number::from_f64(value.0).map_or_else(|| Value::String(text.to_owned()), Value::Number)
        }
        Scalar::String(value) => Value::String(value.into_owned()),
    }
}

/// Recursion is bounded by `MAX_DEPTH`, aliases included.
fn unfold(
    node: Node,
    key: Option<Mark>,
    pointer: String,
    places: &mut HashMap<String, (Option<Mark>, Mark)>,
) -> Value {
    let value = match node.content {
        Content::Scalar(value) => value,
        Content::List(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| unfold(item, None, format!("{pointer}/{index}"), places))
                .collect(),
        ),
        Content::Mapping(entries) => {
            let mut map = Map::new();
            for (key, item) in entries {
                let below = child(&pointer, &key.text);
                // The first of two equal keys counts; the second is a fault already.
                if !map.contains_key(&key.text) {
                    let value = unfold(item, Some(key.mark), below, places);
                    map.insert(key.text, value);
                }
            }
            Value::Object(map)
        }
    };
    places.insert(pointer, (key, node.mark));
    value
}

/// The pointer of a key below another (RFC 6901 section 3).
pub(super) fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Keeps what strangers wrote from flooding a message.
pub(super) fn shorten(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(61)
        .collect();
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn start(span: &Span) -> Mark {
    mark_of(span.start.line(), span.start.col())
}

/// The parser counts lines from 1 and columns from 0.
fn mark_of(line: usize, column: usize) -> Mark {
    Mark {
        line: line.max(1),
        column: column + 1,
    }
}

fn trouble(mark: Mark, message: &str) -> Trouble {
    Trouble {
        mark,
        message: message.to_owned(),
        help: None,
    }
}

fn syntax_help(text: &str, line: usize) -> Option<String> {
    let near = text.lines().skip(line.saturating_sub(2)).take(2);
    let has_tab = near
        .map(|line| &line[..line.len() - line.trim_start().len()])
        .any(|indent| indent.contains('\t'));
    has_tab.then(|| "indent with spaces; YAML does not allow tabs there".to_owned())
}

#[cfg(test)]
mod tests;
