//! `validate`: everything that is wrong with the configuration, for people, programs and build servers.

use std::path::Path;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus};

use super::{Exit, Format, on_runtime, report, say, usual_file};
use crate::audit::{self, Finding, Severity};
use crate::config;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// Ask the providers as well: metadata, certificates, clocks, and whether runbooks answer
    #[arg(long)]
    online: bool,
    /// Warnings count as errors
    #[arg(long)]
    strict: bool,
}

/// Reads, audits and prints; only errors make it fail, with `--strict` warnings as well.
pub(crate) fn run(file: Option<&Path>, args: &Args) -> anyhow::Result<Exit> {
    let file = file.map_or_else(usual_file, Path::to_path_buf);
    let reading = config::read(&file);
    let disk = audit::disk::look(&reading);
    let answers = match &reading.daemon {
        Some(daemon) if args.online => {
            Some(on_runtime(async { Ok(audit::ask::ask(daemon).await?) })?)
        }
        _ => None,
    };
    let findings = audit::audit(&reading, &disk, answers.as_ref());
    let probes = reading
        .daemon
        .as_ref()
        .map_or(0, |daemon| daemon.probes.len());
    say(&match args.format {
        Format::Json => serde_json::to_string_pretty(&serde_json::json!({
            "findings": findings,
            "errors": count(&findings, Severity::Error),
            "warnings": count(&findings, Severity::Warning),
            "advice": count(&findings, Severity::Advice),
            "probes": probes,
            "online": answers.is_some(),
        }))?,
        Format::Junit => junit(&findings)?,
        Format::Github => findings.iter().map(annotation).collect(),
        Format::Pretty => pretty(&findings, &file, probes),
    })?;
    let is_bad = |finding: &Finding| match finding.severity {
        Severity::Error => true,
        Severity::Warning => args.strict,
        Severity::Advice => false,
    };
    Ok(match findings.iter().any(is_bad) {
        true => Exit::Config,
        false => Exit::Ok,
    })
}

fn count(findings: &[Finding], severity: Severity) -> usize {
    let of_it = |finding: &&Finding| finding.severity == severity;
    findings.iter().filter(of_it).count()
}

fn pretty(findings: &[Finding], file: &Path, probes: usize) -> String {
    let probes = match probes {
        1 => "1 probe".to_owned(),
        many => format!("{many} probes"),
    };
    if findings.is_empty() {
        return format!("{}: {probes}, nothing to put right", file.display());
    }
    let lines: String = findings.iter().map(paragraph).collect();
    let counts = [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Advice, "piece of advice", "pieces of advice"),
    ];
    let counts = counts.map(|(severity, one, many)| match count(findings, severity) {
        0 => None,
        1 => Some(format!("1 {one}")),
        number => Some(format!("{number} {many}")),
    });
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    format!("{lines}\n{probes}: {}", counts.join(", "))
}

fn paragraph(finding: &Finding) -> String {
    let mut text = format!("{}:", finding.file);
    if finding.line > 0 {
        text = format!("{text}{}:{}:", finding.line, finding.column);
    }
    text = format!("{text} {}[{}]", finding.severity.as_str(), finding.rule);
    if !finding.field.is_empty() {
        text = format!("{text} {}:", finding.field);
    }
    text = format!("{text} {}\n", finding.message);
    match &finding.fix {
        Some(fix) => format!("{text}  fix: {fix}\n"),
        None => text,
    }
}

/// A workflow command that marks the line in a pull request.
fn annotation(finding: &Finding) -> String {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Advice => "notice",
    };
    let mut message = finding.message.clone();
    if !finding.field.is_empty() {
        message = format!("{}: {message}", finding.field);
    }
    if let Some(fix) = &finding.fix {
        message = format!("{message}\n{fix}");
    }
    let place = match finding.line {
        0 => String::new(),
        line => format!(",line={line},col={}", finding.column),
    };
    let property = |text: &str| report::escape(text).replace(':', "%3A").replace(',', "%2C");
    format!(
        "::{command} file={}{place},title={}::{}\n",
        property(&finding.file),
        property(&finding.rule),
        report::escape(&message)
    )
}

/// One failed test case a finding; advice fails nothing.
fn junit(findings: &[Finding]) -> anyhow::Result<String> {
    let cases = findings.iter().map(|finding| {
        let status = match finding.severity {
            Severity::Error | Severity::Warning => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status
                    .set_type(finding.rule.as_str())
                    .set_message(finding.message.as_str())
                    .set_description(paragraph(finding));
                status
            }
            Severity::Advice => TestCaseStatus::success(),
        };
        TestCase::new(
            format!("{}:{} {}", finding.file, finding.line, finding.rule),
            status,
        )
    });
    report::junit_report("configuration", cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_escape_what_would_end_them() {
        let finding = Finding {
            rule: "invalid".to_owned(),
            severity: Severity::Error,
            file: "a,b.yaml".to_owned(),
            line: 2,
            column: 3,
            field: "client.auth".to_owned(),
            message: "100%".to_owned(),
            fix: Some("did you mean `none`?".to_owned()),
        };
        assert_eq!(
            annotation(&finding),
            "::error file=a%2Cb.yaml,line=2,col=3,title=invalid::client.auth: 100%25%0Adid you mean `none`?\n"
        );
        let whole = Finding {
            line: 0,
            severity: Severity::Advice,
            field: String::new(),
            fix: None,
            ..finding
        };
        assert_eq!(
            annotation(&whole),
            "::notice file=a%2Cb.yaml,title=invalid::100%25\n"
        );
    }
}
