//! The loopback provider: a strict authorization server on 127.0.0.1, with faults that can be switched on.
//!
//! It signs people in with user name, password, one-time code and consent, and speaks the authorization code flow with
//! PKCE, refresh with rotation, client credentials, introspection, revocation, userinfo, a resource and logout. Demo,
//! tests and the control probe use it. It never listens on anything but loopback, keeps everything in memory, and
//! forgets what has expired.
//!
//! Faults are switched by [`Config::faults`], by [`Loopback::faults`], or over HTTP:
//!
//! | request | does |
//! | --- | --- |
//! | `GET /_faults` | lists those that are on |
//! | `PUT /_faults` | switches one on, or a list: `{"endpoint": "token", "fault": {"status": 503}, "times": 2}` |
//! | `DELETE /_faults` | switches all off, with `?endpoint=token` those of one endpoint |
//! | `GET /_events` | what the server saw, with `?after=N` only what came after event N |
//!
//! [`Kind`] lists the faults, [`Kind::places`] says where each one makes sense; `docs/loopback.md` shows it as a table.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::probe::ClientAuth;
use crate::secret::Secret;

mod authorize;
mod bearer;
mod bounded;
mod callback;
mod clients;
mod control;
mod cookies;
mod events;
mod factors;
mod faults;
mod inspect;
mod interaction;
mod keys;
mod logout;
mod metadata;
mod pages;
mod params;
mod reply;
mod routes;
mod shape;
mod state;
mod texts;
mod token;
mod tokens;
mod views;
mod wire;

pub use events::{Event, EventKind};
pub use faults::{Endpoint, Fault, FaultError, Faults, Kind, TokenName};
pub use texts::Language;

use state::Server;
use wire::{Door, Slot};

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    pub clients: Vec<Client>,
    pub accounts: Vec<Account>,
    /// Whether a refresh gives a new refresh token and spends the old one.
    pub rotate: bool,
    /// An account is locked after so many wrong passwords or codes in a row, for [`Lifetimes::lock`].
    pub lock_after: u32,
    pub lifetimes: Lifetimes,
    pub pages: Pages,
    /// Faults that are on from the start.
    pub faults: Vec<Fault>,
}

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    pub id: String,
    /// How it authenticates; nothing else is taken from it.
    pub auth: ClientAuth,
    /// Present unless `auth` is `none`.
    pub secret: Option<Secret>,
    /// Compared as exact strings. One that starts with `/` is an address of this server.
    pub redirect_uris: Vec<String>,
    /// The same, for where the browser goes after logout.
    pub post_logout_redirect_uris: Vec<String>,
    /// Signs its ID tokens.
    pub alg: SigningAlg,
}

/// An account that can sign in.
#[derive(Debug, Clone)]
pub struct Account {
    pub username: String,
    pub password: Secret,
    /// TOTP secret in base32, of at least 128 bits; with it the account has a second factor.
    pub totp: Option<Secret>,
}

/// Algorithms of ID tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SigningAlg {
    #[default]
    Rs256,
    Es256,
}

/// How long things live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    pub code: Duration,
    pub access_token: Duration,
    pub id_token: Duration,
    /// Since its last use.
    pub refresh_token: Duration,
    pub session: Duration,
    /// Of a sign-in that has begun.
    pub interaction: Duration,
    /// Of the lock on an account.
    pub lock: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            code: Duration::from_secs(60),
            access_token: Duration::from_secs(3_600),
            id_token: Duration::from_secs(3_600),
            refresh_token: Duration::from_secs(14 * 86_400),
            session: Duration::from_secs(8 * 3_600),
            interaction: Duration::from_secs(600),
            lock: Duration::from_secs(300),
        }
    }
}

/// What the pages look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pages {
    /// The user name has a page of its own, before the password.
    pub identifier_first: bool,
    /// Asks whether to stay signed in.
    pub stay_signed_in: bool,
    /// Asks before signing out even where a valid ID token came along.
    pub confirm_logout: bool,
    pub language: Language,
}

