//! Asks a person for what the command line left open. Secrets are typed without being shown, and only ever into a file.

use std::path::Path;

use dialoguer::console::Term;
use dialoguer::{Input, Password, Select};
use tokio::signal::unix::{SignalKind, signal};

use super::survey::auth_name;
use super::write::Typed;
use super::{Args, AuthName, FlowName, paths, provider, typed_reference};
use crate::init::Offer;
use crate::probe::{ClientAuth, Flow, RedirectUri};
use crate::secret::Secret;

/// Fills what is open in `args`; secrets that were typed come into `typed`.
pub(super) fn fill(
    args: &mut Args,
    offer: &Offer,
    daemon: &Path,
    typed: &mut Vec<Typed>,
) -> dialoguer::Result<()> {
    let signs_in = match args.flow {
        Some(flow) => flow == FlowName::AuthorizationCode,
        None => offer.flow == Flow::AuthorizationCode,
    };
    if args.environment.is_none() {
        let name = |text: &String| paths::is_name(text);
        args.environment = Some(with_default("Environment", "prod", name)?);
    }
    if args.client_id.is_none() {
        args.client_id = Some(text("Client id")?);
    }
    if args.auth.is_none() && args.client_secret.is_none() {
        args.auth = Some(auth(&offer.auth)?);
    }
    let file = |args: &Args, what: &str| {
        let environment = args.environment.as_deref().unwrap_or("prod");
        let name = args.name.as_deref().unwrap_or(provider(args, offer));
        let folder = daemon.parent().unwrap_or(Path::new("")).join("secrets");
        folder.join(format!("{name}-{environment}-{what}"))
    };
    if args.auth != Some(AuthName::None) && args.client_secret.is_none() {
        let path = file(args, "client");
        args.client_secret = Some(secret("client secret", &path, typed)?);
    }
    if !signs_in {
        return Ok(());
    }
    if args.redirect_uri.is_none() {
        let uri = |text: &String| {
            RedirectUri::parse(text)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        args.redirect_uri = Some(
            Input::new()
                .with_prompt("Redirect URI, as registered")
                .validate_with(uri)
                .interact()?,
        );
    }
    if args.scopes.is_none() {
        let any = |_: &String| Ok::<(), &str>(());
        args.scopes = Some(with_default("Scopes", &offer.scopes.join(" "), any)?);
    }
    if args.username.is_none() {
        args.username = Some(text("User name of the account that signs in")?);
    }
    if args.password.is_none() {
        let path = file(args, "password");
        args.password = Some(secret("password", &path, typed)?);
        if args.totp.is_none() && has_authenticator()? {
            let path = file(args, "totp");
            args.totp = Some(secret("authenticator's secret (base32)", &path, typed)?);
        }
    }
    Ok(())
}

/// A choice hides the cursor, and Ctrl-C would leave it hidden.
pub(super) fn guard_cursor() -> std::io::Result<()> {
    // From here on, and not when the task first runs.
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        interrupt.recv().await;
        leave();
    });
    Ok(())
}

/// Whether a question was left by Ctrl-C, which some of them tell as an error.
pub(super) fn is_left(error: &dialoguer::Error) -> bool {
    let dialoguer::Error::IO(error) = error;
    error.kind() == std::io::ErrorKind::Interrupted
}

/// Ends as a shell expects of a program that Ctrl-C has ended.
pub(super) fn leave() -> ! {
    // Nothing can be done about a terminal that is gone.
    let _ = Term::stderr().show_cursor();
    std::process::exit(130)
}

fn text(prompt: &str) -> dialoguer::Result<String> {
    Input::new().with_prompt(prompt).interact()
}

fn with_default<E: ToString>(
    prompt: &str,
    default: &str,
    validator: impl FnMut(&String) -> Result<(), E>,
) -> dialoguer::Result<String> {
    Input::new()
        .with_prompt(prompt)
        .default(default.to_owned())
        .validate_with(validator)
        .interact()
}

fn auth(offered: &[ClientAuth]) -> dialoguer::Result<AuthName> {
    // Whether public clients are taken is often not said.
    let mut all = offered.to_vec();
    if !all.contains(&ClientAuth::None) {
        all.push(ClientAuth::None);
    }
    let names: Vec<&str> = all.iter().map(|auth| auth_name(*auth)).collect();
    Ok(match all[choose("How the client authenticates", &names)?] {
        ClientAuth::ClientSecretBasic => AuthName::ClientSecretBasic,
        ClientAuth::ClientSecretPost => AuthName::ClientSecretPost,
        ClientAuth::None => AuthName::None,
    })
}

fn has_authenticator() -> dialoguer::Result<bool> {
    let choices = ["no", "yes, by an authenticator (TOTP)"];
    Ok(choose("Does the account need a one-time code", &choices)? == 1)
}

/// A reference to where `what` is kept; `path` is where it goes when it is typed.
fn secret(what: &str, path: &Path, typed: &mut Vec<Typed>) -> dialoguer::Result<String> {
    let into = format!(
        "type it now, into {} that only you can read",
        path.display()
    );
    let choices = [
        into.as_str(),
        "an environment variable of the daemon",
        "a file that is there",
        "a systemd credential",
        "a program prints it",
    ];
    let chosen = choose(&format!("Where is the {what} kept"), &choices)?;
    Ok(match chosen {
        0 => {
            let secret = Password::new()
                .with_prompt(format!("The {what}"))
                .interact()?;
            let new = Typed {
                path: path.to_owned(),
                secret: Secret::new(secret),
            };
            let reference = typed_reference(&new);
            typed.push(new);
            reference
        }
        1 => format!("env:{}", text("Name of the variable")?),
        2 => format!("file:{}", text("Path of the file")?),
        3 => format!("credential:{}", text("Name of the credential")?),
        _ => format!("command:{}", text("Program and arguments")?),
    })
}

fn choose(prompt: &str, choices: &[&str]) -> dialoguer::Result<usize> {
    Select::new()
        .with_prompt(prompt)
        .items(choices)
        .default(0)
        .interact()
}
