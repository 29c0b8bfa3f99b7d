//! From rows to sources and back.

use posthaste_core::app::{Metadata, Reference};
use posthaste_core::dice::Dice;
use posthaste_core::id::{AppId, SourceId};
use posthaste_core::name::Uid;
use posthaste_core::source::Source;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::super::rows::{at, corrupt, id, uid};
use crate::columns::{self, rules};
use crate::error::StoreError;
use crate::known::KnownSource;
use crate::seal::Vault;

/// Of the table `source s`.
pub(super) const COLUMNS: &str = "s.id, s.environment, s.app, s.uid, s.name, s.provider, s.sealed, s.rules, s.paused, \
     s.metadata, s.created_at, s.updated_at";

pub(super) fn source(row: &Row<'_>, vault: &Vault) -> Result<(EnvironmentId, Source), StoreError> {
    let bad = |detail: String| corrupt("source", detail);
    let source_id: SourceId = id(row, 0)?;
    let sealed = row.get_ref(6)?.as_blob().map_err(|e| bad(e.to_string()))?;
    let (config, door) = columns::source::open(vault, source_id, sealed)?;
    let rules = row.get_ref(7)?.as_str().map_err(|e| bad(e.to_string()))?;
    let metadata: String = row.get(9)?;
    let source = Source {
        id: source_id,
        app: id(row, 2)?,
        uid: uid(row, 3)?,
        name: row.get(4)?,
        provider: row.get(5)?,
        config,
        door,
        rules: rules::read(rules).map_err(|e| bad(format!("{source_id}: {e}")))?,
        paused: row.get(8)?,
        metadata: serde_json::from_str::<Metadata>(&metadata).unwrap_or_default(),
        created_at: at(row, 10)?,
        updated_at: at(row, 11)?,
    };
    Ok((EnvironmentId(row.get(1)?), source))
}

/// Writes all of a source: a new row, or over the one that is there.
pub(super) fn write(
    conn: &Connection,
    vault: &Vault,
    dice: &dyn Dice,
    environment: EnvironmentId,
    source: &Source,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO source (id, environment, app, uid, name, provider, sealed, rules, paused, metadata, \
               created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
               ON CONFLICT (id) DO UPDATE SET uid = ?4, name = ?5, provider = ?6, sealed = ?7, rules = ?8, \
               paused = ?9, metadata = ?10, updated_at = ?12";
    conn.prepare_cached(sql)?.execute(params![
        source.id.as_bytes(),
        environment.0,
        source.app.as_bytes(),
        source.uid.as_ref().map(Uid::as_str),
        source.name,
        source.provider,
        columns::source::seal(vault, dice, source)?,
        rules::write(&source.rules).map_err(|e| corrupt("source", e))?,
        source.paused,
        serde_json::to_string(&source.metadata).map_err(|e| corrupt("source", e))?,
        source.created_at.as_micros(),
        source.updated_at.as_micros(),
    ])?;
    Ok(())
}

/// A source that is not deleted, by our id or by the caller's.
pub(super) fn find(
    conn: &Connection,
    vault: &Vault,
    environment: EnvironmentId,
    reference: &Reference,
) -> Result<Option<Source>, StoreError> {
    let Some(id) = find_id(conn, environment, reference)? else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM source s WHERE s.id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query([id.as_bytes()])?;
    found.next()?.map(|row| source(row, vault).map(|(_, source)| source)).transpose()
}

pub(super) fn find_id(
    conn: &Connection,
    environment: EnvironmentId,
    reference: &Reference,
) -> Result<Option<SourceId>, StoreError> {
    if let Some(source) = reference.id() {
        let sql = "SELECT id FROM source WHERE id = ?1 AND environment = ?2 AND deleted_at IS NULL";
        let values = params![SourceId::as_bytes(&source), environment.0];
        let by_id = conn.prepare_cached(sql)?.query_row(values, |row| id(row, 0)).optional()?;
        if by_id.is_some() {
            return Ok(by_id);
        }
    }
    let sql = "SELECT id FROM source WHERE environment = ?1 AND uid = ?2 AND uid IS NOT NULL AND deleted_at IS NULL";
    let values = params![environment.0, reference.as_str()];
    Ok(conn.prepare_cached(sql)?.query_row(values, |row| id(row, 0)).optional()?)
}

pub(super) fn app_of(conn: &Connection, source: SourceId) -> Result<AppId, StoreError> {
    let sql = "SELECT app FROM source WHERE id = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([source.as_bytes()], |row| id(row, 0))?)
}

/// The source of an app, unless it was deleted.
pub(super) fn known(conn: &Connection, app: AppId) -> Result<Option<KnownSource>, StoreError> {
    let sql = "SELECT id, paused FROM source WHERE app = ?1 AND deleted_at IS NULL";
    let read = |row: &Row<'_>| Ok(KnownSource { id: id(row, 0)?, paused: row.get(1)? });
    Ok(conn.prepare_cached(sql)?.query_row([app.as_bytes()], read).optional()?)
}

/// The source that a hash opens now.
pub(super) fn behind(
    conn: &Connection,
    vault: &Vault,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<(EnvironmentId, Source)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM door d JOIN source s ON s.id = d.source \
         WHERE d.hash = ?1 AND (d.retires_at IS NULL OR d.retires_at > ?2) AND s.deleted_at IS NULL"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query(params![hash, now.as_micros()])?;
    found.next()?.map(|row| source(row, vault)).transpose()
}

/// Those that make messages of their own; their index is named, so that it is an error if it cannot be used.
pub(super) fn cron(
    conn: &Connection,
    vault: &Vault,
    after: Option<SourceId>,
    limit: u32,
) -> Result<Vec<(EnvironmentId, Source)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM source s INDEXED BY source_cron \
         WHERE s.provider = 'cron' AND s.deleted_at IS NULL AND s.id > ?1 ORDER BY s.id LIMIT ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let after = after.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let mut found = statement.query(params![after, limit])?;
    let mut sources = vec![];
    while let Some(row) = found.next()? {
        sources.push(source(row, vault)?);
    }
    Ok(sources)
}
