//! `demo`: the built-in provider and a daemon that signs in at it every few seconds. Nothing to configure.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use futures::StreamExt;
use futures::stream;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::{Exit, report, serve};
use crate::config::{self, Daemon};
use crate::loopback::{self, DEMO_TOTP, Loopback};
use crate::run::Run;

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
    /// End after so many runs
    #[arg(long, value_name = "N")]
    runs: Option<u32>,
}

/// Serves until it is asked to stop, or until enough runs ended.
pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let provider = loopback::start(loopback::Config::demo())
        .await
        .context("cannot start the provider")?;
    let folder = tempfile::Builder::new()
        .prefix("authcanary-demo-")
        .tempdir()?;
    write_files(folder.path(), &provider, &args)?;
    let daemon = match config::load(&folder.path().join("authcanary.yaml")) {
        Ok(daemon) => daemon,
        Err(faults) => {
            eprintln!("{faults}");
            return Ok(Exit::Config);
        }
    };
    let listener = match TcpListener::bind(args.listen).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((args.listen.ip(), 0))
            .await
            .context("no port is free")?,
    };
    welcome(listener.local_addr()?, &provider, &folder, &daemon);

    let enough = Arc::new(Notify::new());
    let seen = announce(args.runs, Arc::clone(&enough));
    let asked = serve::stop_signal()?;
    let stop = async move {
        tokio::select! {
            () = asked => (),
            () = enough.notified() => (),
        }
    };
    serve::serve(daemon, listener, seen, stream::pending().boxed(), stop).await?;
    provider.stop().await;
    Ok(Exit::Ok)
}

/// The same files that a user would write, in a folder that goes when the demo ends.
fn write_files(folder: &Path, provider: &Loopback, args: &Args) -> anyhow::Result<()> {
    let secret = |name: &str, value: &str| fs::write(folder.join(name), value);
    for client in ["demo-basic", "demo-post"] {
        secret(client, &format!("{client}-secret"))?;
    }
    secret("password", "demo-password")?;
    secret("totp", DEMO_TOTP)?;
    let file = |name: &str| folder.join(name).display().to_string();
    let probe = include_str!("demo.probe.yaml")
        .replace("ISSUER", provider.issuer())
        .replace("FOLDER", &folder.display().to_string());
    fs::write(folder.join("demo.yaml"), probe)?;
    let mut probes = vec![file("demo.yaml")];
    for path in &args.probes {
        let path =
            fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))?;
        probes.push(path.display().to_string());
    }
    let daemon = serde_json::json!({
        "version": 1,
        "location": "demo",
        "probes": probes,
        "store": {"path": file("store")},
        "browser": {"args": browser_args(args.no_sandbox)},
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
    println!("  figures    http://{page}/metrics");
    println!("  runs       http://{page}/api/v1/runs");
    println!("  provider   {issuer}/");
    println!("  files      {}", folder.path().display());
    println!();
    println!("Break something, and watch it being named:");
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

/// One line for each run that ended.
fn announce(limit: Option<u32>, enough: Arc<Notify>) -> impl Fn(&Run) + Send + Sync + 'static {
    let count = AtomicU32::new(0);
    move |run| {
        println!("{}", report::line(run));
        let ended = count.fetch_add(1, Ordering::Relaxed) + 1;
        if limit.is_some_and(|limit| ended >= limit) {
            enough.notify_one();
        }
    }
}
