//! The control probe: a sign-in at the built-in provider, started for it on this machine, with the browser and the HTTP
//! client that all probes use. What fails there does not fail because of any provider.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::control::Rehearsal;
use crate::journey::{self, Tools};
use crate::loopback::{self, Loopback};
use crate::probe::{
    Account, Alerts, Budget, Cadence, Client, ClientAuth, Endpoints, Expires, Flow, Login, Probe,
    ProbeId, RedirectUri, Server, Step,
};
use crate::run::{Fault, Stop};
use crate::secret::{Secret, SecretRef};
use crate::taxonomy::{Class, Stage};
use crate::verdict;

const CLIENT: &str = "control";
const ACCOUNT: &str = "control@example.com";

/// The browser never requests it: it is caught before.
const REDIRECT_URI: &str = "https://control.example.com/callback";

/// Signs in once, in a browser where `with_browser`, else by client credentials.
pub(super) async fn hold(tools: &Tools, with_browser: bool, deadline: Instant) -> Rehearsal {
    let left = deadline.saturating_duration_since(Instant::now());
    match timeout_at(deadline, sign_in(tools, with_browser, left)).await {
        Ok(Ok(None)) => Rehearsal::Passed,
        Ok(Ok(Some(stop))) => judged(&stop, with_browser),
        Ok(Err(error)) => Rehearsal::Failed {
            in_browser: false,
            why: format!("it could not be started: {error}"),
        },
        Err(_) => Rehearsal::Overdue,
    }
}

fn judged(stop: &Stop, with_browser: bool) -> Rehearsal {
    let verdict = verdict::judge(stop, &verdict::Known::default());
    match (&stop.fault, verdict.class) {
        // All browsers are with runs: nothing was tried.
        (Fault::Monitor(_), Class::Overloaded) => Rehearsal::NotHeld,
        (_, Class::RequestTimeout | Class::NavigationTimeout) => Rehearsal::Overdue,
        _ => Rehearsal::Failed {
            in_browser: with_browser && !matches!(stop.stage, Stage::Config | Stage::Discovery),
            why: format!("{} {}: {}", verdict.stage, verdict.class, verdict.detail),
        },
    }
}

async fn sign_in(tools: &Tools, with_browser: bool, limit: Duration) -> io::Result<Option<Stop>> {
    // Anybody on this machine could come to that door.
    let secret = Uuid::new_v4().simple().to_string();
    let folder = TempDir::with_prefix("authcanary-control-")?;
    let file = folder.path().join("secret");
    fs::write(&file, &secret)?;
    let provider = loopback::start(provider(&Secret::new(secret))).await?;
    let probe = probe(&provider, &file, with_browser, limit);
    let walk = journey::run(&probe, super::new_run_id(), &tools.for_loopback()).await;
    provider.stop().await;
    Ok(walk.stop)
}

fn provider(secret: &Secret) -> loopback::Config {
    loopback::Config {
        clients: vec![loopback::Client {
            id: CLIENT.to_owned(),
            auth: ClientAuth::ClientSecretBasic,
            secret: Some(secret.clone()),
            redirect_uris: vec![REDIRECT_URI.to_owned()],
            post_logout_redirect_uris: Vec::new(),
            alg: loopback::SigningAlg::Es256,
        }],
        accounts: vec![loopback::Account {
            username: ACCOUNT.to_owned(),
            password: secret.clone(),
            totp: None,
        }],
        ..loopback::Config::demo()
    }
}

/// As a user would write it for that provider.
fn probe(provider: &Loopback, secret: &Path, with_browser: bool, limit: Duration) -> Probe {
    let secret = SecretRef::File(secret.to_owned());
    let machine = Probe {
        id: ProbeId::new("loopback", "control", None),
        provider: "loopback".to_owned(),
        environment: "control".to_owned(),
        flow: Flow::ClientCredentials,
        cadence: Cadence::Every(limit),
        timeout: limit,
        step_timeout: limit,
        scopes: Vec::new(),
        server: Server {
            issuer: Some(provider.issuer().to_owned()),
            endpoints: Endpoints::default(),
        },
        client: Client {
            id: CLIENT.to_owned(),
            auth: ClientAuth::ClientSecretBasic,
            secret: Some(secret.clone()),
            id_token_alg: None,
        },
        redirect_uri: None,
        response_mode: None,
        account: None,
        authorize_params: BTreeMap::new(),
        token_params: BTreeMap::new(),
        headers: BTreeMap::new(),
        traceparent: false,
        login: Login::Auto,
        steps: Vec::new(),
        guards: Vec::new(),
        errors: Vec::new(),
        budget: Budget::default(),
        alerts: Alerts::default(),
        maintenance: Vec::new(),
        expires: Expires::default(),
        source: PathBuf::new(),
    };
    if !with_browser {
        return machine;
    }
    let redirect_uri = RedirectUri::parse(REDIRECT_URI);
    Probe {
        flow: Flow::AuthorizationCode,
        scopes: vec!["openid".to_owned()],
        redirect_uri: Some(redirect_uri.expect("a constant address without a fragment")),
        account: Some(Account {
            username: ACCOUNT.to_owned(),
            password: Some(secret),
            totp: None,
        }),
        steps: vec![Step::Userinfo { expect: None }],
        ..machine
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{browser, http};

    fn tools(http: &http::Settings) -> Tools {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Tools::new(http, browser::Settings::default(), Arc::new(|_, _| ())).unwrap()
    }

    #[tokio::test]
    async fn this_machine_signs_in_at_itself_also_behind_a_dead_proxy() {
        let proxied = http::Settings {
            proxy: Some("http://127.0.0.1:1".parse().unwrap()),
            ..http::Settings::default()
        };
        for settings in [http::Settings::default(), proxied] {
            let deadline = Instant::now() + Duration::from_secs(120);
            let held = hold(&tools(&settings), false, deadline).await;
            assert_eq!(held, Rehearsal::Passed);
        }
    }

    #[tokio::test]
    async fn a_browser_that_is_not_there_is_told() {
        let browser = browser::Settings {
            driver: "/nowhere/chromedriver".to_owned(),
            ..browser::Settings::default()
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let tools = Tools::new(&http::Settings::default(), browser, Arc::new(|_, _| ())).unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        match hold(&tools, true, deadline).await {
            Rehearsal::Failed { why, .. } => {
                assert!(why.contains("webdriver_unavailable"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}
