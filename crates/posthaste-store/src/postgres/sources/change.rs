//! Makes, changes and deletes sources. Each of these is told to whoever keeps sources in memory.

use std::time::Duration;

use posthaste_core::app::{Metadata, NewApp, Reference};
use posthaste_core::id::{EndpointId, SourceId};
use posthaste_core::limits::DOORS_IN_GRACE_MAX;
use posthaste_core::name::Uid;
use posthaste_core::source::{Door, NewSource, Source, SourceChange};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::Client;

use super::super::directory::apps;
use super::super::rows::{Role, id};
use super::super::statement::{Text, Value, bytes, execute, query, query_opt};
use super::super::work::Work;
use super::{NOT_FOUND, rows};
use crate::error::{ChangeError, StoreError};

const TAKEN: ChangeError = ChangeError::Taken("a source with this uid");

async fn uid_is_taken(
    client: &Client,
    environment: EnvironmentId,
    uid: &Uid,
    but: SourceId,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM source WHERE environment = $1 AND uid = $2 AND uid IS NOT NULL AND deleted_at IS NULL \
               AND id <> $3";
    let values: [&dyn Value; 3] = [&environment.0, &Text(uid.as_str()), &bytes(&but)];
    Ok(query_opt(client, sql, &values).await?.is_some())
}

async fn write(work: &mut Work, environment: EnvironmentId, source: &Source) -> Result<(), StoreError> {
    rows::write(work, environment, source).await?;
    work.effects.source_changed = true;
    Ok(())
}

/// A source about to be changed: its app is locked, then the source, then it is read.
async fn find(
    work: &mut Work,
    environment: EnvironmentId,
    reference: &Reference,
) -> Result<Source, ChangeError> {
    let (_, app) = rows::find_id(work.client(), environment, reference).await?.ok_or(NOT_FOUND)?;
    if !apps::lock(work, app).await? {
        return Err(NOT_FOUND);
    }
    let found = rows::find(work.client(), &work.shared.vault, environment, reference, true).await?;
    found.ok_or(NOT_FOUND)
}

async fn open_door(work: &Work, source: SourceId, door: &Door) -> Result<(), StoreError> {
    // A source may go back to a door that is still in its grace.
    let sql = "INSERT INTO door (hash, source) VALUES ($1, $2) \
               ON CONFLICT (hash) DO UPDATE SET retires_at = NULL WHERE door.source = excluded.source";
    execute(work.client(), sql, &[&door.hash().as_slice(), &bytes(&source)]).await?;
    Ok(())
}

pub(super) async fn create(
    work: &mut Work,
    environment: EnvironmentId,
    new: NewSource,
    now: Timestamp,
) -> Result<Source, ChangeError> {
    if let Some(uid) = &new.uid
        && uid_is_taken(work.client(), environment, uid, new.id).await?
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
    apps::insert(work, environment, &app, Role::Source, now).await?;
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
    write(work, environment, &source).await?;
    open_door(work, source.id, &source.door).await?;
    Ok(source)
}

pub(super) async fn change(
    work: &mut Work,
    environment: EnvironmentId,
    reference: &Reference,
    change: SourceChange,
    now: Timestamp,
) -> Result<Source, ChangeError> {
    let mut source = find(work, environment, reference).await?;
    if change.config_was.is_some_and(|was| was != source.config)
        || change.rules_were.is_some_and(|were| were != source.rules)
    {
        return Err(ChangeError::Outdated("the source"));
    }
    if let Some(uid) = change.uid {
        if let Some(uid) = &uid
            && uid_is_taken(work.client(), environment, uid, source.id).await?
        {
            return Err(TAKEN);
        }
        source.uid = uid;
    }
    let was_paused = source.paused;
    source.name = change.name.unwrap_or(source.name);
    source.provider = change.provider.unwrap_or(source.provider);
    source.config = change.config.unwrap_or(source.config);
    source.rules = change.rules.unwrap_or(source.rules);
    source.paused = change.paused.unwrap_or(source.paused);
    source.metadata = change.metadata.unwrap_or(source.metadata);
    source.updated_at = now;
    write(work, environment, &source).await?;
    // Its app goes by the same name.
    let sql = "UPDATE app SET name = $2, updated_at = $3 WHERE id = $1 AND name <> $2";
    let values: [&dyn Value; 3] = [&bytes(&source.app), &Text(&source.name), &now.as_micros()];
    execute(work.client(), sql, &values).await?;
    if was_paused && !source.paused {
        let sql = "SELECT id FROM endpoint WHERE app = $1 AND deleted_at IS NULL ORDER BY id";
        for row in query(work.client(), sql, &[&bytes(&source.app)]).await? {
            let endpoint: EndpointId = id(&row, 0)?;
            work.effects.due.push((endpoint, now));
        }
    }
    Ok(source)
}

/// Its secrets and doors go at once, and it leaves the index of what is paused.
pub(super) async fn delete(
    work: &mut Work,
    environment: EnvironmentId,
    reference: &Reference,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let source = find(work, environment, reference).await?;
    let sql = "UPDATE source SET deleted_at = $2, sealed = '', paused = false WHERE id = $1";
    execute(work.client(), sql, &[&bytes(&source.id), &now.as_micros()]).await?;
    execute(work.client(), "DELETE FROM door WHERE source = $1", &[&bytes(&source.id)]).await?;
    apps::end(work, source.app, now).await?;
    work.effects.source_changed = true;
    Ok(())
}

pub(super) async fn rotate(
    work: &mut Work,
    environment: EnvironmentId,
    reference: &Reference,
    rotation: (Door, Duration),
    now: Timestamp,
) -> Result<Source, ChangeError> {
    let (door, grace) = rotation;
    let mut source = find(work, environment, reference).await?;
    retire_doors(work, source.id, now.later(grace), now).await?;
    open_door(work, source.id, &door).await?;
    source.door = door;
    source.updated_at = now;
    write(work, environment, &source).await?;
    Ok(source)
}

/// Lets the doors of a source retire then, and none later than it would have anyway.
async fn retire_doors(
    work: &Work,
    source: SourceId,
    then: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE door SET retires_at = least(retires_at, $2) WHERE source = $1";
    execute(work.client(), sql, &[&bytes(&source), &then.as_micros()]).await?;
    let sql = "DELETE FROM door WHERE source = $1 AND (retires_at <= $2 OR hash IN (SELECT hash FROM door \
               WHERE source = $1 ORDER BY retires_at DESC OFFSET $3))";
    let kept = i64::try_from(DOORS_IN_GRACE_MAX).unwrap_or(i64::MAX);
    execute(work.client(), sql, &[&bytes(&source), &now.as_micros(), &kept]).await?;
    Ok(())
}
