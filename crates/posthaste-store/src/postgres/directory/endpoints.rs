//! Endpoints, of apps and of an environment's operational webhooks.

use posthaste_core::app::{App, NewApp, Reference};
use posthaste_core::endpoint::{Endpoint, EndpointChange, NewEndpoint, Secrets};
use posthaste_core::id::{AppId, EndpointId};
use posthaste_core::name::{Channel, EventTypeName, Uid};
use posthaste_core::operational::{EndpointNames, Operational};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::Client;

use super::super::enter::tell;
use super::super::rows::{self, Role};
use super::super::statement::{Statement, Text, Value, bytes, execute, query_opt};
use super::super::work::Work;
use super::super::{pages, sources};
use super::apps;
use crate::columns::names::joined;
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
async fn find_owner(
    client: &Client,
    environment: EnvironmentId,
    owner: &Owner,
) -> Result<Option<App>, ChangeError> {
    let id = match owner {
        Owner::App(app) => Some(rows::find_app(client, environment, app).await?.ok_or(APP_NOT_FOUND)?),
        Owner::Source(source) => Some(sources::find_app(client, environment, source).await?),
        Owner::Operational => rows::find_operational_app(client, environment).await?.map(|(id, _)| id),
    };
    let Some(id) = id else { return Ok(None) };
    Ok(rows::read_app(client, id).await?.map(|(_, _, app)| app))
}

/// The owning app, locked, and the operational one made when it is first needed.
async fn owner_for_new(
    work: &mut Work,
    environment: EnvironmentId,
    owner: &Owner,
    now: Timestamp,
) -> Result<App, ChangeError> {
    if let Some(app) = find_owner(work.client(), environment, owner).await? {
        return if apps::lock(work, app.id).await? { Ok(app) } else { Err(APP_NOT_FOUND) };
    }
    let new = NewApp {
        id: AppId::fresh(now, &*work.shared.dice),
        uid: None,
        name: "Operational webhooks".to_owned(),
        rate_per_second: None,
        metadata: std::collections::BTreeMap::new(),
    };
    apps::insert(work, environment, &new, Role::Operational, now).await?;
    find_owner(work.client(), environment, owner).await?.ok_or(APP_NOT_FOUND)
}

async fn find(
    client: &Client,
    vault: &Vault,
    place: &Place<'_>,
    lock: bool,
) -> Result<(App, Endpoint), ChangeError> {
    let app = find_owner(client, place.environment, place.owner).await?.ok_or(NOT_FOUND)?;
    let id = rows::find_endpoint(client, app.id, place.endpoint).await?.ok_or(NOT_FOUND)?;
    let read = rows::read_endpoint(client, vault, id, app.rate_per_second, lock).await?;
    let (endpoint, deleted) = read.ok_or(NOT_FOUND)?;
    if deleted { Err(NOT_FOUND) } else { Ok((app, endpoint)) }
}

/// The same, about to be changed: its app is locked, then the endpoint, then it is read.
async fn find_to_change(work: &mut Work, place: &Place<'_>) -> Result<(App, Endpoint), ChangeError> {
    let app = find_owner(work.client(), place.environment, place.owner).await?.ok_or(NOT_FOUND)?;
    if !apps::lock(work, app.id).await? {
        return Err(NOT_FOUND);
    }
    find(work.client(), &work.shared.vault, place, true).await
}

async fn uid_is_taken(client: &Client, app: AppId, uid: &Uid, but: EndpointId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM endpoint WHERE app = $1 AND uid = $2 AND uid IS NOT NULL AND deleted_at IS NULL \
               AND id <> $3";
    let values: [&dyn Value; 3] = [&bytes(&app), &Text(uid.as_str()), &bytes(&but)];
    Ok(query_opt(client, sql, &values).await?.is_some())
}

pub(super) async fn create(
    work: &mut Work,
    environment: EnvironmentId,
    owner: &Owner,
    new: NewEndpoint,
    now: Timestamp,
) -> Result<Endpoint, ChangeError> {
    let app = owner_for_new(work, environment, owner, now).await?;
    if let Some(uid) = &new.uid
        && uid_is_taken(work.client(), app.id, uid, new.id).await?
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
    write(work, &endpoint).await?;
    if *owner != Owner::Operational {
        tell(work, environment, &Operational::EndpointCreated(names(&app, &endpoint)), now).await?;
    }
    Ok(endpoint)
}

