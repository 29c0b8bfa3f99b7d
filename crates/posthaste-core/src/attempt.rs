//! An attempt: one try of a delivery, what came back, and how long each part took.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use crate::id::{AttemptId, EndpointId, MessageId};
use crate::time::Timestamp;

/// Why an attempt was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The message was accepted, or the retry schedule said so.
    Scheduled,
    /// Somebody asked: resend, recover.
    Manual,
}

/// How long the parts of an attempt took. Parts that did not happen are zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Looking up the name.
    pub dns: Duration,
    /// Connecting.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// From the request's first byte out to the answer's head.
    pub first_byte: Duration,
    /// All of it, the answer's body included.
    pub total: Duration,
}

impl Timing {
    /// The rest: the answer's body.
    pub fn read(&self) -> Duration {
        self.total.saturating_sub(self.dns + self.connect + self.tls + self.first_byte)
    }
}

/// What a receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Its headers in order, cut at [`RESPONSE_HEADER_BYTES_MAX`](crate::limits::RESPONSE_HEADER_BYTES_MAX).
    pub headers: Vec<(String, Bytes)>,
    /// Its body, cut at [`RESPONSE_BODY_BYTES_MAX`](crate::limits::RESPONSE_BODY_BYTES_MAX).
    pub body: Bytes,
    /// There was more than was kept.
    pub truncated: bool,
}

impl Reply {
    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }
}

/// How an attempt failed before there was an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The address rule forbids the target. Says nothing of what listens there.
    BlockedTarget,
    /// The name has no address.
    Dns,
    /// Our resolver did not answer, or said that it cannot: says nothing of the endpoint.
    Resolver,
    /// Nothing took the connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection broke.
    Broken,
    /// What came back was not HTTP, or too large a head.
    Protocol,
    /// Our request could not be built from what the endpoint says.
    Request,
}

impl FailureKind {
    /// The word that the store, logs and metrics use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BlockedTarget => "blocked_target",
            Self::Dns => "dns",
            Self::Resolver => "resolver",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Protocol => "protocol",
            Self::Request => "request",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [
            Self::BlockedTarget,
            Self::Dns,
            Self::Resolver,
            Self::Connect,
            Self::Tls,
            Self::Timeout,
            Self::Broken,
            Self::Protocol,
            Self::Request,
        ];
        all.into_iter().find(|kind| kind.word() == word)
    }
}

/// A failure, with one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which kind.
    pub kind: FailureKind,
    /// What happened, in a sentence without secrets.
    pub detail: String,
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There was an answer.
    Replied(Reply),
    /// There was none.
    Failed(Failure),
}

impl Outcome {
    /// 2xx and nothing else.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Replied(reply) if (200..300).contains(&reply.status))
    }

    /// The status code; zero when there was no answer.
    pub fn status_code(&self) -> u16 {
        match self {
            Self::Replied(reply) => reply.status,
            Self::Failed(_) => 0,
        }
    }
}

/// One try of a delivery, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Our id.
    pub id: AttemptId,
    /// What was sent.
    pub message: MessageId,
    /// To whom.
    pub endpoint: EndpointId,
    /// To which URL, as of then.
    pub url: String,
    /// Why.
    pub trigger: Trigger,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub timing: Timing,
    /// The address that was dialled.
    pub remote: Option<SocketAddr>,
    /// What came of it.
    pub outcome: Outcome,
}
