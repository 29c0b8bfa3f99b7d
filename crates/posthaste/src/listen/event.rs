//! What happens while one listens, for whoever shows it.

use bytes::Bytes;
use posthaste_core::time::Timestamp;
use posthaste_tunnel::frame::{FailedKind, Headers, Request};
use std::time::Duration;

use super::memory::Key;
use super::state::State;

/// Letters of an answer's first line that are shown.
const LINE_LETTERS_MAX: usize = 160;

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A connection stands in another way.
    State { wire: usize, state: State },
    /// A request came, and is forwarded.
    Came { wire: usize, at: Timestamp, request: Box<Request> },
    /// The local program answered it, or did not.
    Went { wire: usize, at: Timestamp, went: Box<Went> },
    /// Something to know, in a sentence.
    Notice(String),
}

/// What came of a request.
#[derive(Debug, Clone)]
pub(crate) struct Went {
    pub(crate) key: Key,
    pub(crate) message: String,
    /// `POST :3000/webhooks`.
    pub(crate) to: String,
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

/// An answer, or why there is none.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Answered { status: u16, headers: Headers, body: Bytes, truncated: bool },
    Failed { kind: FailedKind, detail: String },
}

impl Outcome {
    pub(crate) fn is_success(&self) -> bool {
        matches!(self, Self::Answered { status: 200..300, .. })
    }

    /// The status, or a word for why there is none.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Answered { status, .. } => status.to_string(),
            Self::Failed { kind, .. } => kind_word(*kind).to_owned(),
        }
    }

    /// What a failure says for itself: the first line of the answer, or the reason that there is none.
    pub(crate) fn says(&self) -> String {
        let text = match self {
            Self::Answered { body, .. } => String::from_utf8_lossy(body),
            Self::Failed { detail, .. } => detail.into(),
        };
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        line.chars().take(LINE_LETTERS_MAX).collect()
    }
}

/// The word that people and programs read.
pub(crate) fn kind_word(kind: FailedKind) -> &'static str {
    match kind {
        FailedKind::Connect => "connect",
        FailedKind::Timeout => "timeout",
        FailedKind::Dns => "dns",
        FailedKind::Tls => "tls",
        FailedKind::Protocol => "protocol",
        FailedKind::Other => "failed",
    }
}
