//! What a probe's page shows: what is usual, what the last runs look like, and how far an alert is.

use std::time::Duration;

use super::baseline::hour_of;
use super::change::{Explanation, Figures, Test};
use super::detector::Detector;
use super::evidence::{limits, needed};
use super::observation::Stream;
use super::scan::{Limits, strongest};
use super::series::Series;

/// Beyond so many bad runs in a row the exact number says nothing.
const MOST_AHEAD: u32 = 12;
/// Confirmation runs come this far apart.
const CONFIRMED_EVERY_MS: i64 = 60_000;

impl Detector {
    pub(super) fn explain_one(&self, id: u32, series: &Series) -> Vec<Explanation> {
        let mut streams: Vec<Stream> = series.streams().collect();
        streams.sort_unstable();
        streams
            .into_iter()
            .filter_map(|stream| self.explain_stream(id, series, stream))
            .collect()
    }

    fn explain_stream(&self, id: u32, series: &Series, stream: Stream) -> Option<Explanation> {
        let usual = series.usual(stream, self.clock)?;
        let incident = self
            .masking(id, stream)
            .map(|index| self.cases[index].fingerprint.clone());
        let stage = match stream {
            Stream::SlowStage(stage) => Some(stage),
            Stream::Failed | Stream::Unknown | Stream::Slow => None,
        };
        let typical = stream
            .is_slow()
            .then(|| series.typical_ms(stage, hour_of(self.clock)))
            .flatten();
        let ahead = match incident {
            Some(_) => None,
            None => self.bad_runs_until(id, stream, series.interval_ms(), MOST_AHEAD),
        };
        Some(Explanation {
            probe: series.probe.clone(),
            location: series.location.clone(),
            stream,
            baseline: usual.bad,
            is_objective: series.rule(stream).objective.is_some(),
            learned_from: usual.runs,
            window: self.suspicious(series, stream),
            bad_runs_to_alert: ahead,
            typical: typical.map(|ms| Duration::from_secs_f64(ms / 1000.0)),
            incident,
        })
    }

    /// The most suspicious window, however weak.
    fn suspicious(&self, series: &Series, stream: Stream) -> Option<Figures> {
        let open = Limits {
            least_bad: 1,
            least_span_ms: 0,
            least_rate: 0.0,
            least_slowdown: limits(stream).least_slowdown.map(|_| 0.0),
            ..limits(stream)
        };
        let lane = series.lane(stream, self.clock, &self.mix)?;
        let window = strongest(&[lane], self.clock, &open)?;
        Some(Figures {
            test: Test::Window,
            bad: window.bad,
            runs: window.runs,
            over: Duration::from_millis(window.span_ms.unsigned_abs()),
            baseline: window.baseline,
            nats: window.nats,
            needed: needed(stream, false),
            slowdown: window.slowdown,
        })
    }

    pub(super) fn bad_runs_to_alert(&self, id: u32, _: &Series, stream: Stream) -> Option<u32> {
        self.bad_runs_until(id, stream, CONFIRMED_EVERY_MS, MOST_AHEAD)
    }
}
