//! `alerts`: what is wrong now, one alert whole, and taking it on.

use std::fmt::Write as _;

use clap::Subcommand;
use comfy_table::{Table, TableStyle};
use serde_json::Value;
use url::Url;

use super::client::{Client, Form, Server};
use super::labels::{Label, fingerprint, label, list_of, matches, who};
use super::{Exit, say};
use crate::alert::{Fingerprint, State};
use crate::api::{Alerts, Shown, Taken};
use crate::clock;
use crate::notify::route::fits;
use crate::notify::{self, Event, News, Origin};
use crate::phrase::{ago, instant};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one alert: where, the verdict and what to do, the figures, runbook, evidence, deploys near its start
    Show(ShowArgs),
    /// Take an alert on: those who heard of it are told, and reminders end
    #[command(visible_alias = "ack")]
    Acknowledge(AcknowledgeArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Only alerts with these labels, such as `provider=keycloak severity=page`; of values of one label, any
    #[arg(value_name = "LABEL=VALUE", value_parser = label)]
    labels: Vec<Label>,
    /// Only those: pending, firing or resolved [default: what is open]
    #[arg(long)]
    state: Option<State>,
    /// Also those that are over
    #[arg(long, conflicts_with = "state")]
    all: bool,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Fingerprint of the alert
    #[arg(value_parser = fingerprint)]
    alert: Fingerprint,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, clap::Args)]
struct AcknowledgeArgs {
    /// Fingerprint of the alert
    #[arg(value_parser = fingerprint)]
    alert: Fingerprint,
    /// Who takes it on [default: your login name]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// What others should know
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[arg(long, value_enum, default_value_t = Form::Pretty)]
    format: Form,
    #[command(flatten)]
    server: Server,
}

/// Runs one of the commands; an alert that stands is no failure of the command.
pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        None => list(args.list).await,
        Some(Command::Show(args)) => show(args).await,
        Some(Command::Acknowledge(args)) => acknowledge(args).await,
    }
}

async fn list(args: ListArgs) -> anyhow::Result<Exit> {
    let state = args.state.map(|state| ("state", state.to_string()));
    let filter: Vec<_> = state.into_iter().collect();
    let client = Client::new(&args.server).await?;
    let mut found: Alerts = client.get("alerts", &filter).await?;
    let labels = matches(args.labels);
    let is_shown = |state| args.all || args.state.is_some() || state != State::Resolved;
    found
        .alerts
        .retain(|it| is_shown(it.alert.state) && fits(&it.alert, &labels));
    let table = table(&found.alerts);
    list_of("alerts", args.format, &found, &table)
}

fn table(alerts: &[Shown]) -> Table {
    let now = clock::now();
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    for shown in alerts {
        let alert = &shown.alert;
        table.add_row([
            alert.severity.to_string(),
            alert.state.to_string(),
            ago(alert.started_at, now),
            alert.fingerprint.to_string(),
            format!("{}{}", alert.summary, done(shown)),
        ]);
    }
    table
}

/// What people have done about it, in a few words.
fn done(shown: &Shown) -> String {
    let mut words = String::new();
    if let Some(taken) = &shown.acknowledged {
        let _ = write!(words, " (taken on by {})", taken.by);
    }
    if let Some(silence) = shown.silences.first() {
        let _ = write!(words, " (silenced by {})", silence.author);
    }
    words
}

async fn show(args: ShowArgs) -> anyhow::Result<Exit> {
    let client = Client::new(&args.server).await?;
    let answer: Value = client.get(&format!("alerts/{}", args.alert), &[]).await?;
    print(answer, args.format, client.base())
}

async fn acknowledge(args: AcknowledgeArgs) -> anyhow::Result<Exit> {
    let taken = Taken {
        by: who(args.by, "--by")?,
        note: args.note,
    };
    let client = Client::new(&args.server).await?;
    let path = format!("alerts/{}/acknowledge", args.alert);
    let answer: Value = client.post(&path, &taken).await?;
    print(answer, args.format, client.base())
}

fn print(answer: Value, format: Form, daemon: &Url) -> anyhow::Result<Exit> {
    match format {
        Form::Json => say(&serde_json::to_string_pretty(&answer)?)?,
        Form::Pretty => say(&pretty(&serde_json::from_value(answer)?, daemon))?,
    }
    Ok(Exit::Ok)
}

/// What a notice of it says, with links to the daemon that was asked, and what people have done.
fn pretty(shown: &Shown, daemon: &Url) -> String {
    let event = match shown.alert.state {
        State::Resolved => Event::Resolved,
        State::Pending | State::Firing => Event::Fired,
    };
    let news = News {
        alert: shown.alert.clone(),
        event,
        at: clock::now(),
        note: String::new(),
        is_test: false,
    };
    let origin = Origin {
        public_url: Some(daemon.clone()),
        ..Origin::default()
    };
    let mut text = notify::plain(&news, &origin);
    if let Some(taken) = &shown.acknowledged {
        let note = match taken.note.as_str() {
            "" => String::new(),
            note => format!(": {note}"),
        };
        let _ = writeln!(
            text,
            "Taken on: by {}, {}{note}",
            taken.by,
            instant(taken.at)
        );
    }
    for silence in &shown.silences {
        let until = instant(silence.ends_at);
        let _ = writeln!(
            text,
            "Silenced: until {until} by {}: {} ({})",
            silence.author, silence.reason, silence.id
        );
    }
    text
}
