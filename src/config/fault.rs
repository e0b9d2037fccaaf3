//! What is wrong with a file, in words a tired person can act on. Values of the file are never shown where they could
//! be a secret.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file as it was named or found.
    pub file: PathBuf,
    /// Counted from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// Counted in characters from 1; 0 where the file as a whole is meant.
    pub column: usize,
    /// Path of the key, such as `environments.prod.client.auth`; empty for the file as a whole.
    pub field: String,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead, where that is known.
    pub help: Option<String>,
    /// Id of the rule that it breaks: one of [`rule`].
    pub rule: &'static str,
}

/// Ids of the rules that reading a file holds it to. What they say is in the table of the audit.
pub mod rule {
    /// Anything that has no rule of its own.
    pub const INVALID: &str = "invalid";
    pub const LITERAL_SECRET: &str = "literal-secret";
    pub const PLAIN_HTTP: &str = "plain-http";
    pub const REDIRECT_URI_FRAGMENT: &str = "redirect-uri-fragment";
    pub const ROUTE_WITHOUT_CHANNEL: &str = "route-without-channel";
    pub const TIMEOUT_OVER_INTERVAL: &str = "timeout-over-interval";
    pub const UNKNOWN_CHANNEL: &str = "unknown-channel";
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.field.is_empty() {
            write!(f, " {}:", self.field)?;
        }
        write!(f, " {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration: sorted by file and place, no two alike, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Sorts and removes repeats; `None` when there is nothing wrong.
    pub(super) fn collect(mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by(|a, b| order(a).cmp(&order(b)));
        faults.dedup_by(|a, b| order(a) == order(b));
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// The faults, in the order of files and lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "{fault}")?;
        }
        match self.0.len() {
            1 => f.write_str("1 fault"),
            many => write!(f, "{many} faults"),
        }
    }
}

fn order(fault: &Fault) -> impl Ord {
    (
        fault.file.clone(),
        fault.line,
        fault.column,
        fault.message.clone(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: usize, message: &str) -> Fault {
        Fault {
            file: PathBuf::from("a,b.yaml"),
            line,
            column: 3,
            field: "client.auth".to_owned(),
            message: message.to_owned(),
            help: Some("did you mean `none`?".to_owned()),
            rule: rule::INVALID,
        }
    }

    #[test]
    fn faults_are_sorted_and_said_once() {
        let faults = Faults::collect(vec![fault(9, "b"), fault(2, "a"), fault(9, "b")]).unwrap();
        assert_eq!(
            faults.to_string(),
            "a,b.yaml:2:3: client.auth: a\n  help: did you mean `none`?\n\
             a,b.yaml:9:3: client.auth: b\n  help: did you mean `none`?\n2 faults"
        );
        assert_eq!(Faults::collect(Vec::new()), None);
    }
}
