//! Apps.

use posthaste_core::app::{App, AppChange, NewApp, Reference};
use posthaste_core::id::{AppId, EndpointId};
use posthaste_core::name::Uid;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, params};

use super::super::pages::Listing;
use super::super::rows::{self, Role};
use super::super::writer::Work;
use crate::directory::Made;
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};

/// Another app has this uid.
const TAKEN: ChangeError = ChangeError::Taken("an application with this uid");
/// No such app.
const NOT_FOUND: ChangeError = ChangeError::NotFound("application");

pub(in super::super) fn create(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    new: &NewApp,
    if_exists: bool,
    now: Timestamp,
) -> Result<Made<App>, ChangeError> {
    if let Some(uid) = &new.uid
        && let Some(id) = find_by_uid(work.conn, environment, uid)?
    {
        return if if_exists { read(work.conn, id).map(Made::Existed) } else { Err(TAKEN) };
    }
    insert(work, environment, new, Role::Customer, now)?;
    Ok(Made::Created(read(work.conn, new.id)?))
}

pub(in super::super) fn insert(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    new: &NewApp,
    role: Role,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO app (id, environment, kind, uid, name, rate, metadata, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)";
    work.conn.prepare_cached(sql)?.execute(params![
        new.id.as_bytes(),
        environment.0,
        role.number(),
        new.uid.as_ref().map(Uid::as_str),
        new.name,
        new.rate_per_second.map(std::num::NonZeroU16::get),
        serde_json::to_string(&new.metadata).map_err(|e| rows::corrupt("app", e))?,
        now.as_micros(),
    ])?;
    work.memo.forget_names(new.id);
    Ok(())
}

fn find_by_uid(
    conn: &Connection,
    environment: EnvironmentId,
    uid: &Uid,
) -> Result<Option<AppId>, StoreError> {
    let sql =
        "SELECT id FROM app WHERE environment = ?1 AND uid = ?2 AND uid IS NOT NULL AND deleted_at IS NULL";
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query(params![environment.0, uid.as_str()])?;
    Ok(found.next()?.map(|row| rows::id(row, 0)).transpose()?)
}

fn read(conn: &Connection, id: AppId) -> Result<App, ChangeError> {
    rows::read_app(conn, id)?.map(|(_, _, app)| app).ok_or(NOT_FOUND)
}

pub(super) fn get(
    conn: &Connection,
    environment: EnvironmentId,
    app: &Reference,
) -> Result<App, ChangeError> {
    let id = rows::find_app(conn, environment, app)?.ok_or(NOT_FOUND)?;
    read(conn, id)
}

/// A customer's app. Those of sources are changed and deleted with their source.
fn customer(conn: &Connection, environment: EnvironmentId, app: &Reference) -> Result<App, ChangeError> {
    let id = rows::find_app(conn, environment, app)?.ok_or(NOT_FOUND)?;
    let found = rows::read_app(conn, id)?.filter(|(_, role, _)| *role == Role::Customer);
    found.map(|(_, _, app)| app).ok_or(NOT_FOUND)
}

pub(super) fn list(
    conn: &Connection,
    environment: EnvironmentId,
    page: &PageRequest<AppId>,
) -> Result<Page<App>, StoreError> {
    let select = format!(
        "SELECT {} FROM app WHERE environment = :environment AND kind = 0 AND deleted_at IS NULL",
        rows::APP_COLUMNS
    );
    let listing = Listing { select: &select, key: "id", values: vec![(":environment", &environment.0)] };
    listing.page(conn, page, |id| *id.as_bytes(), |row| Ok(rows::app(row)?.2))
}

pub(super) fn change(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    app: &Reference,
    change: AppChange,
    now: Timestamp,
) -> Result<App, ChangeError> {
    let mut app = customer(work.conn, environment, app)?;
    if let Some(uid) = change.uid {
        let other = uid.as_ref().map(|uid| find_by_uid(work.conn, environment, uid)).transpose()?.flatten();
        if other.is_some_and(|other| other != app.id) {
            return Err(TAKEN);
        }
        app.uid = uid;
    }
    app.name = change.name.unwrap_or(app.name);
    app.rate_per_second = change.rate_per_second.unwrap_or(app.rate_per_second);
    app.metadata = change.metadata.unwrap_or(app.metadata);
    app.updated_at = now;
    let sql = "UPDATE app SET uid = ?2, name = ?3, rate = ?4, metadata = ?5, updated_at = ?6 WHERE id = ?1";
    let metadata = serde_json::to_string(&app.metadata).map_err(|e| rows::corrupt("app", e))?;
    let values = params![
        app.id.as_bytes(),
        app.uid.as_ref().map(Uid::as_str),
        app.name,
        app.rate_per_second.map(std::num::NonZeroU16::get),
        metadata,
        now.as_micros(),
    ];
    let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
    statement.execute(values).map_err(StoreError::from)?;
    work.memo.forget_names(app.id);
    Ok(app)
}

pub(super) fn delete(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    app: &Reference,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let id = customer(work.conn, environment, app)?.id;
    end(work, id, now)?;
    Ok(())
}

/// Ends an app with its endpoints and tokens.
pub(in super::super) fn end(work: &mut Work<'_>, id: AppId, now: Timestamp) -> Result<(), StoreError> {
    let endpoints = delete_rows(work.conn, id, now)?;
    work.memo.forget_names(id);
    // What waits for its endpoints ends now.
    work.effects.due.extend(endpoints.into_iter().map(|endpoint| (endpoint, now)));
    Ok(())
}

fn delete_rows(conn: &Connection, app: AppId, now: Timestamp) -> Result<Vec<EndpointId>, StoreError> {
    let values = params![app.as_bytes(), now.as_micros()];
    conn.prepare_cached("UPDATE app SET deleted_at = ?2 WHERE id = ?1")?.execute(values)?;
    let sql = "UPDATE endpoint SET deleted_at = ?2 WHERE app = ?1 AND deleted_at IS NULL RETURNING id";
    let mut statement = conn.prepare_cached(sql)?;
    let endpoints = statement.query_map(values, |row| rows::id(row, 0))?.collect::<Result<Vec<_>, _>>()?;
    // A customer's portal links end with the customer.
    let sql = "UPDATE token SET revoked_at = ?2 WHERE app = ?1 AND revoked_at IS NULL";
    conn.prepare_cached(sql)?.execute(values)?;
    Ok(endpoints)
}
