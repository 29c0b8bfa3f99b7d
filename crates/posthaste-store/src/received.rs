//! What came by a door, made ready before it waits for a writer.

use std::sync::Arc;

use posthaste_core::id::SourceId;
use posthaste_core::message::Message;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::source::{DedupeKey, NewReceived};

/// What was received, made ready before it waits for the writer: that thread only writes.
pub(crate) struct Ready {
    pub(crate) source: SourceId,
    pub(crate) environment: EnvironmentId,
    pub(crate) message: Arc<Message>,
    pub(crate) sealed_origin: Vec<u8>,
    pub(crate) expunge_at: Option<Timestamp>,
    pub(crate) key: Option<Key>,
}

/// A dedupe key as it is kept.
pub(crate) struct Key {
    pub(crate) bytes: [u8; 16],
    pub(crate) expires_at: Timestamp,
}

impl Key {
    fn new(source: SourceId, key: &DedupeKey, now: Timestamp) -> Self {
        let digest = Sha256::new().chain_update(source.as_bytes()).chain_update(key.hash).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self { bytes, expires_at: now.later(key.window) }
    }
}

impl Ready {
    pub(crate) fn new(new: NewReceived, sealed_origin: Vec<u8>, now: Timestamp) -> Self {
        let message = Message {
            id: new.id,
            app: new.app,
            event_type: new.event_type,
            event_id: None,
            channels: vec![],
            tags: new.tags,
            body: Some(new.body),
            origin: Some(Arc::new(new.origin)),
            created_at: now,
            deliver_at: None,
        };
        Self {
            source: new.source,
            environment: new.environment,
            message: Arc::new(message),
            sealed_origin,
            expunge_at: new.expunge_at,
            key: new.dedupe.map(|key| Key::new(new.source, &key, now)),
        }
    }
}
