//! Event types.

use posthaste_core::event_type::{EventType, EventTypeChange, EventTypeFacts};
use posthaste_core::name::EventTypeName;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::super::pages::Listing;
use super::super::rows;
use super::super::writer::Work;
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::{changes, columns};

const NOT_FOUND: ChangeError = ChangeError::NotFound("event type");
const COLUMNS: &str = "name, facts, archived, created_at, updated_at";

fn read(row: &Row<'_>) -> Result<EventType, StoreError> {
    let bad = |e: &dyn std::fmt::Display| rows::corrupt("event_type", e.to_string());
    let name: String = row.get(0)?;
    let facts: String = row.get(1)?;
    Ok(EventType {
        name: EventTypeName::parse(&name).map_err(|e| bad(&e))?,
        facts: columns::event_type::read(&facts, row.get(2)?)?,
        created_at: rows::at(row, 3)?,
        updated_at: rows::at(row, 4)?,
    })
}

fn find(
    conn: &Connection,
    environment: EnvironmentId,
    name: &EventTypeName,
) -> Result<Option<EventType>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM event_type WHERE environment = ?1 AND name = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_row(params![environment.0, name.as_str()], |row| Ok(read(row)));
    found.optional()?.transpose()
}

fn write(work: &Work<'_>, environment: EnvironmentId, event_type: &EventType) -> Result<(), StoreError> {
    let facts = &event_type.facts;
    let stored = columns::event_type::write(facts)?;
    let sql = "INSERT OR REPLACE INTO event_type (environment, name, facts, archived, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    work.conn.prepare_cached(sql)?.execute(params![
        environment.0,
        event_type.name.as_str(),
        stored,
        facts.archived,
        event_type.created_at.as_micros(),
        event_type.updated_at.as_micros(),
    ])?;
    Ok(())
}

/// An archived one of this name is brought back instead of being in the way.
pub(super) fn create(
    work: &Work<'_>,
    environment: EnvironmentId,
    name: &EventTypeName,
    facts: EventTypeFacts,
    now: Timestamp,
) -> Result<EventType, ChangeError> {
    if find(work.conn, environment, name)?.is_some_and(|existing| !existing.facts.archived) {
        return Err(ChangeError::Taken("an event type with this name"));
    }
    let event_type = EventType { name: name.clone(), facts, created_at: now, updated_at: now };
    write(work, environment, &event_type)?;
    Ok(event_type)
}

pub(super) fn get(
    conn: &Connection,
    environment: EnvironmentId,
    name: &EventTypeName,
) -> Result<EventType, ChangeError> {
    find(conn, environment, name)?.ok_or(NOT_FOUND)
}

pub(super) fn list(
    conn: &Connection,
    environment: EnvironmentId,
    include_archived: bool,
    page: &PageRequest<EventTypeName>,
) -> Result<Page<EventType>, StoreError> {
    let select = format!(
        "SELECT {COLUMNS} FROM event_type WHERE environment = :environment AND (:archived OR archived = 0)"
    );
    let values: Vec<(&str, &dyn rusqlite::ToSql)> =
        vec![(":environment", &environment.0), (":archived", &include_archived)];
    let listing = Listing { select: &select, key: "name", values };
    listing.page(conn, page, |name| name.as_str().to_owned(), read)
}

pub(super) fn change(
    work: &Work<'_>,
    environment: EnvironmentId,
    name: &EventTypeName,
    change: EventTypeChange,
    now: Timestamp,
) -> Result<EventType, ChangeError> {
    let mut event_type = get(work.conn, environment, name)?;
    changes::apply_to_facts(&mut event_type.facts, change);
    event_type.updated_at = now;
    write(work, environment, &event_type)?;
    Ok(event_type)
}

pub(super) fn delete(
    work: &Work<'_>,
    environment: EnvironmentId,
    name: &EventTypeName,
    expunge: bool,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let mut event_type = get(work.conn, environment, name)?;
    if !expunge {
        event_type.facts.archived = true;
        event_type.updated_at = now;
        return Ok(write(work, environment, &event_type)?);
    }
    let sql = "DELETE FROM event_type WHERE environment = ?1 AND name = ?2";
    let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
    statement.execute(params![environment.0, name.as_str()]).map_err(StoreError::from)?;
    Ok(())
}
