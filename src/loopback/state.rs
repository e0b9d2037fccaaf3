//! What the server knows: its set-up, and the sign-ins, sessions, codes and tokens of the moment. Tokens are kept by
//! their hash. Everything is bounded and expires.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use totp_rs::Totp;

use super::bounded::Bounded;
use super::events::Events;
use super::faults::{FaultError, Faults};
use super::interaction::Interaction;
use super::keys::{KeyError, Keys, sha256};
use super::{Account, Client, Config};
use crate::probe::ClientAuth;

const MAX_INTERACTIONS: usize = 1_024;
const MAX_SESSIONS: usize = 1_024;
const MAX_CODES: usize = 1_024;
const MAX_GRANTS: usize = 4_096;
const MAX_TOKENS: usize = 8_192;

/// The server, shared by all its handlers.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) config: Config,
    pub(super) issuer: String,
    pub(super) faults: Faults,
    pub(super) events: Events,
    /// Second factors by user name.
    totps: HashMap<String, Totp>,
    keys: Mutex<Keys>,
    state: Mutex<State>,
}

/// What changes from request to request.
#[derive(Debug)]
pub(super) struct State {
    pub(super) interactions: Bounded<Interaction>,
    /// By the hash of the session cookie.
    pub(super) sessions: Bounded<Session>,
    /// By the hash of the code.
    pub(super) codes: Bounded<Code>,
    pub(super) grants: Bounded<Grant>,
    /// By the hash of the token.
    pub(super) access_tokens: Bounded<AccessToken>,
    pub(super) refresh_tokens: Bounded<RefreshToken>,
    /// By user name; only accounts that exist have an entry.
    pub(super) attempts: HashMap<String, Attempts>,
}

/// Somebody is signed in, in one browser.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) username: String,
    /// Seconds.
    pub(super) auth_time: i64,
    /// Scopes agreed to, by client. They end with the session.
    pub(super) consents: BTreeMap<String, Vec<String>>,
}

/// An authorization code.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) client: String,
    pub(super) redirect_uri: String,
    /// S256 challenge of the verifier.
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) scope: Vec<String>,
    pub(super) username: String,
    pub(super) auth_time: i64,
    /// Seconds; the code itself is remembered for longer, so that a late one is told from an unknown one.
    pub(super) expires: i64,
    /// The grant of its first redemption.
    pub(super) redeemed: Option<String>,
}

/// What a client was given: all tokens of one sign-in live and die with it.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) client: String,
    /// Absent where the client acts for itself.
    pub(super) username: Option<String>,
    pub(super) scope: Vec<String>,
    pub(super) auth_time: i64,
    /// The last token response, for a refresh that gives nothing new.
    pub(super) last_access_token: String,
}

/// An access token of a grant.
#[derive(Debug, Clone)]
pub(super) struct AccessToken {
    pub(super) grant: String,
    pub(super) issued: i64,
    pub(super) scope: Vec<String>,
}

/// A refresh token of a grant.
#[derive(Debug, Clone)]
pub(super) struct RefreshToken {
    pub(super) grant: String,
    pub(super) issued: i64,
    /// Rotated away; if it comes again, somebody else has it.
    pub(super) spent: bool,
}

/// How the last sign-ins of an account went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attempts {
    /// Wrong passwords and codes in a row.
    pub(super) refused: u32,
    /// Seconds.
    pub(super) locked_until: i64,
    /// The last time step whose code was taken (RFC 6238 section 5.2).
    pub(super) totp_step: Option<u64>,
}

