//! What all connections of this node share: the vault, the engine, the memo and what is counted.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use posthaste_core::delivery::{Claimed, Lease};
use posthaste_core::dice::{Dice, roll};
use posthaste_core::id::EndpointId;
use posthaste_core::owner::Thing;
use posthaste_core::time::Timestamp;

use super::clock::DatabaseClock;
use super::memo::Memo;
use super::notice::Told;
use super::overload::Overload;
use super::owned::{Known, Owned};
use super::partitions::Days;
use super::pool::Pool;
use super::shards::Shards;
use super::tell::Teller;
use crate::error::StoreError;
use crate::queue::{Backlog, Commits, HandOver};
use crate::seal::Vault;

/// The engine that takes new deliveries, and for how long they are leased to it.
pub(super) type Engine = Option<(Arc<dyn HandOver>, Duration)>;

/// Lease tokens that a node can give: above them is its number, of which there are 32767.
pub(super) const TOKENS_OF_A_NODE: i64 = 1 << 48;

/// What a transaction wants done once it is on disk.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) claimed: Vec<Claimed>,
    pub(super) due: Vec<(EndpointId, Timestamp)>,
    pub(super) job: bool,
    pub(super) source_changed: bool,
    pub(super) waiting_delta: i64,
    pub(super) in_flight_delta: i64,
    pub(super) commands_count: u64,
    /// Whose rate-limited things are.
    pub(super) owned: Vec<(Thing, Known)>,
    /// What others should know.
    pub(super) told: Vec<Told>,
}

/// How much is owed. Kept together: between two counters a claim could be seen in neither.
#[derive(Clone, Copy, Default)]
struct Counted {
    waiting: i64,
    in_flight: i64,
}

pub(super) struct Shared {
    pub(super) vault: Vault,
    pub(super) dice: Arc<dyn Dice>,
    pub(super) memo: Memo,
    pub(super) days: Days,
    /// For what reads, and for changes that are rare.
    pub(super) pool: Pool,
    pub(super) clock: DatabaseClock,
    pub(super) owned: Owned,
    pub(super) teller: Teller,
    /// Which rows its transactions count in.
    pub(super) shards: Arc<Shards>,
    engine: RwLock<Engine>,
    backlog: Mutex<Counted>,
    commits: AtomicU64,
    commands: AtomicU64,
    failures: AtomicU64,
    unwell: AtomicBool,
    overload: Arc<Overload>,
    prepares: AtomicBool,
    source_changes: AtomicU64,
    /// Tokens of leases that nobody here knows of: it is not known whether their transaction took place.
    forsaken: Mutex<Vec<i64>>,
    /// Within this node.
    lease_token: AtomicI64,
    number: AtomicI32,
}

impl Shared {
    pub(super) fn new(
        vault: Vault,
        dice: Arc<dyn Dice>,
        clock: DatabaseClock,
        pool: Pool,
        overload: Arc<Overload>,
    ) -> Self {
        // Of two nodes that had the same number one after the other, tokens meet as seldom as random numbers of 48 bits.
        let lease_token = AtomicI64::new(i64::from_le_bytes(roll(&*dice)).rem_euclid(TOKENS_OF_A_NODE));
        Self {
            vault,
            dice,
            memo: Memo::default(),
            days: Days::default(),
            pool,
            clock,
            owned: Owned::default(),
            teller: Teller::default(),
            shards: Arc::default(),
            engine: RwLock::default(),
            backlog: Mutex::default(),
            commits: AtomicU64::default(),
            commands: AtomicU64::default(),
            failures: AtomicU64::default(),
            unwell: AtomicBool::default(),
            overload,
            prepares: AtomicBool::new(true),
            source_changes: AtomicU64::default(),
            forsaken: Mutex::default(),
            lease_token,
            number: AtomicI32::default(),
        }
    }

    /// Lease tokens that nobody had before: the first of so many in a row.
    pub(super) fn lease_tokens(&self, count: i64) -> i64 {
        let mut first = self.lease_token.fetch_add(count, Ordering::Relaxed).rem_euclid(TOKENS_OF_A_NODE);
        if first + count >= TOKENS_OF_A_NODE {
            // They must not reach into the next node's.
            first = self.lease_token.fetch_add(count, Ordering::Relaxed).rem_euclid(TOKENS_OF_A_NODE);
        }
        i64::from(self.number()) * TOKENS_OF_A_NODE + first
    }

