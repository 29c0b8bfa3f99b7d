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
/// Bytes of all that is kept, headers too.
const KEPT_BYTES_MAX: usize = 32 << 20;
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
    /// What it takes to keep it.
    fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        self.path.len() + headers + self.body.len()
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What is kept, oldest first, and how many bytes that is.
#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<BinRequest>,
    bytes: usize,
}

/// All bins of this process; clones share them.
#[derive(Debug, Clone)]
pub struct Bins {
    kept: Arc<Mutex<Kept>>,
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
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).requests.iter().cloned().collect()
    }

    fn keep(&self, request: BinRequest) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += request.size();
        kept.requests.push_back(request.clone());
        while kept.requests.len() > REQUESTS_MAX || kept.bytes > KEPT_BYTES_MAX {
            let Some(oldest) = kept.requests.pop_front() else { break };
            kept.bytes -= oldest.size();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_forgets_the_oldest_when_it_holds_too_many_or_too_much() {
        let bins = Bins::new();
        let request = |n: usize, bytes: usize| BinRequest {
            at: Timestamp::EPOCH,
            method: "POST".to_owned(),
            path: format!("/bin/{n}"),
            headers: HeaderMap::new(),
            body: Bytes::from(vec![b'x'; bytes]),
        };
        (0..=REQUESTS_MAX).for_each(|n| bins.keep(request(n, 1)));
        assert_eq!(bins.kept().len(), REQUESTS_MAX);
        assert_eq!(bins.kept()[0].path, "/bin/1");
        (0..100).for_each(|n| bins.keep(request(n, BODY_BYTES_MAX)));
        let bytes: usize = bins.kept().iter().map(BinRequest::size).sum();
        assert!(bytes <= KEPT_BYTES_MAX && bytes > KEPT_BYTES_MAX - 2 * BODY_BYTES_MAX, "{bytes}");
        assert_eq!(bins.kept().last().unwrap().path, "/bin/99");
    }
}
