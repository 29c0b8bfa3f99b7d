//! The built-in bin: keeps whatever comes, byte for byte, and answers 200. Bounded in count and in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use posthaste_core::time::Timestamp;
use serde_json::json;
use tokio::sync::broadcast;

use crate::error::json_of;
use crate::extract::body;

/// Requests that are kept.
const REQUESTS_MAX: usize = 1_000;
/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Requests that a slow watcher may be behind.
const WATCHERS_LAG_MAX: usize = 256;

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct BinRequest {
    /// When it came.
    pub at: Timestamp,
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers, repeated ones too.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl BinRequest {
    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// All bins of this process; clones share them.
#[derive(Debug, Clone)]
pub struct Bins {
    kept: Arc<Mutex<VecDeque<BinRequest>>>,
    watchers: broadcast::Sender<BinRequest>,
}

impl Default for Bins {
    fn default() -> Self {
        Self::new()
    }
}

impl Bins {
    /// Bins that are empty.
    pub fn new() -> Self {
        Self { kept: Arc::default(), watchers: broadcast::Sender::new(WATCHERS_LAG_MAX) }
    }

    /// Everything that comes from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<BinRequest> {
        self.watchers.subscribe()
    }

    /// What was kept, oldest first.
    pub fn kept(&self) -> Vec<BinRequest> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn keep(&self, request: BinRequest) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= REQUESTS_MAX {
            kept.pop_front();
        }
        kept.push_back(request.clone());
        drop(kept);
        // Nobody watching is no error.
        let _ = self.watchers.send(request);
    }
}

#[expect(clippy::disallowed_methods, reason = "a bin belongs to a laptop, and to no clock that a test holds")]
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

pub(crate) async fn keep(State(bins): State<Bins>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match body::read(body, BODY_BYTES_MAX).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    bins.keep(BinRequest {
        at: now(),
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body,
    });
    json_of(StatusCode::OK, &json!({ "ok": true }))
}
