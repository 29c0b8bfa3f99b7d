//! A request that is not taken: what its sender is told, and what is kept of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderValue, RETRY_AFTER};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use posthaste_core::id::RefusalId;
use posthaste_core::limits::REFUSAL_BODY_BYTES_MAX;
use posthaste_core::origin::Origin;
use posthaste_core::source::Refusal;
use serde_json::json;

use super::doors::Prepared;
use crate::Shared;
use crate::error::{json_of, retry_after};

/// Letters of a reason that are kept, hints included.
const REASON_LETTERS_MAX: usize = 4_000;

/// Why a request is not taken.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    pub(crate) hints: Vec<String>,
    /// How long to wait before trying again.
    pub(crate) wait: Option<Duration>,
    /// The methods that would be taken.
    pub(crate) methods: Option<String>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, code: &'static str, reason: impl Into<String>) -> Self {
        Self { status, code, reason: reason.into(), hints: vec![], wait: None, methods: None }
    }

    pub(crate) fn too_many(wait: Duration) -> Self {
        let reason = "this source takes no more requests per second";
        let refused = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", reason);
        Self { wait: Some(wait), ..refused }
    }

    pub(crate) fn no_room() -> Self {
        let reason = "too many bytes of this source's requests are under way";
        let refused = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason);
        Self { wait: Some(Duration::from_secs(1)), ..refused }
    }

    pub(crate) fn into_response(self) -> Response {
        let mut body = json!({ "code": self.code, "detail": self.reason });
        if !self.hints.is_empty() {
            body["hints"] = json!(self.hints);
        }
        let mut response = json_of(self.status, &body).into_response();
        if let Some(wait) = self.wait {
            response.headers_mut().insert(RETRY_AFTER, retry_after(wait));
        }
        if let Some(methods) = self.methods.and_then(|methods| HeaderValue::try_from(methods).ok()) {
            response.headers_mut().insert(ALLOW, methods);
        }
        response
    }
}

/// A refused request, as far as it was read.
pub(crate) struct Evidence {
    pub(crate) origin: Origin,
    pub(crate) body: Bytes,
    pub(crate) remote: Option<IpAddr>,
}

/// Keeps a refused request for whoever asks why. Nobody waits for that, and if it fails the refusal still stands.
pub(crate) fn keep(state: &Shared, prepared: &Arc<Prepared>, refused: &Refused, evidence: Evidence) {
    let now = state.clock.now();
    let reason = std::iter::once(refused.reason.as_str()).chain(refused.hints.iter().map(String::as_str));
    let refusal = Refusal {
        id: RefusalId::fresh(now, &*state.dice),
        source: prepared.source.id,
        at: now,
        status: refused.status.as_u16(),
        // Some of it is the sender's: what we kept would be as long as the sender likes.
        reason: reason.collect::<Vec<_>>().join(". ").chars().take(REASON_LETTERS_MAX).collect(),
        body_bytes_count: evidence.body.len() as u64,
        // A copy, so that the rest of a large body is not held by its beginning.
        body: Bytes::copy_from_slice(&evidence.body[..evidence.body.len().min(REFUSAL_BODY_BYTES_MAX)]),
        origin: evidence.origin,
        remote: evidence.remote,
    };
    let sources = Arc::clone(&state.sources);
    tokio::spawn(async move {
        if let Err(error) = sources.refuse(refusal, now).await {
            tracing::warn!(%error, "a refused request could not be kept");
        }
    });
}
