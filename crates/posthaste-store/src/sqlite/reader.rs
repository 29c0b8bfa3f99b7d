//! Connections that only read. Point lookups run on the caller's thread; lists go to a thread that may block.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rusqlite::Connection;

use crate::error::StoreError;

/// Connections for lists: as many lists at once, and no more memory than so many caches.
const LIST_CONNECTIONS: usize = 4;

pub(super) struct Reader {
    point: Mutex<Connection>,
    lists: Arc<[Mutex<Connection>; LIST_CONNECTIONS]>,
}

impl Reader {
    pub(super) fn open(connect: impl Fn() -> Result<Connection, StoreError>) -> Result<Self, StoreError> {
        let lists = [connect()?, connect()?, connect()?, connect()?].map(Mutex::new);
        Ok(Self { point: Mutex::new(connect()?), lists: Arc::new(lists) })
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
        let lists = Arc::clone(&self.lists);
        let task = tokio::task::spawn_blocking(move || {
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
