//! Bringing a store of an earlier format up to today's. What is interrupted begins again at the next start.

use std::collections::HashMap;

use super::Error;
use super::parts::{Part, Trees};
use super::record;
use super::rollup::{self, Level, Rollup};

/// Rollups that are summed up in memory before they are written.
const IN_MEMORY: usize = 50_000;

/// Format 1 had no rollups: they are counted from the runs.
pub(super) fn from_1(trees: &Trees) -> Result<(), Error> {
    tracing::info!(
        runs = trees[Part::Runs].len(),
        "counting the runs of an older store: this start takes longer"
    );
    for level in Level::ALL {
        trees[Part::Rollups(level)].clear()?;
    }
    let mut rollups = HashMap::new();
    for entry in &trees[Part::Runs] {
        let (key, bytes) = entry?;
        let run = match record::decode_run(&key, &bytes) {
            Ok(kept) => kept.run,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a run is not counted"
                );
                continue;
            }
        };
        let counted = Rollup::of(&run);
        for level in Level::ALL {
            let start = level.floor(rollup::second_of(&run));
            let sum: &mut Rollup = rollups
                .entry((level, rollup::key(start, &run.probe)))
                .or_default();
            sum.merge(&counted);
        }
        if rollups.len() >= IN_MEMORY {
            write(trees, &mut rollups)?;
        }
    }
    write(trees, &mut rollups)?;
    Ok(trees.flush()?)
}

/// Format 2 had packed rollups of a day among those of its hours.
pub(super) fn from_2(trees: &Trees) -> Result<(), Error> {
    trees.move_days()?;
    Ok(trees.flush()?)
}

fn write(trees: &Trees, rollups: &mut HashMap<(Level, Vec<u8>), Rollup>) -> Result<(), Error> {
    for ((level, key), mut rollup) in rollups.drain() {
        let tree = &trees[Part::Rollups(level)];
        if let Some(bytes) = tree.get(&key)? {
            rollup.merge(&record::decode_small(&key, &bytes)?);
        }
        tree.insert(key, record::encode_small(&rollup))?;
    }
    Ok(())
}
