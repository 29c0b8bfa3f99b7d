//! Probes, metrics, and answers for paths that are none.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use posthaste_store::StoreError;
use serde_json::json;

use crate::Shared;
use crate::error::{ApiError, json_of, json_response};

/// The process runs.
pub(crate) async fn live() -> &'static str {
    "live\n"
}

/// The store answers and can be written, and nobody told us to leave.
pub(crate) async fn ready(State(state): State<Shared>) -> Response {
    if !state.ready.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match state.history.ping().await {
        Ok(()) if state.roles.are_some() => format!("ready, as {}\n", state.roles).into_response(),
        Ok(()) => "ready\n".into_response(),
        Err(error @ StoreError::Unwell(_)) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response()
        }
    }
}

/// Svix's own health route.
pub(crate) async fn health(State(state): State<Shared>) -> StatusCode {
    match state.history.ping().await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(crate) async fn metrics(State(state): State<Shared>) -> Response {
    let mut text = String::new();
    if prometheus_client::encoding::text::encode(&mut text, &state.registry).is_err() {
        return ApiError::Unavailable.into_response();
    }
    let open_metrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, open_metrics)], text).into_response()
}

pub(crate) async fn openapi() -> Response {
    json_response(StatusCode::OK, crate::openapi())
}

pub(crate) async fn not_found() -> ApiError {
    ApiError::not_found("path")
}

pub(crate) async fn method_not_allowed() -> Response {
    let body = json!({ "code": "method_not_allowed", "detail": "this path has no such method" });
    json_of(StatusCode::METHOD_NOT_ALLOWED, &body)
}

/// A panic in a handler is our mistake: it is logged, answered with 500, and ends nothing else.
pub(crate) async fn catch_panic(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a handler panicked");
            let body = json!({ "code": "internal", "detail": "this is a mistake of the server's" });
            json_of(StatusCode::INTERNAL_SERVER_ERROR, &body)
        }
    }
}
