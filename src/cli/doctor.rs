//! `doctor`: what is wrong with this machine, and what mends it.

use std::fmt::Write as _;
use std::path::Path;

use clap::ValueEnum;

use super::{Exit, on_runtime, say};
use crate::config::{self, Faults};
use crate::doctor::{self, Check, Level};

/// Columns of a line before a name is found in it.
const INDENT: usize = 28;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Pretty,
    /// For programs
    Json,
}

/// Looks the machine over. Where no file is named and none is in the usual places, only the machine.
pub(crate) fn run(file: Option<&Path>, args: &Args) -> anyhow::Result<Exit> {
    let file = file.map(Path::to_owned).or_else(config::default_file);
    let loaded = file.as_deref().map(config::load).transpose();
    let (config, faults) = match loaded {
        Ok(config) => (config, None),
        Err(faults) => (None, Some(faults)),
    };
    let checks = on_runtime(async { Ok(doctor::examine(config.as_ref()).await) })?;
    say(&match args.format {
        Form::Pretty => pretty(file.as_deref(), faults.as_ref(), &checks),
        Form::Json => json(file.as_deref(), faults.as_ref(), &checks)?,
    })?;
    Ok(exit(faults.is_some(), &checks))
}

/// A wrong configuration comes first: all that hangs on it was not looked at.
fn exit(has_faults: bool, checks: &[Check]) -> Exit {
    let worst = checks.iter().map(|check| check.level).max();
    match worst {
        _ if has_faults => Exit::Config,
        Some(Level::Fault) => Exit::Unknown,
        Some(Level::Elsewhere) => Exit::Failed,
        Some(Level::Warning | Level::Skipped | Level::Ok) | None => Exit::Ok,
    }
}

fn json(file: Option<&Path>, faults: Option<&Faults>, checks: &[Check]) -> anyhow::Result<String> {
    let faults: Vec<_> = faults.into_iter().flat_map(Faults::iter).collect();
    Ok(serde_json::to_string_pretty(&serde_json::json!({
        "config": file,
        "faults": faults,
        "checks": checks,
    }))?)
}

fn pretty(file: Option<&Path>, faults: Option<&Faults>, checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let line = format!("{:<9}  {:<15}  {}", check.level, check.check, check.found);
        let _ = writeln!(text, "{line}");
        if let Some(mend) = &check.mend {
            let _ = writeln!(text, "{:INDENT$}-> {mend}", "");
        }
    }
    let _ = writeln!(text, "\n{}", summary(checks));
    match (file, faults) {
        (_, Some(faults)) => {
            let _ = writeln!(
                text,
                "\nThe configuration is wrong. The machine was looked at by the settings that hold without one:\n{faults}"
            );
        }
        (None, None) => {
            let _ = writeln!(
                text,
                "Only the machine was looked at: `-c FILE` adds providers, secrets, store and channels."
            );
        }
        (Some(_), None) => (),
    }
    text
}

fn summary(checks: &[Check]) -> String {
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    let words = [
        (count(Level::Fault), "to mend"),
        (count(Level::Elsewhere), "not to be mended here"),
        (count(Level::Warning), "to look at"),
    ];
    let words: Vec<String> = words
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match words.is_empty() {
        true => "all is well".to_owned(),
        false => words.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(level: Level, mend: Option<&str>) -> Check {
        Check {
            check: "driver",
            level,
            found: "something".to_owned(),
            mend: mend.map(str::to_owned),
        }
    }

    #[test]
    fn the_worst_decides_the_exit_and_a_wrong_file_before_all() {
        let well = [check(Level::Ok, None), check(Level::Warning, Some("x"))];
        assert_eq!(exit(false, &well), Exit::Ok);
        let elsewhere = [check(Level::Elsewhere, None), check(Level::Ok, None)];
        assert_eq!(exit(false, &elsewhere), Exit::Failed);
        let ours = [check(Level::Fault, None), check(Level::Elsewhere, None)];
        assert_eq!(exit(false, &ours), Exit::Unknown);
        assert_eq!(exit(true, &ours), Exit::Config);
    }

    #[test]
    fn people_read_what_mends_below_what_is_wrong() {
        let checks = [
            check(Level::Fault, Some("apt-get install it")),
            check(Level::Warning, None),
        ];
        insta::assert_snapshot!(pretty(None, None, &checks), @r"
        fault      driver           something
                                    -> apt-get install it
        warning    driver           something

        1 to mend, 1 to look at
        Only the machine was looked at: `-c FILE` adds providers, secrets, store and channels.
        ");
        assert_eq!(summary(&[check(Level::Ok, None)]), "all is well");
    }
}
