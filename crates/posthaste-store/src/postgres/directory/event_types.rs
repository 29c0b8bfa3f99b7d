//! Event types.

use posthaste_core::event_type::{EventType, EventTypeChange, EventTypeFacts};
use posthaste_core::name::EventTypeName;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::{Client, Row};

use super::super::statement::{Statement, Text, Value, execute, query_opt};
use super::super::work::Work;
use super::super::{pages, rows};
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::{changes, columns};

const NOT_FOUND: ChangeError = ChangeError::NotFound("event type");
const COLUMNS: &str = "name, facts, archived, created_at, updated_at";

fn read(row: &Row) -> Result<EventType, StoreError> {
    let name = EventTypeName::parse(row.try_get(0)?);
    Ok(EventType {
        name: name.map_err(|e| rows::corrupt("event_type", e))?,
        facts: columns::event_type::read(row.try_get(1)?, row.try_get(2)?)?,
        created_at: rows::at(row, 3)?,
        updated_at: rows::at(row, 4)?,
    })
}

/// `lock`: nobody else changes it before the transaction ends.
async fn find(
    client: &Client,
    environment: EnvironmentId,
    name: &EventTypeName,
    lock: bool,
) -> Result<Option<EventType>, StoreError> {
    let lock = if lock { " FOR UPDATE" } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM event_type WHERE environment = $1 AND name = $2{lock}");
    let found = query_opt(client, &sql, &[&environment.0, &Text(name.as_str())]).await?;
    found.map(|row| read(&row)).transpose()
}

async fn write(work: &Work, environment: EnvironmentId, event_type: &EventType) -> Result<(), StoreError> {
    write_over(work, environment, event_type, "").await.map(drop)
}

/// `only`: a condition on what is there already. Returns how many rows were written.
async fn write_over(
    work: &Work,
    environment: EnvironmentId,
    event_type: &EventType,
    only: &str,
) -> Result<u64, StoreError> {
    let facts = columns::event_type::write(&event_type.facts)?;
    let sql = format!(
        "INSERT INTO event_type AS e (environment, name, facts, archived, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (environment, name) DO UPDATE SET \
         facts = $3, archived = $4, created_at = $5, updated_at = $6{only}"
    );
    let values: [&dyn Value; 6] = [
        &environment.0,
        &Text(event_type.name.as_str()),
        &Text(&facts),
        &event_type.facts.archived,
        &event_type.created_at.as_micros(),
        &event_type.updated_at.as_micros(),
    ];
    execute(work.client(), &sql, &values).await
}

/// An archived one of this name is brought back instead of being in the way.
pub(super) async fn create(
    work: &Work,
    environment: EnvironmentId,
    name: &EventTypeName,
    facts: EventTypeFacts,
    now: Timestamp,
) -> Result<EventType, ChangeError> {
    let event_type = EventType { name: name.clone(), facts, created_at: now, updated_at: now };
    match write_over(work, environment, &event_type, " WHERE e.archived").await? {
        0 => Err(ChangeError::Taken("an event type with this name")),
        _ => Ok(event_type),
    }
}

pub(super) async fn get(
    client: &Client,
    environment: EnvironmentId,
    name: &EventTypeName,
) -> Result<EventType, ChangeError> {
    find(client, environment, name, false).await?.ok_or(NOT_FOUND)
}

pub(super) async fn list(
    client: &Client,
    environment: EnvironmentId,
    include_archived: bool,
    page: &PageRequest<EventTypeName>,
) -> Result<Page<EventType>, StoreError> {
    let mut select = Statement::new(format!("SELECT {COLUMNS} FROM event_type WHERE environment = "));
    select.bind(&environment.0);
    if !include_archived {
        select.push(" AND NOT archived");
    }
    pages::page(client, select, "name", page, |name| Text(name.as_str()), read).await
}

pub(super) async fn change(
    work: &Work,
    environment: EnvironmentId,
    name: &EventTypeName,
    change: EventTypeChange,
    now: Timestamp,
) -> Result<EventType, ChangeError> {
    let mut event_type = find(work.client(), environment, name, true).await?.ok_or(NOT_FOUND)?;
    changes::apply_to_facts(&mut event_type.facts, change);
    event_type.updated_at = now;
    write(work, environment, &event_type).await?;
    Ok(event_type)
}

pub(super) async fn delete(
    work: &Work,
    environment: EnvironmentId,
    name: &EventTypeName,
    expunge: bool,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let mut event_type = find(work.client(), environment, name, true).await?.ok_or(NOT_FOUND)?;
    if !expunge {
        event_type.facts.archived = true;
        event_type.updated_at = now;
        return Ok(write(work, environment, &event_type).await?);
    }
    let sql = "DELETE FROM event_type WHERE environment = $1 AND name = $2";
    execute(work.client(), sql, &[&environment.0, &Text(name.as_str())]).await?;
    Ok(())
}
