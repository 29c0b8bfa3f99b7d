//! What a transaction looks at before it does anything: the apps concerned, as they are now, and the keys that were used.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{AppId, AppKind, EndpointId, MessageId};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use tokio_postgres::Row;

use super::super::memo::known;
use super::super::rows;
use super::super::statement::{Text, bytes};
use super::super::work::Work;
use super::Batch;
use crate::error::StoreError;
use crate::known::KnownApp;

/// What is known of an endpoint without its secrets.
pub(super) struct Seen {
    pub(super) app: AppId,
    pub(super) disabled: bool,
    pub(super) deleted: bool,
    pub(super) failing_since: Option<Timestamp>,
    /// Nothing goes out to it now.
    pub(super) paused: bool,
}

/// What is known of an idempotency key.
pub(super) struct KeySeen {
    pub(super) fingerprint: Vec<u8>,
    pub(super) of: Option<(AppId, MessageId)>,
    pub(super) expires_at: Timestamp,
}

/// What was seen.
#[derive(Default)]
pub(super) struct View {
    pub(super) apps: HashMap<AppId, Arc<KnownApp>>,
    pub(super) names: HashMap<(EnvironmentId, Reference), AppId>,
    pub(super) endpoints: HashMap<EndpointId, Seen>,
    pub(super) keys: HashMap<[u8; 32], KeySeen>,
}

impl View {
    /// The app of a reference that is no operational one.
    pub(super) fn app_by(&self, environment: EnvironmentId, reference: &Reference) -> Option<&Arc<KnownApp>> {
        self.apps.get(self.names.get(&(environment, reference.clone()))?)
    }

    /// An endpoint that is not deleted.
    pub(super) fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        let seen = self.endpoints.get(&id)?;
        self.apps.get(&seen.app)?.endpoint(id).map(|endpoint| &**endpoint)
    }
}

/// Begins the transaction, if it has not begun, and looks; one round trip, if all apps are remembered as they are.
pub(super) async fn look(work: &Work, batch: &Batch<'_>, begin: bool) -> Result<View, StoreError> {
    let references = batch.accepts.iter().map(|asked| (asked.command.environment, asked.command.app.clone()));
    let references: Vec<_> = references.collect::<std::collections::HashSet<_>>().into_iter().collect();
    let received = batch.receives.iter().map(|asked| asked.command.message.app);
    let received: Vec<AppId> = received.collect::<BTreeSet<_>>().into_iter().collect();
    let endpoints = batch.claims.iter().map(|asked| asked.command.endpoint);
    let endpoints = endpoints.chain(batch.records.iter().map(|asked| asked.command.key.endpoint));
    let endpoints: Vec<EndpointId> = endpoints.collect::<BTreeSet<_>>().into_iter().collect();
    let keys = batch.accepts.iter().filter_map(|asked| asked.command.idempotency.as_ref());
    let keys: Vec<&[u8]> = keys.map(|key| &key.key[..]).collect();
    let ((), named, received, endpoints, keys) = tokio::try_join!(
        biased;
        async { if begin { work.begin_by_key().await } else { Ok(()) } },
        by_reference(work, &references),
        by_id(work, &received),
        by_endpoint(work, &endpoints),
        used_keys(work, keys),
    )?;
    point!("batch.looked_up");
    let mut view = View::default();
    let mut versions = HashMap::new();
    for row in &named {
        let number = usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX);
        let app = rows::id(row, 1)?;
        versions.insert(app, row.try_get(2)?);
        if let Some(reference) = references.get(number) {
            view.names.insert(reference.clone(), app);
        }
    }
    for row in &received {
        versions.insert(rows::id(row, 0)?, row.try_get(1)?);
    }
    for row in &endpoints {
        let app = rows::id(row, 1)?;
        versions.insert(app, row.try_get(2)?);
        let seen = Seen {
            app,
            disabled: row.try_get(3)?,
            failing_since: rows::maybe_at(row, 4)?,
            deleted: row.try_get(5)?,
            paused: row.try_get(6)?,
        };
        view.endpoints.insert(rows::id(row, 0)?, seen);
    }
    for row in &keys {
        let (key, seen) = key(row)?;
        view.keys.insert(key, seen);
    }
    view.apps = known(work, &versions).await?;
    Ok(view)
}

fn key(row: &Row) -> Result<([u8; 32], KeySeen), StoreError> {
    let key = <[u8; 32]>::try_from(row.try_get::<_, &[u8]>(0)?);
    let key = key.map_err(|_| rows::corrupt("idempotency", "a key that is not 32 bytes long"))?;
    let of = rows::maybe_id(row, 2)?.zip(rows::maybe_id(row, 3)?);
    Ok((key, KeySeen { fingerprint: row.try_get(1)?, of, expires_at: rows::at(row, 4)? }))
}

/// Number of the reference, app and version. By our id comes last, and wins over a uid that looks like one.
async fn by_reference(
    work: &Work,
    references: &[(EnvironmentId, Reference)],
) -> Result<Vec<Row>, StoreError> {
    if references.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<_> = references.iter().map(|(_, reference)| reference.id::<AppKind>()).collect();
    let sql = "SELECT r.n, a.id, a.version FROM UNNEST($1, $2) WITH ORDINALITY AS r (environment, uid, n) \
               JOIN app a ON a.environment = r.environment AND a.uid = r.uid AND a.uid IS NOT NULL \
               AND a.deleted_at IS NULL \
               UNION ALL \
               SELECT r.n, a.id, a.version FROM UNNEST($1, $3) WITH ORDINALITY AS r (environment, id, n) \
               JOIN app a ON a.id = r.id WHERE a.environment = r.environment AND a.kind <> 1 \
               AND a.deleted_at IS NULL";
    let environments: Vec<i64> = references.iter().map(|(environment, _)| environment.0).collect();
    let uids: Vec<_> = references.iter().map(|(_, reference)| Text(reference.as_str())).collect();
    let ids: Vec<_> = ids.iter().map(|id| id.as_ref().map(bytes)).collect();
    work.query(sql, &[&environments, &uids, &ids]).await
}

async fn by_id(work: &Work, apps: &[AppId]) -> Result<Vec<Row>, StoreError> {
    if apps.is_empty() {
        return Ok(vec![]);
    }
    let apps: Vec<_> = apps.iter().map(bytes).collect();
    work.query("SELECT id, version FROM app WHERE id = ANY($1)", &[&apps]).await
}

async fn by_endpoint(work: &Work, endpoints: &[EndpointId]) -> Result<Vec<Row>, StoreError> {
    if endpoints.is_empty() {
        return Ok(vec![]);
    }
    let sql = "SELECT e.id, e.app, a.version, e.disabled, e.failing_since, e.deleted_at IS NOT NULL, \
               EXISTS (SELECT 1 FROM source s WHERE s.app = e.app AND s.paused) \
               FROM endpoint e JOIN app a ON a.id = e.app WHERE e.id = ANY($1)";
    let endpoints: Vec<_> = endpoints.iter().map(bytes).collect();
    work.query(sql, &[&endpoints]).await
}

async fn used_keys(work: &Work, keys: Vec<&[u8]>) -> Result<Vec<Row>, StoreError> {
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let sql = "SELECT key, fingerprint, app, message, expires_at FROM idempotency WHERE key = ANY($1)";
    work.query(sql, &[&keys]).await
}
