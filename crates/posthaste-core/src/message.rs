//! A message: what happened, as bytes that are never changed.

use std::sync::Arc;

use bytes::Bytes;

use crate::id::{AppId, MessageId};
use crate::name::{Channel, EventTypeName, Tag, Uid};
use crate::origin::Origin;
use crate::time::Timestamp;

/// What happened, as it is kept and delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Our id; receivers deduplicate by it.
    pub id: MessageId,
    /// Whose it is.
    pub app: AppId,
    /// What kind of thing happened.
    pub event_type: EventTypeName,
    /// The caller's id.
    pub event_id: Option<Uid>,
    /// Which channels it goes to; none means all.
    pub channels: Vec<Channel>,
    /// To find it again.
    pub tags: Vec<Tag>,
    /// The body, byte for byte; `None` once it was expunged or its time was over.
    pub body: Option<Bytes>,
    /// The request that it came in with, if a source received it; it goes when the body goes.
    pub origin: Option<Arc<Origin>>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it should first be sent, if not at once.
    pub deliver_at: Option<Timestamp>,
}

impl Message {
    /// About how many bytes of memory its body and its origin take.
    pub fn weight(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len) + self.origin.as_ref().map_or(0, |origin| origin.weight())
    }
}
