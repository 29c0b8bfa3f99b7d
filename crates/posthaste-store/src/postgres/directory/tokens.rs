//! Environments and tokens.

use std::collections::HashMap;

use posthaste_core::id::{AppId, TokenId};
use posthaste_core::tenant::{Environment, EnvironmentId, Principal, Scope};
use posthaste_core::time::Timestamp;
use posthaste_core::token::{TokenHash, TokenRecord};
use tokio_postgres::{Client, Row};

use super::super::rows;
use super::super::statement::{Text, Value, bytes, execute, query, query_opt};
use super::super::work::Work;
use crate::directory::NewToken;
use crate::error::{ChangeError, StoreError};

pub(super) async fn find_environment(client: &Client, name: &str) -> Result<Option<Environment>, StoreError> {
    let sql = "SELECT id, name, created_at FROM environment WHERE name = $1";
    let found = query_opt(client, sql, &[&Text(name)]).await?;
    let read = found.map(|row| {
        let name = row.try_get(1)?;
        Ok(Environment { id: rows::environment(&row, 0)?, name, created_at: rows::at(&row, 2)? })
    });
    read.transpose()
}

pub(super) async fn environment(work: &Work, name: &str, now: Timestamp) -> Result<Environment, StoreError> {
    let sql = "INSERT INTO environment (name, created_at) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
    execute(work.client(), sql, &[&Text(name), &now.as_micros()]).await?;
    let found = find_environment(work.client(), name).await?;
    found.ok_or_else(|| rows::corrupt("environment", "just made, and not there"))
}

pub(super) async fn create(work: &Work, new: &NewToken, now: Timestamp) -> Result<(), StoreError> {
    let (app, read_only) = match &new.scope {
        Scope::Environment => (None, false),
        Scope::App { app, read_only } => (Some(bytes(app)), *read_only),
    };
    let sql = "INSERT INTO token (hash, id, environment, app, read_only, hint, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values: [&dyn Value; 8] = [
        &new.hash.as_bytes().as_slice(),
        &bytes(&new.id),
        &new.environment.0,
        &app,
        &read_only,
        &Text(&new.hint),
        &now.as_micros(),
        &rows::micros(new.expires_at),
    ];
    execute(work.client(), sql, &values).await?;
    Ok(())
}

/// A session is a token with a parent: whoever that stands for, or itself. It ends no later than the token it was made with.
pub(in super::super) async fn create_session(
    work: &Work,
    new: &NewToken,
    of: Option<TokenHash>,
    now: Timestamp,
) -> Result<(), StoreError> {
    create(work, new, now).await?;
    let sql = "UPDATE token SET \
                   parent = coalesce((SELECT coalesce(p.parent, p.hash) FROM token p WHERE p.hash = $2), hash), \
                   expires_at = LEAST(expires_at, (SELECT p.expires_at FROM token p WHERE p.hash = $2)) \
               WHERE hash = $1";
    let of: Option<&[u8]> = of.as_ref().map(|of| of.as_bytes().as_slice());
    execute(work.client(), sql, &[&new.hash.as_bytes().as_slice(), &of]).await?;
    Ok(())
}

fn scope(app: Option<AppId>, read_only: bool) -> Scope {
    app.map_or(Scope::Environment, |app| Scope::App { app, read_only })
}

/// What a list shows of a token; [`record`] reads these columns.
const RECORD: &str = "SELECT t.id, t.hint, e.name, t.app, t.read_only, t.created_at, t.expires_at, t.revoked_at, \
                      t.parent IS NOT NULL FROM token t JOIN environment e ON e.id = t.environment";

fn record(row: &Row) -> Result<TokenRecord, StoreError> {
    Ok(TokenRecord {
        id: rows::id(row, 0)?,
        hint: row.try_get(1)?,
        environment: row.try_get(2)?,
        scope: scope(rows::maybe_id(row, 3)?, row.try_get(4)?),
        created_at: rows::at(row, 5)?,
        expires_at: rows::maybe_at(row, 6)?,
        revoked_at: rows::maybe_at(row, 7)?,
        is_session: row.try_get(8)?,
    })
}

/// What still works at `$4`: what a session stands for ends it too.
const LIVING: &str = "AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > $4) AND NOT EXISTS ( \
     SELECT 1 FROM token p WHERE p.hash = t.parent AND (p.revoked_at IS NOT NULL OR p.expires_at <= $4))";

pub(in super::super) async fn of_app(
    client: &Client,
    environment: EnvironmentId,
    app: AppId,
    now: Timestamp,
    limit: u16,
) -> Result<Vec<TokenRecord>, StoreError> {
    let sql =
        format!("{RECORD} WHERE t.app = $1 AND t.environment = $2 {LIVING} ORDER BY t.id DESC LIMIT $3");
    let found =
        query(client, &sql, &[&bytes(&app), &environment.0, &i64::from(limit), &now.as_micros()]).await?;
    found.iter().map(record).collect()
}

pub(super) async fn list(
    client: &Client,
    environment: Option<EnvironmentId>,
) -> Result<Vec<TokenRecord>, StoreError> {
    let sql = format!("{RECORD} WHERE $1 IS NULL OR t.environment = $1 ORDER BY t.id");
    let found = query(client, &sql, &[&environment.map(|e| e.0)]).await?;
    found.iter().map(record).collect()
}

pub(super) async fn revoke(work: &Work, id: TokenId, now: Timestamp) -> Result<(), ChangeError> {
    let sql = "UPDATE token SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1";
    match execute(work.client(), sql, &[&bytes(&id), &now.as_micros()]).await? {
        0 => Err(ChangeError::NotFound("token")),
        _ => Ok(()),
    }
}

pub(super) async fn revoke_by_hash(work: &Work, hash: TokenHash, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE token SET revoked_at = coalesce(revoked_at, $2) WHERE hash = $1";
    execute(work.client(), sql, &[&hash.as_bytes().as_slice(), &now.as_micros()]).await?;
    Ok(())
}

/// A token that was not revoked.
#[derive(Clone)]
pub(in super::super) struct Live {
    pub(in super::super) principal: Principal,
    pub(in super::super) expires_at: Option<Timestamp>,
}

pub(in super::super) async fn live(
    client: &Client,
    hashes: &[TokenHash],
) -> Result<HashMap<[u8; 32], Live>, StoreError> {
    // A session is as good as the token that it stands for; any other token stands for itself.
    let sql = "SELECT t.hash, t.environment, t.app, t.read_only, LEAST(t.expires_at, p.expires_at) FROM token t \
               JOIN token p ON p.hash = coalesce(t.parent, t.hash) \
               WHERE t.hash = ANY($1) AND t.revoked_at IS NULL AND p.revoked_at IS NULL";
    let asked: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
    let mut found = HashMap::new();
    for row in query(client, sql, &[&asked]).await? {
        let hash = <[u8; 32]>::try_from(row.try_get::<_, &[u8]>(0)?);
        let hash = hash.map_err(|_| rows::corrupt("token", "a hash that is not 32 bytes long"))?;
        let scope = scope(rows::maybe_id(&row, 2)?, row.try_get(3)?);
        let principal = Principal { environment: rows::environment(&row, 1)?, scope };
        found.insert(hash, Live { principal, expires_at: rows::maybe_at(&row, 4)? });
    }
    Ok(found)
}
