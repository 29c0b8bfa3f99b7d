//! Endpoints, of apps and of an environment's operational webhooks.

use std::sync::Arc;

use posthaste_core::app::{App, NewApp, Reference};
use posthaste_core::endpoint::{Endpoint, EndpointChange, NewEndpoint, Secrets};
use posthaste_core::id::{AppId, EndpointId};
use posthaste_core::name::{Channel, EventTypeName, Uid};
use posthaste_core::operational::{EndpointNames, Operational};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use rusqlite::{Connection, params};

use super::super::intake::tell;
use super::super::pages::Listing;
use super::super::rows::{self, Role};
use super::super::sources;
use super::super::writer::Work;
use super::apps;
use crate::directory::{Owner, RotateSecret};
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::seal::Vault;
use crate::{changes, columns};

const NOT_FOUND: ChangeError = ChangeError::NotFound("endpoint");
const APP_NOT_FOUND: ChangeError = ChangeError::NotFound("application");
const TAKEN: ChangeError = ChangeError::Taken("an endpoint with this uid");

/// Which endpoint of whom.
pub(super) struct Place<'a> {
    pub(super) environment: EnvironmentId,
    pub(super) owner: &'a Owner,
    pub(super) endpoint: &'a Reference,
}

/// The owning app, if it is there.
fn find_owner(
    conn: &Connection,
    environment: EnvironmentId,
    owner: &Owner,
) -> Result<Option<App>, ChangeError> {
    let id = match owner {
        Owner::App(app) => Some(rows::find_app(conn, environment, app)?.ok_or(APP_NOT_FOUND)?),
        Owner::Source(source) => Some(sources::find_app(conn, environment, source)?),
        Owner::Operational => rows::find_operational_app(conn, environment)?,
    };
    let Some(id) = id else { return Ok(None) };
    Ok(rows::read_app(conn, id)?.map(|(_, _, app)| app))
}

/// The owning app; the operational one is made when it is first needed.
fn owner_for_new(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    owner: &Owner,
    now: Timestamp,
) -> Result<App, ChangeError> {
    if let Some(app) = find_owner(work.conn, environment, owner)? {
        return Ok(app);
    }
    let new = NewApp {
        id: AppId::fresh(now, work.dice),
        uid: None,
        name: "Operational webhooks".to_owned(),
        rate_per_second: None,
        metadata: std::collections::BTreeMap::new(),
    };
    apps::insert(work, environment, &new, Role::Operational, now)?;
    find_owner(work.conn, environment, owner)?.ok_or(APP_NOT_FOUND)
}

fn find(conn: &Connection, vault: &Vault, place: &Place<'_>) -> Result<(App, Endpoint), ChangeError> {
    let app = find_owner(conn, place.environment, place.owner)?.ok_or(NOT_FOUND)?;
    let id = rows::find_endpoint(conn, app.id, place.endpoint)?.ok_or(NOT_FOUND)?;
    let (endpoint, _) = rows::read_endpoint(conn, vault, id, app.rate_per_second)?.ok_or(NOT_FOUND)?;
    Ok((app, endpoint))
}

fn uid_is_taken(conn: &Connection, app: AppId, uid: &Uid, but: EndpointId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM endpoint WHERE app = ?1 AND uid = ?2 AND uid IS NOT NULL AND deleted_at IS NULL \
               AND id <> ?3";
    Ok(conn.prepare_cached(sql)?.exists(params![app.as_bytes(), uid.as_str(), but.as_bytes()])?)
}

pub(super) fn create(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    owner: &Owner,
    new: NewEndpoint,
    now: Timestamp,
) -> Result<Endpoint, ChangeError> {
    let app = owner_for_new(work, environment, owner, now)?;
    if let Some(uid) = &new.uid
        && uid_is_taken(work.conn, app.id, uid, new.id)?
    {
        return Err(TAKEN);
    }
    let endpoint = Endpoint {
        id: new.id,
        app: app.id,
        uid: new.uid,
        url: new.url,
        description: new.description,
        rate_per_second: new.rate_per_second,
        app_rate_per_second: app.rate_per_second,
        disabled: new.disabled,
        filter: new.filter,
        headers: new.headers,
        metadata: new.metadata,
        secrets: Secrets::first(new.secret),
        failing_since: None,
        created_at: now,
        updated_at: now,
    };
    write(work, &endpoint)?;
    if *owner != Owner::Operational {
        tell(work, environment, &Operational::EndpointCreated(names(&app, &endpoint)), now)?;
    }
    Ok(endpoint)
}

