//! What the writer remembers of apps and their endpoints, so that accepting a message reads and decrypts nothing.
//!
//! Never stale: the writer is the only writer in this process and forgets an app whenever it changes something of it;
//! changes by other processes show in SQLite's `data_version`, which is looked at within each transaction.

use std::collections::HashMap;
use std::sync::Arc;

use posthaste_core::app::Reference;
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{AppId, SourceId};
use posthaste_core::tenant::EnvironmentId;
use posthaste_fault::{Bug, planted};
use rusqlite::Connection;

use super::rows::{self, Role};
use super::sources;
use crate::error::StoreError;
use crate::known::KnownApp;
use crate::seal::Vault;

/// Apps that are remembered; past that all are forgotten, which costs one read each.
const APPS_MAX: usize = 10_000;
/// The same for their endpoints, at 1 to 2 KiB each: the memo stays below some 20 MB.
const ENDPOINTS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Memo {
    apps: HashMap<AppId, Arc<KnownApp>>,
    ids: HashMap<(EnvironmentId, Reference), AppId>,
    operational: HashMap<EnvironmentId, Option<AppId>>,
    endpoints_count: usize,
    /// How many refused requests are kept of each source.
    refusals: HashMap<SourceId, usize>,
    data_version: i64,
}

impl Memo {
    /// Forgets everything if another process wrote. Called within the transaction: nobody can write until it ends.
    pub(super) fn look_for_other_writers(&mut self, conn: &Connection) -> Result<(), rusqlite::Error> {
        let version = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.clear();
            self.data_version = version;
        }
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.apps.clear();
        self.ids.clear();
        self.operational.clear();
        self.endpoints_count = 0;
        self.refusals.clear();
    }

    pub(super) fn refusals_count(&self, source: SourceId) -> Option<usize> {
        self.refusals.get(&source).copied()
    }

    pub(super) fn remember_refusals(&mut self, source: SourceId, count: usize) {
        if self.refusals.len() >= APPS_MAX {
            self.refusals.clear();
        }
        self.refusals.insert(source, count);
    }

    /// Refused requests were removed.
    pub(super) fn forget_refusals(&mut self) {
        self.refusals.clear();
    }

    /// An endpoint of this app changed.
    pub(super) fn forget(&mut self, app: AppId) {
        if planted(Bug::StaleFanOut) {
            return;
        }
        if let Some(known) = self.apps.remove(&app) {
            self.endpoints_count -= known.endpoints.len();
        }
    }

    /// An endpoint's health changed: its siblings need not be read and decrypted again for that.
    pub(super) fn replace(&mut self, known: &Arc<KnownApp>, endpoint: Endpoint) {
        let mut endpoints = known.endpoints.clone();
        if let Ok(at) = endpoints.binary_search_by_key(&endpoint.id, |e| e.id) {
            endpoints[at] = Arc::new(endpoint);
        }
        let KnownApp { environment, operational, source, ref app, .. } = **known;
        let known = Arc::new(KnownApp { environment, operational, source, app: app.clone(), endpoints });
        if let Some(before) = self.apps.insert(known.app.id, Arc::clone(&known)) {
            self.endpoints_count -= before.endpoints.len();
        }
        self.endpoints_count += known.endpoints.len();
    }

    /// An app was made, changed or deleted: what its uid leads to may differ.
    pub(super) fn forget_names(&mut self, app: AppId) {
        self.forget(app);
        self.ids.clear();
        self.operational.clear();
    }

    pub(super) fn app_by(
        &mut self,
        conn: &Connection,
        vault: &Vault,
        environment: EnvironmentId,
        reference: &Reference,
    ) -> Result<Option<Arc<KnownApp>>, StoreError> {
        let key = (environment, reference.clone());
        let id = match self.ids.get(&key) {
            Some(id) => *id,
            None => {
                let Some(id) = rows::find_app(conn, environment, reference)? else { return Ok(None) };
                if self.ids.len() >= 2 * APPS_MAX {
                    self.ids.clear();
                }
                self.ids.insert(key, id);
                id
            }
        };
        self.app(conn, vault, id)
    }

    pub(super) fn app(
        &mut self,
        conn: &Connection,
        vault: &Vault,
        id: AppId,
    ) -> Result<Option<Arc<KnownApp>>, StoreError> {
        if let Some(known) = self.apps.get(&id) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some((environment, role, app)) = rows::read_app(conn, id)? else { return Ok(None) };
        let operational = role == Role::Operational;
        let source = if role == Role::Source { sources::known(conn, id)? } else { None };
        let endpoints = rows::read_endpoints(conn, vault, &app)?.into_iter().map(Arc::new).collect();
        let known = Arc::new(KnownApp { environment, operational, source, app, endpoints });
        if self.apps.len() >= APPS_MAX || self.endpoints_count + known.endpoints.len() > ENDPOINTS_MAX {
            self.apps.clear();
            self.endpoints_count = 0;
        }
        self.endpoints_count += known.endpoints.len();
        self.apps.insert(id, Arc::clone(&known));
        Ok(Some(known))
    }

    /// The app of an environment's operational webhooks, if it has one.
    pub(super) fn operational(
        &mut self,
        conn: &Connection,
        vault: &Vault,
        environment: EnvironmentId,
    ) -> Result<Option<Arc<KnownApp>>, StoreError> {
        let id = match self.operational.get(&environment) {
            Some(id) => *id,
            None => {
                let id = rows::find_operational_app(conn, environment)?;
                self.operational.insert(environment, id);
                id
            }
        };
        id.map_or(Ok(None), |id| self.app(conn, vault, id))
    }
}
