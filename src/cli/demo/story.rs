//! What the demo shows by itself: sign-ins that pass, a fault at the provider, the page and the mail that come of it, and
//! their end once the fault is gone. Nothing in it is staged but the fault: the rule, its figures and the mail are those
//! of any daemon.

use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::mailbox::{Mail, Mailbox};
use crate::alert::{Alert, Kind as AlertKind, State};
use crate::api::{Alerts, Shown};
use crate::cli::client::Client;
use crate::loopback::{Endpoint, Faults, Kind};
use crate::run::Run;
use crate::taxonomy::Outcome;

/// Sign-ins that pass before anything is broken.
const GOOD: usize = 6;

/// How often the daemon is asked what it knows.
const LOOK: Duration = Duration::from_millis(500);

/// After so long something is wrong with the demo itself.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the provider is made to do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Plot {
    /// It signs ID tokens with a key that is not its own, while every address answers well: told at the first run, over
    /// after three good ones; two minutes in all
    Signature,
    /// The client secret has expired: told at the second failure, two minutes after the first, over after ten quiet
    /// minutes
    Secret,
    /// Nothing: the daemon runs, and you break things yourself
    None,
}

/// What the story needs to know and to do.
pub(super) struct Stage<'a> {
    pub(super) client: Client,
    pub(super) faults: &'a Faults,
    pub(super) mailbox: Mailbox,
    pub(super) runs: mpsc::UnboundedReceiver<Run>,
}

impl Plot {
    fn fault(self) -> Option<(Endpoint, Kind)> {
        match self {
            Self::Signature => Some((Endpoint::Token, Kind::WrongSignature)),
            Self::Secret => Some((Endpoint::Token, Kind::ExpiredSecret)),
            Self::None => None,
        }
    }

    fn kind(self) -> AlertKind {
        match self {
            Self::Signature => AlertKind::Security,
            Self::Secret | Self::None => AlertKind::FailureRate,
        }
    }

    fn beginning(self) -> &'static str {
        match self {
            Self::Signature => {
                "Now the provider signs ID tokens with a key that is not its own.\n   \
                 Every address still answers 200. One run is enough for this class: somebody is told at once."
            }
            Self::Secret | Self::None => {
                "Now the client secret has expired.\n   \
                 This does not pass by itself: somebody is told at the second failure, two minutes after the first."
            }
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Signature => {
                "It is over after three good runs in a row of each probe that saw it."
            }
            Self::Secret | Self::None => {
                "It is over after ten minutes without a failure, so that what comes and goes is one alert."
            }
        }
    }

    /// From the fault to the page, and from its end to that of the alert.
    fn patience(self) -> (Duration, Duration) {
        match self {
            Self::Signature => (PATIENCE, 2 * PATIENCE),
            Self::Secret | Self::None => (2 * PATIENCE, 6 * PATIENCE),
        }
    }
}

/// Plays it; an error says at what point it did not go on.
pub(super) async fn play(plot: Plot, mut stage: Stage<'_>) -> anyhow::Result<()> {
    let Some((endpoint, fault)) = plot.fault() else {
        return std::future::pending().await;
    };
    stage.good_runs().await?;
    say(plot.beginning());
    stage.faults.set(endpoint, fault)?;
    let began = Instant::now();
    let (to_page, to_end) = plot.patience();
    let alert = timeout(to_page, stage.alert(plot.kind(), State::Firing));
    let alert = alert.await.context("no page came of the fault")??;
    let address = format!("{}alerts/{}", stage.client.base(), alert.fingerprint);
    say(&format!(
        "A page, {} s after the fault began: {address}",
        began.elapsed().as_secs()
    ));
    let mail = stage.mail("Firing").await?;
    show(&mail);
    stage.faults.clear_at(endpoint);
    say(&format!("The fault is gone again. {}", plot.end()));
    let over = timeout(to_end, stage.alert(plot.kind(), State::Resolved));
    over.await.context("the alert did not end")??;
    let mail = stage.mail("Resolved").await?;
    show(&mail);
    say("That was it: one cause, one page, one end.");
    Ok(())
}

impl Stage<'_> {
    /// Waits until sign-ins pass.
    async fn good_runs(&mut self) -> anyhow::Result<()> {
        let mut good = 0;
        let mut last = String::new();
        let passing = async {
            while let Some(run) = self.runs.recv().await {
                match (run.outcome, run.verdict) {
                    (Outcome::Ok | Outcome::Degraded, _) => good += 1,
                    (_, Some(verdict)) => last = format!(": {}, {}", verdict.class, verdict.detail),
                    (_, None) => (),
                }
                if good >= GOOD {
                    return;
                }
            }
        };
        let passed = timeout(PATIENCE, passing).await.is_ok() && good >= GOOD;
        anyhow::ensure!(
            passed,
            "sign-ins do not pass here{last}; `authcanary doctor` says what mends it"
        );
        Ok(())
    }

    /// Waits for an alert of this kind in this state.
    async fn alert(&self, kind: AlertKind, state: State) -> anyhow::Result<Alert> {
        loop {
            let found: Alerts = self
                .client
                .get("alerts", &[("state", state.to_string())])
                .await?;
            let alerts = found.alerts.into_iter().map(|Shown { alert, .. }| alert);
            if let Some(alert) = alerts.into_iter().find(|alert| alert.kind == kind) {
                return Ok(alert);
            }
            sleep(LOOK).await;
        }
    }

    /// Waits for a mail whose first line begins so; names others on the way.
    async fn mail(&mut self, begins: &str) -> anyhow::Result<Mail> {
        let coming = async {
            while let Some(mail) = self.mailbox.arrived.recv().await {
                if mail.text.starts_with(begins) {
                    return Some(mail);
                }
                let title = mail.text.lines().next().unwrap_or_default();
                say(&format!("Another mail of the same thread: {title}"));
            }
            None
        };
        let mail = timeout(PATIENCE, coming).await.ok().flatten();
        mail.context("no mail came of the page")
    }
}

/// A line of the story, set apart from the runs.
fn say(text: &str) {
    println!("\n>> {text}\n");
}

/// A mail as it arrived.
fn show(mail: &Mail) {
    say(&format!(
        "Mail, by SMTP: {}\n   as a mail program shows it: file://{}",
        mail.file.display(),
        mail.page.display()
    ));
    for line in mail.text.trim_end().lines() {
        println!("   | {line}");
    }
}
