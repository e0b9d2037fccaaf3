//! Figures over a span, answered from rollups: how runs ended, and how long each stage took.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State as Extract};
use axum::http::Uri;
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use serde::{Deserialize, Serialize};

use super::State;
use super::problem::Problem;
use crate::clock;
use crate::probe::ProbeId;
use crate::store::{Latency, Outcomes, Rollup, Span};
use crate::taxonomy::{Class, Stage};

/// Hours that are shown unless asked otherwise.
const USUAL: i64 = 24;

/// Percentiles that are shown unless asked otherwise.
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.95, 0.99];

/// Percentiles in one answer at most.
const MOST: usize = 20;

/// Which span, and which percentiles.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    last: Option<jiff::Span>,
    /// Between 0 and 1, with commas between them.
    quantiles: Option<String>,
}

/// From when to when, as a request says it.
pub(super) struct Period {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    /// The last so much, in place of `from`: `24h`, `90d`.
    pub(super) last: Option<jiff::Span>,
}

/// Figures of all probes of a span.
#[derive(Serialize)]
pub(super) struct Overview {
    #[serde(flatten)]
    span: Span,
    probes: BTreeMap<String, Figures>,
}

/// Figures of one probe over a span.
#[derive(Serialize)]
pub(super) struct Stats {
    probe: ProbeId,
    #[serde(flatten)]
    span: Span,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
struct Figures {
    runs: u64,
    outcomes: Counts,
    /// Failed runs among those that could be judged; absent where there are none.
    failure_ratio: Option<f64>,
    classes: BTreeMap<Class, u64>,
    /// Whole runs that passed.
    duration: Times,
    /// Steps that passed.
    stages: BTreeMap<Stage, Times>,
}

#[derive(Serialize)]
struct Counts {
    ok: u64,
    degraded: u64,
    failed: u64,
    unknown: u64,
}

#[derive(Serialize)]
struct Times {
    count: u64,
    mean_ms: Option<f64>,
    /// By the share of runs that took no longer.
    quantiles_ms: BTreeMap<String, f64>,
}

/// `/api/v1/probes/{id}/stats`
pub(super) async fn of_probe(
    state: &State,
    probe: ProbeId,
    uri: &Uri,
) -> Result<Json<Stats>, Problem> {
    let (span, quantiles) = asked(uri)?;
    let rollup = state.store.stats(probe.clone(), span).await?;
    let figures = Figures::new(&rollup, &quantiles);
    Ok(Json(Stats {
        probe,
        span,
        figures,
    }))
}

/// `/api/v1/stats`
pub(super) async fn of_all(
    Extract(state): Extract<State>,
    uri: Uri,
) -> Result<Json<Overview>, Problem> {
    let (span, quantiles) = asked(&uri)?;
    let rollups = state.store.overview(span).await?;
    let figures = |(probe, rollup)| (probe, Figures::new(&rollup, &quantiles));
    let probes = rollups.into_iter().map(figures).collect();
    Ok(Json(Overview { span, probes }))
}

fn asked(uri: &Uri) -> Result<(Span, Vec<f64>), Problem> {
    let Query(filter) = Query::<Filter>::try_from_uri(uri)
        .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let quantiles = filter.quantiles()?;
    let Filter { from, to, last, .. } = filter;
    let period = Period { from, to, last };
    Ok((period.span(clock::now())?, quantiles))
}

impl Period {
    /// The span that is meant, the last day where nothing is said.
    pub(super) fn span(&self, now: Timestamp) -> Result<Span, Problem> {
        let to = self.to.unwrap_or(now);
        let last = match (self.from, self.last) {
            (Some(_), Some(_)) => {
                return Err(Problem::bad_request("from and last exclude each other"));
            }
            (Some(from), None) if from > to => {
                return Err(Problem::bad_request("from lies after to"));
            }
            (Some(from), None) => return Ok(Span::new(from, to)),
            (None, Some(last)) => last.to_duration(SpanRelativeTo::days_are_24_hours()),
            (None, None) => Ok(SignedDuration::from_hours(USUAL)),
        };
        match last {
            Ok(last) if last.is_positive() => Ok(Span::last(last, to)),
            _ => Err(Problem::bad_request(
                "last is a time such as 90m, 24h or 30d",
            )),
        }
    }
}

impl Filter {
    fn quantiles(&self) -> Result<Vec<f64>, Problem> {
        let Some(text) = &self.quantiles else {
            return Ok(QUANTILES.to_vec());
        };
        let quantiles: Option<Vec<f64>> = text
            .split(',')
            .map(|part| part.trim().parse().ok())
            .map(|quantile| quantile.filter(|quantile| (0.0..=1.0).contains(quantile)))
            .collect();
        quantiles
            .filter(|quantiles| quantiles.len() <= MOST)
            .ok_or_else(|| {
                Problem::bad_request(format!(
                    "quantiles are up to {MOST} numbers between 0 and 1, with commas between them"
                ))
            })
    }
}

impl Figures {
    fn new(rollup: &Rollup, quantiles: &[f64]) -> Self {
        let Outcomes {
            ok,
            degraded,
            failed,
            unknown,
        } = rollup.outcomes;
        let stages = rollup.stages.iter();
        Self {
            runs: rollup.outcomes.total(),
            outcomes: Counts {
                ok,
                degraded,
                failed,
                unknown,
            },
            failure_ratio: rollup.outcomes.failure_ratio(),
            classes: rollup.classes.clone(),
            duration: Times::new(&rollup.duration, quantiles),
            stages: stages
                .map(|(stage, latency)| (*stage, Times::new(latency, quantiles)))
                .collect(),
        }
    }
}

impl Times {
    fn new(latency: &Latency, quantiles: &[f64]) -> Self {
        let of = |&quantile: &f64| Some((quantile.to_string(), latency.quantile_ms(quantile)?));
        Self {
            count: latency.count(),
            mean_ms: latency.mean_ms(),
            quantiles_ms: quantiles.iter().filter_map(of).collect(),
        }
    }
}
