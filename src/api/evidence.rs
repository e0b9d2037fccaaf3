//! What was seen in a run, as the API gives it out: as JSON, as HAR, as a page, as commands, and the picture.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Extract};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{State, no_such_run, run_id};
use crate::bundle;
use crate::run::{Run, RunId};

type Id = Result<Path<RunId>, PathRejection>;

/// `/api/v1/runs/{id}/evidence`: as it is kept.
pub(super) async fn json(Extract(state): Extract<State>, id: Id) -> Result<Response, Problem> {
    let id = run_id(id)?;
    let evidence = state.store.evidence(id).await?;
    Ok(Json(evidence.ok_or_else(|| gone(id))?).into_response())
}

/// `/api/v1/runs/{id}/evidence.har`: for viewers of HTTP archives.
pub(super) async fn har(Extract(state): Extract<State>, id: Id) -> Result<Response, Problem> {
    let run = whole(&state, id).await?;
    let name = format!("attachment; filename=\"authcanary-{}.har\"", run.id);
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Json(bundle::har(&run))).into_response())
}

/// `/api/v1/runs/{id}/evidence.md`: a page for a ticket.
pub(super) async fn markdown(Extract(state): Extract<State>, id: Id) -> Result<Response, Problem> {
    let run = whole(&state, id).await?;
    let kind = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
    Ok((kind, bundle::markdown(&run)).into_response())
}

/// `/api/v1/runs/{id}/evidence.curl`: asks again what failed.
pub(super) async fn curl(Extract(state): Extract<State>, id: Id) -> Result<Response, Problem> {
    let run = whole(&state, id).await?;
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, bundle::curl(&run)).into_response())
}

/// `/api/v1/runs/{id}/evidence/screenshot.png`: the page at which the browser's part stopped.
pub(super) async fn screenshot(
    Extract(state): Extract<State>,
    id: Id,
) -> Result<Response, Problem> {
    let id = run_id(id)?;
    match state.store.screenshot(id).await? {
        Some(png) => Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response()),
        None => Err(Problem::not_found(format!(
            "there is no screenshot of run {id}, or no longer"
        ))),
    }
}

async fn whole(state: &State, id: Id) -> Result<Run, Problem> {
    let id = run_id(id)?;
    let mut run = state.store.get(id).await?.ok_or_else(|| no_such_run(id))?;
    run.evidence = state.store.evidence(id).await?;
    match run.evidence {
        Some(_) => Ok(run),
        None => Err(gone(id)),
    }
}

fn gone(id: RunId) -> Problem {
    Problem::not_found(format!("there is no evidence of run {id}, or no longer"))
}
