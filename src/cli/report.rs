//! A run as text for people.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, TableStyle};

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
        let _ = writeln!(text, "  whose     {}", verdict.cause);
        let _ = writeln!(
            text,
            "  do now    {}: {}",
            verdict.action,
            verdict.action.advice()
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