    /// This node's number; 0 if it does not serve.
    pub(super) fn number(&self) -> i32 {
        self.number.load(Ordering::Relaxed)
    }

    pub(super) fn take_number(&self, number: i32) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// A lease that nobody had before.
    pub(super) fn lease(&self, lasts: Duration, now: Timestamp) -> Lease {
        Lease { token: self.lease_tokens(1), until: now.later(lasts) }
    }

    pub(super) fn engine(&self) -> Engine {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn hand_over_to(&self, engine: Arc<dyn HandOver>, lease: Duration) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = Some((engine, lease));
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn backlog(&self) -> Backlog {
        let Counted { waiting, in_flight } = *self.counted();
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Backlog { waiting_count: count(waiting), in_flight_count: count(in_flight) }
    }

    /// Leases that nobody will act upon; with the next beat they are given back.
    pub(super) fn forsake(&self, tokens: impl IntoIterator<Item = i64>) {
        self.forsaken.lock().unwrap_or_else(PoisonError::into_inner).extend(tokens);
    }

    /// Takes what was forsaken.
    pub(super) fn forsaken(&self) -> Vec<i64> {
        std::mem::take(&mut self.forsaken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was counted in the store itself.
    pub(super) fn set_backlog(&self, waiting: i64, in_flight: i64) {
        *self.counted() = Counted { waiting, in_flight };
    }

    /// A source changed, here or on another node.
    pub(super) fn note_source_change(&self) {
        // Release, and Acquire where it is read: who sees the number also finds what is on disk.
        self.source_changes.fetch_add(1, Ordering::Release);
    }

    pub(super) fn source_changes(&self) -> u64 {
        self.source_changes.load(Ordering::Acquire)
    }

    pub(super) fn commits(&self) -> Commits {
        Commits {
            commits_count: self.commits.load(Ordering::Relaxed),
            commands_count: self.commands.load(Ordering::Relaxed),
            failures_count: self.failures.load(Ordering::Relaxed),
            unwell: self.unwell.load(Ordering::Relaxed),
            // PostgreSQL's log is PostgreSQL's.
            log_bytes: 0,
            shed_count: self.overload.shed_count(),
            clock_ahead_micros: self.clock.ahead_micros(),
        }
    }

    /// The store could not be written. It counts as unwell until it can.
    pub(super) fn note_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.unwell.store(true, Ordering::Relaxed);
    }

    /// Whether statements are prepared: until a pooler turns out to stand between.
    pub(super) fn prepares(&self) -> bool {
        self.prepares.load(Ordering::Relaxed)
    }

    pub(super) fn prepare_no_more(&self) {
        if self.prepares.swap(false, Ordering::Relaxed) {
            tracing::info!("a pooler hands PostgreSQL's connections on: statements are not prepared");
        }
    }

    /// It can be written.
    pub(super) fn note_success(&self) {
        self.unwell.store(false, Ordering::Relaxed);
        self.overload.is_over();
    }

    /// Somebody is refused, since they would wait too long.
    pub(super) fn shed(&self, why: &'static str) -> StoreError {
        self.overload.shed(why)
    }

    /// Tells the engine what is now on disk, before the callers hear of it.
    pub(super) fn settle(&self, effects: Effects) {
        self.note_success();
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(effects.commands_count, Ordering::Relaxed);
        let mut counted = self.counted();
        counted.waiting += effects.waiting_delta;
        counted.in_flight += effects.in_flight_delta;
        drop(counted);
        if effects.source_changed {
            self.note_source_change();
            self.teller.tell([Told::Sources]);
        }
        self.owned.learn(effects.owned);
        self.teller.tell(effects.told);
        if effects.job {
            self.teller.tell([Told::Job]);
        }
        let Some((engine, _)) = self.engine().filter(|(engine, _)| engine.is_taking()) else {
            let anybodys = |(endpoint, _)| Told::Due { to: None, endpoint };
            return self.teller.tell(effects.due.into_iter().map(anybodys));
        };
        if !effects.claimed.is_empty() {
            engine.take(effects.claimed);
        }
        for (endpoint, due) in effects.due {
            engine.due(endpoint, due);
        }
        if effects.job {
            engine.job();
        }
    }
}
