//! Looking after the store, a round at a time: pack, purge, make room.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use jiff::Timestamp;

use super::limits::Limits;
use super::packer::Packer;
use super::packs::Sort;
use super::{Error, Shared, anew, room};

/// Rounds of making room in one go; each takes away a day at most.
const ROUNDS: usize = 1000;

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tended {
    /// Runs that are packed now.
    pub packed: usize,
    /// Runs that were too old.
    pub runs: usize,
    /// Rollups that were too old.
    pub rollups: usize,
    /// Bytes that the store takes on disk now.
    pub bytes: u64,
}

/// What was found in order since the store was opened, so that it need not be looked at every minute.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// No file lies about that nothing points to.
    pub(super) is_swept: bool,
    /// Days whose runs lie in as few blocks as can be.
    pub(super) whole: BTreeSet<u32>,
    /// Bytes that the database may take before it is looked at again.
    enough: u64,
}

/// Everything that is due. Blocks.
pub(super) fn all(shared: &Shared, limits: &Limits, now: Timestamp) -> Result<Tended, Error> {
    let mut order = shared
        .tending
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let tended = round(shared, limits, &mut order, now);
    if tended.is_err() {
        // Whatever was not finished may have left something.
        *order = Order::default();
    }
    tended
}

fn round(
    shared: &Shared,
    limits: &Limits,
    order: &mut Order,
    now: Timestamp,
) -> Result<Tended, Error> {
    let packer = Packer {
        slot: &shared.slot,
        queue: &shared.queue,
    };
    let mut tended = purge(shared, &packer, limits, now)?;
    tended.packed = packer.runs(now, order)?;
    packer.rollups(now)?;
    packer.repack(now, order)?;
    if !order.is_swept {
        packer.sweep()?;
        order.is_swept = true;
    }
    shrink(shared, order)?;
    room::set_aside(&shared.folder);
    tended.bytes = make_room(shared, &packer, limits)?;
    Ok(tended)
}

/// Takes away what lies beyond the horizon.
fn purge(
    shared: &Shared,
    packer: &Packer<'_>,
    limits: &Limits,
    now: Timestamp,
) -> Result<Tended, Error> {
    let horizon = limits.horizon(now);
    let mut tended = Tended {
        runs: packer.purge(Sort::Runs, horizon.runs)?,
        rollups: packer.purge(Sort::Rollups, horizon.rollups)?,
        ..Tended::default()
    };
    loop {
        let old = shared.slot.read(|trees| trees.oldest(horizon))?;
        if old.changes.is_empty() {
            break;
        }
        tended.runs += old.runs;
        tended.rollups += old.rollups;
        shared.queue.write_blocking(old.changes)?;
    }
    let before = u64::try_from(horizon.evidence.as_millisecond()).unwrap_or(0);
    room::drop_evidence_before(&shared.folder, before)?;
    Ok(tended)
}

/// Sees to it that the database does not keep what it needed once.
fn shrink(shared: &Shared, order: &mut Order) -> Result<(), Error> {
    let folder = &shared.folder;
    let size = room::database(folder)?;
    if size < order.enough.max(anew::SPARE) {
        return Ok(());
    }
    let used = shared.slot.read(anew::used)?;
    if anew::is_due(size, used)
        && room::has(folder, 2 * used)
        && let Err(error) = shared.queue.anew()
    {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the database could not be written anew: it takes more of the disk than it needs"
        );
    }
    order.enough = room::database(folder)? / 2 * 3;
    Ok(())
}

/// Evidence goes first, then history; the database stays. Gives the bytes that the store takes in the end.
fn make_room(shared: &Shared, packer: &Packer<'_>, limits: &Limits) -> Result<u64, Error> {
    let folder = &shared.folder;
    let mut used = room::used(folder)?;
    for _ in 0..ROUNDS {
        let over = used.saturating_sub(limits.size_bytes);
        let wanted = room::missing(folder).max(over);
        if wanted == 0 {
            return Ok(used);
        }
        // A little more, so that it is not the same again in a minute.
        let wanted = wanted + limits.size_bytes / 20;
        if room::drop_evidence(folder, wanted)? == 0 {
            let Some((sort, day)) = shared.slot.read(|trees| room::oldest_day(&trees.packs))?
            else {
                tracing::warn!(
                    store.bytes = used,
                    "the store takes more than store.max_size, and nothing is left that may go"
                );
                return Ok(used);
            };
            let rows = packer.drop_day(sort, day)?;
            tracing::warn!(
                rows,
                kind = sort.ending(),
                "took away the oldest day to make room"
            );
        }
        used = room::used(folder)?;
    }
    Ok(used)
}
