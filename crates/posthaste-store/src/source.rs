//! Sources: the inbound doors, what comes in by them and what is refused.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, MessageId, RefusalId, SourceId};
use posthaste_core::name::{EventTypeName, Tag};
use posthaste_core::origin::Origin;
use posthaste_core::source::{Door, NewSource, Refusal, Source, SourceChange};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;

use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};

/// A request that passed a door and is about to become a message.
#[derive(Debug, Clone)]
pub struct NewReceived {
    /// By whose door it came.
    pub source: SourceId,
    /// The source's app.
    pub app: AppId,
    /// The source's environment.
    pub environment: EnvironmentId,
    /// Our id, made by the caller.
    pub id: MessageId,
    /// What kind of thing happened.
    pub event_type: EventTypeName,
    /// To find it again.
    pub tags: Vec<Tag>,
    /// The request, body apart.
    pub origin: Origin,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When body and origin go, if before everything else.
    pub expunge_at: Option<Timestamp>,
    /// Makes a repetition known as one; `None`: it is new whatever it holds.
    pub dedupe: Option<DedupeKey>,
}

/// By what a request is known again, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupeKey {
    /// The hash of what the source's rules name. Keys of two sources never meet, whatever their hashes.
    pub hash: [u8; 32],
    /// For how long after the first request.
    pub window: Duration,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is a message.
    New {
        /// The message.
        message: MessageId,
        /// To how many endpoints it is owed. Zero is no error: it is kept, and was wanted by nobody.
        deliveries_count: u32,
    },
    /// It came before.
    Repeated {
        /// The message that the first one became.
        first: MessageId,
        /// How often it came again, this time included.
        repeats_count: u32,
    },
}

/// How often a message came again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repeats {
    /// The first time apart.
    pub count: u32,
    /// When it last did.
    pub last_at: Option<Timestamp>,
}

/// Knows the doors, and takes in what came by them. A foreign or deleted source is not found.
///
/// A source has an app of its own, in which everything else is as for other apps: its endpoints (see
/// [`Owner::Source`](crate::directory::Owner::Source)), its messages and their history. That app has no uid, is in no
/// list, and is changed and deleted with its source only.
#[async_trait]
pub trait Sources: Send + Sync {
    /// Promise: when this returns [`Received::New`], the message with its origin and a delivery for each endpoint that
    /// wanted it are on disk, and its key was taken in the same transaction. [`Received::Repeated`] wrote nothing but
    /// the repetition's mark on the first message. While a source is paused its deliveries wait: no claim takes them.
    async fn receive(&self, new: NewReceived, now: Timestamp) -> Result<Received, ChangeError>;

    /// The source behind a door, by [`Door::hash`]; an old door opens until its grace is over. Never from a cache.
    async fn door(
        &self,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(EnvironmentId, Source)>, StoreError>;

    /// Grows with each change of any source that this process committed, before whoever asked for it hears of it. Who
    /// keeps sources reads this first, then asks [`door`](Self::door): what was kept under another number is stale.
    /// Changes by other processes do not show: what is kept must expire by itself.
    fn source_changes(&self) -> u64;

    /// Makes a source and its app. A uid that another one has is [`ChangeError::Taken`].
    async fn create_source(
        &self,
        environment: EnvironmentId,
        new: NewSource,
        now: Timestamp,
    ) -> Result<Source, ChangeError>;

    /// One source, by our id or by the caller's.
    async fn source(&self, environment: EnvironmentId, source: &Reference) -> Result<Source, ChangeError>;

    /// All sources.
    async fn sources(
        &self,
        environment: EnvironmentId,
        page: PageRequest<SourceId>,
    ) -> Result<Page<Source>, StoreError>;

    /// Sources that make messages of their own ([`cron`](posthaste_core::cron)), those of all environments and the paused
    /// ones too, in the order of their ids: at most `limit`, and only those after `after`.
    async fn cron_sources(
        &self,
        after: Option<SourceId>,
        limit: u32,
    ) -> Result<Vec<(EnvironmentId, Source)>, StoreError>;

    /// Changes a source, unless it is no longer as the change says that it was: then that is [`ChangeError::Outdated`], and
    /// nothing changed. When one pauses, what was claimed before still goes out; when it goes on, what waited is sent
    /// at once.
    async fn change_source(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        change: SourceChange,
        now: Timestamp,
    ) -> Result<Source, ChangeError>;

    /// Deletes a source with its app and endpoints; what it was still owed is dead-lettered.
    async fn delete_source(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError>;

    /// Opens `door` from now on, and the old ones for `grace`; at most
    /// [`DOORS_IN_GRACE_MAX`](posthaste_core::limits::DOORS_IN_GRACE_MAX) of those.
    async fn rotate_door(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        door: Door,
        grace: Duration,
        now: Timestamp,
    ) -> Result<Source, ChangeError>;

    /// Keeps a refused request, and drops the oldest beyond
    /// [`REFUSALS_PER_SOURCE_MAX`](posthaste_core::limits::REFUSALS_PER_SOURCE_MAX) in the same transaction. Nothing
    /// is kept of a source that is gone.
    async fn refuse(&self, refusal: Refusal, now: Timestamp) -> Result<(), StoreError>;

    /// Refused requests.
    async fn refusals(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        page: PageRequest<RefusalId>,
    ) -> Result<Page<Refusal>, ChangeError>;

    /// How often a message came again, and when last.
    async fn repeats(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
    ) -> Result<Repeats, ChangeError>;
}
