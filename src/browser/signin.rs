//! Walks the pages between the authorization request and the callback.

use std::time::Duration;

use tokio::time::Instant;

use super::page;
use super::tab::Tab;
use super::walker::Walker;
use crate::probe::Login;
use crate::redact::Redactor;
use crate::run::{Fault, Finding, PageEvidence, StepRecord, Stop};
use crate::secret::Secret;
use crate::signin::Halt;
use crate::taxonomy::{Class, Outcome};
use crate::totp::Totp;

/// Who signs in.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    pub username: &'a str,
    pub password: Option<&'a Secret>,
    pub totp: Option<&'a Totp>,
}

/// How the pages were passed.
#[derive(Debug)]
pub struct SignIn<T> {
    /// What `arrived` gave; absent exactly when `stop` is there.
    pub arrived: Option<T>,
    /// Authorize, login, mfa, consent, as far as they were met.
    pub steps: Vec<StepRecord>,
    pub stop: Option<Stop>,
    /// The page at which it stopped.
    pub page: Option<PageEvidence>,
    /// Everything that was typed: to be hidden wherever else it turns up.
    pub filled: Vec<Secret>,
}

/// Walks from the authorization request (already opened) until `arrived`, a stop, or `deadline`. No page gets longer
/// than `step_timeout`.
pub async fn walk<T>(
    tab: &Tab,
    login: &Login,
    person: &Person<'_>,
    step_timeout: Duration,
    deadline: Instant,
    redactor: &Redactor,
    arrived: impl Future<Output = T> + Unpin,
) -> SignIn<T> {
    let mut walker = Walker::new(tab, person, step_timeout, deadline);
    let outcome = tokio::select! {
        biased;
        output = arrived => Ok(output),
        stop = walker.go(login) => Err(stop),
    };
    let mut sign_in = SignIn {
        arrived: None,
        steps: Vec::new(),
        stop: None,
        page: None,
        filled: Vec::new(),
    };
    match outcome {
        Ok(output) => {
            walker.close(Outcome::Ok);
            sign_in.arrived = Some(output);
        }
        Err(stop) => {
            walker.enter(stop.stage);
            walker.close(outcome_of(&stop.fault));
            if !matches!(&stop.fault, Fault::Monitor(finding) if finding.class != Class::ConfigInvalid)
            {
                sign_in.page = Some(page::capture(tab, &walker.filled, redactor).await);
            }
            sign_in.stop = Some(stop);
        }
    }
    sign_in.steps = walker.steps;
    sign_in.filled = walker.filled;
    sign_in
}

/// A stop of the thought as a stop of the run.
pub(super) fn halt(halt: Halt) -> Stop {
    let finding = Finding::new(halt.class, halt.detail);
    let fault = match halt.class {
        Class::ConfigInvalid => Fault::Monitor(finding),
        Class::DnsFailure
        | Class::ConnectRefused
        | Class::ConnectTimeout
        | Class::ConnectionReset
        | Class::TlsExpired
        | Class::TlsHostnameMismatch
        | Class::TlsUntrusted
        | Class::TlsHandshake
        | Class::ProxyError => Fault::Transport(finding),
        _ => Fault::Page(finding),
    };
    Stop {
        stage: halt.stage,
        fault,
    }
}

fn outcome_of(fault: &Fault) -> Outcome {
    match fault {
        Fault::Monitor(_) => Outcome::Unknown,
        Fault::Answer(_)
        | Fault::Callback(_)
        | Fault::Check(_)
        | Fault::Transport(_)
        | Fault::Page(_) => Outcome::Failed,
    }
}
