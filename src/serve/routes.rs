//! From an HTTP request to its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tokio::time::Instant;

use crate::serve::body::{self, Loaded};
use crate::serve::gate::Gate;
use crate::serve::item::{Outcome, Wrong};
use crate::serve::metrics::Metrics;
use crate::serve::refusal::{Refusal, json_response};
use crate::serve::scorer::Desk;
use crate::serve::shape::{Call, Shape};
use crate::serve::{Kind, Limits};

/// Bodies up to this many bytes are parsed where they were read.
const PARSED_AT_ONCE: usize = 256 * 1024;

/// What all requests share.
pub(super) struct App {
    pub(super) limits: Limits,
    pub(super) gate: Gate,
    pub(super) desk: Desk,
    pub(super) metrics: Arc<Metrics>,
    pub(super) draining: AtomicBool,
}

/// What follows the question mark.
type Asked = Query<HashMap<String, String>>;

/// All endpoints.
pub(super) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/seed_session", post(seed_session))
        .route("/nemo/seed_session", post(seed_session));
    for (path, shape) in Shape::PATHS {
        let handler =
            move |State(app): State<Arc<App>>,
                  query: Result<Asked, QueryRejection>,
                  request: Request| endpoint(app, shape, query, request);
        router = router.route(path, post(handler));
    }
    router.fallback(unknown).method_not_allowed_fallback(wrong_method).with_state(app)
}

async fn endpoint(
    app: Arc<App>,
    shape: Shape,
    query: Result<Asked, QueryRejection>,
    request: Request,
) -> Response {
    let start = Instant::now();
    let raised = app.metrics.in_flight();
    let answer = answer(&app, shape, query, request).await;
    drop(raised);
    let response = answer.unwrap_or_else(IntoResponse::into_response);
    app.metrics.answered(shape.name(), response.status().as_u16(), start.elapsed());
    response
}

async fn answer(
    app: &App,
    shape: Shape,
    query: Result<Asked, QueryRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let loaded = body::read(&head.headers, body, &app.gate, &app.limits).await?;
    let deadline = Instant::now() + app.limits.deadline;
    let Query(query) = query.map_err(|error| {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_query", error.body_text())
    })?;
    let kind = asked_kind(&query, app.limits.kind)?;
    let Loaded { bytes, held } = loaded;
    let call = if bytes.len() <= PARSED_AT_ONCE {
        Call::read(shape, &bytes, kind)?
    } else {
        let parsed = app.desk.parse(move || Call::read(shape, &bytes, kind)).await;
        parsed.map_err(|outcome| shape.refuse(&outcome))??
    };
    let slots = app.gate.admit(call.items.len())?;
    let (frame, items, wrong) = call.split();
    let outcomes = app.desk.score(items, slots, deadline).await;
    drop(held);
    frame.answer(rejoined(outcomes, wrong))
}

/// Puts what could not be read back where it stood.
fn rejoined(outcomes: Vec<Outcome>, wrong: Vec<(usize, Wrong)>) -> Vec<Outcome> {
    let mut all = outcomes;
    for (index, wrong) in wrong {
        all.insert(index.min(all.len()), Outcome::Wrong(wrong));
    }
    all
}

fn asked_kind(query: &HashMap<String, String>, default: Kind) -> Result<Kind, Refusal> {
    if let Some(unknown) = query.keys().find(|key| *key != "kind") {
        return Err(Refusal::wrong(Wrong::new(
            format!("?{unknown}"),
            "is not known; the only parameter is `kind`, similarity or tests",
        )));
    }
    match query.get("kind") {
        None => Ok(default),
        Some(name) => Kind::from_name(name).ok_or_else(|| {
            let message = format!("is {name:?}, expected similarity or tests");
            Refusal::wrong(Wrong::new("?kind", message))
        }),
    }
}

async fn health(State(app): State<Arc<App>>) -> Response {
    let draining = app.draining.load(Ordering::Relaxed);
    let (status, word) = match draining {
        false => (StatusCode::OK, "ok"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    let body = json!({
        "status": word,
        "version": env!("CARGO_PKG_VERSION"),
        "kind": app.limits.kind.name(),
        "queue_items": app.gate.taken(),
        "queue_capacity": app.gate.capacity(),
    });
    json_response(status, &body)
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut response = app.metrics.render(&app.gate).into_response();
    let value = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

/// NeMo Gym opens a session before it verifies; no state is kept here.
async fn seed_session() -> Response {
    json_response(StatusCode::OK, &json!({}))
}

async fn unknown(request: Request) -> Response {
    let paths: Vec<&str> = Shape::PATHS.iter().map(|(path, _)| *path).collect();
    let message = format!(
        "there is nothing at {}; POST to {}, or GET /health or /metrics",
        request.uri().path(),
        paths.join(", ")
    );
    Refusal::new(StatusCode::NOT_FOUND, "not_found", message).into_response()
}

async fn wrong_method(request: Request) -> Response {
    let message = format!("{} takes no {}", request.uri().path(), request.method());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", message).into_response()
}
