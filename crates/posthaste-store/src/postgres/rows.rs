//! From rows to values, in one place for each table.

use std::collections::HashMap;
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
use tokio_postgres::{Client, Row};

use super::statement::{Text, bytes, query, query_opt};
use crate::columns;
pub(super) use crate::columns::corrupt;
use crate::columns::names::split;
pub(super) use crate::columns::role::Role;
use crate::error::StoreError;
use crate::known::{KnownApp, KnownSource};
use crate::origin;
use crate::seal::Vault;

pub(super) fn id<K: Kind>(row: &Row, index: usize) -> Result<Id<K>, StoreError> {
    id_of(row.try_get(index)?)
}

fn id_of<K: Kind>(bytes: &[u8]) -> Result<Id<K>, StoreError> {
    let id = <[u8; ID_BYTES]>::try_from(bytes);
    id.map(Id::from_bytes).map_err(|_| corrupt("id", format!("{} bytes long", bytes.len())))
}

pub(super) fn maybe_id<K: Kind>(row: &Row, index: usize) -> Result<Option<Id<K>>, StoreError> {
    row.try_get::<_, Option<&[u8]>>(index)?.map(id_of).transpose()
}

pub(super) fn at(row: &Row, index: usize) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(row.try_get(index)?))
}

pub(super) fn maybe_at(row: &Row, index: usize) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<_, Option<i64>>(index)?.map(Timestamp::from_micros))
}

pub(super) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

pub(super) fn rate(row: &Row, index: usize) -> Result<Option<NonZeroU16>, StoreError> {
    let rate = row.try_get::<_, Option<i32>>(index)?.and_then(|rate| u16::try_from(rate).ok());
    Ok(rate.and_then(NonZeroU16::new))
}

pub(super) fn rate_column(rate: Option<NonZeroU16>) -> Option<i32> {
    rate.map(|rate| i32::from(rate.get()))
}

/// A number that was never negative.
pub(super) fn count(row: &Row, index: usize) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.try_get::<_, i64>(index)?).unwrap_or(0))
}

pub(super) fn small_count(row: &Row, index: usize) -> Result<u32, StoreError> {
    Ok(u32::try_from(row.try_get::<_, i32>(index)?).unwrap_or(0))
}

// Names were checked before they were stored: one that no longer passes is a row that somebody else wrote.
pub(super) fn uid(row: &Row, index: usize) -> Result<Option<Uid>, StoreError> {
    Ok(row.try_get::<_, Option<&str>>(index)?.and_then(|text| Uid::parse(text).ok()))
}

pub(super) fn environment(row: &Row, index: usize) -> Result<EnvironmentId, StoreError> {
    Ok(EnvironmentId(row.try_get(index)?))
}

/// An app by our id, of a customer or of a source, or by a customer's uid.
pub(super) async fn find_app(
    client: &Client,
    environment: EnvironmentId,
    reference: &Reference,
) -> Result<Option<AppId>, StoreError> {
    if let Some(app) = reference.id::<posthaste_core::id::AppKind>() {
        let sql =
            "SELECT id FROM app WHERE id = $1 AND environment = $2 AND kind <> 1 AND deleted_at IS NULL";
        if let Some(row) = query_opt(client, sql, &[&bytes(&app), &environment.0]).await? {
            return id(&row, 0).map(Some);
        }
    }
    let sql =
        "SELECT id FROM app WHERE environment = $1 AND uid = $2 AND uid IS NOT NULL AND deleted_at IS NULL";
    let found = query_opt(client, sql, &[&environment.0, &Text(reference.as_str())]).await?;
    found.map(|row| id(&row, 0)).transpose()
}

pub(super) async fn find_operational_app(
    client: &Client,
    environment: EnvironmentId,
) -> Result<Option<(AppId, i64)>, StoreError> {
    let sql = "SELECT id, version FROM app WHERE environment = $1 AND kind = 1 AND deleted_at IS NULL";
    let found = query_opt(client, sql, &[&environment.0]).await?;
    found.map(|row| Ok((id(&row, 0)?, row.try_get(1)?))).transpose()
}

pub(super) const APP_COLUMNS: &str =
    "environment, kind, id, uid, name, rate, metadata, created_at, updated_at";