/// Writes all of an endpoint: a new row, or over the one that is there.
fn write(work: &mut Work<'_>, endpoint: &Endpoint) -> Result<(), StoreError> {
    let sealed =
        columns::endpoint::seal(work.vault, work.dice, endpoint.id, &endpoint.secrets, &endpoint.headers)?;
    let filter = &endpoint.filter;
    // A filter that names nothing is stored as an empty list, which is not the same as none.
    let event_types = filter.event_types.as_ref().map(|l| rows::joined(l.iter().map(EventTypeName::as_str)));
    let channels = filter.channels.as_ref().map(|l| rows::joined(l.iter().map(Channel::as_str)));
    let sql = "INSERT INTO endpoint (id, app, uid, url, description, rate, disabled, event_types, channels, \
               metadata, sealed, failing_since, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
               ON CONFLICT (id) DO UPDATE SET uid = ?3, url = ?4, description = ?5, rate = ?6, disabled = ?7, \
               event_types = ?8, channels = ?9, metadata = ?10, sealed = ?11, failing_since = ?12, updated_at = ?14";
    work.conn.prepare_cached(sql)?.execute(params![
        endpoint.id.as_bytes(),
        endpoint.app.as_bytes(),
        endpoint.uid.as_ref().map(Uid::as_str),
        endpoint.url,
        endpoint.description,
        endpoint.rate_per_second.map(std::num::NonZeroU16::get),
        endpoint.disabled,
        event_types.map(Option::unwrap_or_default),
        channels.map(Option::unwrap_or_default),
        serde_json::to_string(&endpoint.metadata).map_err(|e| rows::corrupt("endpoint", e))?,
        sealed,
        endpoint.failing_since.map(Timestamp::as_micros),
        endpoint.created_at.as_micros(),
        endpoint.updated_at.as_micros(),
    ])?;
    work.memo.forget(endpoint.app);
    Ok(())
}

fn names(app: &App, endpoint: &Endpoint) -> EndpointNames {
    EndpointNames {
        app: app.id,
        app_uid: app.uid.clone(),
        endpoint: endpoint.id,
        endpoint_uid: endpoint.uid.clone(),
    }
}

pub(super) fn get(
    conn: &Connection,
    vault: &Vault,
    environment: EnvironmentId,
    owner: &Owner,
    endpoint: &Reference,
) -> Result<Endpoint, ChangeError> {
    find(conn, vault, &Place { environment, owner, endpoint }).map(|(_, endpoint)| endpoint)
}

pub(super) fn list(
    conn: &Connection,
    vault: &Arc<Vault>,
    environment: EnvironmentId,
    owner: &Owner,
    page: &PageRequest<EndpointId>,
) -> Result<Page<Endpoint>, ChangeError> {
    let Some(app) = find_owner(conn, environment, owner)? else {
        return Ok(Page { rows: vec![], done: true });
    };
    let select =
        format!("SELECT {} FROM endpoint WHERE app = :app AND deleted_at IS NULL", rows::ENDPOINT_COLUMNS);
    let listing = Listing { select: &select, key: "id", values: vec![(":app", app.id.as_bytes())] };
    let read = |row: &rusqlite::Row<'_>| Ok(rows::endpoint(row, vault, app.rate_per_second)?.0);
    Ok(listing.page(conn, page, |id| *id.as_bytes(), read)?)
}

pub(super) fn change(
    work: &mut Work<'_>,
    place: &Place<'_>,
    change: EndpointChange,
    now: Timestamp,
) -> Result<Endpoint, ChangeError> {
    let (app, mut endpoint) = find(work.conn, work.vault, place)?;
    if let Some(uid) = &change.uid {
        if let Some(uid) = uid
            && uid_is_taken(work.conn, app.id, uid, endpoint.id)?
        {
            return Err(TAKEN);
        }
        endpoint.uid.clone_from(uid);
    }
    let was_disabled = endpoint.disabled;
    changes::apply_to_endpoint(&mut endpoint, change);
    endpoint.updated_at = now;
    if was_disabled && !endpoint.disabled {
        endpoint.failing_since = None;
    }
    write(work, &endpoint)?;
    if was_disabled != endpoint.disabled {
        work.effects.due.push((endpoint.id, now));
    }
    if *place.owner != Owner::Operational {
        tell(work, place.environment, &Operational::EndpointUpdated(names(&app, &endpoint)), now)?;
        let switched = match (was_disabled, endpoint.disabled) {
            (false, true) => Some(Operational::EndpointDisabled(names(&app, &endpoint), None)),
            (true, false) => Some(Operational::EndpointEnabled(names(&app, &endpoint))),
            _ => None,
        };
        if let Some(what) = switched {
            tell(work, place.environment, &what, now)?;
        }
    }
    Ok(endpoint)
}

pub(super) fn delete(work: &mut Work<'_>, place: &Place<'_>, now: Timestamp) -> Result<(), ChangeError> {
    let (app, endpoint) = find(work.conn, work.vault, place)?;
    let sql = "UPDATE endpoint SET deleted_at = ?2 WHERE id = ?1";
    let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
    statement.execute(params![endpoint.id.as_bytes(), now.as_micros()]).map_err(StoreError::from)?;
    work.memo.forget(app.id);
    work.effects.due.push((endpoint.id, now));
    if *place.owner != Owner::Operational {
        tell(work, place.environment, &Operational::EndpointDeleted(names(&app, &endpoint)), now)?;
    }
    Ok(())
}

pub(super) fn rotate(
    work: &mut Work<'_>,
    rotate: RotateSecret,
    now: Timestamp,
) -> Result<Endpoint, ChangeError> {
    let RotateSecret { environment, owner, endpoint, secret, grace } = rotate;
    let place = Place { environment, owner: &owner, endpoint: &endpoint };
    let (_, mut endpoint) = find(work.conn, work.vault, &place)?;
    endpoint.secrets = endpoint.secrets.rotated(secret, grace, now);
    write(work, &endpoint)?;
    point!("rotate.rotated");
    Ok(endpoint)
}
