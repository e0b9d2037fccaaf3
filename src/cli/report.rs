//! A run as text: for people, for build servers.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, TableStyle};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::run::Run;
use crate::taxonomy::Outcome;

/// The step table, the verdict in words and where the evidence lies.
pub(crate) fn pretty(run: &Run) -> String {
    let mut text = format!(
        "{}  {}  {}\n\n",
        run.probe,
        run.outcome,
        duration(run.duration_ms)
    );
    if !run.steps.is_empty() {
        let _ = writeln!(text, "{}\n", step_table(run));
    }
    for warning in &run.warnings {
        let _ = writeln!(
            text,
            "  warning   {} {}: {}",
            warning.stage, warning.class, warning.detail
        );
    }
    if let Some(verdict) = &run.verdict {
        let _ = writeln!(
            text,
            "  what      {}: {} ({})",
            verdict.stage,
            verdict.class,
            verdict.class.meaning()
        );
        let _ = writeln!(text, "  seen      {}", verdict.detail);
        if let Some(rule) = &verdict.rule {
            let _ = writeln!(text, "  rule      {rule}");
        }
        let _ = writeln!(text, "  whose     {}", verdict.cause);
        let _ = writeln!(
            text,
            "  do now    {}: {}",
            verdict.action,
            verdict.action.advice()
        );
        let _ = writeln!(
            text,
            "  more      authcanary explain {} --provider {}",
            verdict.class, run.provider
        );
    }
    if let Some(saved) = run
        .evidence
        .as_ref()
        .and_then(|evidence| evidence.saved.as_deref())
    {
        let _ = writeln!(text, "  evidence  {saved}");
    }
    text
}

fn step_table(run: &Run) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    for step in &run.steps {
        let mark = match step.outcome {
            Outcome::Ok => "ok",
            other => other.as_str(),
        };
        table.add_row(["", step.stage.as_str(), mark, &duration(step.duration_ms)]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Milliseconds below ten seconds, seconds above.
pub(crate) fn duration(ms: u64) -> String {
    if ms < 10_000 {
        format!("{ms} ms")
    } else {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    }
}

/// The run in one line.
pub(crate) fn line(run: &Run) -> String {
    let time = run.started_at.strftime("%H:%M:%S");
    let head = format!(
        "{time}  {:<28} {:<8} {:>8}",
        run.probe,
        run.outcome,
        duration(run.duration_ms)
    );
    match &run.verdict {
        Some(verdict) => format!(
            "{head}  {} {}: {}",
            verdict.stage, verdict.class, verdict.detail
        ),
        None => head,
    }
}

/// One test case a run; a run that could not be judged is an error, not a failure of the target.
pub(crate) fn junit(runs: &[Run]) -> anyhow::Result<String> {
    let cases = runs.iter().map(|run| {
        let status = match (&run.verdict, run.outcome) {
            (Some(verdict), outcome) => {
                let kind = match outcome {
                    Outcome::Unknown => NonSuccessKind::Error,
                    _ => NonSuccessKind::Failure,
                };
                let mut status = TestCaseStatus::non_success(kind);
                status
                    .set_type(verdict.class.as_str())
                    .set_message(format!("{}: {}", verdict.stage, verdict.class))
                    .set_description(pretty(run));
                status
            }
            (None, _) => TestCaseStatus::success(),
        };
        let mut case = TestCase::new(run.probe.as_str(), status);
        case.set_time(Duration::from_millis(run.duration_ms));
        case
    });
    junit_report("sign-in", cases)
}

pub(crate) fn junit_report(
    suite: &str,
    cases: impl Iterator<Item = TestCase>,
) -> anyhow::Result<String> {
    let mut suite = TestSuite::new(suite);
    suite.add_test_cases(cases);
    let mut report = Report::new("authcanary");
    report.add_test_suite(suite);
    Ok(report.to_string()?)
}

/// A workflow command that shows at the top of the job; nothing for a run that passed.
pub(crate) fn github(run: &Run) -> Option<String> {
    let verdict = run.verdict.as_ref()?;
    let level = if run.outcome == Outcome::Unknown {
        "warning"
    } else {
        "error"
    };
    let text = format!(
        "{} {}: {}; {}",
        verdict.stage,
        verdict.class,
        verdict.detail,
        verdict.action.advice()
    );
    Some(format!("::{level} title={}::{}", run.probe, escape(&text)))
}

/// Text inside a workflow command, which a line break would end.
pub(crate) fn escape(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}
