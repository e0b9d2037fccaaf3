//! `export`: runs as JSON Lines or CSV, from a daemon or from a store that none has open.

use std::collections::HashMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use futures::{StreamExt, pin_mut};
use jiff::{SpanRelativeTo, Timestamp};
use tokio::task::spawn_blocking;

use super::Exit;
use super::client::{Client, Server};
use crate::clock;
use crate::config::Daemon;
use crate::export::{CSV_HEADER, Export, Form, Known};
use crate::probe::ProbeId;
use crate::store::{Span, Store};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only runs of this probe
    #[arg(long, value_name = "PROBE")]
    probe: Option<String>,
    /// Only runs that began since then, such as 2026-06-01T00:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "last")]
    from: Option<Timestamp>,
    /// Only runs that began before
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// Only the last so much: 24h, 30d
    #[arg(long, value_name = "TIME")]
    last: Option<jiff::Span>,
    #[arg(long, value_enum, default_value_t = Form::Jsonl)]
    format: Form,
    /// Read the folder of a store that no daemon has open, in place of asking one
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    #[command(flatten)]
    server: Server,
}

/// Writes everything to stdout; with a configuration, the intervals and maintenance windows of its probes are taken from there.
pub(crate) async fn run(config: Option<&Daemon>, args: Args) -> anyhow::Result<Exit> {
    let span = span(&args, clock::now())?;
    match args.store {
        Some(folder) => {
            let probe = args.probe.map(ProbeId::recorded);
            from_store(&folder, span, probe, args.format, config).await?;
        }
        None => {
            let form = match args.format {
                Form::Jsonl => "jsonl",
                Form::Csv => "csv",
            };
            let mut filter = vec![
                ("from", span.from.to_string()),
                ("to", span.to.to_string()),
                ("format", form.to_owned()),
            ];
            filter.extend(args.probe.map(|probe| ("probe", probe)));
            let answer = Client::new(&args.server)
                .await?
                .stream("export", &filter)
                .await?;
            pin_mut!(answer);
            while let Some(piece) = answer.next().await {
                if !put(&piece?)? {
                    break;
                }
            }
        }
    }
    Ok(Exit::Ok)
}

/// Everything that is kept, unless the arguments say less.
fn span(args: &Args, now: Timestamp) -> anyhow::Result<Span> {
    let to = args.to.unwrap_or(now);
    let from = match args.last {
        Some(last) => to
            .checked_sub(last.to_duration(SpanRelativeTo::days_are_24_hours())?)
            .context("--last goes back too far")?,
        None => args.from.unwrap_or(Timestamp::UNIX_EPOCH),
    };
    if from > to {
        bail!("--from lies after --to");
    }
    Ok(Span::new(from, to))
}

async fn from_store(
    folder: &Path,
    span: Span,
    probe: Option<ProbeId>,
    form: Form,
    config: Option<&Daemon>,
) -> anyhow::Result<()> {
    if !folder.join("db").is_dir() {
        bail!("there is no store in {}", folder.display());
    }
    let path = folder.to_owned();
    let opened = spawn_blocking(move || Store::open(&path)).await?;
    let store = opened
        .with_context(|| format!("cannot open the store at {}", folder.display()))?
        .store;
    let now = clock::now();
    let probes = config.map_or(&[][..], |config| &config.probes);
    let known: HashMap<_, _> = probes
        .iter()
        .map(|probe| (probe.id.clone(), Known::of(probe, now)))
        .collect();
    let mut export = Export::new(store.clone(), span, probe, known);
    let mut goes_on = match form {
        Form::Jsonl => true,
        Form::Csv => put(CSV_HEADER.as_bytes())?,
    };
    while goes_on && let Some(lines) = export.next().await? {
        let text: String = lines.iter().map(|line| line.write(form)).collect();
        goes_on = put(text.as_bytes())?;
    }
    store.close().await;
    Ok(())
}

/// Whether the reader wants more; one that has seen enough, as in `| head`, is no fault.
fn put(bytes: &[u8]) -> anyhow::Result<bool> {
    match std::io::stdout().write_all(bytes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        result => result.map(|()| true).context("cannot write the result"),
    }
}
