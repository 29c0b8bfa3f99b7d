//! Whether the store can be written. When it cannot: why, and the connection with which the writer goes on.
//!
//! After a write or a sync that failed nobody knows what of it is on disk: the kernel may have marked pages as written
//! that are not. So the connection is never used again. The writer refuses everything until [`Watch`](super::watch)
//! has written with a new one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ErrorCode};

use super::files::Files;
use crate::error::StoreError;

/// Dirties a page and leaves no row: one frame in the log, and one sync.
const PROBE: &str = "BEGIN IMMEDIATE; \
     INSERT INTO setting (name, value) VALUES ('probe', x''); \
     DELETE FROM setting WHERE name = 'probe'; \
     COMMIT";

pub(super) struct Health {
    files: Files,
    state: Mutex<State>,
    /// A command failed in a way that may be the disk's.
    suspected: AtomicBool,
    failures_count: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Why nothing is written now.
    why: Option<String>,
    /// It has just written, and waits for the writer.
    fresh: Option<Connection>,
}

impl Health {
    pub(super) fn of(files: Files) -> Self {
        Self {
            files,
            state: Mutex::default(),
            suspected: AtomicBool::new(false),
            failures_count: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails while the store cannot be written, with the reason.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.state().why.clone().map_or(Ok(()), |why| Err(StoreError::Unwell(why)))
    }

    /// How often it turned out that the store cannot be written.
    pub(super) fn failures_count(&self) -> u64 {
        self.failures_count.load(Ordering::Relaxed)
    }

    pub(super) fn log_bytes(&self) -> u64 {
        self.files.log_bytes()
    }

    /// For the writer: a connection to go on with instead of the one it has.
    pub(super) fn replacement(&self) -> Result<Option<Connection>, StoreError> {
        let mut state = self.state();
        match &state.why {
            Some(why) => Err(StoreError::Unwell(why.clone())),
            None => Ok(state.fresh.take()),
        }
    }

    /// Fails if what was just committed went into a file that is gone.
    pub(super) fn still_there(&self) -> Result<(), StoreError> {
        self.files.changed().map_or(Ok(()), |path| Err(self.unwell(gone(path))))
    }

    /// What a failed transaction means, for its callers and for those after them.
    pub(super) fn diagnose(&self, error: rusqlite::Error) -> StoreError {
        match illness(&error) {
            Some(why) => self.unwell(why),
            None => error.into(),
        }
    }

    /// Asks for a look at the disk.
    pub(super) fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
    }

    fn unwell(&self, why: String) -> StoreError {
        self.failures_count.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        state.fresh = None;
        if state.why.as_ref() != Some(&why) {
            tracing::error!(why, "the store cannot be written: callers hear 503 until it can");
            state.why = Some(why.clone());
        }
        StoreError::Unwell(why)
    }

    /// Looks whether the files are there and, if the store was not well, whether it can be written again.
    pub(super) fn look(&self, reopen: &impl Fn() -> Result<Connection, StoreError>) {
        if self.still_there().is_err() {
            return;
        }
        let suspected = self.suspected.swap(false, Ordering::Relaxed);
        if !suspected && self.check().is_ok() {
            return;
        }
        match reopen().and_then(|conn| conn.execute_batch(PROBE).map(|()| conn).map_err(StoreError::from)) {
            Ok(conn) => {
                let mut state = self.state();
                if state.why.take().is_some() {
                    state.fresh = Some(conn);
                    tracing::warn!("the store can be written again");
                }
            }
            Err(StoreError::Unavailable(error)) => {
                if let Ok(error) = error.downcast::<rusqlite::Error>() {
                    self.diagnose(*error);
                }
            }
            Err(error) => tracing::warn!(%error, "the store cannot be opened anew, trying again"),
        }
    }
}

fn gone(path: &Path) -> String {
    let path = path.display();
    format!(
        "{path} was removed or replaced under the running server: stop it, put the file back, start it again"
    )
}

/// Why the disk is to blame for an error; `None`: it is not, as for a lock that another process holds.
fn illness(error: &rusqlite::Error) -> Option<String> {
    Some(match error.sqlite_error_code()? {
        ErrorCode::DiskFull => "the disk is full: make room on it".to_owned(),
        ErrorCode::ReadOnly => "its files cannot be written: mount their file system for writing".to_owned(),
        ErrorCode::CannotOpen => "its files cannot be opened: see whether its directory is there".to_owned(),
        ErrorCode::SystemIoFailure => {
            let code = error.sqlite_error().map_or(0, |error| error.extended_code);
            format!("the disk failed ({error}, SQLite's code {code}): see what the system's log says of it")
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            format!("its file is damaged ({error}): stop the server and restore a backup")
        }
        _ => return None,
    })
}

/// An error that many callers hear.
pub(super) fn again(error: &Arc<StoreError>) -> StoreError {
    match &**error {
        StoreError::Unwell(why) => StoreError::Unwell(why.clone()),
        _ => StoreError::Unavailable(Box::new(Arc::clone(error))),
    }
}