/// The configuration contradicts itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("client {0} is there twice")]
    ClientTwice(String),
    #[error("client {0} needs a secret exactly when it authenticates with one")]
    ClientSecret(String),
    #[error("account {0} is there twice")]
    AccountTwice(String),
    #[error("TOTP secret of account {0} is not base32 of at least 128 bits")]
    Totp(String),
    #[error(transparent)]
    Fault(#[from] FaultError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Server {
    /// Checks the configuration and makes the keys, which takes a moment.
    pub(super) fn new(mut config: Config, issuer: String) -> Result<Self, ConfigError> {
        check_clients(&config.clients)?;
        for client in &mut config.clients {
            for uri in client
                .redirect_uris
                .iter_mut()
                .chain(&mut client.post_logout_redirect_uris)
            {
                if uri.starts_with('/') {
                    uri.insert_str(0, &issuer);
                }
            }
        }
        let faults = Faults::default();
        for fault in &config.faults {
            faults.put(fault.clone())?;
        }
        Ok(Self {
            totps: totps(&config.accounts)?,
            keys: Mutex::new(Keys::new()?),
            state: Mutex::new(State::new()),
            events: Events::default(),
            faults,
            issuer,
            config,
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A registered client.
    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.config.clients.iter().find(|client| client.id == id)
    }

    /// An account by its user name, exactly as written.
    pub(super) fn account(&self, username: &str) -> Option<&Account> {
        self.config
            .accounts
            .iter()
            .find(|account| account.username == username)
    }

    /// The second factor of an account, if it has one.
    pub(super) fn totp(&self, username: &str) -> Option<&Totp> {
        self.totps.get(username)
    }
}

impl State {
    fn new() -> Self {
        Self {
            interactions: Bounded::new(MAX_INTERACTIONS),
            sessions: Bounded::new(MAX_SESSIONS),
            codes: Bounded::new(MAX_CODES),
            grants: Bounded::new(MAX_GRANTS),
            access_tokens: Bounded::new(MAX_TOKENS),
            refresh_tokens: Bounded::new(MAX_TOKENS),
            attempts: HashMap::new(),
        }
    }

    /// A live access token with its grant.
    pub(super) fn access(&self, token: &str, now: i64) -> Option<(&AccessToken, &Grant)> {
        let access = self.access_tokens.get(&sha256(token), now)?;
        Some((access, self.grants.get(&access.grant, now)?))
    }

    /// A live refresh token with its grant.
    pub(super) fn refresh(&self, token: &str, now: i64) -> Option<(&RefreshToken, &Grant)> {
        let refresh = self.refresh_tokens.get(&sha256(token), now)?;
        Some((refresh, self.grants.get(&refresh.grant, now)?))
    }

    /// How much is held, by kind: for people, and for the test that it stays bounded.
    pub(super) fn sizes(&self) -> BTreeMap<&'static str, usize> {
        BTreeMap::from([
            ("interactions", self.interactions.len()),
            ("sessions", self.sessions.len()),
            ("codes", self.codes.len()),
            ("grants", self.grants.len()),
            ("access_tokens", self.access_tokens.len()),
            ("refresh_tokens", self.refresh_tokens.len()),
        ])
    }
}

/// The time in whole seconds, as tokens and expiries have it.
pub(super) fn now() -> i64 {
    crate::clock::now().as_second()
}

/// A lifetime in whole seconds, at least one.
pub(super) fn seconds(lifetime: Duration) -> i64 {
    i64::try_from(lifetime.as_secs())
        .unwrap_or(i64::MAX / 4)
        .clamp(1, i64::MAX / 4)
}

/// `sub` of an account: stable, and not its user name.
pub(super) fn subject(username: &str) -> String {
    sha256(&format!("subject of {username}"))[..22].to_owned()
}

fn check_clients(clients: &[Client]) -> Result<(), ConfigError> {
    for (index, client) in clients.iter().enumerate() {
        if clients[..index].iter().any(|other| other.id == client.id) {
            return Err(ConfigError::ClientTwice(client.id.clone()));
        }
        if client.secret.is_some() != (client.auth != ClientAuth::None) {
            return Err(ConfigError::ClientSecret(client.id.clone()));
        }
    }
    Ok(())
}

fn totps(accounts: &[Account]) -> Result<HashMap<String, Totp>, ConfigError> {
    let mut totps = HashMap::new();
    for (index, account) in accounts.iter().enumerate() {
        let username = &account.username;
        if accounts[..index]
            .iter()
            .any(|other| other.username == *username)
        {
            return Err(ConfigError::AccountTwice(username.clone()));
        }
        if let Some(secret) = &account.totp {
            let secret = totp_rs::Secret::try_from_base32(secret.expose())
                .map_err(|_| ConfigError::Totp(username.clone()))?;
            let totp = totp_rs::Builder::new()
                .with_secret(secret)
                .build()
                .map_err(|_| ConfigError::Totp(username.clone()))?;
            totps.insert(username.clone(), totp);
        }
    }
    Ok(totps)
}
