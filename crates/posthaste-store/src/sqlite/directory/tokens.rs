//! Environments and tokens.

use posthaste_core::id::{AppId, ID_BYTES, TokenId};
use posthaste_core::tenant::{Environment, EnvironmentId, Principal, Scope};
use posthaste_core::time::Timestamp;
use posthaste_core::token::{TokenHash, TokenRecord};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::rows;
use super::super::writer::Work;
use crate::directory::NewToken;
use crate::error::{ChangeError, StoreError};

pub(super) fn find_environment(conn: &Connection, name: &str) -> Result<Option<Environment>, StoreError> {
    let sql = "SELECT id, name, created_at FROM environment WHERE name = ?1";
    let found = conn.prepare_cached(sql)?.query_row([name], |row| {
        Ok(Environment { id: EnvironmentId(row.get(0)?), name: row.get(1)?, created_at: rows::at(row, 2)? })
    });
    Ok(found.optional()?)
}

pub(super) fn environment(work: &Work<'_>, name: &str, now: Timestamp) -> Result<Environment, StoreError> {
    let sql = "INSERT OR IGNORE INTO environment (name, created_at) VALUES (?1, ?2)";
    work.conn.prepare_cached(sql)?.execute(params![name, now.as_micros()])?;
    find_environment(work.conn, name)?.ok_or_else(|| rows::corrupt("environment", "just made, and not there"))
}

pub(super) fn create(work: &Work<'_>, new: &NewToken, now: Timestamp) -> Result<(), StoreError> {
    let (app, read_only) = match new.scope {
        Scope::Environment => (None, false),
        Scope::App { app, read_only } => (Some(*app.as_bytes()), read_only),
    };
    let sql = "INSERT INTO token (hash, id, environment, app, read_only, hint, created_at, expires_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    work.conn.prepare_cached(sql)?.execute(params![
        new.hash.as_bytes(),
        new.id.as_bytes(),
        new.environment.0,
        app,
        read_only,
        new.hint,
        now.as_micros(),
        new.expires_at.map(Timestamp::as_micros),
    ])?;
    Ok(())
}

/// A session is a token with a parent: whoever that stands for, or itself. It ends no later than the token it was made with.
pub(in super::super) fn create_session(
    work: &Work<'_>,
    new: &NewToken,
    of: Option<TokenHash>,
    now: Timestamp,
) -> Result<(), StoreError> {
    create(work, new, now)?;
    let sql = "UPDATE token SET \
                   parent = coalesce((SELECT coalesce(p.parent, p.hash) FROM token p WHERE p.hash = ?2), hash), \
                   expires_at = coalesce(min(expires_at, (SELECT p.expires_at FROM token p WHERE p.hash = ?2)), expires_at) \
               WHERE hash = ?1";
    let of = of.map(|of| *of.as_bytes());
    work.conn.prepare_cached(sql)?.execute(params![new.hash.as_bytes(), of])?;
    Ok(())
}

fn scope(app: Option<[u8; ID_BYTES]>, read_only: bool) -> Scope {
    app.map_or(Scope::Environment, |app| Scope::App { app: AppId::from_bytes(app), read_only })
}

/// What a list shows of a token; `scope` and `record` read these columns.
const RECORD: &str = "SELECT t.id, t.hint, e.name, t.app, t.read_only, t.created_at, t.expires_at, t.revoked_at, \
                      t.parent IS NOT NULL FROM token t JOIN environment e ON e.id = t.environment";

fn record(row: &rusqlite::Row<'_>) -> rusqlite::Result<TokenRecord> {
    Ok(TokenRecord {
        id: rows::id(row, 0)?,
        hint: row.get(1)?,
        environment: row.get(2)?,
        scope: scope(row.get(3)?, row.get(4)?),
        created_at: rows::at(row, 5)?,
        expires_at: rows::maybe_at(row, 6)?,
        revoked_at: rows::maybe_at(row, 7)?,
        is_session: row.get(8)?,
    })
}

/// What still works at `?4`: what a session stands for ends it too.
const LIVING: &str = "AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > ?4) AND NOT EXISTS ( \
     SELECT 1 FROM token p WHERE p.hash = t.parent AND (p.revoked_at IS NOT NULL OR p.expires_at <= ?4))";

pub(in super::super) fn of_app(
    conn: &Connection,
    environment: EnvironmentId,
    app: AppId,
    now: Timestamp,
    limit: u16,
) -> Result<Vec<TokenRecord>, StoreError> {
    let sql =
        format!("{RECORD} WHERE t.app = ?1 AND t.environment = ?2 {LIVING} ORDER BY t.id DESC LIMIT ?3");
    let mut statement = conn.prepare_cached(&sql)?;
    let found =
        statement.query_map(params![app.as_bytes(), environment.0, limit, now.as_micros()], record)?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn list(
    conn: &Connection,
    environment: Option<EnvironmentId>,
) -> Result<Vec<TokenRecord>, StoreError> {
    let sql = format!("{RECORD} WHERE ?1 IS NULL OR t.environment = ?1 ORDER BY t.id");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map([environment.map(|e| e.0)], record)?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn revoke(work: &Work<'_>, id: TokenId, now: Timestamp) -> Result<(), ChangeError> {
    let sql = "UPDATE token SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";
    let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
    let changed = statement.execute(params![id.as_bytes(), now.as_micros()]).map_err(StoreError::from)?;
    if changed == 1 { Ok(()) } else { Err(ChangeError::NotFound("token")) }
}

pub(super) fn revoke_by_hash(work: &Work<'_>, hash: TokenHash, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE token SET revoked_at = coalesce(revoked_at, ?2) WHERE hash = ?1";
    work.conn.prepare_cached(sql)?.execute(params![hash.as_bytes(), now.as_micros()])?;
    Ok(())
}

pub(super) fn authenticate(
    conn: &Connection,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Option<Principal>, StoreError> {
    // A session is as good as the token that it stands for; any other token stands for itself.
    let sql = "SELECT t.environment, t.app, t.read_only FROM token t \
               JOIN token p ON p.hash = coalesce(t.parent, t.hash) \
               WHERE t.hash = ?1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > ?2) \
               AND p.revoked_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > ?2)";
    let found = conn.prepare_cached(sql)?.query_row(params![hash.as_bytes(), now.as_micros()], |row| {
        Ok(Principal { environment: EnvironmentId(row.get(0)?), scope: scope(row.get(1)?, row.get(2)?) })
    });
    Ok(found.optional()?)
}
