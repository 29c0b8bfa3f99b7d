//! The frames of the tunnel: one WebSocket message each, one line of JSON, and behind its newline the raw body.
//!
//! The line is small and can be read in a trace; the body is no text that JSON would have to escape, and arrives as the
//! bytes it was. A frame of a type that one side does not know is none of its business, so that both can grow.

mod headers;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use headers::Headers;

/// Bytes of a frame's line, its newline included. A provider's head has 32 KiB at most and an endpoint's own headers 128 KiB,
/// and a byte that is not plain ASCII takes two here.
pub const HEAD_BYTES_MAX: usize = 512 * 1024;
/// Bytes of an answer's body that a client sends; the server keeps the first part of them.
pub const ANSWER_BODY_BYTES_MAX: usize = 64 * 1024;
/// Bytes of the longest body: as much as a message may be allowed to have.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Bytes of the longest frame that a server sends.
pub const FROM_SERVER_BYTES_MAX: usize = BODY_BYTES_MAX + HEAD_BYTES_MAX;
/// Bytes of the longest frame that a client sends.
pub const FROM_CLIENT_BYTES_MAX: usize = ANSWER_BODY_BYTES_MAX + HEAD_BYTES_MAX;
/// How often the server pings.
pub const PING_INTERVAL: Duration = Duration::from_secs(5);
/// After so long without a sign of life the other end is gone: two pings, and a little for the way.
pub const SILENCE_MAX: Duration = Duration::from_secs(12);
/// How soon a client says that it has a request.
pub const GOT_WITHIN: Duration = Duration::from_secs(5);

/// What a server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromServer {
    /// The first frame: from now on requests come.
    Ready(Ready),
    /// A request for the local program.
    Request(Request),
    /// An answer was written down.
    Recorded(Recorded),
    /// The last frame.
    Bye(Bye),
    /// Of a newer server: to be ignored.
    #[serde(other)]
    Unknown,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromClient {
    /// It has the request, and asks the local program now.
    Got(Got),
    /// What the local program answered.
    Answer(Answer),
    /// The local program did not answer.
    Failed(Failed),
    /// Of a newer client: to be ignored.
    #[serde(other)]
    Unknown,
}

/// What a client hears first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The listener's name, from its endpoint's URL.
    pub name: String,
    /// Requests that wait for it, as far as they were counted.
    pub waiting: u32,
    /// How often the server pings.
    pub heartbeat_ms: u64,
    /// How long the local program may take to answer.
    pub timeout_ms: u64,
}

/// A request for the local program.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Names the delivery: the same each time that it is tried.
    pub id: String,
    /// Which try this is, counted from 1. A request that was lost on its way comes again as the same one.
    #[serde(rename = "try")]
    pub attempt: u32,
    /// The message's id.
    pub message: String,
    /// What kind of thing happened.
    pub event_type: String,
    /// The method.
    pub method: String,
    /// What stood behind the address of the source, as it was sent: empty, or with a slash at its beginning.
    pub path: String,
    /// What followed the `?`, as it was sent; empty if nothing did.
    pub query: String,
    /// Every header in order.
    pub headers: Headers,
    /// The body, byte for byte.
    #[serde(skip)]
    pub body: Bytes,
}

/// An answer was written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Of which request.
    pub id: String,
    /// Of which try.
    #[serde(rename = "try")]
    pub attempt: u32,
    /// Where the delivery stands now: `delivered`, `waiting` to be tried again, `failed`.
    pub status: String,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Another connection took its place: whoever comes back would take it from that one again.
    Replaced,
    /// The server leaves; it, or another, will be there.
    Leaving,
    /// The endpoint is no more, or no listener's.
    Deleted,
    /// The endpoint was disabled.
    Disabled,
    /// The token does not count any more.
    Unauthorized,
    /// The client said something that it must not.
    Misbehaved,
    /// Of a newer server.
    #[serde(other)]
    Other,
}

/// The last frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// Why.
    pub reason: Reason,
    /// The same in a sentence.
    pub detail: String,
}

/// A client has a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// Which.
    pub id: String,
    /// Which try of it.
    #[serde(rename = "try")]
    pub attempt: u32,
}

/// What the local program answered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// To which request.
    pub id: String,
    /// To which try of it.
    #[serde(rename = "try")]
    pub attempt: u32,
    /// The status code.
    pub status: u16,
    /// The headers in order.
    pub headers: Headers,
    /// How long it took, from the connection to the last byte.
    pub duration_ms: u64,
    /// The body was longer than what is sent of it.
    #[serde(default)]
    pub truncated: bool,
    /// The body, or its first [`ANSWER_BODY_BYTES_MAX`] bytes.
    #[serde(skip)]
    pub body: Bytes,
}

/// Why a local program did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedKind {
    /// Nothing took the connection.
    Connect,
    /// It took too long.
    Timeout,
    /// The name has no address.
    Dns,
    /// The TLS handshake failed.
    Tls,
    /// What came back was not HTTP.
    Protocol,
    /// Of a newer client.
    #[serde(other)]
    Other,
}

/// The local program did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Which request.
    pub id: String,
    /// Which try of it.
    #[serde(rename = "try")]
    pub attempt: u32,
    /// Why.
    pub kind: FailedKind,
    /// The same in a sentence.
    pub detail: String,
    /// How long it was tried.
    pub duration_ms: u64,
}

/// Why a frame cannot be read. Each is the end of a sentence that begins with whose frame it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not split in two.
    #[error("has no line of JSON within its first {HEAD_BYTES_MAX} bytes")]
    NoLine,
    /// Its first part is not what it should be.
    #[error("does not begin with a line of JSON as it should be: {0}")]
    Line(String),
}

impl FromServer {
    /// As one message.
    pub fn encode(&self) -> Bytes {
        let body = match self {
            Self::Request(request) => &request.body[..],
            _ => &[],
        };
        write(self, body)
    }

    /// From one message.
    pub fn decode(message: &Bytes) -> Result<Self, Malformed> {
        let (mut frame, rest) = read(message)?;
        if let Self::Request(request) = &mut frame {
            request.body = rest;
        }
        Ok(frame)
    }
}

impl FromClient {
    /// As one message.
    pub fn encode(&self) -> Bytes {
        let body = match self {
            Self::Answer(answer) => &answer.body[..],
            _ => &[],
        };
        write(self, body)
    }

    /// From one message.
    pub fn decode(message: &Bytes) -> Result<Self, Malformed> {
        let (mut frame, rest) = read(message)?;
        if let Self::Answer(answer) = &mut frame {
            answer.body = rest;
        }
        Ok(frame)
    }
}

fn write(head: &impl Serialize, body: &[u8]) -> Bytes {
    // Names, numbers and text: nothing in a head that JSON does not know.
    let mut message = serde_json::to_vec(head).unwrap_or_default();
    message.reserve_exact(1 + body.len());
    message.push(b'\n');
    message.extend_from_slice(body);
    message.into()
}

fn read<H: DeserializeOwned>(message: &Bytes) -> Result<(H, Bytes), Malformed> {
    let head = &message[..message.len().min(HEAD_BYTES_MAX)];
    let end = head.iter().position(|byte| *byte == b'\n').ok_or(Malformed::NoLine)?;
    let head = serde_json::from_slice(&head[..end]).map_err(|error| Malformed::Line(error.to_string()))?;
    Ok((head, message.slice(end + 1..)))
}

/// Shows no value of a header, no query and no body: they may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("id", &self.id)
            .field("attempt", &self.attempt)
            .field("event_type", &self.event_type)
            .field("method", &self.method)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("id", &self.id)
            .field("attempt", &self.attempt)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
