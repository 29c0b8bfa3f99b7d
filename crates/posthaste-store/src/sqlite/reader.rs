//! Connections that only read. Point lookups run on the caller's thread; lists go to a thread that may block.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::Workers;
use crate::error::StoreError;

/// Connections for lists: as many lists at once, and no more memory than so many caches.
const LIST_CONNECTIONS: usize = 4;

pub(super) struct Reader {
    point: Mutex<Connection>,
    /// `None`: lists too are read on the caller's thread.
    lists: Option<Arc<[Mutex<Connection>; LIST_CONNECTIONS]>>,
    /// One for each list connection: who waits for one waits without a thread.
    free: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn open(
        workers: Workers,
        connect: impl Fn() -> Result<Connection, StoreError>,
    ) -> Result<Self, StoreError> {
        let lists = match workers {
            Workers::Threads => {
                Some(Arc::new([connect()?, connect()?, connect()?, connect()?].map(Mutex::new)))
            }
            Workers::CallersRuntime => None,
        };
        let free = Arc::new(Semaphore::new(LIST_CONNECTIONS));
        Ok(Self { point: Mutex::new(connect()?), lists, free })
    }

    /// A lookup of a few microseconds, on the caller's own thread: a hop to another one would cost more than it.
    pub(super) fn point<T, E>(&self, read: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        read(&self.point.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Anything that may read many pages.
    pub(super) async fn list<T, E>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let Some(lists) = self.lists.clone() else { return self.point(read) };
        let permit = Arc::clone(&self.free).acquire_owned().await;
        let permit = permit.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let task = tokio::task::spawn_blocking(move || {
            // Held until the read is over, even if nobody waits for it any more.
            let _permit = permit;
            for connection in &*lists {
                match connection.try_lock() {
                    Ok(conn) => return read(&conn),
                    Err(TryLockError::Poisoned(poisoned)) => return read(&poisoned.into_inner()),
                    Err(TryLockError::WouldBlock) => {}
                }
            }
            read(&lists[0].lock().unwrap_or_else(PoisonError::into_inner))
        });
        task.await.map_err(|error| StoreError::Unavailable(Box::new(error)))?
    }
}
