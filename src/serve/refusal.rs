//! Errors as clients see them: a status, a code to branch on, a sentence, and the field.

use std::time::Duration;

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::serve::item::Wrong;

/// A request that is answered without a reward.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// One word or two, stable.
    pub(super) code: &'static str,
    pub(super) message: String,
    /// Which field of the request is meant.
    pub(super) field: Option<String>,
    /// When another try makes sense; none where it makes none.
    pub(super) retry_after: Option<Duration>,
    /// Whether the connection is of no use any more.
    pub(super) close: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, code, message, field: None, retry_after: None, close: false }
    }

    /// The body is not JSON.
    pub(super) fn invalid_json(detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", format!("invalid JSON: {detail}"))
    }

    /// A field lacks, or has the wrong type or value.
    pub(super) fn wrong(wrong: Wrong) -> Self {
        let field = (!wrong.field.is_empty()).then_some(wrong.field);
        let message = match &field {
            Some(field) => format!("{field}: {}", wrong.message),
            None => wrong.message,
        };
        Self { field, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", message) }
    }

    /// Too much is going on.
    pub(super) fn busy(code: &'static str, message: impl Into<String>) -> Self {
        let retry_after = Some(Duration::from_secs(1));
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, code, message) }
    }

    /// More than this server ever takes.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// No answer can be given now that would be true.
    pub(super) fn masked(kind: &'static str, message: impl Into<String>) -> Self {
        let seconds = if kind == "deadline" { 1 } else { 10 };
        let retry_after = Some(Duration::from_secs(seconds));
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, message) }
    }

    #[must_use]
    pub(super) fn closing(self) -> Self {
        Self { close: true, ..self }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("error".to_owned(), json!(self.message));
        body.insert("code".to_owned(), json!(self.code));
        if let Some(field) = self.field {
            body.insert("field".to_owned(), json!(field));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            body.insert("mask_sample".to_owned(), json!(true));
        }
        let mut response = json_response(self.status, &Value::Object(body));
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        if self.close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A JSON document with a status.
pub(super) fn json_response(status: StatusCode, value: &Value) -> Response {
    let mut response = (status, value.to_string()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
