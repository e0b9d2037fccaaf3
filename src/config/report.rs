//! Where checks put what they find: pointers become places and names of keys.

use std::path::Path;

use super::fault::{Fault, rule};
use super::yaml::{Document, Mark};

/// Collects the faults of one file.
pub(super) struct Report<'a> {
    file: &'a Path,
    document: &'a Document,
    faults: &'a mut Vec<Fault>,
    rule: &'static str,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a Path, document: &'a Document, faults: &'a mut Vec<Fault>) -> Self {
        Self {
            file,
            document,
            faults,
            rule: rule::INVALID,
        }
    }

    /// The same report, for a fault that breaks this rule.
    pub(super) fn by(&mut self, rule: &'static str) -> Report<'_> {
        Report {
            file: self.file,
            document: self.document,
            faults: self.faults,
            rule,
        }
    }

    /// The value at this pointer is at fault.
    pub(super) fn value(&mut self, pointer: &str, message: impl Into<String>, help: &str) {
        self.push(
            self.document.value_mark(pointer),
            pointer,
            message.into(),
            help,
        );
    }

    /// The key at this pointer is at fault, or something is missing below it.
    pub(super) fn key(&mut self, pointer: &str, message: impl Into<String>, help: &str) {
        self.push(
            self.document.key_mark(pointer),
            pointer,
            message.into(),
            help,
        );
    }

    /// The line a pointer stands in.
    pub(super) fn line(&self, pointer: &str) -> usize {
        self.document.value_mark(pointer).line
    }

    fn push(&mut self, mark: Mark, pointer: &str, message: String, help: &str) {
        self.faults.push(Fault {
            file: self.file.to_owned(),
            line: mark.line,
            column: mark.column,
            field: field(pointer),
            message,
            help: (!help.is_empty()).then(|| help.to_owned()),
            rule: self.rule,
        });
    }
}

/// `/steps/1/resource` as people say it: `steps[1].resource`.
pub(super) fn field(pointer: &str) -> String {
    let mut field = String::new();
    for part in pointer.split('/').skip(1) {
        if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            field.push_str(&format!("[{part}]"));
        } else {
            if !field.is_empty() {
                field.push('.');
            }
            field.push_str(&super::yaml::shorten(
                &part.replace("~1", "/").replace("~0", "~"),
            ));
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_read_like_paths_of_keys() {
        assert_eq!(field("/steps/1/resource/get"), "steps[1].resource.get");
        assert_eq!(field("/0/a~1b"), "[0].a/b");
        assert_eq!(field(""), "");
    }
}
