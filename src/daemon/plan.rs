//! The probes at work, and how a new configuration takes the place of the one before while runs are under way.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Daemon, alarm, manager};
use crate::api::Access;
use crate::board::Slot;
use crate::clock;
use crate::notify::sender;
use crate::probe::Probe;
use crate::run::RunId;
use crate::schedule;
use crate::store::Limits;

/// What a configuration may change while the daemon runs.
#[derive(Debug)]
pub struct Plan {
    pub probes: Vec<Probe>,
    pub access: Access,
    /// How much the store keeps.
    pub limits: Limits,
    /// Whom to tell of alerts; `None` leaves that as it is.
    pub notify: Option<Box<sender::Settings>>,
}

/// What came of reading the configuration again.
#[derive(Debug)]
pub enum Change {
    /// It is whole, and takes over.
    Taken(Box<Plan>),
    /// It has faults, listed here; the one before stays in force.
    Refused(String),
}

impl Daemon {
    pub(super) async fn change(&mut self, change: Change) {
        match change {
            Change::Taken(plan) => {
                let probes = plan.probes.len();
                manager::reloading();
                self.take_over(*plan).await;
                manager::ready(probes);
                tracing::info!(probes, "the configuration was read again and is in force");
            }
            Change::Refused(faults) => {
                self.bench.telemetry.config_reloaded(false);
                self.board.config_read(clock::now(), Some(faults.clone()));
                tracing::error!(
                    "the new configuration is not taken, the one before stays in force:\n{faults}"
                );
            }
        }
    }

    async fn take_over(&mut self, plan: Plan) {
        let access = plan.access.bound_to(self.listen);
        self.access.send_replace(Arc::new(access));
        self.limits.send_if_modified(|limits| {
            let before = std::mem::replace(limits, plan.limits);
            before != plan.limits
        });
        self.bench.telemetry.watch(&plan.probes);
        self.bench.radar.watch(&plan.probes);
        self.bench.telemetry.config_reloaded(true);
        self.board.config_read(clock::now(), None);
        if let Some(notify) = &plan.notify {
            let channels = notify.channels.keys().map(String::as_str);
            self.bench.telemetry.watch_channels(channels);
        }
        let desk = alarm::plan(&self.bench.location, self.bench.settle, &plan.probes);
        if let Err(error) = self.bench.duty.take_over(desk, plan.notify).await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "alerts cannot be stored or told");
        }
        self.arm_all(plan.probes).await;
    }

    /// Puts exactly these probes to work. A run under way of a probe that is gone or changed ends as it began; a start
    /// that is set stays, unless the probe has another cadence now.
    pub(super) async fn arm_all(&self, probes: Vec<Probe>) {
        let now = clock::now();
        let mut starts = Vec::new();
        {
            let mut slots = self.board.write();
            let mut before = std::mem::take(&mut *slots);
            for probe in probes {
                let id = probe.id.clone();
                let running = self.runs_of.values().find(|(of, _)| *of == id);
                let running = running.map(|(_, run)| *run);
                let (slot, is_new) = slot(before.remove(&id), probe, running, now);
                if is_new {
                    starts.push((id.clone(), slot.next));
                }
                slots.insert(id, slot);
            }
        }
        for (id, next) in starts {
            self.set(id, next).await;
        }
    }
}

/// The slot of a probe, and whether its next start is yet to be set.
fn slot(
    before: Option<Slot>,
    probe: Probe,
    running: Option<RunId>,
    now: Timestamp,
) -> (Slot, bool) {
    let kept = before.filter(|slot| slot.probe.cadence == probe.cadence);
    let is_new = kept.is_none();
    let next = match kept {
        Some(slot) => slot.next,
        None => schedule::next_start(&probe.id, &probe.cadence, now),
    };
    let slot = Slot {
        probe: Arc::new(probe),
        next,
        confirm: None,
        running,
    };
    (slot, is_new)
}
