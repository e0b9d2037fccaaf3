//! Walks one probe through the whole journey. Never fails: a target's failure is data.

use crate::probe::Probe;
use crate::run::Walk;

/// What a journey works with; cheap to clone, shared by all runs.
#[derive(Debug, Clone)]
pub struct Tools {}

/// Runs `probe` once, within its own time limit.
pub async fn run(_probe: &Probe, _tools: &Tools) -> Walk {
    Walk::default()
}
