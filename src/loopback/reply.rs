//! Answers: JSON, OAuth errors, pages and redirects, each with the headers that belong to it.

use askama::Template;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use uuid::Uuid;

/// Gives each answer a name to ask by, and says of which trace it is where the request says so (W3C Trace Context).
pub(super) async fn named(request: Request, next: Next) -> Response {
    let parent = request.headers().get("traceparent").cloned();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&Uuid::now_v7().to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    if let Some(parent) = parent {
        headers.insert(HeaderName::from_static("traceresponse"), parent);
    }
    response
}

/// JSON that no cache may keep (RFC 6749 section 5.1).
pub(super) fn json(status: StatusCode, value: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
    ];
    (status, headers, value.to_string()).into_response()
}

/// An error of RFC 6749 section 5.2, RFC 6750 section 3 or RFC 7009 section 2.2.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OAuthError {
    pub(super) status: StatusCode,
    pub(super) error: String,
    pub(super) description: String,
    /// `WWW-Authenticate`, where the scheme of the request asks for one.
    pub(super) challenge: Option<String>,
}

impl OAuthError {
    /// Status 400.
    pub(super) fn new(error: &str, description: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: error.to_owned(),
            description: description.to_owned(),
            challenge: None,
        }
    }

    /// The client is not who it says: status 401, with a challenge of the scheme it tried.
    pub(super) fn client(description: &str) -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            challenge: Some("Basic realm=\"loopback\", charset=\"UTF-8\"".to_owned()),
            ..Self::new("invalid_client", description)
        }
    }

    /// An access token is refused (RFC 6750 section 3).
    pub(super) fn bearer(status: StatusCode, error: &str, description: &str) -> Self {
        Self {
            status,
            challenge: Some(format!(
                "Bearer realm=\"loopback\", error=\"{error}\", error_description=\"{description}\""
            )),
            ..Self::new(error, description)
        }
    }

    /// An error of any name, with the status it usually has: for faults.
    pub(super) fn usual(error: &str) -> Self {
        let description = "a fault that was switched on";
        let status = match error {
            "invalid_client" => return Self::client(description),
            "invalid_token" => return Self::bearer(StatusCode::UNAUTHORIZED, error, description),
            "insufficient_scope" => return Self::bearer(StatusCode::FORBIDDEN, error, description),
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            "temporarily_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            ..Self::new(error, description)
        }
    }

    /// The body of the answer.
    pub(super) fn body(&self) -> Value {
        json!({"error": self.error, "error_description": self.description})
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.body());
        if let Some(value) = self
            .challenge
            .and_then(|text| HeaderValue::try_from(text).ok())
        {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }
}

/// What a page may do: nothing from outside, no frame around it. `form-action` stays open, for Chromium holds it against
/// the redirect that follows a form, and that one leads to the client.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      frame-ancestors 'none'";
const POLICY_WITH_SCRIPT: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                                  img-src data:; base-uri 'none'; frame-ancestors 'none'";

/// A page without scripts.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Response {
    html(status, template, POLICY)
}

/// A page with a script of its own.
pub(super) fn page_with_script(status: StatusCode, template: &impl Template) -> Response {
    html(status, template, POLICY_WITH_SCRIPT)
}

fn html(status: StatusCode, template: &impl Template, policy: &'static str) -> Response {
    let text = template.render().expect("our templates render into memory");
    let headers: [(HeaderName, &str); 6] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (status, headers, text).into_response()
}

/// A redirect that turns into a GET (RFC 9700 section 4.12).
pub(super) fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
