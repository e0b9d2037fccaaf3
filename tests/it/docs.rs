//! Every example in the documents: files are valid, commands can be typed, links lead somewhere, references are current.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use authcanary::audit::disk::Disk;
use authcanary::audit::{Severity, audit};
use authcanary::cli;
use authcanary::config::{load, read};
use authcanary::taxonomy::{Class, Outcome, Stage};
use clap::error::ErrorKind;
use clap::{Arg, Command};
use saphyr::LoadableYamlNode;

/// A whole probe file that fragments can be added to.
const BASE: &str = "version: 1\nprovider: generic\nenvironments:\n  prod:\n    issuer: https://sso.example.com\n    \
                    client: {id: canary, secret: {env: SECRET}}\n    redirect_uri: https://app.example.com/cb\n    \
                    account: {username: canary, password: {env: PASSWORD}, totp: {env: TOTP}}\n\n";

/// All Markdown that is shipped.
fn documents() -> Vec<(PathBuf, String)> {
    let mut folders = vec![
        PathBuf::from("docs"),
        PathBuf::from("probes"),
        PathBuf::from("dashboards"),
        PathBuf::from("systemd"),
    ];
    let mut found: Vec<PathBuf> = fs::read_dir(".")
        .unwrap()
        .map(|entry| entry.unwrap().path().strip_prefix(".").unwrap().to_owned())
        .filter(|path| path.is_file())
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    found.sort();
    assert!(found.len() > 80, "{}", found.len());
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    };
    found.into_iter().map(text).collect()
}

/// Fenced blocks of a document, by kind, without the indentation of a list around them; and the prose between them.
fn apart(text: &str) -> (Vec<(String, String)>, String) {
    let mut blocks = Vec::new();
    let mut prose = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.trim_start().strip_prefix("```") else {
            let _ = writeln!(prose, "{line}");
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let inside = inside.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default()));
        blocks.push((kind.trim().to_owned(), inside.collect()));
    }
    (blocks, prose)
}

#[test]
fn every_block_is_of_a_kind_that_is_tried() {
    let mut seen = BTreeSet::new();
    for (path, text) in documents() {
        for (kind, block) in apart(&text).0 {
            let place = path.display();
            match kind.as_str() {
                "yaml" => valid(&path, &block),
                "yaml fragment" => valid(&path, &format!("{BASE}{block}")),
                // Files of other programs.
                "yml" => drop(
                    saphyr::Yaml::load_from_str(&block)
                        .unwrap_or_else(|error| panic!("{place}: {error}\n{block}")),
                ),
                "json" => drop(
                    serde_json::from_str::<serde_json::Value>(&block)
                        .unwrap_or_else(|error| panic!("{place}: {error}\n{block}")),
                ),
                // Their commands are tried below; what else stands in them are tests of their own.
                "sh" | "text" | "promql" => (),
                other => panic!("{place}: nobody knows how to try a block of kind {other:?}"),
            }
            seen.insert(kind);
        }
    }
    assert!(seen.len() >= 6, "{seen:?}");
}

/// Whoever copies an example is neither refused nor told off for it.
fn valid(document: &Path, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("probes")).unwrap();
    for place in ["keycloak.yaml", "probes/keycloak.yaml"] {
        fs::copy("probes/generic.yaml", folder.path().join(place)).unwrap();
    }
    let file = folder.path().join("file.yaml");
    fs::write(&file, text).unwrap();
    if let Err(faults) = load(&file) {
        panic!("in {}:\n{faults}\n{text}", document.display());
    }
    let findings = audit(&read(&file), &Disk::default(), None);
    let bad = |severity| severity == Severity::Error;
    let bad: Vec<_> = findings
        .iter()
        .filter(|finding| bad(finding.severity))
        .collect();
    assert!(
        bad.is_empty(),
        "in {}:\n{bad:#?}\n{text}",
        document.display()
    );
}

/// Command lines of every document but the reference, which is made from the program and names its commands only.
fn all_commands() -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    for (path, text) in documents() {
        if path != Path::new("docs/reference/commands.md") {
            all.extend(commands(&text).into_iter().map(|line| (path.clone(), line)));
        }
    }
    all
}

/// Command lines of a text: in blocks for a shell, in indented lines, and in backticks.
fn commands(text: &str) -> Vec<String> {
    let (blocks, prose) = apart(text);
    let mut found = Vec::new();
    for (kind, block) in blocks {
        if kind == "sh" {
            found.extend(block.replace("\\\n", " ").lines().map(str::to_owned));
        }
    }
    found.extend(
        prose
            .lines()
            .filter_map(|line| line.strip_prefix("    "))
            .map(str::to_owned),
    );
    // What stands in backticks may go on in the next line.
    let paragraph = prose.replace('\n', " ");
    found.extend(paragraph.split('`').skip(1).step_by(2).map(str::to_owned));
    let alone = found.iter().filter_map(|line| command(line));
    alone.collect()
}

