//! Runs in the order in which their results were known, however many: a piece at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use jiff::Timestamp;

use super::packs::{Content, DAY_MS, day_of};
use super::parts::{Part, Trees};
use super::{Error, Store};
use crate::probe::ProbeId;
use crate::run::{Run, RunId};

/// Runs that are read at once, more or less: a run takes about a kilobyte.
const PIECE: u64 = if cfg!(test) { 20 } else { 20_000 };

/// Runs that began in a time, by their ends.
pub struct Ends {
    store: Store,
    probe: Option<ProbeId>,
    at: Timestamp,
    end: Timestamp,
    /// Runs that have been read and may end after others that have not.
    held: BinaryHeap<Reverse<Held>>,
}

/// A run by its end.
struct Held(Timestamp, RunId, Run);

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl Store {
    /// Runs of one probe, or of all, that began in a time, the end not included.
    pub fn by_end(&self, from: Timestamp, to: Timestamp, probe: Option<ProbeId>) -> Ends {
        Ends {
            store: self.clone(),
            probe,
            at: from,
            end: to,
            held: BinaryHeap::new(),
        }
    }

    /// A moment since which the newest `count` runs began, more or less.
    pub async fn start_of_last(&self, count: usize) -> Result<Timestamp, Error> {
        self.read(move |trees| trees.start_of_last(count)).await
    }
}

impl Ends {
    /// The runs that follow, without their evidence; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Run>>, Error> {
        while self.at < self.end {
            let (at, end, probe) = (self.at, self.end, self.probe.clone());
            let (to, runs, next) = self
                .store
                .read(move |trees| {
                    let to = trees.end_of_piece(at, probe.as_ref())?.min(end);
                    let runs = trees.between(at, to, probe.as_ref())?;
                    // Months may pass without a run.
                    let next = if runs.is_empty() {
                        trees.first_since(to)?
                    } else {
                        Some(to)
                    };
                    Ok((to, runs, next))
                })
                .await?;
            self.at = next.map_or(end, |next| next.max(to));
            let held = runs
                .into_iter()
                .map(|run| Held(run.ended_at(), run.id, run));
            self.held.extend(held.map(Reverse));
            // Those that follow begin later, and do not end before.
            let ended = self.ended_before(self.at);
            if !ended.is_empty() {
                return Ok(Some(ended));
            }
        }
        let rest = self.ended_before(Timestamp::MAX);
        Ok(Some(rest).filter(|rest| !rest.is_empty()))
    }

    fn ended_before(&mut self, at: Timestamp) -> Vec<Run> {
        let mut runs = Vec::new();
        while self.held.peek().is_some_and(|held| held.0.0 < at) {
            runs.extend(self.held.pop().map(|Reverse(Held(_, _, run))| run));
        }
        runs
    }
}

impl Trees {
    /// Where to stop when reading from a moment on: at the end of its day, or earlier where that holds many runs.
    fn end_of_piece(&self, at: Timestamp, probe: Option<&ProbeId>) -> Result<Timestamp, Error> {
        let at_ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
        let day = day_of(at_ms);
        let pieces = self.rows(day, probe)? / PIECE + 1;
        let day_ms = u64::from(day) * DAY_MS;
        let length = DAY_MS.div_ceil(pieces);
        let piece = at_ms.saturating_sub(day_ms) / length + 1;
        Ok(moment(day_ms + (piece * length).min(DAY_MS)))
    }

    fn start_of_last(&self, count: usize) -> Result<Timestamp, Error> {
        let mut missing = (count as u64).saturating_sub(self[Part::Runs].len() as u64);
        let mut start_ms = 0;
        for day in self.days(Content::Runs)? {
            let rows = self.rows(day, None)?;
            if rows > missing {
                // The last part of the day.
                start_ms = (u64::from(day) + 1) * DAY_MS - DAY_MS * missing / rows;
                break;
            }
            missing -= rows;
        }
        Ok(moment(start_ms))
    }

    /// Packed runs of a day.
    fn rows(&self, day: u32, probe: Option<&ProbeId>) -> Result<u64, Error> {
        let blocks = self.blocks(Content::Runs, day, probe)?;
        Ok(blocks.iter().map(|(_, entry)| u64::from(entry.rows)).sum())
    }
}

fn moment(ms: u64) -> Timestamp {
    Timestamp::from_millisecond(ms.cast_signed()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::super::Limits;
    use super::super::tests::{at, open, probe, run};
    use super::*;
    use crate::taxonomy::Outcome;

    const DAY: u64 = DAY_MS / 1000;

    /// Ids, and how many came at once at most.
    async fn since(store: &Store, from: Timestamp, probe: Option<ProbeId>) -> (Vec<RunId>, usize) {
        let mut ends = store.by_end(from, Timestamp::MAX, probe);
        let (mut found, mut largest) = (Vec::new(), 0);
        while let Some(runs) = ends.next().await.unwrap() {
            largest = largest.max(runs.len());
            found.extend(runs.into_iter().map(|run| run.id));
        }
        (found, largest)
    }

    #[tokio::test]
    async fn runs_come_in_pieces_by_their_ends_whether_packed_or_not() {
        let folder = TempDir::new().unwrap();
        let store = open(&folder).store;
        let mut all = Vec::new();
        // Some take hours, so that they end after many that began later; months lie between the parts.
        let seconds = (0..90)
            .map(|n| n * 997)
            .chain((0..40).map(|n| 70 * DAY + n * 61));
        for (n, second) in seconds.enumerate() {
            let name = ["prod", "staging"][n % 2];
            let duration_ms = [3, 20_000_000, 40_000][n % 3];
            let run = Run {
                duration_ms,
                ..run(name, second, Outcome::Ok)
            };
            store.append(&run).await.unwrap();
            all.push(run);
        }
        all.sort_by_key(|run| (run.ended_at(), run.id));
        let keep = Limits {
            runs: Duration::from_secs(1000 * DAY),
            ..Limits::default()
        };
        for now in [DAY / 2, 2 * DAY, 100 * DAY] {
            for name in [None, Some("prod"), Some("other")] {
                let name = name.map(probe);
                let (found, _) = since(&store, Timestamp::UNIX_EPOCH, name.clone()).await;
                let wanted = all
                    .iter()
                    .filter(|run| name.as_ref().is_none_or(|it| *it == run.probe));
                assert_eq!(found, wanted.map(|run| run.id).collect::<Vec<_>>());
            }
            store.tend(keep, at(now)).await.unwrap();
        }
        for (count, about) in [(1000, 130), (100, 100), (40, 40)] {
            let start = store.start_of_last(count).await.unwrap();
            let (found, largest) = since(&store, start, None).await;
            assert!(found.len().abs_diff(about) < 5, "{count}: {}", found.len());
            assert!(largest < 60, "{largest} at once");
        }
    }
}
