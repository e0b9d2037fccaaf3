//! `init`: from an issuer to two files and a first run. Asks on a terminal; elsewhere, or with `--yes`, everything comes
//! from the command line.

mod ask;
mod paths;
mod survey;
mod write;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;

use super::{Exit, check, reference, say};
use crate::config;
use crate::http;
use crate::init::{self as files, Account, Answers, DaemonAnswers, Offer};
use crate::probe::{ClientAuth, Flow, ProbeId, RedirectUri};
use crate::secret::SecretRef;
use paths::Places;
use write::Typed;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address of the provider, as its metadata names the issuer
    issuer: String,
    /// First part of the probe's name, and whose rules apply [default: recognised from the metadata, else generic]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Second part of the probe's name [default: prod]
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// Name of the probe file, in the folder probes/ beside the daemon file [default: that of the provider]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// How tokens are obtained [default: authorization_code where the provider has it]
    #[arg(long, value_enum)]
    flow: Option<FlowName>,
    /// Id of the client as registered
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// How the client authenticates [default: the first that the metadata offers]
    #[arg(long, value_enum)]
    auth: Option<AuthName>,
    /// Where the client's secret is kept: env:NAME, file:PATH, credential:NAME or command:PROGRAM ARGUMENT…
    #[arg(long, value_name = "REFERENCE")]
    client_secret: Option<String>,
    /// Redirect URI as registered
    #[arg(long, value_name = "URI")]
    redirect_uri: Option<String>,
    /// User name of the account that signs in
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Where its password is kept, as for --client-secret
    #[arg(long, value_name = "REFERENCE")]
    password: Option<String>,
    /// Where the secret of its authenticator is kept, for accounts that have one
    #[arg(long, value_name = "REFERENCE")]
    totp: Option<String>,
    /// Scopes to ask for, with commas or spaces between them [default: openid, email and offline_access as offered]
    #[arg(long, value_name = "SCOPES")]
    scopes: Option<String>,
    /// Time from run to run
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    every: String,
    /// Label of everything that this daemon reports
    #[arg(long, value_name = "NAME")]
    location: Option<String>,
    /// Address of the daemon's pages [default: 127.0.0.1:8420]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Folder of the daemon's store
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// Certificate authorities (PEM) to trust beside those of the machine
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Argument for the browser; may be given several times
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    browser_arg: Vec<String>,
    /// Ask nothing, also on a terminal
    #[arg(long)]
    yes: bool,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
    /// Write the files, and do not run them
    #[arg(long)]
    no_check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum FlowName {
    AuthorizationCode,
    ClientCredentials,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum AuthName {
    ClientSecretBasic,
    ClientSecretPost,
    None,
}

/// Width of the column of commands.
const WHAT: usize = 34;

/// Asks provider and person, writes, and runs the first check, whose exit code is that of the command.
pub(crate) async fn run(config: Option<PathBuf>, mut args: Args) -> anyhow::Result<Exit> {
    let asks = !args.yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !asks && !is_complete(&args) {
        return Ok(Exit::Usage);
    }
    if !is_well_formed(&args) {
        return Ok(Exit::Usage);
    }
    args.issuer = files::issuer(&args.issuer);
    let offer = match survey::survey(&args.issuer, args.ca_file.as_deref()).await? {
        Ok(offer) => offer,
        Err(refusal) => {
            eprintln!("{refusal}");
            return Ok(Exit::Failed);
        }
    };
    survey::tell(&args.issuer, &offer);
    let daemon = config.unwrap_or_else(|| "authcanary.yaml".into());
    let mut typed = Vec::new();
    if asks {
        ask::guard_cursor()?;
        let answered =
            tokio::task::block_in_place(|| ask::fill(&mut args, &offer, &daemon, &mut typed));
        if answered.as_ref().is_err_and(ask::is_left) {
            ask::leave();
        }
        answered.context("nothing was written")?;
    }
    let places = Places::new(
        daemon,
        args.name.as_deref().unwrap_or(provider(&args, &offer)),
    )?;
    if !places.are_free(args.force, &typed) {
        return Ok(Exit::Usage);
    }
    let answers = answers(&args, &offer, &places);
    let id = ProbeId::new(&answers.provider, &answers.environment, None);
    let daemon = match write::all(&places, &offer, &answers, &typed, args.force)? {
        Ok(daemon) => daemon,
        Err(faults) => {
            eprintln!("{faults}\nauthcanary: nothing was written");
            return Ok(Exit::Config);
        }
    };
    if !daemon.probes.iter().any(|probe| probe.id == id) {
        eprintln!(
            "authcanary: {} does not name {}: add it to `probes`",
            places.daemon.display(),
            places.probe.display()
        );
        return Ok(Exit::Config);
    }
    let exit = match args.no_check {
        true => Exit::Ok,
        false => {
            say("\nThe first run:\n")?;
            check::run(daemon, check::Args::once(id.to_string())).await?
        }
    };
    say(&next(&places, &id, exit, args.no_check))?;
    Ok(exit)
}

fn provider<'a>(args: &'a Args, offer: &'a Offer) -> &'a str {
    args.provider.as_deref().unwrap_or(offer.provider)
}

/// Whether all is there that only a person knows; names all that is not.
fn is_complete(args: &Args) -> bool {
    let missing = missing(args);
    if !missing.is_empty() {
        eprintln!(
            "authcanary: nobody can be asked here, so these are needed as well:\n{}",
            missing.join("\n")
        );
    }
    missing.is_empty()
}

fn missing(args: &Args) -> Vec<&'static str> {
    let signs_in = args.flow != Some(FlowName::ClientCredentials);
    let has_secret = args.client_secret.is_some() || args.auth == Some(AuthName::None);
    let needed = [
        (args.client_id.is_some(), "  --client-id ID"),
        (
            has_secret,
            "  --client-secret env:NAME (or file:PATH, credential:NAME, command:PROGRAM), or --auth none for a public client",
        ),
        (
            !signs_in || args.redirect_uri.is_some(),
            "  --redirect-uri URI",
        ),
        (!signs_in || args.username.is_some(), "  --username NAME"),
        (
            !signs_in || args.password.is_some(),
            "  --password env:NAME (or file:PATH, credential:NAME, command:PROGRAM)",
        ),
    ];
    let missing = needed.into_iter().filter(|(is_there, _)| !is_there);
    missing.map(|(_, flag)| flag).collect()
}

