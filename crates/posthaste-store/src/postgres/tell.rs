//! Tells other nodes what they should look at. Beside the transactions that caused it, once they are on disk: whoever
//! notifies holds a lock of the whole database while it commits, and what is accepted must not wait for that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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
            untold.add(told);
        }
        self.woken.notify_one();
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
