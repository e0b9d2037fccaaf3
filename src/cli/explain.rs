//! `explain`: the runbook of a class in the terminal.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{Exit, say};
use crate::runbook;
use crate::taxonomy::Class;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Class of a verdict, such as `pkce_mismatch`; without one, what holds for all, and the list of them
    class: Option<String>,
    /// Of the notes on providers only those on this one, such as `keycloak`
    #[arg(long, value_name = "NAME", requires = "class")]
    provider: Option<String>,
}

/// Prints the runbook that was asked for.
pub(crate) fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.class {
        Some(class) => explain(class, args.provider.as_deref()),
        None => {
            say(&without_links(runbook::COMMON))?;
            Ok(Exit::Ok)
        }
    }
}

/// A word that is no class is answered with the nearest one, on stderr.
fn explain(word: &str, provider: Option<&str>) -> anyhow::Result<Exit> {
    let Ok(class) = word.parse::<Class>() else {
        let hint = match runbook::nearest(word) {
            Some(class) => format!("did you mean {class}?"),
            None => "`authcanary explain` lists all".to_owned(),
        };
        eprintln!("authcanary: there is no class {word}; {hint}");
        return Ok(Exit::Usage);
    };
    say(&without_links(&runbook::for_provider(class, provider)))?;
    Ok(Exit::Ok)
}

/// Nobody can follow a link to a file in a terminal: the names of classes stay, all else is a page of `explain`.
fn without_links(text: &str) -> String {
    static LINK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\[([^\]]*)\]\(([A-Za-z_]*)(?:\.md)?(#[a-z-]+)?\)").expect("a constant pattern")
    });
    let replace = |found: &Captures<'_>| match (&found[1], &found[2]) {
        ("README", _) => "`authcanary explain`".to_owned(),
        (words, "README") => format!("{words} (`authcanary explain`)"),
        (words, "") => words.to_owned(),
        (_, class) => format!("`{class}`"),
    };
    LINK.replace_all(text, replace).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn links_become_words() {
        let check = |markdown: &str, words: &str| assert_eq!(without_links(markdown), words);
        check("see [code_reused](code_reused.md).", "see `code_reused`.");
        check("[README](README.md#evidence)", "`authcanary explain`");
        check(
            "[the\norder](README.md#rotate-credentials)",
            "the\norder (`authcanary explain`)",
        );
        check("see [evidence](#evidence)", "see evidence");
        check(".exchanges[] | f(x)", ".exchanges[] | f(x)");
    }

    #[test]
    fn no_link_is_left_in_any_runbook() {
        for class in Class::all() {
            let text = without_links(runbook::text(class));
            assert!(!text.contains("]("), "{class}");
        }
        assert!(!without_links(runbook::COMMON).contains("]("));
    }

    #[test]
    fn commands_that_runbooks_name_exist() {
        let command = crate::cli::Args::command();
        let known: BTreeSet<&str> = command
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        let call = Regex::new(r"(?m)(?:`|&& |; |^\s*)authcanary ([a-z]+)").unwrap();
        let texts = Class::all().map(runbook::text).chain([runbook::COMMON]);
        let mut count = 0;
        for text in texts {
            for found in call.captures_iter(text) {
                assert!(known.contains(&found[1]), "authcanary {}", &found[1]);
                count += 1;
            }
        }
        assert!(count > 10, "only {count} were found: does the pattern fit?");
    }

    #[test]
    fn a_word_that_is_no_class_is_a_wrong_command_line() {
        assert_eq!(explain("pkce_missmatch", None).unwrap(), Exit::Usage);
        assert_eq!(explain("", None).unwrap(), Exit::Usage);
    }
}
