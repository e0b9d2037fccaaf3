//! The configuration, read again on SIGHUP and when a file of it changes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::serve;
use crate::config::{self, Daemon, Stamp};
use crate::daemon::{Change, Plan};

/// How often the files are looked at. Looking is cheap, and sees what a watch on folders misses: mounted volumes whose
/// links are turned, network file systems, a folder that was not there before.
const LOOK: Duration = Duration::from_secs(2);

/// The changes of a configuration that is in force; never ends. SIGHUP no longer ends the process from here on.
pub(crate) fn changes(config: &Daemon) -> anyhow::Result<BoxStream<'static, Change>> {
    let watch = Watch {
        hangup: signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?,
        taken: Stamp::of(&config.source),
        seen: Stamp::of(&config.source),
        fixed: fixed(config),
        source: config.source.clone(),
    };
    Ok(stream::unfold(watch, Watch::next).boxed())
}

struct Watch {
    source: PathBuf,
    hangup: Signal,
    /// The files as they were when they were read last.
    taken: Stamp,
    /// The files as they were at the last look.
    seen: Stamp,
    fixed: Vec<(&'static str, String)>,
}

impl Watch {
    async fn next(mut self) -> Option<(Change, Self)> {
        loop {
            let asked = tokio::select! {
                _ = self.hangup.recv() => true,
                () = sleep(LOOK) => false,
            };
            let source = self.source.clone();
            let now = spawn_blocking(move || Stamp::of(&source)).await.ok()?;
            // A change counts once it has been seen twice: whoever writes the files may be in the middle of it.
            let settled = now == self.seen;
            self.seen = now;
            if asked || (settled && self.seen != self.taken) {
                self.taken = self.seen.clone();
                return Some((self.read().await?, self));
            }
        }
    }

    async fn read(&self) -> Option<Change> {
        let source = self.source.clone();
        let read = spawn_blocking(move || config::load(&source)).await.ok()?;
        Some(match read {
            Err(faults) => Change::Refused(faults.to_string()),
            Ok(config) => {
                self.warn_of_fixed(&config);
                match serve::notify(&config) {
                    Ok(notify) => Change::Taken(Box::new(Plan {
                        notify: Some(Box::new(notify)),
                        limits: config.store.limits(),
                        probes: config.probes,
                        access: config.access,
                    })),
                    Err(error) => Change::Refused(error.to_string()),
                }
            }
        })
    }

    fn warn_of_fixed(&self, config: &Daemon) {
        let after = fixed(config);
        let changed = self.fixed.iter().zip(&after).filter(|(a, b)| a != b);
        for ((section, _), _) in changed {
            tracing::warn!(
                section,
                "this section changed: it takes effect at the next start"
            );
        }
    }
}

/// The sections that are only read at the start, each in a form that can be compared. They hold references to secrets,
/// never values.
fn fixed(config: &Daemon) -> Vec<(&'static str, String)> {
    vec![
        ("location", config.location.clone()),
        ("listen", config.listen.to_string()),
        ("public_url", format!("{:?}", config.public_url)),
        ("store.path", config.store.path.display().to_string()),
        (
            "store.evidence_every",
            config.store.evidence_every.to_string(),
        ),
        ("browser", format!("{:?}", config.browser)),
        ("http", format!("{:?}", config.http)),
        ("egress", format!("{:?}", config.egress)),
        (
            "telemetry",
            format!(
                "{:?} {} {}",
                config.otlp, config.prometheus, config.max_series
            ),
        ),
    ]
}
