//! Alerts, silences and deploy markers: what stands, and what people do about it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{FormRejection, JsonRejection, QueryRejection};
use axum::extract::{Form, Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::State;
use super::problem::Problem;
use crate::alert::{self, Alert, Deploy, Fingerprint, Scope};
use crate::clock;
use crate::desk::{Acknowledgement, Case, Refused, Silence};
use crate::duty;
use crate::notify::route::OneOrMany;

/// A silence by the form of a page lasts at most so long.
const LONGEST_BY_FORM: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Longest text that people leave, in characters.
const TEXT: usize = 500;

/// What to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    state: Option<alert::State>,
}

/// Alerts, the newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Alerts {
    pub alerts: Vec<Shown>,
}

/// An alert, and what people have done about it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    #[serde(flatten)]
    pub alert: Alert,
    /// Who has taken it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// What keeps it from people at this moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<Silence>,
}

impl Shown {
    fn new(case: Case, silences: &[Silence], now: Timestamp) -> Self {
        Self {
            silences: covering(&case, silences, now),
            alert: case.alert,
            acknowledged: case.acknowledged,
        }
    }
}

/// The silences that keep an alert from people at this moment.
pub(super) fn covering(case: &Case, silences: &[Silence], now: Timestamp) -> Vec<Silence> {
    let active = silences.iter().filter(|it| it.is_active(now));
    let covers = active.filter(|it| case.is_open() && it.covers(&case.alert));
    covers.cloned().collect()
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(filter) = filter.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let wanted = |case: &Case| filter.state.is_none_or(|state| case.alert.state == state);
    let (silences, now) = (state.duty.silences().await, clock::now());
    let alerts = state.duty.alerts().await.into_iter().filter(wanted);
    let alerts = alerts
        .map(|case| Shown::new(case, &silences, now))
        .collect();
    Ok(Json(Alerts { alerts }).into_response())
}

pub(super) async fn one(
    Extract(state): Extract<State>,
    Path(fingerprint): Path<Fingerprint>,
) -> Result<Response, Problem> {
    let case = find(&state, &fingerprint).await?;
    let silences = state.duty.silences().await;
    Ok(Json(Shown::new(case, &silences, clock::now())).into_response())
}

/// An alert by its fingerprint.
pub(super) async fn find(state: &State, fingerprint: &Fingerprint) -> Result<Case, Problem> {
    let found = state.duty.alert(fingerprint).await;
    found.ok_or_else(|| duty::Error::from(Refused::NoSuchAlert).into())
}

/// Who takes an alert on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    pub by: String,
    #[serde(default)]
    pub note: String,
}

impl Taken {
    fn at(self, now: Timestamp) -> Result<Acknowledgement, Problem> {
        Ok(Acknowledgement {
            by: text("by", self.by)?,
            at: now,
            note: limited("note", self.note)?,
        })
    }
}

pub(super) async fn acknowledge(
    Extract(state): Extract<State>,
    Path(fingerprint): Path<Fingerprint>,
    taken: Result<Json<Taken>, JsonRejection>,
) -> Result<Response, Problem> {
    let acknowledgement = body(taken)?.at(clock::now())?;
    state
        .duty
        .acknowledge(fingerprint.clone(), acknowledgement)
        .await?;
    one(Extract(state), Path(fingerprint)).await
}

/// As [`acknowledge`], by the form of the alert's page.
pub(super) async fn acknowledge_by_form(
    Extract(state): Extract<State>,
    Path(fingerprint): Path<Fingerprint>,
    taken: Result<Form<Taken>, FormRejection>,
) -> Result<Redirect, Problem> {
    let Form(taken) = taken.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let acknowledgement = taken.at(clock::now())?;
    let back = Redirect::to(&format!("/alerts/{fingerprint}"));
    state.duty.acknowledge(fingerprint, acknowledgement).await?;
    Ok(back)
}

/// Silences, also those that are over or to come.
#[derive(Debug, Serialize, Deserialize)]
pub struct Silences {
    pub silences: Vec<Silence>,
}

pub(super) async fn silences(Extract(state): Extract<State>) -> Response {
    let silences = state.duty.silences().await;
    Json(Silences { silences }).into_response()
}

