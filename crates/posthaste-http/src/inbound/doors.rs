//! Sources as the door needs them: read from the store, prepared once, and kept for a moment.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use posthaste_core::bin;
use posthaste_core::cron;
use posthaste_core::source::{OnMismatch, Source};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_signature::provider::Receiver;
use posthaste_store::StoreError;

use super::config::ProviderConfig;
use super::published::Published;
use super::schema::{self, Compiled};
use super::under_way::UnderWay;
use crate::state::ApiState;
use crate::throttle::Throttle;

/// Doors that are kept; past that all are forgotten, which costs one read each.
const DOORS_MAX: usize = 10_000;
/// How long a change by another process may go unseen.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Refused requests that are explained and kept, per second and source, and how many at once. The rest are counted.
const REFUSALS_PER_SECOND: u32 = 10;
const REFUSALS_BURST: u32 = 50;
/// Refusals, per second and source, and at once, before which the store is asked whether the source was changed elsewhere.
const SECOND_LOOKS_PER_SECOND: u32 = 20;
const SECOND_LOOKS_BURST: u32 = 50;

/// A source, ready for requests.
pub(crate) struct Prepared {
    pub(crate) environment: EnvironmentId,
    pub(crate) source: Source,
    pub(crate) receiver: Receiver,
    pub(crate) schema: Option<(Compiled, OnMismatch)>,
    pub(crate) throttle: Option<Throttle>,
    pub(crate) refusals: Throttle,
    pub(crate) explains: Throttle,
    second_looks: Throttle,
    pub(crate) published: Published,
    pub(crate) under_way: UnderWay,
    /// How many requests got the source's own answer, by this node and since the source was changed.
    pub(crate) answered: AtomicU64,
}

impl Prepared {
    /// All of it was checked when it was set, and an older version may have been content with less: what cannot be read now
    /// is never left out, or it would let in what it kept out.
    fn new(environment: EnvironmentId, source: Source) -> Result<Self, String> {
        let config = ProviderConfig::read_back(&source.config)?;
        let receiver =
            config.receiver(bin::scheme_of(&source.provider)).map_err(|error| error.to_string())?;
        let schema = match &source.rules.schema {
            Some(schema) => Some((schema::compile(&schema.document)?, schema.on_mismatch)),
            None => None,
        };
        let rate = source.rules.rate_per_second.map(|rate| u32::from(rate.get()));
        Ok(Self {
            environment,
            receiver,
            schema,
            throttle: rate.map(|rate| Throttle::new(rate, rate)),
            refusals: Throttle::new(REFUSALS_PER_SECOND, REFUSALS_BURST),
            explains: Throttle::new(REFUSALS_PER_SECOND, REFUSALS_BURST),
            second_looks: Throttle::new(SECOND_LOOKS_PER_SECOND, SECOND_LOOKS_BURST),
            source,
            published: Published::default(),
            under_way: UnderWay::default(),
            answered: AtomicU64::new(0),
        })
    }
}

struct Kept {
    prepared: Arc<Prepared>,
    /// The store's count of changes when it was read.
    changes: u64,
    read_at: Timestamp,
}

/// The doors that were knocked at lately.
#[derive(Default)]
pub(crate) struct Doors(Mutex<HashMap<[u8; 32], Kept>>);

impl Doors {
    /// The source behind a door. A change by this process counts at once, one by another within a second; what is
    /// refused meanwhile is looked at again.
    pub(crate) async fn open(
        &self,
        state: &ApiState,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Arc<Prepared>>, StoreError> {
        let changes = state.sources.source_changes();
        match self.fresh(&hash, changes, now) {
            Some(prepared) => Ok(Some(prepared)),
            None => self.read(state, hash, changes, now).await,
        }
    }

    /// The source behind a door as the store has it, if that is not what a request was `refused` by: another process may
    /// have changed it just now. A flood of refusals does not get through to the store.
    pub(crate) async fn changed(
        &self,
        state: &ApiState,
        hash: [u8; 32],
        refused: &Prepared,
        now: Timestamp,
    ) -> Option<Arc<Prepared>> {
        refused.second_looks.take(now).ok()?;
        let changes = state.sources.source_changes();
        // If it cannot be read, or is there no more, the refusal stands.
        let read = self.read(state, hash, changes, now).await.ok()??;
        (read.source != refused.source).then_some(read)
    }

    async fn read(
        &self,
        state: &ApiState,
        hash: [u8; 32],
        changes: u64,
        now: Timestamp,
    ) -> Result<Option<Arc<Prepared>>, StoreError> {
        let found = state.sources.door(hash, now).await?;
        // Nobody knocks at a source that makes its messages itself.
        let Some((environment, source)) = found.filter(|(_, source)| source.provider != cron::PROVIDER)
        else {
            self.lock().remove(&hash);
            return Ok(None);
        };
        let (before, id) = (self.lock().get(&hash).map(|kept| Arc::clone(&kept.prepared)), source.id);
        let prepared = match before {
            // Nothing changed: keep the throttle's and the keys' memory.
            Some(before) if before.source == source => before,
            _ => match Prepared::new(environment, source) {
                Ok(prepared) => Arc::new(prepared),
                Err(why) => {
                    self.lock().remove(&hash);
                    // Ours to mend: the provider is to send it again, and not to hear that there is no such door.
                    return Err(StoreError::Corrupt { table: "source", detail: format!("{id}: {why}") });
                }
            },
        };
        let mut doors = self.lock();
        if doors.len() >= DOORS_MAX {
            doors.clear();
        }
        doors.insert(hash, Kept { prepared: Arc::clone(&prepared), changes, read_at: now });
        Ok(Some(prepared))
    }

    fn fresh(&self, hash: &[u8; 32], changes: u64, now: Timestamp) -> Option<Arc<Prepared>> {
        let mut doors = self.lock();
        let kept = doors.get_mut(hash).filter(|kept| kept.changes == changes)?;
        if now.since(kept.read_at) >= FRESH_FOR {
            // Whoever comes first reads again; the others need not wait for that.
            kept.read_at = now;
            return None;
        }
        Some(Arc::clone(&kept.prepared))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