/// Writes all of an endpoint: a new row, or over the one that is there.
async fn write(work: &Work, endpoint: &Endpoint) -> Result<(), StoreError> {
    let (vault, dice) = (&work.shared.vault, &*work.shared.dice);
    let sealed = columns::endpoint::seal(vault, dice, endpoint.id, &endpoint.secrets, &endpoint.headers)?;
    let filter = &endpoint.filter;
    // A filter that names nothing is stored as an empty list, which is not the same as none.
    let event_types = filter.event_types.as_ref().map(|l| joined(l.iter().map(EventTypeName::as_str)));
    let channels = filter.channels.as_ref().map(|l| joined(l.iter().map(Channel::as_str)));
    let (event_types, channels) =
        (event_types.map(Option::unwrap_or_default), channels.map(Option::unwrap_or_default));
    let metadata = serde_json::to_string(&endpoint.metadata).map_err(|e| rows::corrupt("endpoint", e))?;
    let sql = "INSERT INTO endpoint (id, app, uid, url, description, rate, disabled, event_types, channels, \
               metadata, sealed, failing_since, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
               ON CONFLICT (id) DO UPDATE SET uid = $3, url = $4, description = $5, rate = $6, disabled = $7, \
               event_types = $8, channels = $9, metadata = $10, sealed = $11, failing_since = $12, updated_at = $14";
    let values: [&dyn Value; 14] = [
        &bytes(&endpoint.id),
        &bytes(&endpoint.app),
        &endpoint.uid.as_ref().map(|uid| Text(uid.as_str())),
        &Text(&endpoint.url),
        &Text(&endpoint.description),
        &rows::rate_column(endpoint.rate_per_second),
        &endpoint.disabled,
        &event_types.as_deref().map(Text),
        &channels.as_deref().map(Text),
        &Text(&metadata),
        &sealed.as_slice(),
        &rows::micros(endpoint.failing_since),
        &endpoint.created_at.as_micros(),
        &endpoint.updated_at.as_micros(),
    ];
    execute(work.client(), sql, &values).await?;
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

pub(super) async fn get(
    client: &Client,
    vault: &Vault,
    environment: EnvironmentId,
    owner: &Owner,
    endpoint: &Reference,
) -> Result<Endpoint, ChangeError> {
    let place = Place { environment, owner, endpoint };
    find(client, vault, &place, false).await.map(|(_, endpoint)| endpoint)
}

pub(super) async fn list(
    client: &Client,
    vault: &Vault,
    environment: EnvironmentId,
    owner: &Owner,
    page: &PageRequest<EndpointId>,
) -> Result<Page<Endpoint>, ChangeError> {
    let Some(app) = find_owner(client, environment, owner).await? else {
        return Ok(Page { rows: vec![], done: true });
    };
    let owner = bytes(&app.id);
    let mut select = Statement::new(format!("SELECT {} FROM endpoint WHERE app = ", rows::ENDPOINT_COLUMNS));
    select.bind(&owner).push(" AND deleted_at IS NULL");
    let read = |row: &tokio_postgres::Row| Ok(rows::endpoint(row, vault, app.rate_per_second)?.0);
    Ok(pages::page(client, select, "id", page, bytes, read).await?)
}

pub(super) async fn change(
    work: &mut Work,
    place: &Place<'_>,
    change: EndpointChange,
    now: Timestamp,
) -> Result<Endpoint, ChangeError> {
    let (app, mut endpoint) = find_to_change(work, place).await?;
    if let Some(uid) = &change.uid {
        if let Some(uid) = uid
            && uid_is_taken(work.client(), app.id, uid, endpoint.id).await?
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
    write(work, &endpoint).await?;
    if was_disabled != endpoint.disabled {
        work.effects.due.push((endpoint.id, now));
    }
    if *place.owner != Owner::Operational {
        let updated = Operational::EndpointUpdated(names(&app, &endpoint));
        tell(work, place.environment, &updated, now).await?;
        let switched = match (was_disabled, endpoint.disabled) {
            (false, true) => Some(Operational::EndpointDisabled(names(&app, &endpoint), None)),
            (true, false) => Some(Operational::EndpointEnabled(names(&app, &endpoint))),
            _ => None,
        };
        if let Some(what) = switched {
            tell(work, place.environment, &what, now).await?;
        }
    }
    Ok(endpoint)
}

pub(super) async fn delete(work: &mut Work, place: &Place<'_>, now: Timestamp) -> Result<(), ChangeError> {
    let (app, endpoint) = find_to_change(work, place).await?;
    let sql = "UPDATE endpoint SET deleted_at = $2 WHERE id = $1";
    execute(work.client(), sql, &[&bytes(&endpoint.id), &now.as_micros()]).await?;
    work.effects.due.push((endpoint.id, now));
    if *place.owner != Owner::Operational {
        let deleted = Operational::EndpointDeleted(names(&app, &endpoint));
        tell(work, place.environment, &deleted, now).await?;
    }
    Ok(())
}

pub(super) async fn rotate(
    work: &mut Work,
    rotate: RotateSecret,
    now: Timestamp,
) -> Result<Endpoint, ChangeError> {
    let RotateSecret { environment, owner, endpoint, secret, grace } = rotate;
    let place = Place { environment, owner: &owner, endpoint: &endpoint };
    let (_, mut endpoint) = find_to_change(work, &place).await?;
    endpoint.secrets = endpoint.secrets.rotated(secret, grace, now);
    write(work, &endpoint).await?;
    Ok(endpoint)
}
