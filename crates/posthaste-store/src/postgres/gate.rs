//! Callers' tokens. Each is looked up anew, so that one that was revoked is of no use at once; those that are asked about
//! while a lookup is under way are looked up together.

use std::collections::HashMap;
use std::sync::Arc;

use posthaste_core::tenant::Principal;
use posthaste_core::time::Timestamp;
use posthaste_core::token::TokenHash;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::directory::tokens::{self, Live};
use super::pool::Pool;
use crate::error::StoreError;

/// Lookups under way at once.
const LOOKUPS: usize = 2;
/// Tokens in one lookup.
const TOGETHER_MAX: usize = 256;
/// Callers that wait; past that they hear that the store is busy.
const WAITING_MAX: usize = 8_192;

/// Somebody at the gate.
struct Asking {
    hash: TokenHash,
    caller: oneshot::Sender<Result<Option<Live>, StoreError>>,
}

/// The way to the tasks that look. They end when it is dropped.
pub(super) struct Gate(mpsc::Sender<Asking>);

impl Gate {
    pub(super) fn start(pool: &Pool) -> Self {
        let (asking, queue) = mpsc::channel(WAITING_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..LOOKUPS {
            tokio::spawn(look_on(pool.clone(), Arc::clone(&queue)));
        }
        Self(asking)
    }

    /// Whom a token stands for, unless it is unknown, revoked or past its time.
    pub(super) async fn principal(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<Principal>, StoreError> {
        let busy = || StoreError::Busy("too many callers wait for PostgreSQL");
        let (caller, answered) = oneshot::channel();
        self.0.try_send(Asking { hash, caller }).map_err(|_| busy())?;
        let live = answered.await.map_err(|_| busy())??;
        Ok(live.filter(|live| live.expires_at.is_none_or(|at| at > now)).map(|live| live.principal))
    }
}

async fn look_on(pool: Pool, queue: Arc<Mutex<mpsc::Receiver<Asking>>>) {
    let mut asking = Vec::with_capacity(TOGETHER_MAX);
    while queue.lock().await.recv_many(&mut asking, TOGETHER_MAX).await > 0 {
        match look(&pool, &asking).await {
            Ok(live) => {
                for Asking { hash, caller } in asking.drain(..) {
                    let _ = caller.send(Ok(live.get(hash.as_bytes()).cloned()));
                }
            }
            Err(error) => {
                let busy = if let StoreError::Busy(why) = error { Some(why) } else { None };
                let error = Arc::new(error);
                for Asking { caller, .. } in asking.drain(..) {
                    let unavailable = || StoreError::Unavailable(Box::new(Arc::clone(&error)));
                    let _ = caller.send(Err(busy.map_or_else(unavailable, StoreError::Busy)));
                }
            }
        }
    }
}

async fn look(pool: &Pool, asking: &[Asking]) -> Result<HashMap<[u8; 32], Live>, StoreError> {
    let mut hashes: Vec<_> = asking.iter().map(|one| one.hash).collect();
    hashes.sort_unstable_by_key(|hash| *hash.as_bytes());
    hashes.dedup();
    tokens::live(&*pool.get().await?, &hashes).await
}
