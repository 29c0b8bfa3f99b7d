//! Who is turned away while PostgreSQL is too slow.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::StoreError;

/// How many were, and whether any is now.
#[derive(Default)]
pub(super) struct Overload {
    shed_count: AtomicU64,
    /// That is said once.
    now: AtomicBool,
}

impl Overload {
    /// Somebody is refused, since they would wait too long. Said once, until something was committed again.
    pub(super) fn shed(&self, why: &'static str) -> StoreError {
        self.shed_count.fetch_add(1, Ordering::Relaxed);
        if !self.now.swap(true, Ordering::Relaxed) {
            tracing::warn!(why, "PostgreSQL is too slow: callers hear 503 until it answers");
        }
        StoreError::Busy(why)
    }

    /// Something was committed.
    pub(super) fn is_over(&self) {
        if self.now.load(Ordering::Relaxed) && self.now.swap(false, Ordering::Relaxed) {
            tracing::info!(shed_count = self.shed_count(), "PostgreSQL answers again");
        }
    }

    pub(super) fn shed_count(&self) -> u64 {
        self.shed_count.load(Ordering::Relaxed)
    }
}
