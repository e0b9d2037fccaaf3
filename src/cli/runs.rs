//! `runs` and `show`: what a daemon has on record.

use comfy_table::{CellAlignment, Table, TableStyle};
use serde::Deserialize;
use serde_json::Value;

use super::client::{Client, Form, Server};
use super::{Exit, report, say};
use crate::run::{Run, RunId};
use crate::taxonomy::Outcome;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only runs of this probe
    probe: Option<String>,
    /// Only runs that ended so: ok, degraded, failed or unknown
    #[arg(long)]
    outcome: Option<Outcome>,
    /// How many, from 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only runs older than this one
    #[arg(long, value_name = "RUN", value_parser = run_id)]
    before: Option<RunId>,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Id of the run
    #[arg(value_parser = run_id)]
    run: RunId,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

fn run_id(text: &str) -> Result<RunId, String> {
    text.parse()
        .map(RunId)
        .map_err(|_| "a run id is a UUID, as `authcanary runs` shows them".to_owned())
}

/// Lists runs, newest first.
pub(crate) async fn list(args: Args) -> anyhow::Result<Exit> {
    #[derive(Deserialize)]
    struct Runs {
        runs: Vec<Run>,
        next_before: Option<RunId>,
    }
    let mut filter = vec![("limit", args.limit.to_string())];
    filter.extend(args.probe.map(|probe| ("probe", probe)));
    filter.extend(args.outcome.map(|outcome| ("outcome", outcome.to_string())));
    filter.extend(args.before.map(|before| ("before", before.to_string())));
    let answer: Value = Client::new(&args.server)
        .await?
        .get("runs", &filter)
        .await?;
    if args.format == Form::Json {
        say(&serde_json::to_string_pretty(&answer)?)?;
        return Ok(Exit::Ok);
    }
    let Runs { runs, next_before } = serde_json::from_value(answer)?;
    if runs.is_empty() {
        eprintln!("no runs");
        return Ok(Exit::Ok);
    }
    say(&table(&runs).to_string())?;
    if let Some(before) = next_before {
        eprintln!("older ones: --before {before}");
    }
    Ok(Exit::Ok)
}

fn table(runs: &[Run]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    for run in runs {
        let why = run.verdict.as_ref().map_or_else(String::new, |verdict| {
            format!("{}: {}", verdict.stage, verdict.class)
        });
        table.add_row([
            run.started_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            run.id.to_string(),
            run.probe.to_string(),
            run.outcome.to_string(),
            report::duration(run.duration_ms),
            why,
        ]);
    }
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Shows everything that is known of one run.
pub(crate) async fn show(args: ShowArgs) -> anyhow::Result<Exit> {
    let client = Client::new(&args.server).await?;
    let answer: Value = client.get(&format!("runs/{}", args.run), &[]).await?;
    if args.format == Form::Json {
        say(&serde_json::to_string_pretty(&answer)?)?;
        return Ok(Exit::Ok);
    }
    if answer.get("state").is_some() {
        say(&format!("{}: still running", args.run))?;
        return Ok(Exit::Ok);
    }
    let run: Run = serde_json::from_value(answer)?;
    let started = run.started_at.strftime("%Y-%m-%d %H:%M:%SZ");
    say(&format!(
        "{}run       {}, begun {started}",
        report::pretty(&run),
        run.id
    ))?;
    Ok(Exit::Ok)
}
