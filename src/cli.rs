//! The command line. Results go to stdout, all else to stderr.

mod alerts;
mod check;
mod classify;
mod client;
mod demo;
mod deploy;
mod doctor;
mod explain;
mod export;
mod health;
mod init;
mod labels;
mod notify;
mod reference;
mod reload;
mod replay;
mod report;
mod runs;
mod serve;
mod silence;
mod validate;

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{self, Daemon, FileKind};
use crate::telemetry::LogLayer;

/// How a command ended, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// A target failed.
    Failed = 1,
    /// Could not judge: the monitor's own fault.
    Unknown = 2,
    /// The command line is wrong.
    Usage = 64,
    /// The configuration is wrong.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Knows, before the users do, that people can no longer sign in.
#[derive(Debug, Parser)]
#[command(name = "authcanary", version, propagate_version = true)]
struct Args {
    /// Daemon file, or a single probe file [default: ./authcanary.yaml, then /etc/authcanary/authcanary.yaml]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "AUTHCANARY_CONFIG"
    )]
    config: Option<PathBuf>,
    /// What to log on stderr: error, warn, info, debug, or a filter such as `authcanary=debug,hyper=off`; below info,
    /// authcanary alone is logged
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        env = "AUTHCANARY_LOG",
        hide_env_values = true
    )]
    log: Option<String>,
    /// Form of the log
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Pretty,
    /// For programs.
    Json,
    /// For build servers that read JUnit's XML.
    Junit,
    /// Annotations in GitHub's logs.
    Github,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a daemon file and a first probe file for a provider, from its metadata and a few answers, and try them
    Init(init::Args),
    /// Run the daemon: every probe on its schedule, figures and pages over HTTP
    Serve,
    /// Run probes now, in this process, print what happened and exit
    Check(check::Args),
    /// Audit the configuration: list everything that is wrong with it, or will be one day
    Validate(validate::Args),
    /// Print the JSON Schema of both files, for editors
    Schema {
        /// Only one of them
        #[arg(value_enum)]
        file: Option<SchemaFile>,
    },
    /// Show it at work: the built-in provider, a daemon that signs in every few seconds, nothing to configure
    Demo(demo::Args),
    /// Print the runbook of a class: what it means, how to be sure, what to do now
    Explain(explain::Args),
    /// Look this machine over: browser, sandbox, clock, network, disk, limits, secrets, channels, and what mends them
    Doctor(doctor::Args),
    /// Ask whether a daemon is alive; for the health check of a container
    Health(health::Args),
    /// Say what answers of providers mean: cases as JSON Lines on stdin, verdicts on stdout
    Classify(classify::Args),
    /// Try the channels that notices go to
    #[command(subcommand)]
    Notify(notify::Command),
    /// List runs that a daemon has on record, newest first
    Runs(runs::Args),
    /// Show one run: its steps, its verdict, and where its evidence is
    Show(runs::ShowArgs),
    /// Write runs as JSON Lines or CSV, from a daemon or from a store that none has open
    Export(export::Args),
    /// List alerts of a daemon, show one, take one on
    Alerts(alerts::Args),
    /// Tell nobody of some alerts for a while
    #[command(subcommand)]
    Silence(silence::Command),
    /// Mark a deploy, so that alerts which begin near it name it
    #[command(subcommand)]
    Deploy(deploy::Command),
    /// Put recorded runs through the rules of alerts: would this have paged?
    Replay(replay::Args),
    /// Print a completion script for a shell
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaFile {
    Daemon,
    Probe,
}

/// Parses the command line, runs the command, prints the error chain if it failed.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nothing can be done about a closed stderr.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            }
            .into();
        }
    };
    match run(args) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("authcanary: {error:#}");
            Exit::Unknown.into()
        }
    }
}

/// The command line as it is parsed, for those who document it.
pub fn command() -> clap::Command {
    Args::command()
}