/// The command of a line: behind variables, before pipes, comments and what is said about it further right.
fn command(line: &str) -> Option<String> {
    let mut line = line.trim();
    while let Some((first, rest)) = line.split_once(' ')
        && first.contains('=')
        && first.starts_with(|c: char| c.is_ascii_uppercase())
    {
        line = rest.trim_start();
    }
    let ends = ["   ", " | ", " > ", " < ", " # ", " && ", "; "];
    let end = ends.iter().filter_map(|end| line.find(end)).min();
    let line = &line[..end.unwrap_or(line.len())];
    let is_ours = line.starts_with("authcanary ") && !line.contains('…') && !line.contains("= ");
    // What may be left out is typed as well, and a run that stands for any is one.
    let line = line.replace(['[', ']'], "");
    let any_run = "0190d2a8-7a5e-7c31-9d2c-3f1a8f6f2b11";
    let line = line.replace("$CI_URL", "https://ci.example.com/1");
    is_ours.then(|| {
        line.replace("show RUN", &format!("show {any_run}"))
            .trim()
            .to_owned()
    })
}

#[test]
fn every_command_can_be_typed() {
    let all = all_commands();
    for (path, line) in &all {
        let words = shell_words::split(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let Err(error) = cli::command().try_get_matches_from(&words) else {
            continue;
        };
        let is_name = words.len() == 2;
        let is_fine = match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => is_name,
            _ => false,
        };
        assert!(is_fine, "{}: {line}\n{error}", path.display());
    }
    assert!(all.len() > 60, "{}", all.len());
}

