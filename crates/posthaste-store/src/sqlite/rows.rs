//! From rows to values, in one place for each table.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::Bytes;
use posthaste_core::app::{App, Metadata, Reference};
use posthaste_core::endpoint::{Endpoint, Filter};
use posthaste_core::id::{AppId, EndpointId, ID_BYTES, Id, Kind, MessageId};
use posthaste_core::message::Message;
use posthaste_core::name::{Channel, EventTypeName, Tag, Uid};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

pub(super) use crate::columns::corrupt;
pub(super) use crate::columns::names::joined;
use crate::columns::names::split;
pub(super) use crate::columns::role::Role;
use crate::columns::{self};
use crate::error::StoreError;
use crate::origin;
use crate::seal::Vault;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

pub(super) fn id<K: Kind>(row: &Row<'_>, index: usize) -> rusqlite::Result<Id<K>> {
    row.get::<_, [u8; ID_BYTES]>(index).map(Id::from_bytes)
}

pub(super) fn at(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(Timestamp::from_micros)
}

pub(super) fn maybe_at(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(Timestamp::from_micros))
}

pub(super) fn rate(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<NonZeroU16>> {
    Ok(row.get::<_, Option<u16>>(index)?.and_then(NonZeroU16::new))
}

// Names were checked before they were stored: one that no longer passes is a row that somebody else wrote.
pub(super) fn uid(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Uid>> {
    Ok(row.get_ref(index)?.as_str_or_null()?.and_then(|text| Uid::parse(text).ok()))
}

/// An app by our id, of a customer or of a source, or by a customer's uid.
pub(super) fn find_app(
    conn: &Connection,
    environment: EnvironmentId,
    reference: &Reference,
) -> Result<Option<AppId>, StoreError> {
    if let Some(app) = reference.id::<posthaste_core::id::AppKind>() {
        let sql =
            "SELECT id FROM app WHERE id = ?1 AND environment = ?2 AND kind <> 1 AND deleted_at IS NULL";
        let found = conn
            .prepare_cached(sql)?
            .query_row(params![app.as_bytes(), environment.0], |r| id(r, 0))
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let sql =
        "SELECT id FROM app WHERE environment = ?1 AND uid = ?2 AND uid IS NOT NULL AND deleted_at IS NULL";
    Ok(conn
        .prepare_cached(sql)?
        .query_row(params![environment.0, reference.as_str()], |r| id(r, 0))
        .optional()?)
}

pub(super) fn find_operational_app(
    conn: &Connection,
    environment: EnvironmentId,
) -> Result<Option<AppId>, StoreError> {
    let sql = "SELECT id FROM app WHERE environment = ?1 AND kind = 1 AND deleted_at IS NULL";
    Ok(conn.prepare_cached(sql)?.query_row([environment.0], |r| id(r, 0)).optional()?)
}

pub(super) const APP_COLUMNS: &str =
    "environment, kind, id, uid, name, rate, metadata, created_at, updated_at";

pub(super) fn app(row: &Row<'_>) -> rusqlite::Result<(EnvironmentId, Role, App)> {
    let metadata: String = row.get(6)?;
    let app = App {
        id: id(row, 2)?,
        uid: uid(row, 3)?,
        name: row.get(4)?,
        rate_per_second: rate(row, 5)?,
        metadata: serde_json::from_str(&metadata).unwrap_or_default(),
        created_at: at(row, 7)?,
        updated_at: at(row, 8)?,
    };
    Ok((EnvironmentId(row.get(0)?), Role::from_number(row.get(1)?), app))
}

/// An app, deleted or not.
pub(super) fn read_app(
    conn: &Connection,
    app_id: AppId,
) -> Result<Option<(EnvironmentId, Role, App)>, StoreError> {
    let sql = format!("SELECT {APP_COLUMNS} FROM app WHERE id = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([app_id.as_bytes()], app).optional()?)
}

pub(super) const ENDPOINT_COLUMNS: &str = "id, app, uid, url, description, rate, disabled, event_types, channels, \
     metadata, sealed, failing_since, created_at, updated_at, deleted_at";

/// An endpoint, and whether it was deleted. `app_rate` is its app's.
pub(super) fn endpoint(
    row: &Row<'_>,
    vault: &Vault,
    app_rate: Option<NonZeroU16>,
) -> Result<(Endpoint, bool), StoreError> {
    let id: EndpointId = id(row, 0)?;
    let sealed = row.get_ref(10)?.as_blob().map_err(|e| corrupt("endpoint", e))?;
    let (secrets, headers) = columns::endpoint::open(vault, id, sealed)?;
    let metadata: String = row.get(9)?;
    let event_types = row.get_ref(7)?.as_str_or_null().map_err(|e| corrupt("endpoint", e))?;
    let channels = row.get_ref(8)?.as_str_or_null().map_err(|e| corrupt("endpoint", e))?;
    let endpoint = Endpoint {
        id,
        app: self::id(row, 1)?,
        uid: uid(row, 2)?,
        url: row.get(3)?,
        description: row.get(4)?,
        rate_per_second: rate(row, 5)?,
        app_rate_per_second: app_rate,
        disabled: row.get(6)?,
        filter: Filter {
            event_types: event_types.map(|t| split(Some(t), |n| EventTypeName::parse(n).ok())),
            channels: channels.map(|t| split(Some(t), |n| Channel::parse(n).ok())),
        },
        headers,
        metadata: serde_json::from_str::<Metadata>(&metadata).unwrap_or_default(),
        secrets,
        failing_since: maybe_at(row, 11)?,
        created_at: at(row, 12)?,
        updated_at: at(row, 13)?,
    };
    Ok((endpoint, row.get::<_, Option<i64>>(14)?.is_some()))
}

/// All endpoints of an app that are not deleted, in the order of their ids.
pub(super) fn read_endpoints(
    conn: &Connection,
    vault: &Vault,
    app: &App,
) -> Result<Vec<Endpoint>, StoreError> {
    let sql =
        format!("SELECT {ENDPOINT_COLUMNS} FROM endpoint WHERE app = ?1 AND deleted_at IS NULL ORDER BY id");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([app.id.as_bytes()])?;
    let mut endpoints = Vec::new();
    while let Some(row) = rows.next()? {
        endpoints.push(endpoint(row, vault, app.rate_per_second)?.0);
    }
    Ok(endpoints)
}

/// One endpoint, deleted or not, and whether it was.
pub(super) fn read_endpoint(
    conn: &Connection,
    vault: &Vault,
    id: EndpointId,
    app_rate: Option<NonZeroU16>,
) -> Result<Option<(Endpoint, bool)>, StoreError> {
    let sql = format!("SELECT {ENDPOINT_COLUMNS} FROM endpoint WHERE id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([id.as_bytes()])?;
    rows.next()?.map(|row| endpoint(row, vault, app_rate)).transpose()
}

/// Of the table `message m`; behind them come [`BODY_COLUMNS`] of a join, or two NULLs.
pub(super) const MESSAGE_COLUMNS: &str =
    "m.id, m.app, m.event_type, m.event_id, m.channels, m.tags, m.created_at, m.deliver_at";

/// Of the table `body b`.
pub(super) const BODY_COLUMNS: &str = "b.bytes, b.origin";

/// A message from [`MESSAGE_COLUMNS`] that begin at column `first`, and its body and origin behind them.
pub(super) fn message(row: &Row<'_>, first: usize, vault: &Vault) -> Result<Message, StoreError> {
    let bad = |e: rusqlite::types::FromSqlError| corrupt("message", e);
    let event_type = row.get_ref(first + 2)?.as_str().map_err(bad)?;
    let channels = row.get_ref(first + 4)?.as_str_or_null().map_err(bad)?;
    let tags = row.get_ref(first + 5)?.as_str_or_null().map_err(bad)?;
    let body = row.get_ref(first + 8)?.as_blob_or_null().map_err(bad)?;
    let id: MessageId = id(row, first)?;
    let origin = row.get_ref(first + 9)?.as_blob_or_null().map_err(bad)?;
    let origin = origin.map(|sealed| origin::open(vault, id.as_bytes(), sealed)).transpose();
    let origin = origin.map_err(|e| corrupt("body", format!("{id}: {e}")))?;
    Ok(Message {
        id,
        app: self::id(row, first + 1)?,
        event_type: EventTypeName::parse(event_type).map_err(|e| corrupt("message", e))?,
        event_id: uid(row, first + 3)?,
        channels: split(channels, |n| Channel::parse(n).ok()),
        tags: split(tags, |n| Tag::parse(n).ok()),
        body: body.map(Bytes::copy_from_slice),
        origin: origin.map(Arc::new),
        created_at: at(row, first + 6)?,
        deliver_at: maybe_at(row, first + 7)?,
    })
}

/// One message with its body.
pub(super) fn read_message(
    conn: &Connection,
    vault: &Vault,
    app: AppId,
    id: MessageId,
) -> Result<Option<Message>, StoreError> {
    let sql = format!(
        "SELECT {MESSAGE_COLUMNS}, {BODY_COLUMNS} FROM message m LEFT JOIN body b ON b.id = m.body \
         WHERE m.app = ?1 AND m.id = ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![app.as_bytes(), id.as_bytes()])?;
    rows.next()?.map(|row| message(row, 0, vault)).transpose()
}

/// A message by our id or by the caller's.
pub(super) fn find_message(
    conn: &Connection,
    app: AppId,
    reference: &Reference,
) -> Result<Option<MessageId>, StoreError> {
    if let Some(message) = reference.id() {
        let sql = "SELECT id FROM message WHERE app = ?1 AND id = ?2";
        let by_id: Option<MessageId> = conn
            .prepare_cached(sql)?
            .query_row(params![app.as_bytes(), MessageId::as_bytes(&message)], |r| id(r, 0))
            .optional()?;
        if by_id.is_some() {
            return Ok(by_id);
        }
    }
    let sql = "SELECT message FROM event_key WHERE app = ?1 AND event_id = ?2";
    Ok(conn
        .prepare_cached(sql)?
        .query_row(params![app.as_bytes(), reference.as_str()], |r| id(r, 0))
        .optional()?)
}

/// An endpoint of an app by our id or by the caller's; not one that was deleted.
pub(super) fn find_endpoint(
    conn: &Connection,
    app: AppId,
    reference: &Reference,
) -> Result<Option<EndpointId>, StoreError> {
    if let Some(endpoint) = reference.id() {
        let sql = "SELECT id FROM endpoint WHERE id = ?1 AND app = ?2 AND deleted_at IS NULL";
        let by_id: Option<EndpointId> = conn
            .prepare_cached(sql)?
            .query_row(params![EndpointId::as_bytes(&endpoint), app.as_bytes()], |r| id(r, 0))
            .optional()?;
        if by_id.is_some() {
            return Ok(by_id);
        }
    }
    let sql =
        "SELECT id FROM endpoint WHERE app = ?1 AND uid = ?2 AND uid IS NOT NULL AND deleted_at IS NULL";
    Ok(conn
        .prepare_cached(sql)?
        .query_row(params![app.as_bytes(), reference.as_str()], |r| id(r, 0))
        .optional()?)
}