impl Config {
    /// What `authcanary demo` runs: clients `demo-basic` (RS256), `demo-post` (ES256) and `demo-public` (RS256), whose secrets
    /// are their ids with `-secret` behind, accounts `demo@example.com` and, with a second factor, `totp@example.com`,
    /// both with the password `demo-password`.
    pub fn demo() -> Self {
        let account = |username: &str, totp: Option<&str>| Account {
            username: username.to_owned(),
            password: Secret::new("demo-password"),
            totp: totp.map(Secret::new),
        };
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clients: vec![
                Client::demo(
                    "demo-basic",
                    ClientAuth::ClientSecretBasic,
                    SigningAlg::Rs256,
                ),
                Client::demo("demo-post", ClientAuth::ClientSecretPost, SigningAlg::Es256),
                Client::demo("demo-public", ClientAuth::None, SigningAlg::Rs256),
            ],
            accounts: vec![
                account("demo@example.com", None),
                account("totp@example.com", Some(DEMO_TOTP)),
            ],
            rotate: true,
            lock_after: 10,
            lifetimes: Lifetimes::default(),
            pages: Pages::default(),
            faults: Vec::new(),
        }
    }
}

/// The TOTP secret of the demo account.
pub const DEMO_TOTP: &str = "DEMODEMODEMODEMODEMODEMODEMODEMO";

impl Client {
    fn demo(id: &str, auth: ClientAuth, alg: SigningAlg) -> Self {
        Self {
            id: id.to_owned(),
            auth,
            secret: (auth != ClientAuth::None).then(|| Secret::new(format!("{id}-secret"))),
            redirect_uris: vec![
                "/app/callback".to_owned(),
                "https://app.example.com/callback".to_owned(),
                "http://127.0.0.1:1/callback".to_owned(),
                "com.example.demo:/callback".to_owned(),
            ],
            post_logout_redirect_uris: vec!["/app".to_owned()],
            alg,
        }
    }
}

/// A running server. It stops when this is dropped; [`Loopback::stop`] also waits for it.
#[derive(Debug)]
pub struct Loopback {
    server: Arc<Server>,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Starts the server on a listener of its own.
///
/// # Errors
/// The address is taken or not on loopback, or the configuration contradicts itself.
pub async fn start(config: Config) -> io::Result<Loopback> {
    if !config.listen.ip().is_loopback() {
        return Err(invalid(format!(
            "{} is no loopback address",
            config.listen.ip()
        )));
    }
    let listener = TcpListener::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let made =
        tokio::task::spawn_blocking(move || Server::new(config, format!("http://{address}")));
    let server = Arc::new(made.await.map_err(io::Error::other)?.map_err(invalid)?);
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = stopped.map(drop).boxed().shared();
    let door = Door {
        tcp: listener,
        stopped: stopped.clone(),
    };
    let app = routes::router(Arc::clone(&server), stopped.clone());
    let serving = axum::serve(door, app.into_make_service_with_connect_info::<Slot>())
        .with_graceful_shutdown(stopped);
    let task = tokio::spawn(async move {
        // Serving has no errors of its own: those of a connection end that connection.
        let _ = serving.await;
    });
    Ok(Loopback {
        server,
        address,
        stop,
        task,
    })
}

impl Loopback {
    /// The issuer: the server's address without a slash at the end.
    pub fn issuer(&self) -> &str {
        &self.server.issuer
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The switches of its faults.
    pub fn faults(&self) -> &Faults {
        &self.server.faults
    }

    /// What it saw after an event, oldest first; all that it still knows with 0.
    pub fn events(&self, after: u64) -> Vec<Event> {
        self.server.events.after(after)
    }

    /// Closes the listener and every connection, and waits until they are gone.
    pub async fn stop(self) {
        drop(self.stop);
        // An error means that the task is gone already.
        let _ = self.task.await;
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
