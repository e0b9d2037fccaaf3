//! Small charts, as shapes for inline SVG.

use crate::run::{StepRecord, Timings};
use crate::store::Brief;

use crate::phrase::{duration, instant, micros};

/// Height of the strip, and of the smallest bar in it.
const HEIGHT: (u64, u64) = (36, 8);
/// Width of a bar and the gap after it.
pub(super) const BAR: (usize, usize) = (7, 3);
/// Width of lanes, in the units of their view box.
const WIDTH: u64 = 1000;

/// One run in a strip. Its height is the duration; runs that did not pass are full height, so that they show without
/// colour too.
pub(super) struct Bar {
    pub(super) run: String,
    pub(super) outcome: &'static str,
    pub(super) x: usize,
    pub(super) y: u64,
    pub(super) height: u64,
    pub(super) title: String,
}

/// The oldest on the left; `runs` come newest first.
pub(super) fn strip(runs: &[Brief]) -> Vec<Bar> {
    use crate::taxonomy::Outcome;
    let longest = runs
        .iter()
        .map(|run| run.duration_ms)
        .max()
        .unwrap_or(0)
        .max(1);
    let bar = |(place, run): (usize, &Brief)| {
        let height = match run.outcome {
            Outcome::Ok | Outcome::Degraded => {
                HEIGHT.1 + (HEIGHT.0 - HEIGHT.1) * run.duration_ms / longest
            }
            Outcome::Failed | Outcome::Unknown => HEIGHT.0,
        };
        let verdict = run.verdict.as_ref();
        let why = verdict.map_or_else(String::new, |verdict| {
            format!(" · {} · {}", verdict.stage, verdict.class)
        });
        Bar {
            run: run.id.to_string(),
            outcome: run.outcome.as_str(),
            x: place * (BAR.0 + BAR.1),
            y: HEIGHT.0 - height,
            height,
            title: format!(
                "{}{why} · {} · {}",
                run.outcome,
                duration(run.duration_ms),
                instant(run.started_at)
            ),
        }
    };
    runs.iter().rev().enumerate().map(bar).collect()
}

/// One step of a run on the time line of the whole run.
pub(super) struct Lane {
    pub(super) stage: &'static str,
    pub(super) outcome: &'static str,
    pub(super) duration: String,
    pub(super) x: u64,
    pub(super) width: u64,
}

/// Steps follow one another.
pub(super) fn lanes(steps: &[StepRecord]) -> Vec<Lane> {
    let whole = steps
        .iter()
        .map(|step| step.duration_ms)
        .sum::<u64>()
        .max(1);
    let mut begun = 0;
    let lane = |step: &StepRecord| {
        let lane = Lane {
            stage: step.stage.as_str(),
            outcome: step.outcome.as_str(),
            duration: duration(step.duration_ms),
            x: begun * WIDTH / whole,
            width: (step.duration_ms * WIDTH / whole).max(4),
        };
        begun += step.duration_ms;
        lane
    };
    steps.iter().map(lane).collect()
}

/// One part of a request's time.
pub(super) struct Part {
    pub(super) kind: &'static str,
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) title: String,
}

/// Name lookup, connection, handshake, waiting, reading, as parts of the whole.
pub(super) fn timings(timings: Timings) -> Vec<Part> {
    let spent = [
        ("dns", timings.dns_us),
        ("connect", timings.connect_us),
        ("tls", timings.tls_us),
    ];
    let before: u64 = spent.iter().filter_map(|(_, us)| *us).sum();
    let first_byte = timings
        .first_byte_us
        .unwrap_or(timings.total_us)
        .max(before);
    let wait = ("wait", Some(first_byte - before));
    let read = ("read", Some(timings.total_us.saturating_sub(first_byte)));
    let whole = timings.total_us.max(first_byte).max(1);
    let mut begun = 0;
    let mut parts = Vec::new();
    for (kind, us) in spent.into_iter().chain([wait, read]) {
        let Some(us) = us.filter(|us| *us > 0) else {
            continue;
        };
        let width = (us.saturating_mul(WIDTH) / whole).max(2);
        parts.push(Part {
            kind,
            x: begun * WIDTH / whole,
            width,
            title: format!("{kind} {}", micros(us)),
        });
        begun += us;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::taxonomy::{Outcome, Stage};

    #[test]
    fn steps_lie_one_after_another() {
        let step = |duration_ms| StepRecord {
            stage: Stage::Login,
            outcome: Outcome::Ok,
            duration_ms,
        };
        let places: Vec<_> = lanes(&[step(300), step(0), step(700)])
            .iter()
            .map(|lane| (lane.x, lane.width))
            .collect();
        assert_eq!(places, [(0, 300), (300, 4), (300, 700)]);
        assert!(lanes(&[]).is_empty());
    }

    #[test]
    fn a_request_s_time_is_shared_out_whole() {
        let kept = Timings {
            first_byte_us: Some(800),
            total_us: 1000,
            ..Timings::default()
        };
        let parts: Vec<_> = timings(kept)
            .iter()
            .map(|part| (part.kind, part.x, part.width))
            .collect();
        assert_eq!(parts, [("wait", 0, 800), ("read", 800, 200)]);
        let odd = Timings {
            dns_us: Some(10),
            connect_us: Some(20),
            tls_us: Some(30),
            first_byte_us: None,
            total_us: 5,
        };
        assert_eq!(timings(odd).len(), 3);
        assert!(timings(Timings::default()).is_empty());
    }
}
