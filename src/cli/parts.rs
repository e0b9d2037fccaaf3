//! From what the files say to what the parts of the program are built with.

use anyhow::Context;

use crate::api::{Access, Right, Token};
use crate::config::{ApiToken, Daemon, Permission};
use crate::journey::{Tools, Watcher};
use crate::{browser, http};

/// What journeys work with.
pub(crate) fn tools(config: &Daemon, watcher: Watcher) -> anyhow::Result<Tools> {
    let http = http::Settings {
        max_body_bytes: usize::try_from(config.http.max_body).unwrap_or(usize::MAX),
        proxy: config.http.proxy.clone(),
        ca_file: config.http.ca_file.clone(),
        ..http::Settings::default()
    };
    let browser = browser::Settings {
        driver: config.browser.driver.clone(),
        url: config.browser.url.clone(),
        max_sessions: config.browser.max_sessions as usize,
        args: config.browser.args.clone(),
        binary: config.browser.binary.clone(),
        ..browser::Settings::default()
    };
    Tools::new(&http, browser, watcher).context("cannot set up HTTP")
}

/// Who may use the API.
pub(crate) fn access(config: &Daemon) -> anyhow::Result<Access> {
    let tokens = config
        .api
        .tokens
        .iter()
        .map(token)
        .collect::<anyhow::Result<_>>()?;
    Ok(Access::new(tokens))
}

fn token(token: &ApiToken) -> anyhow::Result<Token> {
    let may = token.may.iter().map(|permission| match permission {
        Permission::Read => Right::Read,
        Permission::Run => Right::Run,
        Permission::Admin => Right::Admin,
    });
    Token::new(&token.name, &token.hash, may.collect())
        .with_context(|| format!("the hash of API token {} is no SHA-256", token.name))
}
