//! One request in the view, and what came of it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use posthaste_core::request::printed;
use posthaste_core::time::Timestamp;
use posthaste_signature::provider::sign::Draft;
use posthaste_tunnel::frame::{Headers, Request};

use crate::listen::event::Went;
use crate::listen::memory::Key;

/// Bytes of a body that are kept to be looked at: a thousand rows hold 64 MiB at the very most.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) wire: usize,
    pub(super) at: Timestamp,
    pub(super) request: Request,
    /// Bytes of the whole body.
    pub(super) bytes: usize,
    pub(super) went: Option<Went>,
}

impl Row {
    pub(super) fn new(number: u64, wire: usize, at: Timestamp, request: &Request) -> Self {
        let bytes = request.body.len();
        // Copied, since a slice would keep all of it.
        let body = Bytes::copy_from_slice(&request.body[..bytes.min(BODY_BYTES_MAX)]);
        Self { number, wire, at, request: Request { body, ..request.clone() }, bytes, went: None }
    }

    pub(super) fn is_of(&self, wire: usize, key: &Key) -> bool {
        (wire, &self.request.id, self.request.attempt) == (self.wire, &key.0, key.1)
    }

    /// `filter` is in lower case.
    pub(super) fn matches(&self, filter: &str, label: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(filter);
        filter.is_empty()
            || [&self.request.event_type, &self.request.message, &self.request.path]
                .into_iter()
                .any(|text| has(text))
            || has(label)
            || self.went.as_ref().is_some_and(|went| has(&went.outcome.word()) || has(&went.outcome.says()))
    }

    /// The command that sends the same to the local program.
    pub(super) fn curl(&self, url: &str) -> String {
        let draft = Draft {
            method: self.request.method.clone(),
            url: url.to_owned(),
            headers: map_of(&self.request.headers),
            body: self.request.body.to_vec(),
        };
        let command = printed::as_curl(&draft);
        if self.bytes > BODY_BYTES_MAX {
            return format!(
                "# the body has {} bytes, and the command only the first of them\n{command}",
                self.bytes
            );
        }
        if std::str::from_utf8(&self.request.body).is_err() {
            return format!("# the body is no text: a shell cannot say its bytes\n{command}");
        }
        command
    }
}

fn map_of(headers: &Headers) -> HeaderMap {
    let pairs = headers.0.iter().filter_map(|(name, value)| {
        Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    let mut map = HeaderMap::new();
    for (name, value) in pairs.filter(|(name, _)| *name != http::header::CONTENT_LENGTH) {
        let _ = map.try_append(name, value);
    }
    map
}
