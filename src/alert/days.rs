//! The test of days: failures too rare for any window of runs, that come hour after hour all the same.
//!
//! A cell is one probe in one hour, bad when a run of it failed. More bad cells than usual, spread over the hours, are a
//! slow burn. Several failures in one hour count once, so that a short fault does not look like one.

use std::collections::BTreeMap;

use super::baseline::{HOUR_MS, LONGEST_LOOK_HOURS, hour_of};
use super::observation::Stream;
use super::scan::divergence;
use super::series::Series;

/// Lengths of the windows, in hours.
const LOOKS: [i64; 4] = [6, 12, 24, LONGEST_LOOK_HOURS];
/// A baseline must rest on so many runs from before the window.
const LEAST_LEARNED: u32 = 100;
const MARGIN: f64 = 1.25;
/// Evidence that is needed, in nats.
pub(super) const NEEDED: f64 = 10.0;
const LEAST_BAD_CELLS: u32 = 6;
const LEAST_BAD_HOURS: usize = 4;
const LEAST_OVER_BASELINE: f64 = 3.0;
/// Share of the cells that must have runs.
const LEAST_DATA: f64 = 0.5;

/// The window of hours with the strongest evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Days {
    /// Beginning of the first hour with a bad cell.
    pub(super) onset: i64,
    pub(super) hours: i64,
    pub(super) runs: u32,
    pub(super) bad: u32,
    pub(super) baseline: f64,
    pub(super) nats: f64,
}

/// What the cells of one hour hold together.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    cells: u32,
    bad_cells: u32,
    expected: f64,
    runs: u32,
    bad: u32,
    baseline: f64,
}

/// The strongest window over all of these probes together, if one is strong enough.
pub(super) fn strongest(all: &[&Series], stream: Stream, now: i64) -> Option<Days> {
    LOOKS
        .iter()
        .filter_map(|&look| window(all, stream, now, look))
        .filter(|days| days.nats >= NEEDED)
        .max_by(|a, b| a.nats.total_cmp(&b.nats))
}

fn window(all: &[&Series], stream: Stream, now: i64, look: i64) -> Option<Days> {
    let last = hour_of(now);
    let mut hours: BTreeMap<i64, Sum> = BTreeMap::new();
    let mut probes = 0;
    for series in all {
        let Some(track) = series.track(stream) else {
            continue;
        };
        let mut usual = track.hours.rates(last, look - 1, stream.is_slow());
        if usual.runs < LEAST_LEARNED {
            continue;
        }
        if let Some(objective) = series.rule(stream).objective {
            usual.bad = (100.0 - objective) / 100.0;
        }
        probes += 1;
        for (hour, cell) in track.hours.between(last - look + 1, last) {
            if cell.runs == 0 || cell.left_out || hour * HOUR_MS <= track.floor {
                continue;
            }
            let good = (1.0 - (MARGIN * usual.bad).min(1.0)).powf(f64::from(cell.runs));
            let sum = hours.entry(hour).or_default();
            sum.cells += 1;
            sum.bad_cells += u32::from(cell.bad > 0);
            sum.expected += 1.0 - good;
            sum.runs += cell.runs;
            sum.bad += cell.bad;
            sum.baseline += f64::from(cell.runs) * usual.bad;
        }
    }
    let data: u32 = hours.values().map(|sum| sum.cells).sum();
    if probes == 0 || f64::from(data) < LEAST_DATA * f64::from(probes) * look as f64 {
        return None;
    }
    if probes > 1 {
        // One bad hour of several probes is an event of its own.
        let worst = hours
            .iter()
            .max_by_key(|(hour, sum)| (sum.bad_cells, **hour));
        let worst = worst.map(|(hour, _)| *hour);
        worst.and_then(|hour| hours.remove(&hour));
    }
    weigh(&hours, look)
}

fn weigh(hours: &BTreeMap<i64, Sum>, look: i64) -> Option<Days> {
    let mut all = Sum::default();
    for sum in hours.values() {
        all.cells += sum.cells;
        all.bad_cells += sum.bad_cells;
        all.expected += sum.expected;
        all.runs += sum.runs;
        all.bad += sum.bad;
        all.baseline += sum.baseline;
    }
    let bad_hours = hours.iter().filter(|(_, sum)| sum.bad_cells > 0);
    let first = bad_hours.clone().map(|(hour, _)| *hour).next()?;
    let cells = f64::from(all.cells);
    let (share, expected) = (f64::from(all.bad_cells) / cells, all.expected / cells);
    let baseline = all.baseline / f64::from(all.runs);
    let is_enough = all.bad_cells >= LEAST_BAD_CELLS
        && bad_hours.count() >= LEAST_BAD_HOURS
        && f64::from(all.bad) >= LEAST_OVER_BASELINE * all.baseline
        && share > expected;
    is_enough.then(|| Days {
        onset: first * HOUR_MS,
        hours: look,
        runs: all.runs,
        bad: all.bad,
        baseline,
        nats: cells * divergence(share, expected),
    })
}
