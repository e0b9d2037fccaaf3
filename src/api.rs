//! What the daemon shows over HTTP: health, figures, runs, probes, and the pages people look at.
//!
//! Names of probes hold slashes. In an address they may stand as they are, or percent-encoded.

mod access;
mod alerts;
mod evidence;
mod export;
mod pages;
mod problem;
mod stats;
mod view;

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRef, Path, Query, State as Extract};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use tokio::sync::watch;
use tower_http::compression::{CompressionLayer, CompressionLevel};

pub use access::{Access, Right, Token};
pub use alerts::{Alerts, Deploys, Marker, Shown, Silences, Taken, Wanted};

use crate::board::{Board, Refused};
use crate::clock;
use crate::duty::Duty;
use crate::probe::ProbeId;
use crate::run::RunId;
use crate::store::{self, Store};
use crate::telemetry::{Format, Telemetry};

use problem::Problem;
use view::{Filter, Probe, Probes, Ready, Runs, UnderWay};

/// Runs in one answer, unless asked otherwise, and at most.
const LIMIT: (usize, usize) = (50, 1000);

/// What the answers are made of.
#[derive(Clone)]
pub struct State {
    pub store: Store,
    pub duty: Duty,
    pub telemetry: Arc<Telemetry>,
    pub board: Arc<Board>,
    /// Who may do what, as the newest configuration says.
    pub access: watch::Receiver<Arc<Access>>,
}

impl FromRef<State> for Arc<Access> {
    fn from_ref(state: &State) -> Self {
        Arc::clone(&state.access.borrow())
    }
}

/// All addresses.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/runs", get(runs))
        .route("/api/v1/runs/{id}", get(run))
        .route("/api/v1/runs/{id}/evidence", get(evidence::json))
        .route("/api/v1/runs/{id}/evidence.har", get(evidence::har))
        .route("/api/v1/runs/{id}/evidence.md", get(evidence::markdown))
        .route("/api/v1/runs/{id}/evidence.curl", get(evidence::curl))
        .route(
            "/api/v1/runs/{id}/evidence/screenshot.png",
            get(evidence::screenshot),
        )
        .route("/api/v1/stats", get(stats::of_all))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/alerts/{fingerprint}", get(alerts::one))
        .route(
            "/api/v1/alerts/{fingerprint}/acknowledge",
            post(alerts::acknowledge),
        )
        .route(
            "/api/v1/silences",
            get(alerts::silences).post(alerts::silence),
        )
        .route("/api/v1/silences/{id}", delete(alerts::unsilence))
        .route("/api/v1/deploys", get(alerts::deploys).post(alerts::deploy))
        .route("/alerts", get(pages::alerts::list))
        .route("/alerts/{fingerprint}", get(pages::alerts::page))
        .route(
            "/alerts/{fingerprint}/acknowledge",
            post(alerts::acknowledge_by_form),
        )
        .route(
            "/alerts/{fingerprint}/silence",
            post(alerts::silence_by_form),
        )
        .route("/api/v1/export", get(export::runs))
        .route("/api/v1/probes", get(probes))
        .route("/api/v1/probes/{*rest}", get(probe).post(run_now))
        .route("/", get(pages::index))
        .route("/probes/{*id}", get(pages::probe))
        .route("/runs/{id}", get(pages::run))
        .route("/runbooks", get(pages::runbooks::index))
        .route("/runbooks/prometheus", get(pages::runbooks::prometheus))
        .route("/runbooks/{class}", get(pages::runbooks::runbook))
        .route("/style.css", get(pages::style))
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "this address does not take this method",
            )
        })
        .layer(from_fn_with_state(state.clone(), access::guard))
        .layer(map_response(harden))
        // For who asks, as Prometheus does: thousands of lines are much alike.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .with_state(state)
}

/// Pages hold what strangers sent: nothing in them may run, frame or be guessed at.
async fn harden(mut response: Response) -> Response {
    const HEADERS: [(header::HeaderName, &str); 4] = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn ready(Extract(state): Extract<State>) -> (StatusCode, Json<Ready>) {
    let reasons: Vec<&'static str> = state
        .board
        .not_ready(clock::now())
        .into_iter()
        .map(Into::into)
        .collect();
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(Ready { ready, reasons }))
}

async fn metrics(Extract(state): Extract<State>, headers: HeaderMap) -> Result<Response, Problem> {
    if !state.telemetry.is_exposed() {
        return Err(Problem::not_found(
            "`telemetry.prometheus` is false in the configuration of this daemon",
        ));
    }
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = Format::wanted(accept.unwrap_or_default());
    // Printing the series of thousands of probes takes too long for the threads that serve everybody.
    let printed = tokio::task::spawn_blocking(move || state.telemetry.exposition(format)).await;
    let text = printed
        .map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping"))?;
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}