/// Those that need no daemon, no provider and no browser are run as they stand, from the folder of the repository.
#[test]
fn commands_that_need_nobody_work() {
    let mut run = BTreeSet::new();
    for (path, line) in all_commands() {
        let words = shell_words::split(&line).unwrap();
        let is_alone = match words[1].as_str() {
            "schema" => true,
            "explain" | "completions" => words.len() > 2,
            "validate" => line.contains("-c probes/") && !line.contains("--online"),
            _ => false,
        };
        let stands_for_any = |word: &String| word.chars().all(|c| c.is_ascii_uppercase());
        if !is_alone || words.iter().any(stands_for_any) || !run.insert(line.clone()) {
            continue;
        }
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_authcanary"))
            .args(&words[1..])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {line}\n{output:?}",
            path.display()
        );
    }
    assert!(run.len() >= 5, "{run:?}");
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        let folder = path.parent().unwrap();
        for link in apart(&text).1.replace('\n', " ").split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                folder.join(file)
            };
            if !file.exists() {
                wrong.push(format!("{}: {link}", path.display()));
            } else if !anchor.is_empty() && !anchors(&file).contains(anchor) {
                wrong.push(format!("{}: {link} (no such heading)", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Headings of a document as their addresses are made from them.
fn anchors(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let headings = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == ' ';
    headings
        .map(|heading| {
            heading
                .chars()
                .filter(|c| kept(*c))
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn the_index_names_every_document() {
    let index = fs::read_to_string("docs/README.md").unwrap();
    for (path, _) in documents() {
        let Ok(inside) = path.strip_prefix("docs") else {
            continue;
        };
        let is_listed = inside.starts_with("runbooks") || inside == Path::new("README.md");
        assert!(
            is_listed || index.contains(&format!("({})", inside.display())),
            "docs/README.md lacks {}",
            inside.display()
        );
    }
}

/// Compares, or writes where that is asked for.
fn held(path: &str, current: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, current).unwrap();
    }
    let shipped = fs::read_to_string(path).unwrap_or_default();
    assert!(
        shipped == current,
        "{path} is old; run the tests once with UPDATE_DOCS=1"
    );
}

#[test]
fn the_reference_of_commands_is_current() {
    let mut root = cli::command();
    root.build();
    let mut text = String::from(
        "# Commands\n\nMade from the program: `UPDATE_DOCS=1 cargo test --test it docs`.\n\n\
         Results go to stdout, all else to stderr. Exit codes:\n\n| code | meaning |\n| --- | --- |\n\
         | 0 | all is well |\n| 1 | a target failed |\n| 2 | could not judge, or this machine is at fault |\n\
         | 64 | the command line is wrong |\n| 78 | the configuration is wrong |\n\n## Of every command\n\n",
    );
    text += &table(root.get_arguments().filter(|arg| arg.is_global_set()));
    for command in root.get_subcommands() {
        section(command, "authcanary", &mut text);
    }
    held(
        "docs/reference/commands.md",
        &format!("{}\n", text.trim_end()),
    );
}

fn section(command: &Command, parent: &str, text: &mut String) {
    if command.get_name() == "help" {
        return;
    }
    let name = format!("{parent} {}", command.get_name());
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(text, "\n## `{name}`\n\n{about}.\n");
    if !command.has_subcommands() {
        let _ = write!(text, "\n```text\n{usage}\n```\n");
    }
    let own = command.get_arguments();
    let own = table(own.filter(|arg| !arg.is_global_set() && !arg.is_hide_set()));
    if !own.is_empty() {
        let _ = write!(text, "\n{own}");
    }
    for below in command.get_subcommands() {
        section(below, &name, text);
    }
}

fn table<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let rows: String = arguments
        .filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
        .map(row)
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("| argument | meaning |\n| --- | --- |\n{rows}"),
    }
}

fn row(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let value = arg.get_value_names().filter(|_| takes).map(|names| {
        let names: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
        names.join(" ")
    });
    let name = match (arg.get_long(), &value) {
        (Some(long), Some(value)) => format!("`--{long} {value}`"),
        (Some(long), None) => format!("`--{long}`"),
        (None, Some(value)) => format!("`{value}`"),
        (None, None) => format!("`{}`", arg.get_id()),
    };
    let short = arg
        .get_short()
        .map(|short| format!("`-{short}`, "))
        .unwrap_or_default();
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let choices: Vec<String> = match takes {
        true => arg
            .get_possible_values()
            .iter()
            .map(|value| format!("`{}`", value.get_name()))
            .collect(),
        false => Vec::new(),
    };
    if !choices.is_empty() {
        let _ = write!(
            meaning,
            "{}one of {}",
            separator(&meaning),
            choices.join(", ")
        );
    }
    if let (true, [default]) = (takes, arg.get_default_values()) {
        let default = default.to_string_lossy();
        let _ = write!(meaning, "{}`{default}` by default", separator(&meaning));
    }
    if let Some(variable) = arg.get_env() {
        let variable = variable.to_string_lossy();
        let _ = write!(meaning, "{}variable `{variable}`", separator(&meaning));
    }
    format!(
        "| {short}{name} | {} |\n",
        meaning.replace('|', "\\|").replace('\n', " ")
    )
}

fn separator(text: &str) -> &'static str {
    if text.is_empty() { "" } else { "; " }
}

#[test]
fn the_reference_of_classes_is_current() {
    let mut text = String::from(
        "# Classes\n\nMade from the program: `UPDATE_DOCS=1 cargo test --test it docs`.\n\n\
         What stopped a run, in the words of verdicts, labels, figures and runbooks. A name never changes its meaning. Cause and \
         action are those of the class; evidence, or a rule of a probe file, may say otherwise. A class whose outcome is `unknown` \
         says nothing about the provider.\n\n\
         | class | meaning | cause | action | outcome |\n| --- | --- | --- | --- | --- |\n",
    );
    for class in Class::all() {
        let name = class.as_str();
        let _ = writeln!(
            text,
            "| [`{name}`](../runbooks/{name}.md) | {} | `{}` | `{}` | `{}` |",
            class.meaning(),
            class.cause().as_str(),
            class.action().as_str(),
            class.outcome().as_str()
        );
    }
    text += "\n## Actions\n\n| action | advice | tried again by itself |\n| --- | --- | --- |\n";
    for action in authcanary::taxonomy::Action::all() {
        let again = if action.retryable() { "yes" } else { "no" };
        let _ = writeln!(
            text,
            "| `{}` | {} | {again} |",
            action.as_str(),
            action.advice()
        );
    }
    let names = |names: Vec<&'static str>| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let causes = authcanary::taxonomy::Cause::all()
        .map(|cause| cause.as_str())
        .collect();
    let stages = Stage::all().map(|stage| stage.as_str()).collect();
    let outcomes = Outcome::all().map(|outcome| outcome.as_str()).collect();
    let _ = write!(
        text,
        "\n## Other words\n\n- Stages, in the order of a journey: {}\n- Causes: {}\n- Outcomes: {}\n",
        names(stages),
        names(causes),
        names(outcomes)
    );
    held("docs/reference/classes.md", &text);
}
