//! What expires next at each probe, kept up with its runs, for the board and the figures.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::board::Board;
use crate::clock;
use crate::expiry::{self, Seen};
use crate::probe::{Probe, ProbeId};
use crate::run::Run;
use crate::store::{self, Store};
use crate::telemetry::Telemetry;

/// Runs of an earlier process that are looked at: enough to find one that came past the first steps.
const LOOKED_AT: usize = 3;

/// All probes and what their runs have shown.
pub(super) struct Radar {
    probes: Mutex<HashMap<ProbeId, (Probe, Seen)>>,
    board: Arc<Board>,
    telemetry: Arc<Telemetry>,
}

impl Radar {
    pub(super) fn new(board: Arc<Board>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            probes: Mutex::default(),
            board,
            telemetry,
        }
    }

    /// Takes over the probes of a configuration. Those that stay keep what was seen.
    pub(super) fn watch<'a>(&self, probes: impl IntoIterator<Item = &'a Probe>) {
        let mut known = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *known);
        for probe in probes {
            let seen = before.remove(&probe.id).map(|(_, seen)| seen);
            let seen = seen.unwrap_or_default();
            self.tell(probe, &seen);
            known.insert(probe.id.clone(), (probe.clone(), seen));
        }
        self.board.keep_expiries(|probe| known.contains_key(probe));
    }

    /// Learns from the last runs that an earlier process stored.
    pub(super) async fn restore(&self, store: &Store) -> Result<(), store::Error> {
        let names: Vec<ProbeId> = {
            let known = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
            known.keys().cloned().collect()
        };
        for name in names {
            let recent = store.newest_with_evidence(name, LOOKED_AT).await?;
            recent.iter().rev().for_each(|run| self.learn(run));
        }
        Ok(())
    }

    /// Learns from a run that has just ended.
    pub(super) fn learn(&self, run: &Run) {
        let mut known = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        // A run may end after its probe was taken out of the configuration.
        if let Some((probe, seen)) = known.get_mut(&run.probe) {
            seen.learn(run);
            self.tell(probe, seen);
        }
    }

    fn tell(&self, probe: &Probe, seen: &Seen) {
        let expiries = expiry::expiries(probe, seen, clock::now());
        self.telemetry
            .set_expiries(probe, &expiry::first_of_each(&expiries));
        self.board.set_expiries(&probe.id, expiries);
    }
}