pub(super) fn app(row: &Row) -> Result<(EnvironmentId, Role, App), StoreError> {
    let app = App {
        id: id(row, 2)?,
        uid: uid(row, 3)?,
        name: row.try_get(4)?,
        rate_per_second: rate(row, 5)?,
        metadata: serde_json::from_str(row.try_get(6)?).unwrap_or_default(),
        created_at: at(row, 7)?,
        updated_at: at(row, 8)?,
    };
    Ok((environment(row, 0)?, Role::from_number(row.try_get::<_, i16>(1)?.into()), app))
}

/// An app, deleted or not.
pub(super) async fn read_app(
    client: &Client,
    app_id: AppId,
) -> Result<Option<(EnvironmentId, Role, App)>, StoreError> {
    let sql = format!("SELECT {APP_COLUMNS} FROM app WHERE id = $1");
    query_opt(client, &sql, &[&bytes(&app_id)]).await?.map(|row| app(&row)).transpose()
}

/// Apps with their endpoints, and the version that each had: read first, so that what is remembered under a version is
/// never older than it.
pub(super) async fn read_known(
    client: &Client,
    vault: &Vault,
    ids: &[AppId],
) -> Result<Vec<(i64, KnownApp)>, StoreError> {
    let ids: Vec<&[u8]> = ids.iter().map(bytes).collect();
    let apps = format!("SELECT {APP_COLUMNS}, version FROM app WHERE id = ANY($1)");
    let endpoints = format!(
        "SELECT {ENDPOINT_COLUMNS} FROM endpoint WHERE app = ANY($1) AND deleted_at IS NULL ORDER BY app, id"
    );
    let sources = "SELECT app, id, paused FROM source WHERE app = ANY($1) AND deleted_at IS NULL";
    let values: [&dyn super::statement::Value; 1] = [&ids];
    let (apps, endpoints, sources) = tokio::try_join!(
        biased;
        query(client, &apps, &values),
        query(client, &endpoints, &values),
        query(client, sources, &values),
    )?;
    let mut found = HashMap::with_capacity(apps.len());
    for row in &apps {
        let (environment, role, app) = app(row)?;
        let operational = role == Role::Operational;
        let known = KnownApp { environment, operational, source: None, app, endpoints: vec![] };
        found.insert(known.app.id, (row.try_get(9)?, known));
    }
    for row in &endpoints {
        if let Some((_, known)) = found.get_mut(&id(row, 1)?) {
            let (endpoint, _) = endpoint(row, vault, known.app.rate_per_second)?;
            known.endpoints.push(Arc::new(endpoint));
        }
    }
    for row in &sources {
        if let Some((_, known)) = found.get_mut(&id(row, 0)?) {
            known.source = Some(KnownSource { id: id(row, 1)?, paused: row.try_get(2)? });
        }
    }
    Ok(found.into_values().collect())
}

pub(super) const ENDPOINT_COLUMNS: &str = "id, app, uid, url, description, rate, disabled, event_types, channels, \
     metadata, sealed, failing_since, created_at, updated_at, deleted_at";

/// An endpoint, and whether it was deleted. `app_rate` is its app's.
pub(super) fn endpoint(
    row: &Row,
    vault: &Vault,
    app_rate: Option<NonZeroU16>,
) -> Result<(Endpoint, bool), StoreError> {
    let id: EndpointId = id(row, 0)?;
    let (secrets, headers) = columns::endpoint::open(vault, id, row.try_get(10)?)?;
    let event_types: Option<&str> = row.try_get(7)?;
    let channels: Option<&str> = row.try_get(8)?;
    let endpoint = Endpoint {
        id,
        app: self::id(row, 1)?,
        uid: uid(row, 2)?,
        url: row.try_get(3)?,
        description: row.try_get(4)?,
        rate_per_second: rate(row, 5)?,
        app_rate_per_second: app_rate,
        disabled: row.try_get(6)?,
        filter: Filter {
            event_types: event_types.map(|t| split(Some(t), |n| EventTypeName::parse(n).ok())),
            channels: channels.map(|t| split(Some(t), |n| Channel::parse(n).ok())),
        },
        headers,
        metadata: serde_json::from_str::<Metadata>(row.try_get(9)?).unwrap_or_default(),
        secrets,
        failing_since: maybe_at(row, 11)?,
        created_at: at(row, 12)?,
        updated_at: at(row, 13)?,
    };
    Ok((endpoint, row.try_get::<_, Option<i64>>(14)?.is_some()))
}

