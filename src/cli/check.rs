//! `check`: run probes now, in this process, print what happened and exit.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::spawn_blocking;

use super::{Exit, Format, report, say, serve};
use crate::config::Daemon;
use crate::evidence::Folder;
use crate::journey::{Tools, Watcher};
use crate::pipeline::{self, Control};
use crate::probe::Probe;
use crate::run::Run;
use crate::taxonomy::Outcome;
use crate::telemetry::{self, Telemetry};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Probes by name (`provider/environment`); all of the file when none is named
    probes: Vec<String>,
    #[arg(long, value_enum, default_value_t = Format::Pretty)]
    format: Format,
    /// Run each probe so many times, one after the other
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
}

impl Args {
    /// One probe, once, for people.
    pub(crate) fn once(probe: String) -> Self {
        Self {
            probes: vec![probe],
            format: Format::Pretty,
            repeat: 1,
        }
    }
}

/// Runs the named probes and reports; a failed target outweighs one that could not be judged.
pub(crate) async fn run(daemon: Daemon, args: Args) -> anyhow::Result<Exit> {
    let Some(probes) = chosen(&daemon.probes, &args.probes) else {
        return Ok(Exit::Usage);
    };
    let bar = progress_bar();
    let tools = Tools::new(&daemon.http, daemon.browser.clone(), watcher(bar.clone()))?;
    let control = Control::new(&tools, daemon.egress.clone(), &daemon.probes);
    let folder = Folder::for_commands(&daemon.store.path);
    // Its figures would pass for those of the daemon, and say nothing after one run.
    let exporters = serve::exporters(&daemon).await?.without_metrics();
    let telemetry = Telemetry::exporting(&daemon.location, exporters, None, daemon.max_series)?;
    let pace = daemon.browser.max_sessions.max(1);
    let runs: Vec<Vec<Run>> = stream::iter(&probes)
        .map(|probe| {
            repeat(
                probe,
                args.repeat,
                &daemon.location,
                &tools,
                &control,
                &folder,
            )
        })
        .buffered(pace)
        .inspect(|runs| runs.iter().for_each(|run| telemetry.send_trace(run)))
        .collect()
        .await;
    tools.shutdown().await;
    let sent = spawn_blocking(move || telemetry.shutdown(serve::FLUSH)).await;
    bar.finish_and_clear();
    if !sent? {
        eprintln!("authcanary: the collector did not take all telemetry of this");
    }
    let runs: Vec<Run> = runs.into_iter().flatten().collect();
    print(&runs, args.format)?;
    Ok(exit(&runs))
}

async fn repeat(
    probe: &Probe,
    times: u32,
    location: &str,
    tools: &Tools,
    control: &Control,
    folder: &Folder,
) -> Vec<Run> {
    let mut runs = Vec::new();
    for _ in 0..times {
        let id = pipeline::new_run_id();
        let walk = async {
            let run = pipeline::execute(probe, id, location, None, tools).await;
            control.review(probe, run).await
        };
        let mut run = telemetry::within(id, walk).await;
        if let Err(error) = tokio::task::block_in_place(|| folder.save(&mut run)) {
            tracing::warn!(error = %error, "the evidence of run {} could not be saved", run.id);
        }
        runs.push(run);
    }
    runs
}

/// The probes that were asked for; `None` after saying which name is not there.
fn chosen(all: &[Probe], names: &[String]) -> Option<Vec<Probe>> {
    let known: BTreeSet<&str> = all.iter().map(|probe| probe.id.as_str()).collect();
    let mut good = true;
    for name in names.iter().filter(|name| !known.contains(name.as_str())) {
        good = false;
        let nearest = known
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        let hint = nearest
            .map(|nearest| format!("; did you mean {nearest}?"))
            .unwrap_or_default();
        eprintln!("authcanary: there is no probe {name}{hint}");
    }
    let asked =
        |probe: &&Probe| names.is_empty() || names.iter().any(|name| name == probe.id.as_str());
    good.then(|| all.iter().filter(asked).cloned().collect())
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is fixed");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Where nobody watches a terminal each step is a line, so that a build log shows where time goes.
fn watcher(bar: ProgressBar) -> Watcher {
    Arc::new(move |probe, stage| {
        if bar.is_hidden() {
            eprintln!("{probe}: {stage} …");
        } else {
            bar.set_message(format!("{probe}: {stage}"));
        }
    })
}

fn print(runs: &[Run], format: Format) -> anyhow::Result<()> {
    say(&match format {
        Format::Json => serde_json::to_string_pretty(&serde_json::json!({ "runs": runs }))?,
        Format::Pretty => runs
            .iter()
            .map(report::pretty)
            .collect::<Vec<_>>()
            .join("\n"),
        Format::Junit => report::junit(runs)?,
        Format::Github => runs
            .iter()
            .filter_map(report::github)
            .collect::<Vec<_>>()
            .join("\n"),
    })
}

fn exit(runs: &[Run]) -> Exit {
    let any = |outcome| runs.iter().any(|run| run.outcome == outcome);
    if any(Outcome::Failed) {
        Exit::Failed
    } else if any(Outcome::Unknown) {
        Exit::Unknown
    } else {
        Exit::Ok
    }
}