fn run(args: Args) -> anyhow::Result<Exit> {
    start_log(args.log.as_deref(), args.log_format, &args.command)?;
    // Two TLS stacks among the dependencies each bring a provider of their own: without a choice the first handshake
    // would panic. A second call finds it installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = args.config.as_deref();
    match args.command {
        Command::Schema { file } => print_schema(file),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut command(), "authcanary", &mut std::io::stdout());
            Ok(Exit::Ok)
        }
        Command::Init(args) => on_runtime(init::run(config.map(Path::to_path_buf), args)),
        Command::Validate(args) => validate::run(config, &args),
        Command::Check(check) => {
            with_config(config, |daemon| on_runtime(check::run(daemon, check)))
        }
        Command::Serve => with_config(config, |daemon| on_runtime(serve::run(daemon))),
        Command::Doctor(args) => doctor::run(config, &args),
        Command::Health(args) => on_runtime(health::run(args)),
        Command::Classify(args) => classify::run(&args),
        Command::Runs(args) => on_runtime(runs::list(args)),
        Command::Show(args) => on_runtime(runs::show(args)),
        Command::Alerts(args) => on_runtime(alerts::run(args)),
        Command::Silence(command) => on_runtime(silence::run(command)),
        Command::Deploy(command) => on_runtime(deploy::run(command)),
        Command::Export(args) => with_rules(config, |daemon| on_runtime(export::run(daemon, args))),
        Command::Replay(args) => with_rules(config, |daemon| replay::run(daemon, &args)),
        Command::Demo(demo) => on_runtime(demo::run(demo)),
        Command::Explain(what) => explain::run(&what),
        Command::Notify(command) => match load(config) {
            Ok(daemon) => on_runtime(notify::run(daemon, command)),
            Err(faults) => {
                eprintln!("{faults}");
                Ok(Exit::Config)
            }
        },
    }
}

fn on_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    {
        // Whoever limits the size of files (`ulimit -f`) kills a process that would exceed it, unless it listens; then
        // the write fails, which everything here lives through.
        let _context = runtime.enter();
        let too_large = SignalKind::from_raw(nix::libc::SIGXFSZ);
        drop(signal(too_large).context("cannot listen for SIGXFSZ")?);
    }
    runtime.block_on(work)
}

fn with_config(
    file: Option<&Path>,
    then: impl FnOnce(Daemon) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    match load(file) {
        Ok(daemon) => {
            for notice in not_yet(&daemon) {
                eprintln!("authcanary: {notice}: read, and not used by this version");
            }
            then(daemon)
        }
        Err(faults) => {
            eprintln!("{faults}");
            Ok(Exit::Config)
        }
    }
}

/// For commands that need no configuration and heed one that is named.
fn with_rules(
    file: Option<&Path>,
    then: impl FnOnce(Option<&Daemon>) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    match file.map(config::load).transpose() {
        Ok(daemon) => then(daemon.as_ref()),
        Err(faults) => {
            eprintln!("{faults}");
            Ok(Exit::Config)
        }
    }
}

/// Settings that the files may hold already and that nothing acts on yet. Nobody should rely on them in silence; a line
/// goes from here when its part arrives.
fn not_yet(daemon: &Daemon) -> Vec<String> {
    let guarded = daemon
        .probes
        .iter()
        .filter(|probe| !probe.guards.is_empty());
    guarded
        .map(|probe| format!("guards of {}", probe.id))
        .collect()
}

/// The named file, or the first of the usual places; where there is none, the message names the one that should be.
fn load(file: Option<&Path>) -> Result<Daemon, config::Faults> {
    config::load(&file.map_or_else(usual_file, Path::to_path_buf))
}

fn usual_file() -> PathBuf {
    config::default_file().unwrap_or_else(|| "authcanary.yaml".into())
}

fn print_schema(file: Option<SchemaFile>) -> anyhow::Result<Exit> {
    let schema = config::schema(file.map(|file| match file {
        SchemaFile::Daemon => FileKind::Daemon,
        SchemaFile::Probe => FileKind::Probe,
    }));
    say(&serde_json::to_string_pretty(&schema)?)?;
    Ok(Exit::Ok)
}

/// Writes a result. A reader that has seen enough, as in `| head`, is no fault.
fn say(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write the result"),
    }
}

/// Below `info`, HTTP clients and drivers of browsers log what they send, passwords included: of others no filter lets that
/// through.
fn is_safe(target: &str, level: Level) -> bool {
    level <= Level::INFO || target.starts_with("authcanary")
}

/// The daemon tells its story; the other commands speak by their results, and log only what is odd.
fn start_log(filter: Option<&str>, format: LogFormat, command: &Command) -> anyhow::Result<()> {
    let usual = match command {
        // What exporters say of their failures is said in the daemon's own words.
        Command::Serve => "authcanary=info,warn,opentelemetry=off",
        // A certificate that is refused is part of the result.
        _ => "error,opentelemetry=off,rustls_platform_verifier=off",
    };
    let filter = EnvFilter::try_new(filter.unwrap_or(usual)).context("--log is no filter")?;
    let to_stderr = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let to_stderr = match format {
        LogFormat::Text => to_stderr.with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => to_stderr.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(to_stderr.with_filter(filter_fn(|about| is_safe(about.target(), *about.level()))))
        .with(LogLayer)
        .init();
    Ok(())
}
