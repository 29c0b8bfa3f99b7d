//! Tells other nodes what they should look at. Beside the transactions that caused it, once they are on disk: whoever
//! notifies holds a lock of the whole database while it commits, and what is accepted must not wait for that.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::id::EndpointId;
use tokio::sync::Notify;

use super::notice::{CHANNEL, Told, Untold};
use super::pool::Pool;
use super::shared::Shared;
use super::statement::{Text, execute};
use crate::error::StoreError;

/// The shortest time between two times of telling: what happens meanwhile is told together.
const GAP: Duration = Duration::from_millis(20);

/// What waits to be told.
#[derive(Default)]
pub(super) struct Teller {
    untold: Mutex<Option<Untold>>,
    woken: Notify,
    /// Endpoints that somebody listens to here, until this node has heard its own word of it.
    listened: Mutex<BTreeSet<EndpointId>>,
    /// There is no other node.
    alone: AtomicBool,
}

impl Teller {
    fn lock(&self) -> MutexGuard<'_, Option<Untold>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_alone(&self) -> bool {
        self.alone.load(Ordering::Relaxed)
    }

    pub(super) fn set_alone(&self, alone: bool) {
        self.alone.store(alone, Ordering::Relaxed);
    }

    /// Tells this as soon as it can; nothing if nobody would hear it.
    pub(super) fn tell(&self, all: impl IntoIterator<Item = Told>) {
        if self.is_alone() {
            return;
        }
        let mut all = all.into_iter().peekable();
        if all.peek().is_none() {
            return;
        }
        let mut untold = self.lock();
        let untold = untold.get_or_insert_default();
        for told in all {
            if let Told::Listens { endpoint } = told {
                self.listened().insert(endpoint);
            }
            untold.add(told);
        }
        self.woken.notify_one();
    }

    fn listened(&self) -> MutexGuard<'_, BTreeSet<EndpointId>> {
        self.listened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All nodes hear everything in one order, their own words among it: of two that say that somebody listens, the later
    /// one is right, and what comes before one's own word was said earlier.
    pub(super) fn hears_own(&self, told: &Told) {
        if let Told::Listens { endpoint } = told {
            self.listened().remove(endpoint);
        }
    }

    /// Whether what another node says was true only until this node said the same.
    pub(super) fn is_outdated(&self, told: &Told) -> bool {
        matches!(told, Told::Listens { endpoint } if self.listened().contains(endpoint))
    }

    /// Own words may never come: they were not told, or not heard.
    pub(super) fn waits_for_none(&self) {
        self.listened().clear();
    }

    /// Tells that there is one more, whatever is known of others.
    pub(super) fn join(&self) {
        self.set_alone(false);
        self.tell([Told::Joined]);
    }
}

/// Tells what there is to tell, until it is ended.
pub(super) async fn tell_on(pool: Pool, shared: Arc<Shared>) {
    loop {
        shared.teller.woken.notified().await;
        let Some(untold) = shared.teller.lock().take() else { continue };
        if let Err(error) = notify(&pool, untold.written(shared.number())).await {
            shared.teller.waits_for_none();
            tracing::debug!(%error, "other nodes were not told, they find it by looking");
        }
        tokio::time::sleep(GAP).await;
    }
}

async fn notify(pool: &Pool, notices: Vec<String>) -> Result<(), StoreError> {
    let notices: Vec<_> = notices.iter().map(|notice| Text(notice)).collect();
    let client = pool.get().await?;
    execute(&client, "SELECT pg_notify($1, n) FROM UNNEST($2) AS n", &[&Text(CHANNEL), &notices]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_core::dice::TestDice;
    use posthaste_core::time::Timestamp;

    #[test]
    fn of_two_nodes_that_are_listened_to_the_one_that_said_so_last_is_right() {
        let teller = Teller::default();
        let endpoint = EndpointId::fresh(Timestamp::from_secs(1_800_000_000), &TestDice::seeded(1));
        let listens = Told::Listens { endpoint };
        assert!(!teller.is_outdated(&listens), "nobody listens here");
        teller.tell([listens.clone()]);
        assert!(teller.is_outdated(&listens), "it was said before this node said the same");
        assert!(!teller.is_outdated(&Told::Job));
        teller.hears_own(&listens);
        assert!(!teller.is_outdated(&listens), "it was said later");
        teller.tell([listens.clone()]);
        teller.waits_for_none();
        assert!(!teller.is_outdated(&listens), "its own word is lost");
    }
}
