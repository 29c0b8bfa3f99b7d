//! From rows to sources and back.

use posthaste_core::app::{Metadata, Reference};
use posthaste_core::id::{AppId, SourceId};
use posthaste_core::source::Source;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::{Client, Row};

use super::super::rows::{at, corrupt, environment as environment_of, id, uid};
use super::super::statement::{Text, Value, bytes, execute, query, query_opt};
use super::super::work::Work;
use crate::columns::{self, rules};
use crate::error::StoreError;
use crate::seal::Vault;

/// Of the table `source s`.
pub(super) const COLUMNS: &str = "s.id, s.environment, s.app, s.uid, s.name, s.provider, s.sealed, s.rules, s.paused, \
     s.metadata, s.created_at, s.updated_at";

pub(super) fn source(row: &Row, vault: &Vault) -> Result<(EnvironmentId, Source), StoreError> {
    let source_id: SourceId = id(row, 0)?;
    let (config, door) = columns::source::open(vault, source_id, row.try_get(6)?)?;
    let rules = rules::read(row.try_get(7)?);
    let source = Source {
        id: source_id,
        app: id(row, 2)?,
        uid: uid(row, 3)?,
        name: row.try_get(4)?,
        provider: row.try_get(5)?,
        config,
        door,
        rules: rules.map_err(|e| corrupt("source", format!("{source_id}: {e}")))?,
        paused: row.try_get(8)?,
        metadata: serde_json::from_str::<Metadata>(row.try_get(9)?).unwrap_or_default(),
        created_at: at(row, 10)?,
        updated_at: at(row, 11)?,
    };
    Ok((environment_of(row, 1)?, source))
}

/// Writes all of a source: a new row, or over the one that is there.
pub(super) async fn write(
    work: &Work,
    environment: EnvironmentId,
    source: &Source,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO source (id, environment, app, uid, name, provider, sealed, rules, paused, metadata, \
               created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
               ON CONFLICT (id) DO UPDATE SET uid = $4, name = $5, provider = $6, sealed = $7, rules = $8, \
               paused = $9, metadata = $10, updated_at = $12";
    let sealed = columns::source::seal(&work.shared.vault, &*work.shared.dice, source)?;
    let rules = rules::write(&source.rules).map_err(|e| corrupt("source", e))?;
    let metadata = serde_json::to_string(&source.metadata).map_err(|e| corrupt("source", e))?;
    let values: [&dyn Value; 12] = [
        &bytes(&source.id),
        &environment.0,
        &bytes(&source.app),
        &source.uid.as_ref().map(|uid| Text(uid.as_str())),
        &Text(&source.name),
        &Text(&source.provider),
        &sealed.as_slice(),
        &Text(&rules),
        &source.paused,
        &Text(&metadata),
        &source.created_at.as_micros(),
        &source.updated_at.as_micros(),
    ];
    execute(work.client(), sql, &values).await?;
    Ok(())
}

/// A source that is not deleted, by our id or by the caller's. `lock`: nobody else changes it before the transaction
/// ends.
pub(super) async fn find(
    client: &Client,
    vault: &Vault,
    environment: EnvironmentId,
    reference: &Reference,
    lock: bool,
) -> Result<Option<Source>, StoreError> {
    let Some((id, _)) = find_id(client, environment, reference).await? else { return Ok(None) };
    let lock = if lock { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM source s WHERE s.id = $1 AND s.deleted_at IS NULL{lock}");
    let found = query_opt(client, &sql, &[&bytes(&id)]).await?;
    found.map(|row| source(&row, vault).map(|(_, source)| source)).transpose()
}

/// A source that is not deleted, and its app.
pub(super) async fn find_id(
    client: &Client,
    environment: EnvironmentId,
    reference: &Reference,
) -> Result<Option<(SourceId, AppId)>, StoreError> {
    let read = |row: &Row| Ok((id(row, 0)?, id(row, 1)?));
    if let Some(source) = reference.id::<posthaste_core::id::SourceKind>() {
        let sql = "SELECT id, app FROM source WHERE id = $1 AND environment = $2 AND deleted_at IS NULL";
        if let Some(row) = query_opt(client, sql, &[&bytes(&source), &environment.0]).await? {
            return read(&row).map(Some);
        }
    }
    let sql = "SELECT id, app FROM source WHERE environment = $1 AND uid = $2 AND uid IS NOT NULL AND deleted_at IS NULL";
    let found = query_opt(client, sql, &[&environment.0, &Text(reference.as_str())]).await?;
    found.map(|row| read(&row)).transpose()
}

/// The source that a hash opens now.
pub(super) async fn behind(
    client: &Client,
    vault: &Vault,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<(EnvironmentId, Source)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM door d JOIN source s ON s.id = d.source \
         WHERE d.hash = $1 AND (d.retires_at IS NULL OR d.retires_at > $2) AND s.deleted_at IS NULL"
    );
    let found = query_opt(client, &sql, &[&hash.as_slice(), &now.as_micros()]).await?;
    found.map(|row| source(&row, vault)).transpose()
}

/// Those that make messages of their own.
pub(super) async fn cron(
    client: &Client,
    vault: &Vault,
    after: Option<SourceId>,
    limit: u32,
) -> Result<Vec<(EnvironmentId, Source)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM source s \
         WHERE s.provider = 'cron' AND s.deleted_at IS NULL AND s.id > $1 ORDER BY s.id LIMIT $2"
    );
    let after = after.map(|id| id.as_bytes().to_vec()).unwrap_or_default();
    let found = query(client, &sql, &[&after.as_slice(), &i64::from(limit)]).await?;
    found.iter().map(|row| source(row, vault)).collect()
}
