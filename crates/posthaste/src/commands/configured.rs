//! The configuration that a server has: event types, apps and sources, with their endpoints.

use http::Method;
use serde_json::{Value, json};

use crate::laptop::complaint::Complaint;
use crate::laptop::manifest::{APP, Kind, SOURCE};
use crate::laptop::server::{Server, part};
use crate::laptop::whose::text;

/// All of it.
pub(crate) struct Configured {
    pub(crate) event_types: Vec<Value>,
    pub(crate) apps: Vec<(Value, Vec<Value>)>,
    pub(crate) sources: Vec<(Value, Vec<Value>)>,
}

impl Configured {
    pub(crate) async fn read(server: &Server) -> Result<Self, Complaint> {
        let event_types = all(server, "/api/v1/event-type?with_content=true&include_archived=true&").await?;
        let mut read = Self { event_types, apps: vec![], sources: vec![] };
        for app in all(server, "/api/v1/app?").await? {
            let endpoints = endpoints(server, text(&app, "id")).await?;
            read.apps.push((app, endpoints));
        }
        for source in all(server, "/ingest/api/v1/source?").await? {
            let endpoints = endpoints(server, text(&source, "appId")).await?;
            read.sources.push((source, endpoints));
        }
        Ok(read)
    }

    /// Whatever has endpoints.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (&'static Kind, &Value, &[Value])> {
        let apps = self.apps.iter().map(|(app, endpoints)| (&APP, app, endpoints.as_slice()));
        apps.chain(self.sources.iter().map(|(source, endpoints)| (&SOURCE, source, endpoints.as_slice())))
    }
}

async fn endpoints(server: &Server, app: &str) -> Result<Vec<Value>, Complaint> {
    all(server, &format!("/api/v1/app/{}/endpoint?", part(app))).await
}

/// Every row of a list.
async fn all(server: &Server, list: &str) -> Result<Vec<Value>, Complaint> {
    let (mut rows, mut path) = (vec![], format!("{list}limit=250"));
    loop {
        let page = server.get(&path).await?;
        rows.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["iterator"].as_str().filter(|_| page["done"] == json!(false)) {
            Some(iterator) => path = format!("{list}limit=250&iterator={}", part(iterator)),
            None => return Ok(rows),
        }
    }
}

/// One thing, if it is there.
pub(crate) async fn there(server: &Server, path: &str) -> Result<Option<Value>, Complaint> {
    match server.ask(Method::GET, path, None).await {
        Ok(found) => Ok(Some(found)),
        Err(complaint) if complaint.is_not_found() => Ok(None),
        Err(complaint) => Err(complaint),
    }
}
