//! What can be said of a store by looking at it, beside a running server or without one. Changes nothing.

use std::path::Path;

use posthaste_core::id::MessageId;
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, OpenFlags};
use zeroize::Zeroizing;

use super::{copy, lock, migrate, open, queue, rows};
use crate::error::StoreError;
use crate::seal::Vault;

/// From this schema on there are sources, whose pauses count for what is due.
const SCHEMA_OF_SOURCES: u32 = 2;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Its schema.
    pub schema: u32,
    /// The one that this version writes.
    pub schema_known: u32,
    /// What SQLite finds wrong with the file.
    pub fault: Option<String>,
    /// Whether it was written with the main secret that we have. `None`: we have none, or nothing is sealed in it.
    pub secret_fits: Option<bool>,
    /// Bytes of the file, its WAL apart.
    pub bytes: u64,
    /// Messages, and those accepted since `lately`.
    pub messages_count: u64,
    /// See there.
    pub messages_lately_count: u64,
    /// When the newest message was accepted.
    pub newest_at: Option<Timestamp>,
    /// When the oldest message that is still there was accepted.
    pub oldest_at: Option<Timestamp>,
    /// Deliveries that wait, due or not.
    pub waiting_count: u64,
    /// Deliveries that somebody acts on.
    pub in_flight_count: u64,
    /// When the delivery that has waited longest was due.
    pub oldest_due: Option<Timestamp>,
    /// Dead letters, and those of messages accepted since `lately`.
    pub dead_count: u64,
    /// See there.
    pub dead_lately_count: u64,
    /// Endpoints, deleted ones apart.
    pub endpoints_count: u64,
    /// Those of them that are disabled.
    pub disabled_count: u64,
    /// Those that are not, and whose last attempts failed.
    pub failing_count: u64,
    /// Since when the one of them fails that has failed longest.
    pub failing_since: Option<Timestamp>,
}

/// The version of SQLite that is built in.
pub fn sqlite_version() -> &'static str {
    rusqlite::version()
}

/// Looks at the store in `path`. `deep` reads every index too.
pub fn survey(
    path: &Path,
    main_secret: Option<&Zeroizing<String>>,
    deep: bool,
    lately: Timestamp,
) -> Result<Survey, StoreError> {
    let quiet = is_quiet(path)?;
    let seen = look_at(path, quiet, main_secret, deep, lately);
    if quiet && !is_quiet(path)? {
        // A server started meanwhile: what was read may be of two times.
        return look_at(path, false, main_secret, deep, lately);
    }
    seen
}

/// Whether nobody has the store open, so that it can be read without the files that readers otherwise make beside it.
fn is_quiet(path: &Path) -> Result<bool, StoreError> {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    Ok(!Path::new(&wal).exists() && !lock::is_served(path)?)
}

fn look_at(
    path: &Path,
    quiet: bool,
    main_secret: Option<&Zeroizing<String>>,
    deep: bool,
    lately: Timestamp,
) -> Result<Survey, StoreError> {
    let conn = if quiet { look_quietly(path)? } else { copy::look(path)? };
    let blame = |error| copy::blame(path, error);
    let Some(schema) = migrate::schema(&conn)? else {
        return Err(StoreError::NotAStore(path.display().to_string()));
    };
    // One snapshot for all that follows.
    conn.execute_batch("BEGIN").map_err(blame)?;
    let secret_fits = match main_secret {
        Some(secret) => open::key_fits(&conn, &Vault::new(secret))?,
        None => None,
    };
    let fault = copy::faults(&conn, deep).map_err(blame)?;
    let count = |what: &str| count(&conn, what).map_err(blame);
    let edge = MessageId::first_at(lately);
    let since = |sql: &str| -> Result<u64, StoreError> {
        conn.query_row(sql, [edge.as_bytes()], |row| row.get(0)).map_err(blame)
    };
    let time = |sql: &str| conn.query_row(sql, [], |row| rows::maybe_at(row, 0)).map_err(blame);
    Ok(Survey {
        schema,
        schema_known: migrate::known(),
        fault,
        secret_fits,
        bytes: conn
            .query_row("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", [], |row| {
                row.get(0)
            })
            .map_err(blame)?,
        messages_count: count("message")?,
        messages_lately_count: since(
            "SELECT coalesce(sum((SELECT count(*) FROM message m WHERE m.app = a.id AND m.id >= ?1)), 0) FROM app a",
        )?,
        newest_at: copy::newest(&conn)?,
        oldest_at: time(
            "SELECT min((SELECT m.created_at FROM message m WHERE m.app = a.id ORDER BY m.id LIMIT 1)) FROM app a",
        )?,
        waiting_count: count("delivery WHERE state = 0")?,
        in_flight_count: count("delivery WHERE state = 1")?,
        oldest_due: if schema >= SCHEMA_OF_SOURCES { queue::oldest_due(&conn)? } else { None },
        dead_count: count("delivery WHERE state = 3")?,
        dead_lately_count: since("SELECT count(*) FROM delivery WHERE state = 3 AND message >= ?1")?,
        endpoints_count: count("endpoint WHERE deleted_at IS NULL")?,
        disabled_count: count("endpoint WHERE deleted_at IS NULL AND disabled = 1")?,
        failing_count: count(
            "endpoint WHERE deleted_at IS NULL AND disabled = 0 AND failing_since IS NOT NULL",
        )?,
        failing_since: time(
            "SELECT min(failing_since) FROM endpoint WHERE deleted_at IS NULL AND disabled = 0",
        )?,
    })
}

fn count(conn: &Connection, what: &str) -> rusqlite::Result<u64> {
    conn.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0))
}

/// As a file that nobody changes: no lock, no WAL, no shared memory.
fn look_quietly(path: &Path) -> Result<Connection, StoreError> {
    let shown = path.display().to_string();
    let escaped = shown.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?;
    let read = conn.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()));
    read.map_err(|error| copy::blame(path, error))?;
    Ok(conn)
}
