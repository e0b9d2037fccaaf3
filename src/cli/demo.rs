//! `demo`: the built-in provider, a daemon that signs in at it every few seconds, and a fault that somebody is told of.
//! Nothing to configure.

mod mailbox;
mod story;

use std::fs;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::Context;
use futures::StreamExt;
use futures::stream;
use jiff::SignedDuration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

use super::client::Client;
use super::{Exit, report, serve};
use crate::config::{self, Daemon};
use crate::loopback::{self, DEMO_TOTP, Loopback};
use crate::run::Run;

use mailbox::Mailbox;
use story::{Plot, Stage};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the page; any free port when this one is taken
    #[arg(long, default_value = "127.0.0.1:8420")]
    listen: SocketAddr,
    /// Further probe files to run beside the demo's own
    #[arg(long, value_name = "FILE")]
    probes: Vec<PathBuf>,
    /// Start Chromium without its own sandbox, as always for root: where a container gives it no namespaces
    #[arg(long)]
    no_sandbox: bool,
    /// What breaks by itself once sign-ins pass
    #[arg(long, value_enum, default_value_t = Plot::Signature)]
    fault: Plot,
    /// Break nothing, and end after so many runs
    #[arg(long, value_name = "N", conflicts_with = "fault")]
    runs: Option<u32>,
    /// Go on when the story is told; without it that is so where a person looks on
    #[arg(long)]
    stay: bool,
}

/// Serves until it is asked to stop, until enough runs ended, or until the story is told and nobody looks on.
pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let provider = loopback::start(loopback::Config::demo())
        .await
        .context("cannot start the provider")?;
    let folder = tempfile::Builder::new()
        .prefix("authcanary-demo-")
        .tempdir()?;
    let mailbox = Mailbox::open(folder.path().join("mail"))
        .await
        .context("cannot open a mailbox")?;
    let listener = match TcpListener::bind(args.listen).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((args.listen.ip(), 0))
            .await
            .context("no port is free")?,
    };
    let page = listener.local_addr()?;
    write_files(folder.path(), &provider, &mailbox, page, &args)?;
    let daemon = match config::load(&folder.path().join("authcanary.yaml")) {
        Ok(daemon) => daemon,
        Err(faults) => {
            eprintln!("{faults}");
            return Ok(Exit::Config);
        }
    };
    welcome(page, &provider, &folder, &daemon);

    let enough = Arc::new(Notify::new());
    let (tell, runs) = mpsc::unbounded_channel();
    let seen = announce(args.runs, Arc::clone(&enough), tell);
    let asked = serve::stop_signal()?;
    let is_asked = AtomicBool::new(false);
    let stop = async {
        tokio::select! {
            () = asked => is_asked.store(true, Ordering::Relaxed),
            () = enough.notified() => (),
        }
    };
    let plot = args.runs.map_or(args.fault, |_| Plot::None);
    let stage = Stage {
        client: Client::at(&format!("http://{page}/"))?,
        faults: provider.faults(),
        mailbox,
        runs,
    };
    let stays = args.stay || std::io::stdout().is_terminal();
    let story = async {
        let exit = match story::play(plot, stage).await {
            Ok(()) => Exit::Ok,
            // The daemon went away in the middle of the story, as it was asked to.
            Err(_) if is_asked.load(Ordering::Relaxed) => Exit::Ok,
            Err(error) => {
                eprintln!("authcanary: {error:#}");
                Exit::Unknown
            }
        };
        if stays {
            println!("The daemon goes on: look around, break something. Ctrl-C ends it.\n");
            return std::future::pending().await;
        }
        enough.notify_one();
        exit
    };
    // Nothing is wrong yet when it starts, so nothing is held back.
    let settle = SignedDuration::ZERO;
    let nothing_changes = stream::pending().boxed();
    let serving = serve::serve(daemon, listener, seen, nothing_changes, settle, stop);
    let exit = finish(serving, story).await?;
    provider.stop().await;
    Ok(exit)
}