async fn runs(
    Extract(state): Extract<State>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Runs>, Problem> {
    let Query(filter) = filter.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    list(&state, filter).await
}

async fn list(state: &State, filter: Filter) -> Result<Json<Runs>, Problem> {
    let limit = filter.limit.unwrap_or(LIMIT.0);
    if !(1..=LIMIT.1).contains(&limit) {
        return Err(Problem::bad_request(format!(
            "limit must lie between 1 and {}",
            LIMIT.1
        )));
    }
    let query = store::Query {
        probe: filter.probe,
        outcome: filter.outcome,
        before: filter.before,
        limit,
    };
    let runs = state.store.list(query).await?;
    let next_before = runs
        .last()
        .filter(|_| runs.len() == limit)
        .map(|run| run.id);
    Ok(Json(Runs { runs, next_before }))
}

async fn run(
    Extract(state): Extract<State>,
    id: Result<Path<RunId>, PathRejection>,
) -> Result<Response, Problem> {
    let id = run_id(id)?;
    // In this order a run that ends in between is found.
    if let Some(probe) = under_way(&state, id).await? {
        return Ok((StatusCode::ACCEPTED, Json(UnderWay::new(id, probe))).into_response());
    }
    let mut run = state.store.get(id).await?.ok_or_else(|| no_such_run(id))?;
    run.evidence = state.store.evidence(id).await?;
    Ok(Json(run).into_response())
}

async fn probes(Extract(state): Extract<State>) -> Result<Json<Probes>, Problem> {
    let slots: Vec<_> = state.board.read().values().cloned().collect();
    let names = slots.iter().map(|slot| slot.probe.id.clone()).collect();
    let last = state.store.newest(names, 1).await?;
    let probes = slots
        .iter()
        .zip(last)
        .map(|(slot, mut last)| Probe::new(slot, last.pop(), state.board.expiries(&slot.probe.id)));
    Ok(Json(Probes {
        probes: probes.collect(),
    }))
}

/// `{id}/runs` lists the runs of a probe, `{id}/stats` sums them up, `{id}` alone shows the probe.
async fn probe(
    Extract(state): Extract<State>,
    rest: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let rest = path(rest)?;
    if let Some(name) = rest.strip_suffix("/stats") {
        let probe = known_probe(&state, name)?;
        let stats = stats::of_probe(&state, probe, &uri).await;
        return stats.map(IntoResponse::into_response);
    }
    let Query(filter) = Query::<Filter>::try_from_uri(&uri)
        .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    if let Some(name) = rest.strip_suffix("/runs") {
        let probe = known_probe(&state, name)?;
        let filter = Filter {
            probe: Some(probe),
            ..filter
        };
        return list(&state, filter).await.map(IntoResponse::into_response);
    }
    let name = known_probe(&state, &rest)?;
    let mut last = state.store.newest(vec![name.clone()], 1).await?.remove(0);
    match state.board.read().get(&name) {
        Some(slot) => {
            Ok(Json(Probe::new(slot, last.pop(), state.board.expiries(&name))).into_response())
        }
        None => Err(Refused::NoSuchProbe.into()),
    }
}

/// POST to `{id}/runs`: runs the probe now and says which run that is. A browser is sent to its page.
async fn run_now(
    Extract(state): Extract<State>,
    rest: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let rest = path(rest)?;
    let Some(name) = rest.strip_suffix("/runs") else {
        return Err(Problem::not_found(
            "runs are started at /api/v1/probes/{id}/runs",
        ));
    };
    let probe = known_probe(&state, name)?;
    let wants_page = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let id = match state.board.run_now(probe.clone()).await {
        Ok(id) => id,
        Err(Refused::UnderWay(id)) if wants_page => id,
        Err(refused) => return Err(refused.into()),
    };
    if wants_page {
        return Ok(Redirect::to(&format!("/runs/{id}")).into_response());
    }
    let location = [(header::LOCATION, format!("/api/v1/runs/{id}"))];
    Ok((
        StatusCode::ACCEPTED,
        location,
        Json(UnderWay::new(id, probe)),
    )
        .into_response())
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::NoSuchProbe => StatusCode::NOT_FOUND,
            Refused::UnderWay(_) => StatusCode::CONFLICT,
            Refused::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, refused.to_string())
    }
}

/// The probe that a run belongs to which has not ended.
async fn under_way(state: &State, id: RunId) -> Result<Option<ProbeId>, Problem> {
    let on_board = state
        .board
        .read()
        .iter()
        .find(|(_, slot)| slot.running == Some(id))
        .map(|(name, _)| name.clone());
    match on_board {
        Some(name) => Ok(Some(name)),
        None => Ok(state.store.under_way(id).await?.map(|intent| intent.probe)),
    }
}

fn known_probe(state: &State, name: &str) -> Result<ProbeId, Problem> {
    let slots = state.board.read();
    let found = slots.keys().find(|id| id.as_str() == name);
    found.cloned().ok_or_else(|| Refused::NoSuchProbe.into())
}

fn no_such_run(id: RunId) -> Problem {
    Problem::not_found(format!("there is no run {id}, or no longer"))
}

fn run_id(id: Result<Path<RunId>, PathRejection>) -> Result<RunId, Problem> {
    id.map(|Path(id)| id)
        .map_err(|_| Problem::bad_request("a run id is a UUID"))
}

fn path(rest: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    rest.map(|Path(rest)| rest)
        .map_err(|rejection| Problem::bad_request(rejection.body_text()))
}
