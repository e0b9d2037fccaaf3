//! What waits in memory because it could not be written. Alert states, notices and the like all stay; of runs only so
//! many, without what was seen in them.

use std::collections::VecDeque;

use super::Change;
use crate::store::parts::Part;

/// Runs and their intents that may wait. At one a second that is hours.
const RUNS: usize = 20_000;

#[derive(Default)]
pub(super) struct Backlog {
    changes: VecDeque<Change>,
    runs: usize,
    lost: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Adds what came last.
    pub(super) fn extend(&mut self, changes: impl IntoIterator<Item = Change>) {
        for mut change in changes {
            if let Change::Finish(run) = &mut change {
                run.evidence = None;
            }
            if let Change::Put(Part::State(kind), key, _) | Change::Remove(Part::State(kind), key) =
                &change
            {
                // The last word on a record is the one that counts.
                self.changes.retain(|before| !is_about(before, *kind, key));
            }
            self.runs += usize::from(is_of_run(&change));
            self.changes.push_back(change);
        }
        while self.runs > RUNS {
            let oldest = self.changes.iter().position(is_of_run);
            let oldest = oldest.and_then(|place| self.changes.remove(place));
            if oldest.is_none() {
                break;
            }
            self.runs -= 1;
            self.lost += 1;
            if self.lost.is_power_of_two() {
                tracing::error!(lost = self.lost, "runs are lost: too many wait in memory");
            }
        }
    }

    /// Everything, to be tried at once.
    pub(super) fn take(&mut self) -> Vec<Vec<Change>> {
        self.runs = 0;
        vec![self.changes.drain(..).collect()]
    }

    /// What could not be written after all.
    pub(super) fn put_back(&mut self, changes: Vec<Vec<Change>>) {
        self.extend(changes.into_iter().flatten());
    }
}

fn is_of_run(change: &Change) -> bool {
    match change {
        Change::Finish(_) => true,
        Change::Put(part, ..) | Change::Remove(part, _) => !matches!(part, Part::State(_)),
    }
}

fn is_about(change: &Change, kind: crate::store::Kind, key: &[u8]) -> bool {
    match change {
        Change::Put(Part::State(of), own, _) | Change::Remove(Part::State(of), own) => {
            *of == kind && own == key
        }
        Change::Put(..) | Change::Remove(..) | Change::Finish(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Kind;

    #[test]
    fn the_last_word_on_a_record_stays_and_the_oldest_runs_go() {
        let mut backlog = Backlog::default();
        let state = |key: &str, value: &str| {
            Change::Put(Part::State(Kind::Outbox), key.into(), value.into())
        };
        let run = |n: usize| Change::Put(Part::Open, n.to_be_bytes().to_vec(), vec![]);
        backlog.extend([state("a", "1"), state("b", "1"), state("a", "2")]);
        backlog.extend((0..RUNS + 10).map(run));
        backlog.extend([Change::Remove(Part::State(Kind::Outbox), "b".into())]);
        assert_eq!(backlog.len(), RUNS + 2);
        let all: Vec<Change> = backlog.take().into_iter().flatten().collect();
        assert!(backlog.is_empty());
        assert!(
            matches!(&all[0], Change::Put(Part::State(_), key, value) if key == b"a" && value == b"2")
        );
        assert!(
            matches!(&all[1], Change::Put(Part::Open, key, _) if key[..] == 10_usize.to_be_bytes())
        );
        assert!(matches!(all.last(), Some(Change::Remove(_, key)) if key == b"b"));
        backlog.put_back(vec![all]);
        assert_eq!(backlog.len(), RUNS + 2);
    }
}
