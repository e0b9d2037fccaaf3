//! `deploy`: markers of what was released, which alerts that begin near them name.

use clap::Subcommand;
use comfy_table::{Table, TableStyle};
use jiff::Timestamp;
use serde::Deserialize;
use url::Url;

use super::client::{Client, Form, Server};
use super::labels::{list_of, who};
use super::{Exit, say};
use crate::alert::{Deploy, Scope};
use crate::api::{Deploys, Marker};
use crate::notify::place;
use crate::phrase::instant;
use crate::probe::ProbeId;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Post a marker: alerts that begin near it name it
    Add(Box<AddArgs>),
    /// List markers, newest first
    List(ListArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// Your own name for it, such as a version or a commit
    id: String,
    /// Provider that it went to; everywhere when nothing is named. Each of these may come several times
    #[arg(long, value_name = "NAME")]
    provider: Vec<String>,
    /// Environment that it went to
    #[arg(long, value_name = "NAME")]
    environment: Vec<String>,
    /// Probe that goes through it
    #[arg(long, value_name = "NAME")]
    probe: Vec<String>,
    /// Location that it went to
    #[arg(long, value_name = "NAME")]
    location: Vec<String>,
    /// When [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Who or what deployed it [default: your login name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// A page that tells more
    #[arg(long, value_name = "URL")]
    link: Option<Url>,
    /// What others should know
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

/// Runs one of the commands.
pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Add(args) => add(*args).await,
        Command::List(args) => list(args).await,
    }
}

async fn add(args: AddArgs) -> anyhow::Result<Exit> {
    let marker = Marker {
        id: args.id,
        at: args.at,
        scope: Scope {
            provider: args.provider,
            environment: args.environment,
            probe: args.probe.into_iter().map(ProbeId::recorded).collect(),
            location: args.location,
        },
        by: who(args.by, "--by")?,
        url: args.link.map(String::from),
        note: args.note,
    };
    let client = Client::new(&args.server).await?;
    let deploy: Deploy = client.post("deploys", &marker).await?;
    match args.format {
        Form::Json => say(&serde_json::to_string_pretty(&deploy)?)?,
        Form::Pretty => {
            say(&format!(
                "{}  {} by {}: {}",
                deploy.id,
                instant(deploy.at),
                deploy.by,
                place(&deploy.scope)
            ))?;
            if !touches_any(&client, &deploy.scope).await? {
                eprintln!("no probe of this daemon is there: no alert will name it");
            }
        }
    }
    Ok(Exit::Ok)
}

/// Whether a probe of the daemon is within the scope, so that a name which is misspelt shows at once.
async fn touches_any(client: &Client, scope: &Scope) -> anyhow::Result<bool> {
    #[derive(Deserialize)]
    struct Probe {
        id: ProbeId,
        provider: String,
        environment: String,
    }
    #[derive(Deserialize)]
    struct Probes {
        probes: Vec<Probe>,
    }
    fn among<T: PartialEq>(names: &[T], name: &T) -> bool {
        names.is_empty() || names.contains(name)
    }
    let known: Probes = client.get("probes", &[]).await?;
    Ok(known.probes.iter().any(|probe| {
        among(&scope.probe, &probe.id)
            && among(&scope.provider, &probe.provider)
            && among(&scope.environment, &probe.environment)
    }))
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let client = Client::new(&args.server).await?;
    let mut found: Deploys = client.get("deploys", &[]).await?;
    found.deploys.truncate(args.limit);
    let table = table(&found.deploys);
    list_of("markers", args.format, &found, &table)
}

fn table(deploys: &[Deploy]) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    for deploy in deploys {
        table.add_row([
            instant(deploy.at),
            deploy.id.clone(),
            place(&deploy.scope),
            deploy.by.clone(),
            deploy.note.clone(),
        ]);
    }
    table
}
