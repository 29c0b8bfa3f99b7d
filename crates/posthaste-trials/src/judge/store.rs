//! Reads a SQLite store that no process has open into its ledger.

use std::path::Path;

use posthaste_core::id::{AppKind, AttemptKind, EndpointKind, ID_BYTES, Id, Kind, MessageKind};
use rusqlite::{Connection, OpenFlags, Row};

use super::ledgers::{
    Counted, Dump, State, StoredAttempt, StoredCounts, StoredDelivery, StoredKey, StoredMessage, hash,
};

/// Why a store cannot be read.
#[derive(Debug)]
pub enum DumpError {
    /// SQLite says why.
    Sqlite(rusqlite::Error),
    /// PostgreSQL says why.
    Postgres(tokio_postgres::Error),
    /// It can be read, and it is damaged.
    Damaged(String),
}

impl std::error::Error for DumpError {}

impl std::fmt::Display for DumpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(error) => write!(f, "the store cannot be read: {error}"),
            Self::Postgres(error) => write!(f, "the store cannot be read: {error}"),
            Self::Damaged(how) => write!(f, "the store is damaged: {how}"),
        }
    }
}

impl From<rusqlite::Error> for DumpError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<tokio_postgres::Error> for DumpError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

/// Everything that the judge wants to know of the store at `path`, after a look at whether it is whole.
pub fn dump(path: &Path) -> Result<Dump, DumpError> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let health: String = conn.query_row("PRAGMA quick_check", [], |row| row.get(0))?;
    if health != "ok" {
        return Err(DumpError::Damaged(health));
    }
    Ok(Dump {
        messages: rows(
            &conn,
            "SELECT m.id, m.app, m.event_type, m.event_id, b.bytes, m.created_at \
             FROM message m LEFT JOIN body b ON b.id = m.body",
            message,
        )?,
        deliveries: rows(
            &conn,
            "SELECT message, endpoint, state, due_at, lease_until, attempts, manual, why FROM delivery",
            delivery,
        )?,
        attempts: rows(&conn, "SELECT id, message, endpoint, started_at, status FROM attempt", attempt)?,
        keys: rows(
            &conn,
            "SELECT message FROM idempotency WHERE message IS NOT NULL UNION ALL SELECT message FROM received",
            |row| Ok(StoredKey { message: id::<MessageKind>(row, 0)? }),
        )?,
        unfinished_jobs: conn.query_row(
            "SELECT (SELECT count(*) FROM job WHERE finished = 0) + (SELECT count(*) FROM replay WHERE state = 'running')",
            [],
            |row| row.get(0),
        )?,
        forbidden: vec![],
        counted: Some(counted(&conn)?),
    })
}

fn counted(conn: &Connection) -> rusqlite::Result<Counted> {
    let one = |of: &str| {
        conn.query_row(&format!("{}{of}", Counted::SQL), [], |row| {
            Ok(StoredCounts {
                accepted: row.get(0)?,
                delivered: row.get(1)?,
                dead: row.get(2)?,
                attempts: row.get(3)?,
            })
        })
    };
    let [environments, apps, endpoints] = Counted::OF;
    Ok(Counted { environments: one(environments)?, apps: one(apps)?, endpoints: one(endpoints)? })
}

fn rows<T>(
    conn: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare(sql)?.query_map([], read)?.collect()
}

fn id<K: Kind>(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    let bytes: [u8; ID_BYTES] = row.get(index)?;
    Ok(Id::<K>::from_bytes(bytes).to_string())
}

fn message(row: &Row<'_>) -> rusqlite::Result<StoredMessage> {
    let body: Option<Vec<u8>> = row.get(4)?;
    Ok(StoredMessage {
        id: id::<MessageKind>(row, 0)?,
        app: id::<AppKind>(row, 1)?,
        event_type: row.get(2)?,
        event_id: row.get(3)?,
        body_hash: body.as_deref().map(hash),
        created_at: row.get(5)?,
    })
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<StoredDelivery> {
    let state: u8 = row.get(2)?;
    let unknown = || rusqlite::Error::IntegralValueOutOfRange(2, i64::from(state));
    Ok(StoredDelivery {
        message: id::<MessageKind>(row, 0)?,
        endpoint: id::<EndpointKind>(row, 1)?,
        state: State::stored(state.into()).ok_or_else(unknown)?,
        due_at: row.get(3)?,
        lease_until: row.get(4)?,
        attempts: row.get(5)?,
        manual: row.get(6)?,
        why: row.get(7)?,
    })
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<StoredAttempt> {
    Ok(StoredAttempt {
        id: id::<AttemptKind>(row, 0)?,
        message: id::<MessageKind>(row, 1)?,
        endpoint: id::<EndpointKind>(row, 2)?,
        started_at: row.get(3)?,
        status: row.get(4)?,
    })
}
