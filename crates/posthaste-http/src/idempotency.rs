//! Idempotency keys: a POST that is repeated with the same key is answered from the first answer, for 12 hours.
//!
//! Messages keep theirs in the transaction that accepts them; all other POSTs are wrapped here.

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use posthaste_store::directory::Reservation;
use posthaste_store::intake::IdempotencyKey;
use sha2::{Digest as _, Sha256};

use crate::api::message::idempotency_header;
use crate::error::{Answer, ApiError, json_response};
use crate::extract::auth::Caller;
use crate::extract::body;
use crate::{Shared, probes};

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

/// Marks an answer that was given before.
pub(crate) fn replayed(mut answer: Response) -> Response {
    answer.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    answer
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
    let (mut parts, body) = request.into_parts();
    // Before anything is written: a stranger must not make us, and an ended token must not be told an old answer.
    let caller = Caller::from_request_parts(&mut parts, state).await?;
    let body = body::read(body, body::limit(state)).await?;
    let path = parts.uri.path().trim_end_matches('/');
    let who = caller.as_scope();
    let scope = [who.as_str(), path, parts.uri.query().unwrap_or_default()];
    let Some(key) = key_of(&parts.headers, &scope, &body)? else {
        return Err(ApiError::bad_request("the Idempotency-Key header is empty"));
    };
    // A task of its own: a client that gives up and asks again must find the key settled, not reserved for hours.
    let request = Request::from_parts(parts, Body::from(body));
    let work = tokio::spawn(work(Shared::clone(state), key, request, next));
    work.await.unwrap_or(Err(ApiError::Unavailable))
}

async fn work(state: Shared, key: IdempotencyKey, request: Request, next: Next) -> Answer<Response> {
    if let Reservation::Answered { status, body } =
        state.directory.reserve_key(key.clone(), state.clock.now()).await?
    {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let answer = if body.is_empty() { status.into_response() } else { json_response(status, body) };
        return Ok(replayed(answer));
    }
    let response = probes::catch_panic(request, next).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    // Only work that was done is remembered: a request that was refused may be mended and sent again.
    let done = parts.status.is_success().then(|| (parts.status.as_u16(), body.to_vec()));
    if let Err(error) = state.directory.settle_key(key, done).await {
        // The work is done all the same, and whoever asked for it should know.
        tracing::error!(%error, "the answer to an idempotency key could not be kept");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
