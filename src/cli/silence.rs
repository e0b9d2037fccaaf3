//! `silence`: nobody is told of what it matches, for a while.

use clap::Subcommand;
use comfy_table::{Table, TableStyle};
use jiff::Timestamp;
use uuid::Uuid;

use super::client::{Client, Form, Server};
use super::labels::{Label, after, label, list_of, matches, typed, who};
use super::{Exit, say};
use crate::alert::State;
use crate::api::{Alerts, Silences, Wanted};
use crate::clock;
use crate::desk::Silence;
use crate::phrase::{instant, until};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell nobody of alerts with these labels for a while; what still stands then is told
    Add(AddArgs),
    /// List silences that last or are to come
    List(ListArgs),
    /// End silences now
    #[command(visible_alias = "end")]
    Expire(ExpireArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AddArgs {
    /// What an alert must have to be silent: fingerprint, probe, provider, environment, location, stage, class, cause,
    /// severity, kind, or a label of your probe files; of values of one label, any
    #[arg(value_name = "LABEL=VALUE", value_parser = label, required = true)]
    labels: Vec<Label>,
    /// How long: 30m, 2h, 3d
    #[arg(long = "for", value_name = "TIME", required_unless_present = "until")]
    lasts: Option<jiff::Span>,
    /// Until when, such as 2026-06-01T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "lasts")]
    until: Option<Timestamp>,
    /// From when on [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who [default: your login name]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Also those that are over
    #[arg(long)]
    all: bool,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExpireArgs {
    /// Ids of silences
    #[arg(value_name = "ID", required = true, value_parser = id)]
    ids: Vec<Uuid>,
    #[command(flatten)]
    server: Server,
}

fn id(text: &str) -> Result<Uuid, String> {
    let id = text.parse();
    id.map_err(|_| {
        "the id of a silence is a UUID, as `authcanary silence list` shows them".to_owned()
    })
}

/// Runs one of the commands.
pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Add(args) => add(args).await,
        Command::List(args) => list(args).await,
        Command::Expire(args) => expire(args).await,
    }
}

async fn add(args: AddArgs) -> anyhow::Result<Exit> {
    let (now, lasts) = (clock::now(), args.lasts);
    let begins = args.from.unwrap_or(now);
    let ends = lasts.map(|lasts| after(begins, lasts)).transpose()?;
    let wanted = Wanted {
        matches: matches(args.labels),
        starts_at: args.from,
        ends_at: ends.or(args.until).unwrap_or(begins),
        author: who(args.author, "--author")?,
        reason: args.reason,
    };
    let client = Client::new(&args.server).await?;
    let silence: Silence = client.post("silences", &wanted).await?;
    if args.format == Form::Json {
        say(&serde_json::to_string_pretty(&silence)?)?;
        return Ok(Exit::Ok);
    }
    let (what, ends) = (typed(&silence.matches), silence.ends_at);
    say(&format!(
        "{}  {what}: silent until {}, which is {}",
        silence.id,
        instant(ends),
        until(ends, now)
    ))?;
    eprintln!("{}", covered(&client, &silence).await?);
    Ok(Exit::Ok)
}

/// What of the open alerts falls silent: a label that is misspelt shows at once.
async fn covered(client: &Client, silence: &Silence) -> anyhow::Result<String> {
    let found: Alerts = client.get("alerts", &[]).await?;
    let open = found.alerts.into_iter().map(|shown| shown.alert);
    let silent = open.filter(|alert| alert.state != State::Resolved && silence.covers(alert));
    let lines: Vec<String> = silent
        .map(|alert| format!("silent now: {}  {}", alert.fingerprint, alert.summary))
        .collect();
    Ok(match lines.is_empty() {
        true => "no open alert has these labels at the moment".to_owned(),
        false => lines.join("\n"),
    })
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let now = clock::now();
    let client = Client::new(&args.server).await?;
    let mut found: Silences = client.get("silences", &[]).await?;
    found
        .silences
        .retain(|silence| args.all || silence.ends_at > now);
    let table = table(&found.silences, now);
    list_of("silences", args.format, &found, &table)
}

fn table(silences: &[Silence], now: Timestamp) -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    for silence in silences {
        let when = match (silence.is_active(now), silence.starts_at > now) {
            (true, _) => format!("ends {}", until(silence.ends_at, now)),
            (false, true) => format!("begins {}", until(silence.starts_at, now)),
            (false, false) => "over".to_owned(),
        };
        table.add_row([
            silence.id.clone(),
            when,
            typed(&silence.matches),
            silence.author.clone(),
            silence.reason.clone(),
        ]);
    }
    table
}

async fn expire(args: ExpireArgs) -> anyhow::Result<Exit> {
    let client = Client::new(&args.server).await?;
    for id in args.ids {
        client.delete(&format!("silences/{id}")).await?;
        say(&format!("{id}  ended"))?;
    }
    Ok(Exit::Ok)
}
