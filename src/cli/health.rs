//! `health`: is a daemon alive? For the health check of a container, where there is no other HTTP client.

use super::client::{Client, Server};
use super::{Exit, say};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: Server,
}

/// Asks it. No answer, or another than the right one, is an error.
pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    Client::new(&args.server).await?.health().await?;
    say("alive")?;
    Ok(Exit::Ok)
}
