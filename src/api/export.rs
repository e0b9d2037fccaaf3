//! `/api/v1/export`: runs as a stream of lines.

use std::collections::HashMap;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State as Extract};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;

use super::State;
use super::problem::Problem;
use super::stats::Period;
use crate::clock;
use crate::export::{CSV_HEADER, Export, Form, Known};
use crate::probe::ProbeId;
use crate::store;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    from: Option<jiff::Timestamp>,
    to: Option<jiff::Timestamp>,
    last: Option<jiff::Span>,
    probe: Option<ProbeId>,
    format: Form,
}

/// Everything that began in a span, the last day by default.
pub(super) async fn runs(Extract(state): Extract<State>, uri: Uri) -> Result<Response, Problem> {
    let Query(filter) = Query::<Filter>::try_from_uri(&uri)
        .map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let now = clock::now();
    let period = Period {
        from: filter.from,
        to: filter.to,
        last: filter.last,
    };
    let span = period.span(now)?;
    let known: HashMap<_, _> = {
        let slots = state.board.read();
        let probes = slots.values().map(|slot| &slot.probe);
        probes
            .map(|probe| (probe.id.clone(), Known::of(probe, now)))
            .collect()
    };
    let form = filter.format;
    let export = Export::new(state.store, span, filter.probe, known);
    let head = match form {
        Form::Jsonl => "",
        Form::Csv => CSV_HEADER,
    };
    let lines = stream::try_unfold((export, head), move |(mut export, head)| async move {
        if !head.is_empty() {
            return Ok(Some((Bytes::from_static(head.as_bytes()), (export, ""))));
        }
        match export.next().await {
            Ok(Some(lines)) => {
                let text: String = lines.iter().map(|line| line.write(form)).collect();
                Ok(Some((Bytes::from(text), (export, ""))))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an export broke off"
                );
                Err::<_, store::Error>(error)
            }
        }
    });
    let kind = match form {
        Form::Jsonl => "application/jsonl",
        Form::Csv => "text/csv; charset=utf-8; header=present",
    };
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(lines)).into_response())
}
