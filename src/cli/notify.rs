//! `notify`: try a channel before somebody relies on it.

use clap::{Subcommand, ValueEnum};
use serde_json::json;

use super::{Exit, say};
use crate::clock;
use crate::config::Daemon;
use crate::http::Http;
use crate::notify::{Channel, Edge, Event, Failure, Receipt, sample};
use crate::pipeline::new_run_id;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a notice that says it is a test, and then its end; print what the channel answered
    Test {
        /// Channel by its name in the daemon file
        channel: String,
        #[arg(long, value_enum, default_value_t = Format::Pretty)]
        format: Format,
    },
}

/// Form of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Pretty,
    /// For programs.
    Json,
}

/// Runs the command; a channel that does not take a notice is a target that failed.
pub(crate) async fn run(daemon: Daemon, command: Command) -> anyhow::Result<Exit> {
    let Command::Test { channel, format } = command;
    let Some(settings) = daemon.channels.get(&channel) else {
        let known: Vec<&str> = daemon.channels.keys().map(String::as_str).collect();
        let known = match known.as_slice() {
            [] => "the file has none".to_owned(),
            names => format!("known are {}", names.join(", ")),
        };
        eprintln!("authcanary: there is no channel {channel}; {known}");
        return Ok(Exit::Usage);
    };
    let edge = Edge::new(&Http::new(&daemon.http)?, daemon.http.ca_file.clone())?;
    let results = trial(settings, &daemon, &edge).await;
    match format {
        Format::Pretty => say(&pretty(&channel, settings.name(), &results))?,
        Format::Json => say(&serde_json::to_string_pretty(&as_json(&channel, &results))?)?,
    }
    let is_taken = results.iter().all(|(_, result)| result.is_ok());
    Ok(if is_taken { Exit::Ok } else { Exit::Failed })
}

type Sent = (Event, Result<Receipt, Failure>);

/// The beginning and, where that was taken, the end.
async fn trial(channel: &Channel, daemon: &Daemon, edge: &Edge) -> Vec<Sent> {
    let id = new_run_id().0.simple().to_string();
    let began = clock::now();
    let mut sent: Vec<Sent> = Vec::new();
    for (sequence, event) in [(1, Event::Fired), (2, Event::Resolved)] {
        let news = sample::trial(event, &id, began, clock::now());
        let key = sample::key(&news, sequence);
        let first = (sequence > 1).then_some(1);
        let notice = channel.compose(&news, &key, first, &daemon.origin());
        let earlier = sent.last().and_then(|(_, result)| result.as_ref().ok());
        let result = channel.deliver(&notice, earlier, edge).await;
        let is_taken = result.is_ok();
        sent.push((event, result));
        if !is_taken {
            break;
        }
    }
    sent
}

fn pretty(channel: &str, kind: &str, results: &[Sent]) -> String {
    let mut text = format!("{channel} ({kind})\n");
    for (event, result) in results {
        let event = event.as_str();
        let line = match result {
            Ok(receipt) => format!("  {event:<9} delivered: {}\n", receipt.said),
            Err(Failure::Retry { why, .. }) => {
                format!("  {event:<9} not delivered, would be tried again: {why}\n")
            }
            Err(Failure::Refused { why }) => format!("  {event:<9} refused: {why}\n"),
        };
        text.push_str(&line);
    }
    text
}

fn as_json(channel: &str, results: &[Sent]) -> serde_json::Value {
    let entry = |(event, result): &Sent| match result {
        Ok(receipt) => json!({"event": event, "result": "delivered", "said": receipt.said}),
        Err(Failure::Retry { why, .. }) => json!({"event": event, "result": "failed", "said": why}),
        Err(Failure::Refused { why }) => json!({"event": event, "result": "refused", "said": why}),
    };
    json!({"channel": channel, "notices": results.iter().map(entry).collect::<Vec<_>>()})
}