/// One endpoint, deleted or not, and whether it was. `lock`: nobody else changes it before the transaction ends.
pub(super) async fn read_endpoint(
    client: &Client,
    vault: &Vault,
    id: EndpointId,
    app_rate: Option<NonZeroU16>,
    lock: bool,
) -> Result<Option<(Endpoint, bool)>, StoreError> {
    let lock = if lock { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT {ENDPOINT_COLUMNS} FROM endpoint WHERE id = $1{lock}");
    let found = query_opt(client, &sql, &[&bytes(&id)]).await?;
    found.map(|row| endpoint(&row, vault, app_rate)).transpose()
}

/// Of the table `message m`; behind them come [`BODY_COLUMNS`], or two NULLs.
pub(super) const MESSAGE_COLUMNS: &str =
    "m.id, m.app, m.event_type, m.event_id, m.channels, m.tags, m.created_at, m.deliver_at";

/// Of the table `message m`.
pub(super) const BODY_COLUMNS: &str = "m.body, m.origin";

/// A message from [`MESSAGE_COLUMNS`] that begin at column `first`, and its body and origin behind them.
pub(super) fn message(row: &Row, first: usize, vault: &Vault) -> Result<Message, StoreError> {
    let id: MessageId = id(row, first)?;
    let origin: Option<&[u8]> = row.try_get(first + 9)?;
    let origin = origin.map(|sealed| origin::open(vault, id.as_bytes(), sealed)).transpose();
    let origin = origin.map_err(|e| corrupt("message", format!("{id}: {e}")))?;
    let event_type = EventTypeName::parse(row.try_get(first + 2)?);
    let body: Option<&[u8]> = row.try_get(first + 8)?;
    Ok(Message {
        id,
        app: self::id(row, first + 1)?,
        event_type: event_type.map_err(|e| corrupt("message", e))?,
        event_id: uid(row, first + 3)?,
        channels: split(row.try_get(first + 4)?, |n| Channel::parse(n).ok()),
        tags: split(row.try_get(first + 5)?, |n| Tag::parse(n).ok()),
        body: body.map(Bytes::copy_from_slice),
        origin: origin.map(Arc::new),
        created_at: at(row, first + 6)?,
        deliver_at: maybe_at(row, first + 7)?,
    })
}

/// One message with its body.
pub(super) async fn read_message(
    client: &Client,
    vault: &Vault,
    app: AppId,
    id: MessageId,
) -> Result<Option<Message>, StoreError> {
    let sql =
        format!("SELECT {MESSAGE_COLUMNS}, {BODY_COLUMNS} FROM message m WHERE m.app = $1 AND m.id = $2");
    let found = query_opt(client, &sql, &[&bytes(&app), &bytes(&id)]).await?;
    found.map(|row| message(&row, 0, vault)).transpose()
}

/// A message by our id or by the caller's.
pub(super) async fn find_message(
    client: &Client,
    app: AppId,
    reference: &Reference,
) -> Result<Option<MessageId>, StoreError> {
    if let Some(message) = reference.id() {
        let sql = "SELECT id FROM message WHERE app = $1 AND id = $2";
        let values: [&dyn super::statement::Value; 2] =
            [&bytes(&app), &bytes::<posthaste_core::id::MessageKind>(&message)];
        if let Some(row) = query_opt(client, sql, &values).await? {
            return id(&row, 0).map(Some);
        }
    }
    let sql = "SELECT message FROM event_key WHERE app = $1 AND event_id = $2";
    let found = query_opt(client, sql, &[&bytes(&app), &Text(reference.as_str())]).await?;
    found.map(|row| id(&row, 0)).transpose()
}

/// An endpoint of an app by our id or by the caller's; not one that was deleted.
pub(super) async fn find_endpoint(
    client: &Client,
    app: AppId,
    reference: &Reference,
) -> Result<Option<EndpointId>, StoreError> {
    if let Some(endpoint) = reference.id() {
        let sql = "SELECT id FROM endpoint WHERE id = $1 AND app = $2 AND deleted_at IS NULL";
        let values: [&dyn super::statement::Value; 2] =
            [&bytes::<posthaste_core::id::EndpointKind>(&endpoint), &bytes(&app)];
        if let Some(row) = query_opt(client, sql, &values).await? {
            return id(&row, 0).map(Some);
        }
    }
    let sql =
        "SELECT id FROM endpoint WHERE app = $1 AND uid = $2 AND uid IS NOT NULL AND deleted_at IS NULL";
    let found = query_opt(client, sql, &[&bytes(&app), &Text(reference.as_str())]).await?;
    found.map(|row| id(&row, 0)).transpose()
}