/// Serves to the end; the story, where it came to one, says how it went.
async fn finish(
    serving: impl Future<Output = anyhow::Result<()>>,
    story: impl Future<Output = Exit>,
) -> anyhow::Result<Exit> {
    tokio::pin!(serving, story);
    tokio::select! {
        served = &mut serving => served.map(|()| Exit::Ok),
        exit = &mut story => serving.await.map(|()| exit),
    }
}

/// The same files that a user would write, in a folder that goes when the demo ends.
fn write_files(
    folder: &Path,
    provider: &Loopback,
    mailbox: &Mailbox,
    page: SocketAddr,
    args: &Args,
) -> anyhow::Result<()> {
    let secret = |name: &str, value: &str| fs::write(folder.join(name), value);
    for client in ["demo-basic", "demo-post"] {
        secret(client, &format!("{client}-secret"))?;
    }
    secret("password", "demo-password")?;
    secret("totp", DEMO_TOTP)?;
    let file = |name: &str| folder.join(name).display().to_string();
    let probe = include_str!("demo/probe.yaml")
        .replace("ISSUER", provider.issuer())
        .replace("FOLDER", &folder.display().to_string());
    fs::write(folder.join("demo.yaml"), probe)?;
    let mut probes = vec![file("demo.yaml")];
    for path in &args.probes {
        let path =
            fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))?;
        probes.push(path.display().to_string());
    }
    let smtp = format!("smtp://{}", mailbox.address);
    let daemon = serde_json::json!({
        "version": 1,
        "location": "demo",
        "public_url": format!("http://{page}/"),
        "probes": probes,
        "store": {"path": file("store")},
        "browser": {"args": browser_args(args.no_sandbox)},
        "channels": {
            "mail": {"email": {"smtp": smtp, "from": "canary@example.com", "to": ["you@example.com"]}},
        },
    });
    // JSON is YAML as well.
    fs::write(
        folder.join("authcanary.yaml"),
        serde_json::to_string_pretty(&daemon)?,
    )?;
    Ok(())
}

/// Chromium refuses to start its sandbox for root. And nothing but this machine is to be looked up.
fn browser_args(no_sandbox: bool) -> Vec<&'static str> {
    let mut args = vec!["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
    if no_sandbox || nix::unistd::geteuid().is_root() {
        args.push("--no-sandbox");
    }
    args
}

fn welcome(page: SocketAddr, provider: &Loopback, folder: &TempDir, daemon: &Daemon) {
    let issuer = provider.issuer();
    println!(
        "authcanary demo: {} probes sign in every few seconds",
        daemon.probes.len()
    );
    println!();
    println!("  page       http://{page}/");
    println!("  alerts     http://{page}/alerts");
    println!("  figures    http://{page}/metrics");
    println!("  provider   {issuer}/");
    println!("  files      {}", folder.path().display());
    println!();
    println!("Break something yourself, and watch it being named:");
    println!(
        "  curl -X PUT {issuer}/_faults -d '{{\"endpoint\": \"token\", \"fault\": \"expired_secret\"}}'"
    );
    println!(
        "  curl -X PUT {issuer}/_faults -d '{{\"endpoint\": \"login\", \"fault\": \"captcha\"}}'"
    );
    println!("  curl -X DELETE {issuer}/_faults");
    println!();
    println!("Ctrl-C ends it and leaves nothing behind.");
    println!();
}

/// One line for each run that ended; the story is told of it as well.
fn announce(
    limit: Option<u32>,
    enough: Arc<Notify>,
    tell: mpsc::UnboundedSender<Run>,
) -> impl Fn(&Run) + Send + Sync + 'static {
    let count = AtomicU32::new(0);
    move |run| {
        println!("{}", report::line(run));
        // The story may be over.
        let _ = tell.send(run.clone());
        let ended = count.fetch_add(1, Ordering::Relaxed) + 1;
        if limit.is_some_and(|limit| ended >= limit) {
            enough.notify_one();
        }
    }
}
