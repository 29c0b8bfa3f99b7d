//! Apps.
//!
//! Whoever changes an app, or anything of it, locks its row first by making its version grow: what is read behind that
//! stays as it is until the transaction ends.

use posthaste_core::app::{App, AppChange, NewApp, Reference};
use posthaste_core::id::{AppId, EndpointId};
use posthaste_core::name::Uid;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::Client;

use super::super::pages;
use super::super::rows::{self, Role};
use super::super::statement::{Statement, Text, Value, bytes, execute, query, query_opt};
use super::super::work::Work;
use crate::directory::Made;
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};

/// Another app has this uid.
const TAKEN: ChangeError = ChangeError::Taken("an application with this uid");
/// No such app.
const NOT_FOUND: ChangeError = ChangeError::NotFound("application");

pub(in super::super) async fn create(
    work: &mut Work,
    environment: EnvironmentId,
    new: &NewApp,
    if_exists: bool,
    now: Timestamp,
) -> Result<Made<App>, ChangeError> {
    if let Some(uid) = &new.uid
        && let Some(id) = find_by_uid(work.client(), environment, uid).await?
    {
        return if if_exists { read(work.client(), id).await.map(Made::Existed) } else { Err(TAKEN) };
    }
    insert(work, environment, new, Role::Customer, now).await?;
    Ok(Made::Created(read(work.client(), new.id).await?))
}

pub(in super::super) async fn insert(
    work: &mut Work,
    environment: EnvironmentId,
    new: &NewApp,
    role: Role,
    now: Timestamp,
) -> Result<(), StoreError> {
    work.changed_apps = true;
    let sql = "INSERT INTO app (id, environment, kind, uid, name, rate, metadata, version, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8)";
    let metadata = serde_json::to_string(&new.metadata).map_err(|e| rows::corrupt("app", e))?;
    let values: [&dyn Value; 8] = [
        &bytes(&new.id),
        &environment.0,
        &i16::try_from(role.number()).unwrap_or(0),
        &new.uid.as_ref().map(|uid| Text(uid.as_str())),
        &Text(&new.name),
        &rows::rate_column(new.rate_per_second),
        &Text(&metadata),
        &now.as_micros(),
    ];
    execute(work.client(), sql, &values).await?;
    Ok(())
}

async fn find_by_uid(
    client: &Client,
    environment: EnvironmentId,
    uid: &Uid,
) -> Result<Option<AppId>, StoreError> {
    let sql =
        "SELECT id FROM app WHERE environment = $1 AND uid = $2 AND uid IS NOT NULL AND deleted_at IS NULL";
    let found = query_opt(client, sql, &[&environment.0, &Text(uid.as_str())]).await?;
    found.map(|row| rows::id(&row, 0)).transpose()
}

async fn read(client: &Client, id: AppId) -> Result<App, ChangeError> {
    rows::read_app(client, id).await?.map(|(_, _, app)| app).ok_or(NOT_FOUND)
}

/// Locks an app that is not deleted, and lets everybody know that it is about to be another. `false`: it is gone.
pub(in super::super) async fn lock(work: &mut Work, app: AppId) -> Result<bool, StoreError> {
    work.changed_apps = true;
    let sql = "UPDATE app SET version = version + 1 WHERE id = $1 AND deleted_at IS NULL";
    Ok(execute(work.client(), sql, &[&bytes(&app)]).await? == 1)
}

pub(super) async fn get(
    client: &Client,
    environment: EnvironmentId,
    app: &Reference,
) -> Result<App, ChangeError> {
    let id = rows::find_app(client, environment, app).await?.ok_or(NOT_FOUND)?;
    read(client, id).await
}

/// A customer's app, locked. Those of sources are changed and deleted with their source.
async fn customer(work: &mut Work, environment: EnvironmentId, app: &Reference) -> Result<App, ChangeError> {
    let id = rows::find_app(work.client(), environment, app).await?.ok_or(NOT_FOUND)?;
    if !lock(work, id).await? {
        return Err(NOT_FOUND);
    }
    let found = rows::read_app(work.client(), id).await?.filter(|(_, role, _)| *role == Role::Customer);
    found.map(|(_, _, app)| app).ok_or(NOT_FOUND)
}

pub(super) async fn list(
    client: &Client,
    environment: EnvironmentId,
    page: &PageRequest<AppId>,
) -> Result<Page<App>, StoreError> {
    let mut select = Statement::new(format!("SELECT {} FROM app WHERE environment = ", rows::APP_COLUMNS));
    select.bind(&environment.0).push(" AND kind = 0 AND deleted_at IS NULL");
    pages::page(client, select, "id", page, bytes, |row| Ok(rows::app(row)?.2)).await
}

pub(super) async fn change(
    work: &mut Work,
    environment: EnvironmentId,
    app: &Reference,
    change: AppChange,
    now: Timestamp,
) -> Result<App, ChangeError> {
    let mut app = customer(work, environment, app).await?;
    if let Some(uid) = change.uid {
        if let Some(uid) = &uid
            && find_by_uid(work.client(), environment, uid).await?.is_some_and(|other| other != app.id)
        {
            return Err(TAKEN);
        }
        app.uid = uid;
    }
    app.name = change.name.unwrap_or(app.name);
    app.rate_per_second = change.rate_per_second.unwrap_or(app.rate_per_second);
    app.metadata = change.metadata.unwrap_or(app.metadata);
    app.updated_at = now;
    let sql = "UPDATE app SET uid = $2, name = $3, rate = $4, metadata = $5, updated_at = $6 WHERE id = $1";
    let metadata = serde_json::to_string(&app.metadata).map_err(|e| rows::corrupt("app", e))?;
    let values: [&dyn Value; 6] = [
        &bytes(&app.id),
        &app.uid.as_ref().map(|uid| Text(uid.as_str())),
        &Text(&app.name),
        &rows::rate_column(app.rate_per_second),
        &Text(&metadata),
        &now.as_micros(),
    ];
    execute(work.client(), sql, &values).await?;
    Ok(app)
}

pub(super) async fn delete(
    work: &mut Work,
    environment: EnvironmentId,
    app: &Reference,
    now: Timestamp,
) -> Result<(), ChangeError> {
    let id = customer(work, environment, app).await?.id;
    end(work, id, now).await?;
    Ok(())
}

/// Ends an app that is locked, with its endpoints and tokens.
pub(in super::super) async fn end(work: &mut Work, id: AppId, now: Timestamp) -> Result<(), StoreError> {
    let values: [&dyn Value; 2] = [&bytes(&id), &now.as_micros()];
    execute(work.client(), "UPDATE app SET deleted_at = $2 WHERE id = $1", &values).await?;
    let sql = "UPDATE endpoint SET deleted_at = $2 WHERE app = $1 AND deleted_at IS NULL RETURNING id";
    let endpoints = query(work.client(), sql, &values).await?;
    let endpoints = endpoints.iter().map(|row| rows::id(row, 0)).collect::<Result<Vec<EndpointId>, _>>()?;
    // A customer's portal links end with the customer.
    let sql = "UPDATE token SET revoked_at = $2 WHERE app = $1 AND revoked_at IS NULL";
    execute(work.client(), sql, &values).await?;
    // What waits for its endpoints ends now.
    work.effects.due.extend(endpoints.into_iter().map(|endpoint| (endpoint, now)));
    Ok(())
}
