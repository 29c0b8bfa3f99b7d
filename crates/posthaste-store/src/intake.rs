//! The only way in.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use posthaste_core::app::{NewApp, Reference};
use posthaste_core::id::MessageId;
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, EventTypeName, Tag, Uid};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;

use crate::error::ChangeError;

/// A message about to be accepted.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Whose environment.
    pub environment: EnvironmentId,
    /// Whose message.
    pub app: Reference,
    /// Made first if it is not there yet; `app` then names it.
    pub create_app: Option<NewApp>,
    /// Our id, made by the caller.
    pub id: MessageId,
    /// What kind of thing happened.
    pub event_type: EventTypeName,
    /// The caller's id; unique in the app.
    pub event_id: Option<Uid>,
    /// Which channels it goes to.
    pub channels: Vec<Channel>,
    /// To find it again.
    pub tags: Vec<Tag>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When the body is forgotten, if before the store's own retention.
    pub expunge_at: Option<Timestamp>,
    /// When it should first be sent, if not at once.
    pub deliver_at: Option<Timestamp>,
    /// Only to this endpoint, whatever its filter says: a test.
    pub only: Option<Reference>,
    /// Makes repeating the request safe.
    pub idempotency: Option<IdempotencyKey>,
}

/// A caller's key for one request, and what the request was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key, hashed together with who used it and for which path.
    pub key: [u8; 32],
    /// The hash of the request's body.
    pub fingerprint: [u8; 32],
}

/// What became of a message.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The message as it is kept; the first one, if this was a repetition.
    pub message: Arc<Message>,
    /// How many endpoints it is owed to. Zero is no error: it is kept, and was wanted by nobody.
    pub deliveries_count: u32,
    /// The idempotency key was known: nothing was written.
    pub repeated: bool,
}

/// Takes messages in.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Promise: when this returns `Ok`, the message is on disk, and so is a delivery for each endpoint that wanted
    /// it in the same transaction. The same idempotency key within
    /// [`IDEMPOTENCY_WINDOW`](posthaste_core::limits::IDEMPOTENCY_WINDOW) returns the first message and writes
    /// nothing; with another fingerprint it is [`ChangeError::KeyReused`]. A known `event_id` is
    /// [`ChangeError::Taken`].
    async fn accept(&self, new: NewMessage, now: Timestamp) -> Result<Accepted, ChangeError>;
}
