//! What browsers are told of every answer: to take it for what it says it is, and to keep none that may hold a secret.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::Response;

/// Paths whose answers hold tenants' data and secrets.
const KEPT_BY_NOBODY: [&str; 2] = ["/api/", "/ingest/"];

pub(crate) async fn advise(request: Request, next: Next) -> Response {
    let is_private = KEPT_BY_NOBODY.iter().any(|start| request.uri().path().starts_with(start));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_private {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
