//! Connections that only read. Point lookups run on the caller's thread; lists go to a thread that may block.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::Workers;
use crate::error::StoreError;

/// Connections for lists: as many lists at once, and no more memory than so many caches.
const LIST_CONNECTIONS: usize = 4;

/// A list that takes longer is ended: as long as it reads, the write-ahead log cannot be emptied and grows.
pub(super) const LIST_MAX: Duration = Duration::from_secs(20);
/// Of SQLite's own steps, between two looks at the clock: less than a millisecond.
const STEPS_BETWEEN_LOOKS: c_int = 10_000;

pub(super) struct Reader {
    point: Mutex<Connection>,
    /// `None`: lists too are read on the caller's thread.
    lists: Option<Arc<[Mutex<Connection>; LIST_CONNECTIONS]>>,
    /// One for each list connection: who waits for one waits without a thread.
    free: Arc<Semaphore>,
    list_max: Duration,
}

impl Reader {
    pub(super) fn open(
        workers: Workers,
        connect: impl Fn() -> Result<Connection, StoreError>,
        list_max: Duration,
    ) -> Result<Self, StoreError> {
        let lists = match workers {
            Workers::Threads => {
                Some(Arc::new([connect()?, connect()?, connect()?, connect()?].map(Mutex::new)))
            }
            Workers::CallersRuntime => None,
        };
        let free = Arc::new(Semaphore::new(LIST_CONNECTIONS));
        Ok(Self { point: Mutex::new(connect()?), lists, free, list_max })
    }

    /// A lookup of a few microseconds, on the caller's own thread: a hop to another one would cost more than it.
    pub(super) fn point<T, E>(&self, read: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        read(&self.point.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Anything that may read many pages; it fails if it takes too long.
    pub(super) async fn list<T, E>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Some(lists) = self.lists.clone() else { return self.point(read) };
        let list_max = self.list_max;
        let permit = Arc::clone(&self.free).acquire_owned().await;
        let permit = permit.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let task = tokio::task::spawn_blocking(move || {
            // Held until the read is over, even if nobody waits for it any more.
            let _permit = permit;
            let free = lists.iter().find_map(|connection| match connection.try_lock() {
                Ok(conn) => Some(conn),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            });
            let mut conn = free.unwrap_or_else(|| lists[0].lock().unwrap_or_else(PoisonError::into_inner));
            let began = Instant::now();
            conn.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || began.elapsed() > list_max))
                .map_err(StoreError::from)?;
            read(&conn)
        });
        task.await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
    }
}
