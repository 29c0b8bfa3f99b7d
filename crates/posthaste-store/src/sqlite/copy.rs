//! Copies of the store: how one is made beside a running server, and what one is judged by before it is trusted.
//!
//! `VACUUM INTO`, and not SQLite's backup API: both read one snapshot that no commit waits for, but the backup API begins
//! anew whenever another process commits between two of its steps, and in a single step copies free pages too. This one
//! leaves them out, and with them what was expunged, and its file needs no WAL beside it.

use std::path::Path;

use posthaste_core::time::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};
use zeroize::Zeroizing;

use super::{migrate, open};
use crate::error::StoreError;
use crate::seal::Vault;

/// Faults that SQLite is asked to name; one is enough to distrust a file.
const FAULTS_NAMED_MAX: usize = 5;

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Its schema.
    pub schema: u32,
    /// The one that this version writes: an older one is brought to it when the store is opened.
    pub schema_known: u32,
    /// Whether it was written with the main secret that we have. `None`: we have none, or nothing is sealed in it.
    pub secret_fits: Option<bool>,
    /// Apps, deleted ones apart.
    pub apps_count: u64,
    /// Endpoints, deleted ones apart.
    pub endpoints_count: u64,
    /// Messages.
    pub messages_count: u64,
    /// What is or was owed.
    pub deliveries_count: u64,
    /// What is owed still: waiting or in flight.
    pub owed_count: u64,
    /// When the newest message was accepted.
    pub newest_at: Option<Timestamp>,
}

/// Writes a copy of the store `from` into the empty file `into`, as it is at this instant. A server may accept and
/// deliver meanwhile.
pub fn copy(from: &Path, into: &Path) -> Result<(), StoreError> {
    let conn = look(from)?;
    if migrate::schema(&conn)?.is_none() {
        return Err(StoreError::NotAStore(from.display().to_string()));
    }
    let target = into.to_str().ok_or_else(|| StoreError::Unavailable("the path is not UTF-8".into()))?;
    conn.execute("VACUUM INTO ?1", [target]).map_err(|error| match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly,
        ) => StoreError::NotWritten { file: target.to_owned(), detail: error.to_string() },
        _ => blame(from, error),
    })?;
    Ok(())
}

/// Moves what a store that nobody serves from has in its WAL into its one file.
pub fn settle(path: &Path) -> Result<(), StoreError> {
    let conn = open::connect(path, open::Access::Write)
        .map_err(|_| StoreError::NotAStore(path.display().to_string()))?;
    Ok(conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

/// Reads all of a file that should be a store, and refuses it if it is damaged, not ours or too new.
pub fn inspect(path: &Path, main_secret: Option<&Zeroizing<String>>) -> Result<Contents, StoreError> {
    let conn = look(path)?;
    let Some(schema) = migrate::schema(&conn)? else {
        return Err(StoreError::NotAStore(path.display().to_string()));
    };
    if let Some(detail) = faults(&conn, true).map_err(|error| blame(path, error))? {
        return Err(StoreError::Damaged { file: path.display().to_string(), detail });
    }
    let secret_fits = match main_secret {
        Some(secret) => open::key_fits(&conn, &Vault::new(secret))?,
        None => None,
    };
    let count = |what: &str| -> Result<u64, StoreError> {
        Ok(conn.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0))?)
    };
    Ok(Contents {
        schema,
        schema_known: migrate::known(),
        secret_fits,
        apps_count: count("app WHERE kind = 0 AND deleted_at IS NULL")?,
        endpoints_count: count("endpoint WHERE deleted_at IS NULL")?,
        messages_count: count("message")?,
        deliveries_count: count("delivery")?,
        owed_count: count("delivery WHERE state = 0")? + count("delivery WHERE state = 1")?,
        newest_at: newest(&conn)?,
    })
}

/// A connection that only reads, to a file that may be anything.
pub(super) fn look(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(open::BUSY_TIMEOUT)?;
    // The first that is read of it.
    let read = conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()));
    read.map_err(|error| blame(path, error))?;
    Ok(conn)
}

/// When the newest message was accepted: the largest id of each app, which is the last of its range.
pub(super) fn newest(conn: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT max((SELECT m.created_at FROM message m WHERE m.app = a.id ORDER BY m.id DESC LIMIT 1)) \
               FROM app a";
    let newest: Option<Option<i64>> = conn.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(newest.flatten().map(Timestamp::from_micros))
}

/// What SQLite finds wrong with a file; `deep` also holds every index against its table.
pub(super) fn faults(conn: &Connection, deep: bool) -> rusqlite::Result<Option<String>> {
    let check = if deep { "integrity_check" } else { "quick_check" };
    let mut statement = conn.prepare(&format!("PRAGMA {check}({FAULTS_NAMED_MAX})"))?;
    let said: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok((said != ["ok"]).then(|| said.join("; ")))
}

/// Which of SQLite's errors are the file's fault.
pub(super) fn blame(path: &Path, error: rusqlite::Error) -> StoreError {
    let file = path.display().to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::NotAStore(file),
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { file, detail: error.to_string() },
        _ => error.into(),
    }
}
