//! Opens a database: pragmas, migrations, the check of the main secret, the serving lock.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_core::id::{EndpointKind, MessageKind};
use posthaste_fault::{Bug, planted, point};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::files::Files;
use super::health::Health;
use super::reader::{LIST_MAX, Reader};
use super::watch::Watch;
use super::writer::Writer;
use super::{SqliteOptions, SqliteStore, Workers, lock, migrate, rows};
use crate::error::StoreError;
use crate::queue::Backlog;
use crate::seal::Vault;

/// How long to wait for another process's transaction.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait between two tries to switch a new file to WAL.
const WAL_RETRY: Duration = Duration::from_millis(10);
/// Prepared statements kept per connection: more than there are in this crate.
const STATEMENTS_KEPT: usize = 256;
/// What the key check row holds, sealed.
const KEY_CHECK: &[u8] = b"posthaste";

impl SqliteStore {
    /// Opens the store, and makes it if it is not there.
    pub fn open(options: SqliteOptions) -> Result<Arc<Self>, StoreError> {
        Self::open_with(options, Workers::Threads)
    }

    /// Opens the store, and says where its work is done.
    pub fn open_with(options: SqliteOptions, workers: Workers) -> Result<Arc<Self>, StoreError> {
        let lock = if options.serving { Some(lock::serve(&options.path)?) } else { None };
        let vault = Arc::new(Vault::new(&options.main_secret));
        let mut conn = connect(&options.path, Access::Create)?;
        migrate::migrate(&mut conn)?;
        check_key(&conn, &vault, &*options.dice)?;
        let backlog = if options.serving { take_over(&mut conn)? } else { Backlog::default() };
        let reader = Reader::open(workers, || connect(&options.path, Access::Read), LIST_MAX)?;
        let health = Arc::new(Health::of(Files::of(&options.path)?));
        let dice = options.dice;
        let writer = Writer::start(
            workers,
            conn,
            Arc::clone(&health),
            Arc::clone(&vault),
            Arc::clone(&dice),
            backlog,
        )?;
        let path = options.path;
        let watch = match workers {
            Workers::Threads => {
                Some(Watch::start(Arc::clone(&health), move || connect(&path, Access::Write))?)
            }
            Workers::CallersRuntime => None,
        };
        Ok(Arc::new(Self { _watch: watch, health, writer, reader, vault, dice, _lock: lock }))
    }
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// Never to make a new file where the store has gone.
    Write,
    Create,
}

/// WAL, so that readers never wait for the writer; FULL, so that a commit that returned survives a power cut.
pub(super) fn connect(path: &Path, access: Access) -> Result<Connection, StoreError> {
    let flags = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    };
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    if access == Access::Read {
        conn.pragma_update(None, "cache_size", -2_048)?;
    } else {
        // Before the first table: a page that holds a message of 1 KiB beside its neighbours.
        conn.pragma_update(None, "page_size", 8192)?;
        switch_to_wal(&conn)?;
        let sync = if planted(Bug::SyncOff) { "OFF" } else { "FULL" };
        conn.pragma_update(None, "synchronous", sync)?;
        // Fewer, larger checkpoints: 4096 pages of 8 KiB, 32 MiB of WAL.
        conn.pragma_update(None, "wal_autocheckpoint", 4096)?;
        conn.pragma_update(None, "journal_size_limit", 64 << 20)?;
        conn.pragma_update(None, "cache_size", -16_384)?;
    }
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(conn)
}

/// Switching a new file to WAL takes a lock for which SQLite's own timeout does not wait: two processes that open the
/// store for the first time at once would collide.
fn switch_to_wal(conn: &Connection) -> Result<(), StoreError> {
    let began = Instant::now();
    loop {
        match conn.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && began.elapsed() < BUSY_TIMEOUT =>
            {
                std::thread::sleep(WAL_RETRY);
            }
            switched => return Ok(switched?),
        }
    }
}

fn check_key(
    conn: &Connection,
    vault: &Vault,
    dice: &dyn posthaste_core::dice::Dice,
) -> Result<(), StoreError> {
    match key_fits(conn, vault)? {
        Some(true) => Ok(()),
        Some(false) => Err(StoreError::WrongMainSecret),
        None => {
            let sealed =
                vault.seal(KEY_CHECK, b"key_check", dice).map_err(|_| StoreError::WrongMainSecret)?;
            conn.execute("INSERT OR IGNORE INTO setting (name, value) VALUES ('key_check', ?1)", [sealed])?;
            Ok(())
        }
    }
}

/// Whether the store was written with this main secret. `None`: nothing was sealed in it yet.
pub(super) fn key_fits(conn: &Connection, vault: &Vault) -> Result<Option<bool>, StoreError> {
    let sql = "SELECT value FROM setting WHERE name = 'key_check'";
    let stored: Option<Vec<u8>> = conn.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(stored.map(|sealed| vault.open(&sealed, b"key_check").is_ok_and(|plain| *plain == KEY_CHECK)))
}

/// The process that served before is gone, and with it all leases: what it had claimed has been due since it was
/// accepted. Then counts the backlog, once.
fn take_over(conn: &mut Connection) -> Result<Backlog, StoreError> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut left = transaction.prepare("SELECT message, endpoint FROM delivery WHERE state = 1")?;
    let keys = left
        .query_map([], |row| Ok((rows::id::<MessageKind>(row, 0)?, rows::id::<EndpointKind>(row, 1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    drop(left);
    let sql = "UPDATE delivery SET state = 0, due_at = ?3, lease_token = NULL, lease_until = NULL \
               WHERE message = ?1 AND endpoint = ?2";
    for (message, endpoint) in keys {
        let due = message.made_at().as_micros();
        transaction.prepare_cached(sql)?.execute((message.as_bytes(), endpoint.as_bytes(), due))?;
        point!("take_over.half_put_back");
    }
    let waiting: i64 =
        transaction.query_row("SELECT count(*) FROM delivery WHERE state = 0", [], |row| row.get(0))?;
    transaction.commit()?;
    Ok(Backlog { waiting_count: u64::try_from(waiting).unwrap_or(0), in_flight_count: 0 })
}