/// Whether what was given can be meant; names all that cannot. What stands in place of a reference is not repeated: it may
/// be the secret.
fn is_well_formed(args: &Args) -> bool {
    let mut wrong = Vec::new();
    let references = [
        ("--client-secret", &args.client_secret),
        ("--password", &args.password),
        ("--totp", &args.totp),
    ];
    for (flag, text) in references {
        if text
            .as_deref()
            .is_some_and(|text| reference::parse(text).is_none())
        {
            wrong.push(format!(
                "{flag} says where a secret is kept, and never holds it: env:NAME, file:PATH, credential:NAME or command:PROGRAM"
            ));
        }
    }
    if args.auth == Some(AuthName::None) && args.client_secret.is_some() {
        wrong.push("--auth none is for a client without a secret".to_owned());
    }
    if let Some(Err(error)) = args.redirect_uri.as_deref().map(RedirectUri::parse) {
        wrong.push(format!("--redirect-uri: {error}"));
    }
    let names = [
        ("--provider", &args.provider),
        ("--environment", &args.environment),
        ("--name", &args.name),
    ];
    for (flag, name) in names {
        if let Some(Err(reason)) = name.as_deref().map(paths::is_name) {
            wrong.push(format!("{flag}: {reason}"));
        }
    }
    for line in &wrong {
        eprintln!("authcanary: {line}");
    }
    wrong.is_empty()
}

fn answers(args: &Args, offer: &Offer, places: &Places) -> Answers {
    let secret = |text: &Option<String>| {
        let reference = reference::parse(text.as_deref()?)?;
        Some(places.as_seen(reference))
    };
    let flow = match args.flow {
        Some(FlowName::AuthorizationCode) => Flow::AuthorizationCode,
        Some(FlowName::ClientCredentials) => Flow::ClientCredentials,
        None => offer.flow,
    };
    let client_secret = secret(&args.client_secret);
    let account = |username: &String| {
        Some(Account {
            username: username.clone(),
            password: secret(&args.password)?,
            totp: secret(&args.totp),
        })
    };
    Answers {
        provider: provider(args, offer).to_owned(),
        environment: args
            .environment
            .clone()
            .unwrap_or_else(|| "prod".to_owned()),
        flow,
        client_id: args.client_id.clone().unwrap_or_default(),
        auth: auth(args, offer, client_secret.as_ref()),
        secret: client_secret,
        scopes: args
            .scopes
            .as_deref()
            .map_or_else(|| usual_scopes(offer, flow), scopes),
        redirect_uri: args
            .redirect_uri
            .clone()
            .filter(|_| flow == Flow::AuthorizationCode),
        account: args
            .username
            .as_ref()
            .filter(|_| flow == Flow::AuthorizationCode)
            .and_then(account),
        every: args.every.clone(),
        daemon: DaemonAnswers {
            location: args.location.clone(),
            listen: args.listen.clone(),
            store: args.store.as_deref().map(|path| places.beside(path)),
            ca_file: args.ca_file.as_deref().map(|path| places.beside(path)),
            ..browser(args)
        },
    }
}

