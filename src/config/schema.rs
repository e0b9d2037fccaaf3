//! The JSON Schema of both files: what editors complete from, and what `explain` checks with. Generated from the types
//! that serde reads, then made plain: no `null`, no unknown keys, one mapping instead of a union of one-key mappings.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::daemon::DaemonFile;
use super::probe::ProbeFile;

/// The two kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `authcanary.yaml`
    Daemon,
    /// A file of `probes/`.
    Probe,
}

/// JSON Schema, draft 2020-12, of one kind of file. Without a kind: one schema that takes a file of either kind; the
/// two stand in its `$defs` as `DaemonFile` and `ProbeFile`.
pub fn schema(kind: Option<FileKind>) -> Value {
    match kind {
        Some(FileKind::Daemon) => root::<DaemonFile>("authcanary daemon file"),
        Some(FileKind::Probe) => root::<ProbeFile>("authcanary probe file"),
        None => both(),
    }
}

fn both() -> Value {
    let mut generator = settings().into_generator();
    generator.subschema_for::<DaemonFile>();
    generator.subschema_for::<ProbeFile>();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "authcanary files",
        "description": "A daemon file or a probe file.",
        "anyOf": [{"$ref": "#/$defs/DaemonFile"}, {"$ref": "#/$defs/ProbeFile"}],
        "$defs": generator.take_definitions(true),
    })
}

fn root<T: JsonSchema>(title: &str) -> Value {
    let mut schema = settings().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(without_null))
        .with_transform(OneKeyMappings)
        .with_transform(RecursiveTransform(closed))
        .with_transform(RecursiveTransform(on_one_line))
}

/// An optional key may be left out; it is not written as `null`.
fn without_null(schema: &mut Schema) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    // That of a whole section says nothing that those of its keys do not say.
    if matches!(map.get("default"), Some(Value::Null | Value::Object(_))) {
        map.remove("default");
    }
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = map.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(branches)) = map.get_mut("anyOf") {
        branches.retain(|branch| branch != &json!({"type": "null"}));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            map.remove("anyOf");
            for (key, value) in only {
                map.entry(key).or_insert(value);
            }
        }
    }
}

/// `oneOf` of mappings with one key each, as serde writes an enum, becomes one mapping with exactly one of the keys:
/// the same values fit, editors complete it, and a fault is about the key that was meant.
#[derive(Clone)]
struct OneKeyMappings;

impl Transform for OneKeyMappings {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(map) = schema.as_object_mut()
            && let Some(properties) = map.get("oneOf").and_then(one_key_mappings)
        {
            map.remove("oneOf");
            map.insert("type".to_owned(), "object".into());
            map.insert("properties".to_owned(), properties.into());
            map.insert("minProperties".to_owned(), 1.into());
            map.insert("maxProperties".to_owned(), 1.into());
        }
        transform_subschemas(self, schema);
    }
}

fn one_key_mappings(branches: &Value) -> Option<Map<String, Value>> {
    let mut merged = Map::new();
    for branch in branches.as_array()? {
        let properties = branch.get("properties")?.as_object()?;
        let (key, value) = properties.iter().next().filter(|_| properties.len() == 1)?;
        let mut value = value.clone();
        if let (Some(property), Some(text)) = (value.as_object_mut(), branch.get("description")) {
            property.insert("description".to_owned(), text.clone());
        }
        merged.insert(key.clone(), value);
    }
    Some(merged)
}

/// A mapping of known keys takes no others.
fn closed(schema: &mut Schema) {
    if let Some(map) = schema.as_object_mut()
        && map.contains_key("properties")
    {
        map.entry("additionalProperties")
            .or_insert(Value::Bool(false));
    }
}

/// Source lines are broken where the source needs it, not the reader.
fn on_one_line(schema: &mut Schema) {
    if let Some(map) = schema.as_object_mut()
        && let Some(Value::String(text)) = map.get_mut("description")
    {
        *text = text
            .replace("\n\n", "\u{0}")
            .replace('\n', " ")
            .replace('\u{0}', "\n\n");
    }
}

/// The schema node at a pointer, references followed.
pub(super) fn node<'a>(root: &'a Value, pointer: &str) -> Option<&'a Value> {
    let mut here = follow(root, root)?;
    for part in pointer.split('/').skip(1).filter(|part| *part != "$ref") {
        let part = part.replace("~1", "/").replace("~0", "~");
        here = match here {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => here.get(&part)?,
        };
        here = follow(root, here)?;
    }
    Some(here)
}

/// A node itself, or what it refers to.
pub(super) fn follow<'a>(root: &'a Value, node: &'a Value) -> Option<&'a Value> {
    match node.get("$ref").and_then(Value::as_str) {
        Some(reference) => root.pointer(reference.strip_prefix('#')?),
        None => Some(node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &Value, visit: &mut dyn FnMut(&str, &Value), path: &str) {
        visit(path, value);
        match value {
            Value::Object(map) => {
                for (key, below) in map {
                    check(below, visit, &format!("{path}/{key}"));
                }
            }
            Value::Array(items) => {
                for (index, below) in items.iter().enumerate() {
                    check(below, visit, &format!("{path}/{index}"));
                }
            }
            _ => {}
        }
    }

    #[test]
    fn schemas_are_schemas_of_the_draft_they_name() {
        for kind in [None, Some(FileKind::Daemon), Some(FileKind::Probe)] {
            let schema = schema(kind);
            assert_eq!(
                schema["$schema"],
                "https://json-schema.org/draft/2020-12/schema"
            );
            jsonschema::draft202012::meta::validate(&schema).unwrap();
            jsonschema::validator_for(&schema).unwrap();
        }
    }

    #[test]
    fn every_key_is_described() {
        let schema = schema(None);
        let mut silent = Vec::new();
        check(
            &schema,
            &mut |path, node| {
                for (key, property) in node
                    .get("properties")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                {
                    let own = property.get("description");
                    if own
                        .or(follow(&schema, property).unwrap().get("description"))
                        .is_none()
                    {
                        silent.push(format!("{path}/{key}"));
                    }
                }
            },
            "",
        );
        assert_eq!(silent, Vec::<String>::new());
    }

    #[test]
    fn every_mapping_of_known_keys_is_closed_and_nothing_is_null() {
        check(
            &schema(None),
            &mut |path, node| {
                assert_ne!(node, &json!("null"), "{path}");
                assert_ne!(node, &Value::Null, "{path}");
                if node
                    .get("properties")
                    .is_some_and(|properties| properties.get("type").is_none())
                {
                    assert_eq!(node["additionalProperties"], json!(false), "{path}");
                }
            },
            "",
        );
    }

    #[test]
    fn every_format_has_a_reader() {
        let known: Vec<&str> = super::super::scalar::FORMATS
            .iter()
            .map(|(name, _)| *name)
            .collect();
        check(
            &schema(None),
            &mut |path, node| {
                // Formats of numbers tell their width.
                let text = node.get("type") == Some(&json!("string"));
                if let Some(format) = node.get("format").and_then(Value::as_str).filter(|_| text) {
                    assert!(known.contains(&format), "{path}: {format}");
                }
            },
            "",
        );
    }
}
