//! Makes, changes and deletes sources. Each of these is told to whoever keeps sources in memory.

use std::time::Duration;

use posthaste_core::app::{Metadata, NewApp, Reference};
use posthaste_core::id::{EndpointId, SourceId};
use posthaste_core::limits::DOORS_IN_GRACE_MAX;
use posthaste_core::name::Uid;
use posthaste_core::source::{Door, NewSource, Source, SourceChange};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::super::directory::apps;
use super::super::rows::Role;
use super::super::writer::Work;
use super::{NOT_FOUND, rows};
use crate::error::{ChangeError, StoreError};

const TAKEN: ChangeError = ChangeError::Taken("a source with this uid");

fn uid_is_taken(
    conn: &Connection,
    environment: EnvironmentId,
    uid: &Uid,
    but: SourceId,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM source WHERE environment = ?1 AND uid = ?2 AND uid IS NOT NULL AND deleted_at IS NULL \
               AND id <> ?3";
    Ok(conn.prepare_cached(sql)?.exists(params![environment.0, uid.as_str(), but.as_bytes()])?)
}

fn write(work: &mut Work<'_>, environment: EnvironmentId, source: &Source) -> Result<(), StoreError> {
    rows::write(work.conn, work.vault, work.dice, environment, source)?;
    work.memo.forget(source.app);
    work.effects.source_changed = true;
    Ok(())
}

fn find(work: &Work<'_>, environment: EnvironmentId, reference: &Reference) -> Result<Source, ChangeError> {
    rows::find(work.conn, work.vault, environment, reference)?.ok_or(NOT_FOUND)
}

fn open_door(conn: &Connection, source: SourceId, door: &Door) -> Result<(), StoreError> {
    // A source may go back to a door that is still in its grace.
    let sql = "INSERT INTO door (hash, source) VALUES (?1, ?2) \
               ON CONFLICT (hash) DO UPDATE SET retires_at = NULL WHERE source = excluded.source";
    conn.prepare_cached(sql)?.execute(params![door.hash(), source.as_bytes()])?;
    Ok(())
}

pub(super) fn create(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    new: NewSource,
    now: Timestamp,
) -> Result<Source, ChangeError> {
    if let Some(uid) = &new.uid
        && uid_is_taken(work.conn, environment, uid, new.id)?
    {
        return Err(TAKEN);
    }
    let app = NewApp {
        id: new.app,
        uid: None,
        name: new.name.clone(),
        rate_per_second: None,
        metadata: Metadata::new(),
    };
    apps::insert(work, environment, &app, Role::Source, now)?;
    let source = Source {
        id: new.id,
        app: new.app,
        uid: new.uid,
        name: new.name,
        provider: new.provider,
        config: new.config,
        door: new.door,
        rules: new.rules,
        paused: new.paused,
        metadata: new.metadata,
        created_at: now,
        updated_at: now,
    };
    write(work, environment, &source)?;
    open_door(work.conn, source.id, &source.door)?;
    Ok(source)
}

pub(super) fn change(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    reference: &Reference,
    change: SourceChange,
    now: Timestamp,
) -> Result<Source, ChangeError> {
    let mut source = find(work, environment, reference)?;
    if change.config_was.is_some_and(|was| was != source.config)
        || change.rules_were.is_some_and(|were| were != source.rules)
    {
        return Err(ChangeError::Outdated("the source"));
    }
    if let Some(uid) = change.uid {
        if let Some(uid) = &uid
            && uid_is_taken(work.conn, environment, uid, source.id)?
        {
            return Err(TAKEN);
        }
        source.uid = uid;
    }
    let (was_paused, old_name) = (source.paused, source.name.clone());
    source.name = change.name.unwrap_or(source.name);
    source.provider = change.provider.unwrap_or(source.provider);
    source.config = change.config.unwrap_or(source.config);
    source.rules = change.rules.unwrap_or(source.rules);
    source.paused = change.paused.unwrap_or(source.paused);
    source.metadata = change.metadata.unwrap_or(source.metadata);
    source.updated_at = now;
    write(work, environment, &source)?;
    if source.name != old_name {
        // Its app goes by the same name.
        let sql = "UPDATE app SET name = ?2, updated_at = ?3 WHERE id = ?1";
        let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
        let values = params![source.app.as_bytes(), source.name, now.as_micros()];
        statement.execute(values).map_err(StoreError::from)?;
    }
    if was_paused && !source.paused {
        for endpoint in endpoints(work, &source)? {
            work.effects.due.push((endpoint, now));
        }
    }
    Ok(source)
}

fn endpoints(work: &mut Work<'_>, source: &Source) -> Result<Vec<EndpointId>, StoreError> {
    let app = work.memo.app(work.conn, work.vault, source.app)?;
    Ok(app.map(|app| app.endpoints.iter().map(|endpoint| endpoint.id).collect()).unwrap_or_default())
}

pub(super) fn delete(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    reference: &Reference,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let source = find(work, environment, reference)?;
    delete_rows(work.conn, source.id, now)?;
    apps::end(work, source.app, now)?;
    work.effects.source_changed = true;
    Ok(())
}

/// Its secrets and doors go at once, and it leaves the index of what is paused.
fn delete_rows(conn: &Connection, source: SourceId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE source SET deleted_at = ?2, sealed = x'', paused = 0 WHERE id = ?1";
    conn.prepare_cached(sql)?.execute(params![source.as_bytes(), now.as_micros()])?;
    conn.prepare_cached("DELETE FROM door WHERE source = ?1")?.execute([source.as_bytes()])?;
    Ok(())
}

pub(super) fn rotate(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    reference: &Reference,
    rotation: (Door, Duration),
    now: Timestamp,
) -> Result<Source, ChangeError> {
    let (door, grace) = rotation;
    let mut source = find(work, environment, reference)?;
    retire_doors(work.conn, source.id, now.later(grace), now)?;
    open_door(work.conn, source.id, &door)?;
    source.door = door;
    source.updated_at = now;
    write(work, environment, &source)?;
    Ok(source)
}

/// Lets the doors of a source retire then, and none later than it would have anyway.
fn retire_doors(
    conn: &Connection,
    source: SourceId,
    then: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE door SET retires_at = min(coalesce(retires_at, ?2), ?2) WHERE source = ?1";
    conn.prepare_cached(sql)?.execute(params![source.as_bytes(), then.as_micros()])?;
    let sql = "DELETE FROM door WHERE source = ?1 AND (retires_at <= ?2 OR hash IN (SELECT hash FROM door \
               WHERE source = ?1 ORDER BY retires_at DESC LIMIT -1 OFFSET ?3))";
    conn.prepare_cached(sql)?.execute(params![source.as_bytes(), now.as_micros(), DOORS_IN_GRACE_MAX])?;
    Ok(())
}
