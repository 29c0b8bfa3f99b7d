//! What happened: this file is the port, its siblings read one table each.

mod attempts;
mod deliveries;
mod find;
mod messages;

use async_trait::async_trait;
use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, AttemptId, EndpointId, MessageId};
use posthaste_core::message::Message;
use posthaste_core::rollup::{Bar, Counts, Scope};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use rusqlite::Connection;

use super::{SqliteStore, rollups, rows};
use crate::error::{ChangeError, StoreError};
use crate::history::{
    AttemptFilter, AttemptRow, Attempted, Destination, EndpointStats, History, MessageFilter, Unwell,
};
use crate::named::{Named, Place};
use crate::page::{Page, PageRequest};

/// Whose history.
#[derive(Clone)]
struct Whose {
    environment: EnvironmentId,
    app: Reference,
}

impl Whose {
    fn new(environment: EnvironmentId, app: &Reference) -> Self {
        Self { environment, app: app.clone() }
    }

    fn app(&self, conn: &Connection) -> Result<AppId, ChangeError> {
        rows::find_app(conn, self.environment, &self.app)?.ok_or(ChangeError::NotFound("application"))
    }

    fn message(&self, conn: &Connection, message: &Reference) -> Result<(AppId, MessageId), ChangeError> {
        let app = self.app(conn)?;
        let message = rows::find_message(conn, app, message)?.ok_or(ChangeError::NotFound("message"))?;
        Ok((app, message))
    }

    fn endpoint(&self, conn: &Connection, endpoint: &Reference) -> Result<(AppId, EndpointId), ChangeError> {
        let app = self.app(conn)?;
        let endpoint = rows::find_endpoint(conn, app, endpoint)?.ok_or(ChangeError::NotFound("endpoint"))?;
        Ok((app, endpoint))
    }
}