/// The first way that the provider offers and that goes with having a secret or none.
fn auth(args: &Args, offer: &Offer, secret: Option<&SecretRef>) -> ClientAuth {
    match args.auth {
        Some(AuthName::ClientSecretBasic) => ClientAuth::ClientSecretBasic,
        Some(AuthName::ClientSecretPost) => ClientAuth::ClientSecretPost,
        Some(AuthName::None) => ClientAuth::None,
        None if secret.is_none() => ClientAuth::None,
        None => {
            let with_secret = |auth: &&ClientAuth| **auth != ClientAuth::None;
            let offered = offer.auth.iter().find(with_secret);
            offered.copied().unwrap_or(ClientAuth::ClientSecretBasic)
        }
    }
}

fn usual_scopes(offer: &Offer, flow: Flow) -> Vec<String> {
    match flow {
        Flow::AuthorizationCode => offer.scopes.clone(),
        Flow::ClientCredentials => Vec::new(),
    }
}

fn scopes(text: &str) -> Vec<String> {
    let parts = text.split([',', ' ']).filter(|scope| !scope.is_empty());
    parts.map(str::to_owned).collect()
}

/// Chromium refuses to start its sandbox for root, which is what a container often runs as.
fn browser(args: &Args) -> DaemonAnswers {
    const NO_SANDBOX: &str = "--no-sandbox";
    let is_root = nix::unistd::geteuid().is_root();
    let mut browser_args = args.browser_arg.clone();
    if is_root && !browser_args.iter().any(|arg| arg == NO_SANDBOX) {
        browser_args.push(NO_SANDBOX.to_owned());
    }
    DaemonAnswers {
        browser_args,
        is_root,
        ..DaemonAnswers::default()
    }
}

fn next(places: &Places, id: &ProbeId, exit: Exit, is_unchecked: bool) -> String {
    let with = match places.is_usual() {
        true => String::new(),
        false => format!(" -c {}", places.daemon.display()),
    };
    let line = |what: &str, why: &str| format!("\n  {what:<WHAT$}  {why}");
    let again = line(&format!("authcanary check {id}{with}"), "tries again");
    let first = match exit {
        Exit::Ok if is_unchecked => line(
            &format!("authcanary check {id}{with}"),
            "signs in now, and prints the steps",
        ),
        Exit::Ok => String::new(),
        Exit::Unknown => {
            let doctor = format!("authcanary doctor{with}");
            line(
                &doctor,
                "says what is wrong with this machine, and what mends it",
            ) + &again
        }
        Exit::Failed | Exit::Usage | Exit::Config => {
            let file = places.probe.display().to_string();
            line(
                &file,
                "is the place to put right what the verdict points to",
            ) + &again
        }
    };
    let rest = [
        (
            format!("authcanary serve{with}"),
            "runs it on its schedule, with pages at the address that it prints",
        ),
        (
            format!("authcanary validate{with}"),
            "lists what is wrong, and what bites one day",
        ),
        (
            places.daemon.display().to_string(),
            "has a place for channels, so that somebody hears of it",
        ),
    ];
    let rest: String = rest.iter().map(|(what, why)| line(what, why)).collect();
    format!("\nNext:{first}{rest}")
}

/// The configuration that was written, or why it cannot be used.
type Written = Result<config::Daemon, config::Faults>;

/// Settings of requests before there is a file with them.
fn http_settings(ca_file: Option<&std::path::Path>) -> http::Settings {
    http::Settings {
        ca_file: ca_file.map(PathBuf::from),
        ..http::Settings::default()
    }
}

/// What was typed in place of a reference.
fn typed_reference(typed: &Typed) -> String {
    format!("file:{}", typed.path.display())
}
