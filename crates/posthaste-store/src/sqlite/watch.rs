//! Looks after the store when nobody writes: are its files still there, and can it be written again?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::health::Health;
use crate::error::StoreError;

/// How often to look, and the wait between two tries to write: one small commit in that time is no load, and the store
/// is back within a second of its disk.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A thread that looks; it ends when this is dropped.
pub(super) struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts to look. `reopen`: a new connection to the same file, which must be there.
    pub(super) fn start(
        health: Arc<Health>,
        reopen: impl Fn() -> Result<Connection, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let ended = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("store-watch".to_owned()).spawn({
            let ended = Arc::clone(&ended);
            move || {
                while !ended.load(Ordering::Acquire) {
                    std::thread::park_timeout(LOOK_EVERY);
                    health.look(&reopen);
                }
            }
        });
        let thread = thread.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}
