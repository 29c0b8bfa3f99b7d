//! The lock beside the database: one process serves from a store, and restoring it counts as serving.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::StoreError;

/// How long to try: whoever only asks whether somebody serves holds the lock for an instant.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);
/// How long to wait between two tries.
const LOCK_RETRY: Duration = Duration::from_millis(10);

/// One process serves from a store: it alone knows which leases are its own. The lock is let go when the file is
/// dropped, or the process ends.
pub fn serve(database: &Path) -> Result<File, StoreError> {
    let path = beside(database);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(unavailable)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(LOCK_RETRY);
            }
            Err(TryLockError::WouldBlock) => {
                let dir = path.parent().unwrap_or(&path).display().to_string();
                return Err(StoreError::InUse(dir));
            }
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
    }
}

/// Whether a process serves from this store now. Makes nothing: where there is no lock, nobody serves.
pub fn is_served(database: &Path) -> Result<bool, StoreError> {
    let file = match File::open(beside(database)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unavailable(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(unavailable(error)),
    }
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn unavailable(error: std::io::Error) -> StoreError {
    StoreError::Unavailable(Box::new(error))
}
