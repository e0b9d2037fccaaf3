//! Changes as one transaction.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::Index;

use sled::Transactional;
use sled::transaction::{ConflictableTransactionError, TransactionError, TransactionalTree};

use super::Change;
use crate::store::parts::{Part, Trees};
use crate::store::record::{self, Finished};
use crate::store::rollup::{Level, Rollup};

/// Writes what was seen in the runs that are about to be written. What does not succeed is left out: a run without its
/// evidence is worth more than none.
pub(super) fn evidence(trees: &Trees, changes: &mut [&mut Change]) {
    let mut files = BTreeSet::new();
    for change in changes {
        let Change::Finish(run) = change else {
            continue;
        };
        let Some(json) = run.evidence.take() else {
            continue;
        };
        match trees.packs.add_evidence(run.run.id, &json) {
            Ok((file, offset)) => {
                run.evidence_at = Some(offset);
                files.insert(file);
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error, run.id = %run.run.id,
                "what was seen in a run is lost"
            ),
        }
    }
    for file in files {
        if let Err(error) = trees.packs.sync(&file) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "what was seen in runs may be lost"
            );
        }
    }
}

/// Writes all changes or none. Durable when it returns `Ok`.
pub(super) fn all<C: std::borrow::Borrow<Change>>(
    trees: &Trees,
    changes: &[C],
) -> sled::Result<()> {
    let written = trees.all().transaction(|trees| {
        let trees = Parts(trees);
        changes
            .iter()
            .try_for_each(|change| trees.apply(change.borrow()))
    });
    match written {
        Ok(()) => trees.flush(),
        Err(TransactionError::Storage(error)) => Err(error),
        Err(TransactionError::Abort(never)) => match never {},
    }
}

/// The trees inside a transaction.
struct Parts<'a>(&'a [TransactionalTree]);

impl Index<Part> for Parts<'_> {
    type Output = TransactionalTree;

    fn index(&self, part: Part) -> &TransactionalTree {
        &self.0[part.index()]
    }
}

impl Parts<'_> {
    fn apply(&self, change: &Change) -> Result<(), ConflictableTransactionError<Infallible>> {
        match change {
            Change::Put(part, key, value) => {
                self[*part].insert(&key[..], &value[..])?;
            }
            Change::Remove(part, key) => {
                self[*part].remove(&key[..])?;
            }
            Change::Finish(run) => {
                self[Part::Open].remove(&run.key)?;
                let record = run.record();
                let known = self[Part::Runs].insert(&run.key, record)?;
                if known.is_none() {
                    self.count(run)?;
                }
                self[Part::ByProbe].insert(&run.index_key[..], &run.brief[..])?;
            }
        }
        Ok(())
    }

    /// A run is counted where it is written, once.
    fn count(&self, run: &Finished) -> Result<(), ConflictableTransactionError<Infallible>> {
        for level in Level::ALL {
            let (tree, key) = (&self[Part::Rollups(level)], run.rollup_key(level));
            let mut rollup = run.rollup.clone();
            if let Some(bytes) = tree.get(&key)? {
                match record::decode_small::<Rollup>(&key, &bytes) {
                    Ok(before) => rollup.merge(&before),
                    Err(error) => {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "a rollup begins anew"
                        );
                    }
                }
            }
            tree.insert(key, record::encode_small(&rollup))?;
        }
        Ok(())
    }
}