/// A silence to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(rename = "match")]
    pub matches: BTreeMap<String, OneOrMany>,
    /// Now, when left out.
    pub starts_at: Option<Timestamp>,
    pub ends_at: Timestamp,
    pub author: String,
    pub reason: String,
}

pub(super) async fn silence(
    Extract(state): Extract<State>,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Response, Problem> {
    let wanted = body(wanted)?;
    let silence = Silence {
        id: String::new(),
        matches: wanted.matches,
        starts_at: wanted.starts_at.unwrap_or_else(clock::now),
        ends_at: wanted.ends_at,
        author: text("author", wanted.author)?,
        reason: text("reason", wanted.reason)?,
    };
    let silence = state.duty.silence(silence).await?;
    Ok((StatusCode::CREATED, Json(silence)).into_response())
}

/// A silence for one alert, by the form of its page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Quiet {
    hours: u32,
    author: String,
    reason: String,
}

pub(super) async fn silence_by_form(
    Extract(state): Extract<State>,
    Path(fingerprint): Path<Fingerprint>,
    quiet: Result<Form<Quiet>, FormRejection>,
) -> Result<Redirect, Problem> {
    let Form(quiet) = quiet.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    find(&state, &fingerprint).await?;
    let now = clock::now();
    let lasts = SignedDuration::from_hours(quiet.hours.into()).min(LONGEST_BY_FORM);
    let only = OneOrMany::One(fingerprint.0.clone());
    let silence = Silence {
        id: String::new(),
        matches: [("fingerprint".to_owned(), only)].into(),
        starts_at: now,
        ends_at: now + lasts,
        author: text("author", quiet.author)?,
        reason: text("reason", quiet.reason)?,
    };
    state.duty.silence(silence).await?;
    Ok(Redirect::to(&format!("/alerts/{fingerprint}")))
}

pub(super) async fn unsilence(
    Extract(state): Extract<State>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    state.duty.unsilence(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Markers of deploys, the newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Deploys {
    pub deploys: Vec<Deploy>,
}

pub(super) async fn deploys(Extract(state): Extract<State>) -> Response {
    let deploys = state.duty.deploys().await;
    Json(Deploys { deploys }).into_response()
}

/// A marker to be.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    pub id: String,
    /// Now, when left out.
    pub at: Option<Timestamp>,
    /// Everywhere, when left out.
    #[serde(default)]
    pub scope: Scope,
    pub by: String,
    pub url: Option<String>,
    #[serde(default)]
    pub note: String,
}

pub(super) async fn deploy(
    Extract(state): Extract<State>,
    marker: Result<Json<Marker>, JsonRejection>,
) -> Result<Response, Problem> {
    let marker = body(marker)?;
    let is_web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    if marker.url.as_ref().is_some_and(|url| !is_web(url)) {
        return Err(Problem::bad_request(
            "url must begin with https:// or http://",
        ));
    }
    let deploy = Deploy {
        id: text("id", marker.id)?,
        at: marker.at.unwrap_or_else(clock::now),
        scope: marker.scope,
        by: text("by", marker.by)?,
        url: marker.url,
        note: limited("note", marker.note)?,
    };
    state.duty.deploy(deploy.clone()).await?;
    Ok((StatusCode::CREATED, Json(deploy)).into_response())
}

impl From<duty::Error> for Problem {
    fn from(error: duty::Error) -> Self {
        let status = match &error {
            duty::Error::Refused(Refused::NoSuchAlert | Refused::NoSuchSilence) => {
                StatusCode::NOT_FOUND
            }
            duty::Error::Refused(Refused::IsOver) => StatusCode::CONFLICT,
            duty::Error::Refused(_) => StatusCode::BAD_REQUEST,
            duty::Error::Store(_) | duty::Error::Outbox(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

fn body<T>(json: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    let Json(value) = json.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    Ok(value)
}

fn text(field: &str, text: String) -> Result<String, Problem> {
    if text.trim().is_empty() {
        return Err(Problem::bad_request(format!("{field} must not be empty")));
    }
    limited(field, text)
}

fn limited(field: &str, text: String) -> Result<String, Problem> {
    if text.chars().count() > TEXT {
        return Err(Problem::bad_request(format!(
            "{field} is longer than {TEXT} characters"
        )));
    }
    Ok(text)
}
