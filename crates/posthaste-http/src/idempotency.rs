//! Idempotency keys: a POST that is repeated with the same key is answered from the first answer, for 12 hours.
//!
//! Messages keep theirs in the transaction that accepts them; all other POSTs are wrapped here.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use posthaste_store::directory::Reservation;
use posthaste_store::intake::IdempotencyKey;
use sha2::{Digest as _, Sha256};

use crate::Shared;
use crate::api::message::idempotency_header;
use crate::error::{Answer, ApiError, json_response};
use crate::extract::body;

/// The key of a request, made of who asks, for what, and the caller's own key; `None` when there is none.
pub(crate) fn key_of(
    headers: &HeaderMap,
    scope: &[impl AsRef<[u8]>],
    body: &[u8],
) -> Answer<Option<IdempotencyKey>> {
    let Some(key) = idempotency_header(headers)? else { return Ok(None) };
    let mut hash = Sha256::new();
    for part in scope {
        // Each part with its length, so that no two lists of parts read alike.
        hash.update(part.as_ref().len().to_be_bytes());
        hash.update(part.as_ref());
    }
    hash.update(key.as_bytes());
    Ok(Some(IdempotencyKey { key: hash.finalize().into(), fingerprint: Sha256::digest(body).into() }))
}

pub(crate) async fn once(State(state): State<Shared>, request: Request, next: Next) -> Response {
    match answer(&state, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn answer(state: &Shared, request: Request, next: Next) -> Answer<Response> {
    if idempotency_header(request.headers())?.is_none() {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let body = body::read(body, state.settings.max_payload).await?;
    let token = parts.headers.get(AUTHORIZATION).map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    let scope = [token, parts.uri.to_string().into_bytes()];
    let Some(key) = key_of(&parts.headers, &scope, &body)? else {
        return Err(ApiError::bad_request("the Idempotency-Key header is empty"));
    };
    if let Reservation::Answered { status, body } =
        state.directory.reserve_key(key.clone(), state.clock.now()).await?
    {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        return Ok(if body.is_empty() { status.into_response() } else { json_response(status, body) });
    }
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    // Only work that was done is remembered: a request that was refused may be mended and sent again.
    let done = parts.status.is_success().then(|| (parts.status.as_u16(), body.to_vec()));
    state.directory.settle_key(key, done).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}
