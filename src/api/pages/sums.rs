//! Runs of a probe summed up over spans, as a table.

use std::collections::BTreeSet;

use crate::phrase::duration;
use crate::store::{Latency, Rollup};

/// A column per span.
pub(super) struct Sums {
    pub(super) spans: Vec<&'static str>,
    pub(super) rows: Vec<Sum>,
}

/// A line, such as that of a stage.
pub(super) struct Sum {
    pub(super) name: String,
    /// One per span; empty where there is nothing to tell.
    pub(super) cells: Vec<String>,
}

/// How many failed, and how long the run and each of its stages took.
pub(super) fn table(spans: &[(&'static str, Rollup)]) -> Sums {
    let line = |name: &str, cell: &dyn Fn(&Rollup) -> String| Sum {
        name: name.to_owned(),
        cells: spans.iter().map(|(_, rollup)| cell(rollup)).collect(),
    };
    let mut rows = vec![
        line("failed", &failed),
        line("whole run", &|rollup| times(&rollup.duration)),
    ];
    let stages: BTreeSet<_> = spans
        .iter()
        .flat_map(|(_, rollup)| rollup.stages.keys().copied())
        .collect();
    for stage in stages {
        rows.push(line(stage.as_str(), &|rollup| {
            rollup.stages.get(&stage).map(times).unwrap_or_default()
        }));
    }
    Sums {
        spans: spans.iter().map(|(title, _)| *title).collect(),
        rows,
    }
}

fn failed(rollup: &Rollup) -> String {
    let outcomes = rollup.outcomes;
    match outcomes.failure_ratio() {
        Some(ratio) => format!(
            "{} of {} ({:.1} %)",
            outcomes.failed,
            outcomes.total() - outcomes.unknown,
            ratio * 100.0
        ),
        None => String::new(),
    }
}

/// Half, 19 of 20, and 99 of 100 took no longer than these.
fn times(latency: &Latency) -> String {
    let of = |quantile| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "durations are positive and far below the limits"
        )]
        latency.quantile_ms(quantile).map(|ms| ms.round() as u64)
    };
    match (of(0.5), of(0.95), of(0.99)) {
        (Some(half), Some(most), Some(nearly_all)) => format!(
            "{} · {} · {}",
            duration(half),
            duration(most),
            duration(nearly_all)
        ),
        _ => String::new(),
    }
}