#[async_trait]
impl History for SqliteStore {
    async fn message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        with_body: bool,
    ) -> Result<Message, ChangeError> {
        let (whose, message, vault) = (Whose::new(environment, app), message.clone(), self.vault.clone());
        self.reader
            .list(move |conn| {
                let (app, id) = whose.message(conn, &message)?;
                messages::get(conn, &vault, app, id, with_body)
            })
            .await
    }

    async fn messages(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        filter: &MessageFilter,
        page: PageRequest<MessageId>,
        with_body: bool,
    ) -> Result<Page<Message>, ChangeError> {
        let (whose, filter, vault) = (Whose::new(environment, app), filter.clone(), self.vault.clone());
        self.reader
            .list(move |conn| Ok(messages::list(conn, &vault, whose.app(conn)?, &filter, &page, with_body)?))
            .await
    }

    async fn attempts_of_message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<AttemptId>,
    ) -> Result<Page<AttemptRow>, ChangeError> {
        let (whose, message, filter) = (Whose::new(environment, app), message.clone(), filter.clone());
        let vault = self.vault.clone();
        self.reader
            .list(move |conn| {
                let (app, message) = whose.message(conn, &message)?;
                let endpoint = match &filter.endpoint {
                    Some(endpoint) => Some(whose.endpoint(conn, endpoint)?.1),
                    None => None,
                };
                let of = attempts::Of { app, message: Some(message), endpoint };
                Ok(attempts::list(conn, &vault, &of, &filter, &page)?)
            })
            .await
    }

    async fn attempts_of_endpoint(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<AttemptId>,
    ) -> Result<Page<AttemptRow>, ChangeError> {
        let (whose, endpoint, filter) = (Whose::new(environment, app), endpoint.clone(), filter.clone());
        let vault = self.vault.clone();
        self.reader
            .list(move |conn| {
                let (app, endpoint) = whose.endpoint(conn, &endpoint)?;
                let of = attempts::Of { app, message: None, endpoint: Some(endpoint) };
                Ok(attempts::list(conn, &vault, &of, &filter, &page)?)
            })
            .await
    }

    async fn attempt(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        attempt: AttemptId,
    ) -> Result<AttemptRow, ChangeError> {
        let (whose, message, vault) = (Whose::new(environment, app), message.clone(), self.vault.clone());
        self.reader
            .list(move |conn| {
                let (app, message) = whose.message(conn, &message)?;
                attempts::get(conn, &vault, app, message, attempt)
            })
            .await
    }

    async fn destinations(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Destination>, ChangeError> {
        let (whose, message, vault) = (Whose::new(environment, app), message.clone(), self.vault.clone());
        self.reader
            .list(move |conn| {
                let (_, message) = whose.message(conn, &message)?;
                Ok(deliveries::of_message(conn, &vault, message, &page)?)
            })
            .await
    }

    async fn attempted(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<MessageId>,
    ) -> Result<Page<Attempted>, ChangeError> {
        let (whose, endpoint, filter) = (Whose::new(environment, app), endpoint.clone(), filter.clone());
        let vault = self.vault.clone();
        self.reader
            .list(move |conn| {
                let (app, endpoint) = whose.endpoint(conn, &endpoint)?;
                Ok(deliveries::of_endpoint(conn, &vault, app, endpoint, &filter, &page)?)
            })
            .await
    }

    async fn endpoint_stats(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<EndpointStats, ChangeError> {
        let (whose, endpoint) = (Whose::new(environment, app), endpoint.clone());
        self.reader
            .list(move |conn| {
                let (_, endpoint) = whose.endpoint(conn, &endpoint)?;
                Ok(deliveries::stats(conn, endpoint, since, until)?)
            })
            .await
    }

    async fn counted_each(
        &self,
        environment: EnvironmentId,
        scopes: &[Scope],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Vec<Bar>>, StoreError> {
        let scopes = scopes.to_vec();
        self.reader.list(move |conn| rollups::counted_each(conn, environment, &scopes, (since, until))).await
    }

    async fn counted_by(
        &self,
        environment: EnvironmentId,
        scopes: &[Scope],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Counts>, StoreError> {
        let scopes = scopes.to_vec();
        self.reader.list(move |conn| rollups::counted_by(conn, environment, &scopes, (since, until))).await
    }

    async fn unwell(&self, environment: EnvironmentId, limit: u32) -> Result<Vec<Unwell>, StoreError> {
        self.reader.list(move |conn| rollups::unwell(conn, environment, limit)).await
    }

    async fn standings(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        messages: &[MessageId],
        endpoint: Option<&Reference>,
    ) -> Result<Vec<(MessageId, EndpointStats)>, ChangeError> {
        let (whose, messages, endpoint) =
            (Whose::new(environment, app), messages.to_vec(), endpoint.cloned());
        self.reader
            .list(move |conn| {
                let app = whose.app(conn)?;
                let endpoint = match &endpoint {
                    Some(endpoint) => Some(whose.endpoint(conn, endpoint)?.1),
                    None => None,
                };
                Ok(deliveries::standings(conn, app, &messages, endpoint)?)
            })
            .await
    }

    async fn find(&self, environment: EnvironmentId, named: Named) -> Result<Option<Place>, StoreError> {
        self.reader.list(move |conn| find::place(conn, environment, &named)).await
    }

    async fn expunge_message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
    ) -> Result<(), ChangeError> {
        let (whose, message) = (Whose::new(environment, app), message.clone());
        self.writer
            .run(move |work| {
                let (app, message) = whose.message(work.conn, &message)?;
                super::retention::drop_body(work.conn, app, message)?;
                Ok::<_, ChangeError>(())
            })
            .await
    }

    async fn expunge_attempt(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        attempt: AttemptId,
    ) -> Result<(), ChangeError> {
        let (whose, message) = (Whose::new(environment, app), message.clone());
        self.writer
            .run(move |work| {
                let (_, message) = whose.message(work.conn, &message)?;
                attempts::expunge(work.conn, message, attempt)
            })
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.health.check()?;
        self.reader.point(|conn| Ok(conn.query_row("SELECT 1 FROM setting LIMIT 1", [], |_| Ok(()))?))
    }
}
