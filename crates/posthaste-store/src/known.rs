//! An app with its endpoints, as fan-out looks at it.

use std::sync::Arc;

use posthaste_core::app::{App, Reference};
use posthaste_core::endpoint::Endpoint;
use posthaste_core::fanout::wants;
use posthaste_core::id::{EndpointId, SourceId};
use posthaste_core::name::{Channel, EventTypeName};
use posthaste_core::tenant::EnvironmentId;

use crate::error::ChangeError;

/// What a writer must know of a source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownSource {
    pub(crate) id: SourceId,
    pub(crate) paused: bool,
}

/// An app with its endpoints.
#[derive(Debug)]
pub(crate) struct KnownApp {
    pub(crate) environment: EnvironmentId,
    pub(crate) operational: bool,
    /// Of a source's app: the source, unless that was deleted.
    pub(crate) source: Option<KnownSource>,
    pub(crate) app: App,
    /// Those that are not deleted, in the order of their ids.
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
}

impl KnownApp {
    /// Nothing goes out to its endpoints now.
    pub(crate) fn is_paused(&self) -> bool {
        self.source.is_some_and(|source| source.paused)
    }

    pub(crate) fn endpoint(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.endpoints.binary_search_by_key(&id, |e| e.id).ok().map(|at| &self.endpoints[at])
    }

    pub(crate) fn endpoint_by(&self, reference: &Reference) -> Option<&Arc<Endpoint>> {
        let by_uid = || {
            self.endpoints.iter().find(|e| e.uid.as_ref().is_some_and(|u| u.as_str() == reference.as_str()))
        };
        reference.id().and_then(|id| self.endpoint(id)).or_else(by_uid)
    }
}

/// The endpoints that this message goes to, as of this transaction.
pub(crate) fn targets(
    app: &KnownApp,
    only: Option<&Reference>,
    event_type: &EventTypeName,
    channels: &[Channel],
) -> Result<Vec<Arc<Endpoint>>, ChangeError> {
    if let Some(only) = only {
        let endpoint = app.endpoint_by(only).ok_or(ChangeError::NotFound("endpoint"))?;
        return Ok(vec![Arc::clone(endpoint)]);
    }
    Ok(wanting(app, event_type, channels))
}

/// The endpoints of an app that want what happened.
pub(crate) fn wanting(
    app: &KnownApp,
    event_type: &EventTypeName,
    channels: &[Channel],
) -> Vec<Arc<Endpoint>> {
    let wanting = app.endpoints.iter().filter(|e| !e.disabled && wants(&e.filter, event_type, channels));
    wanting.cloned().collect()
}
