//! A program on this machine. It gets the CloudEvent that a webhook gets, on its standard input, and says by its exit
//! status how it went: 0 delivered, 75 (EX_TEMPFAIL) and all others try again, 64 to 78 otherwise (sysexits) refused.

use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::wire::Secrets;
use super::{Edge, Failure, Kind, Message, Notice, Payload, Receipt, Server, webhook};
use crate::child::Group;
use crate::secret::SecretRef;

/// Of what it prints so much is read.
const PRINTED_LIMIT_BYTES: u64 = 4096;

/// Variables of the daemon that the program gets; others may hold secrets.
const VARIABLES: [&str; 8] = [
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SHELL",
];

/// A program on this machine, which gets the alert as JSON on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Exec {
    /// The program and its arguments. No shell runs it, and it gets no secret of the daemon.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
}

impl Kind for Exec {
    fn needs(&self) -> String {
        // What the program needs is not to be seen from here.
        "this machine".to_owned()
    }

    fn server(&self) -> Server {
        Server::Here
    }

    fn secrets(&mut self) -> Vec<(String, &mut SecretRef)> {
        Vec::new()
    }

    fn compose(&self, message: &Message<'_>) -> Payload {
        Payload::Json(webhook::event(message))
    }

    fn deliver<'a>(
        &'a self,
        notice: &'a Notice,
        _: Option<&'a Receipt>,
        edge: &'a Edge,
    ) -> BoxFuture<'a, Result<Receipt, Failure>> {
        async move { run(&self.command, &notice.json()?.to_string(), edge.patience).await }.boxed()
    }
}

async fn run(argv: &[String], input: &str, limit: Duration) -> Result<Receipt, Failure> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Failure::refused("no program is named"));
    };
    let kept = VARIABLES
        .iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(kept)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::retry(format!("{program} cannot be started: {error}")))?;
    let mut group = Group::of(&child);
    let ended = timeout(limit, talk(&mut child, input)).await;
    let Ok((status, printed)) = ended else {
        drop(group);
        // Reap it; it has just been killed.
        let _ = child.wait().await;
        return Err(Failure::Retry {
            why: format!("{program} has not ended within {} s", limit.as_secs()),
            after: None,
            may_have_arrived: true,
        });
    };
    // What it left running is its own business once it has done its work.
    group.release();
    let status = status.map_err(|error| Failure::retry(format!("{program}: {error}")))?;
    let printed = Secrets::default().clean(&printed);
    let said = match printed.as_str() {
        "" => format!("{program} ended with {status}"),
        printed => format!("{program} ended with {status}: {printed}"),
    };
    match status.code() {
        Some(0) => Ok(Receipt { said, handle: None }),
        Some(64..=74 | 76..=78) => Err(Failure::refused(said)),
        _ => Err(Failure::Retry {
            why: said,
            after: None,
            may_have_arrived: true,
        }),
    }
}

/// Gives it its input, reads what it complains of, and waits for its end.
async fn talk(
    child: &mut Child,
    input: &str,
) -> (std::io::Result<std::process::ExitStatus>, String) {
    let stdin = child.stdin.take();
    let stderr = child.stderr.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program may end without reading all of it, or any.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let read = async {
        let mut printed = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = (&mut stderr)
                .take(PRINTED_LIMIT_BYTES)
                .read_to_end(&mut printed)
                .await;
            // The rest is taken from it as well, or it would wait for somebody to read it.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
        String::from_utf8_lossy(&printed).into_owned()
    };
    let ((), printed, status) = tokio::join!(write, read, child.wait());
    (status, printed)
}
