//! What happened: this file is the port, its siblings read one table each.

mod attempts;
mod deliveries;
mod find;
mod messages;
mod walk;

use async_trait::async_trait;
use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, AttemptId, EndpointId, MessageId};
use posthaste_core::message::Message;
use posthaste_core::rollup::{Bar, Counts, Scope};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::Client;

use super::statement::query;
use super::work::{Work, change};
use super::{PostgresStore, retention, rollups, rows};
use crate::error::{ChangeError, StoreError};
use crate::history::{
    AttemptFilter, AttemptRow, Attempted, Destination, EndpointStats, History, MessageFilter, Unwell,
};
use crate::named::{Named, Place};
use crate::page::{Page, PageRequest};

/// Whose history.
struct Whose<'a> {
    environment: EnvironmentId,
    app: &'a Reference,
}

impl Whose<'_> {
    async fn app(&self, client: &Client) -> Result<AppId, ChangeError> {
        let found = rows::find_app(client, self.environment, self.app).await?;
        found.ok_or(ChangeError::NotFound("application"))
    }

    async fn message(&self, client: &Client, message: &Reference) -> Result<(AppId, MessageId), ChangeError> {
        let app = self.app(client).await?;
        let found = rows::find_message(client, app, message).await?;
        Ok((app, found.ok_or(ChangeError::NotFound("message"))?))
    }

    async fn endpoint(
        &self,
        client: &Client,
        endpoint: &Reference,
    ) -> Result<(AppId, EndpointId), ChangeError> {
        let app = self.app(client).await?;
        let found = rows::find_endpoint(client, app, endpoint).await?;
        Ok((app, found.ok_or(ChangeError::NotFound("endpoint"))?))
    }
}

async fn expunge_message(work: &Work, whose: &Whose<'_>, message: &Reference) -> Result<(), ChangeError> {
    let message = whose.message(work.client(), message).await?;
    Ok(retention::drop_bodies(work.client(), &[message]).await?)
}

async fn expunge_attempt(
    work: &Work,
    whose: &Whose<'_>,
    message: &Reference,
    attempt: AttemptId,
) -> Result<(), ChangeError> {
    let (_, message) = whose.message(work.client(), message).await?;
    attempts::expunge(work.client(), message, attempt).await
}

#[async_trait]
impl History for PostgresStore {
    async fn message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        with_body: bool,
    ) -> Result<Message, ChangeError> {
        let client = self.pool.get().await?;
        let (app, id) = Whose { environment, app }.message(&client, message).await?;
        messages::get(&client, &self.shared.vault, app, id, with_body).await
    }

    async fn messages(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        filter: &MessageFilter,
        page: PageRequest<MessageId>,
        with_body: bool,
    ) -> Result<Page<Message>, ChangeError> {
        let client = self.pool.get().await?;
        let app = Whose { environment, app }.app(&client).await?;
        Ok(messages::list(&client, &self.shared.vault, app, filter, &page, with_body).await?)
    }

    async fn attempts_of_message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<AttemptId>,
    ) -> Result<Page<AttemptRow>, ChangeError> {
        let client = self.pool.get().await?;
        let whose = Whose { environment, app };
        let (app, message) = whose.message(&client, message).await?;
        let endpoint = match &filter.endpoint {
            Some(endpoint) => Some(whose.endpoint(&client, endpoint).await?.1),
            None => None,
        };
        let of = attempts::Of { app, message: Some(message), endpoint };
        Ok(attempts::list(&client, &self.shared.vault, &of, filter, &page).await?)
    }

    async fn attempts_of_endpoint(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<AttemptId>,
    ) -> Result<Page<AttemptRow>, ChangeError> {
        let client = self.pool.get().await?;
        let (app, endpoint) = Whose { environment, app }.endpoint(&client, endpoint).await?;
        let of = attempts::Of { app, message: None, endpoint: Some(endpoint) };
        Ok(attempts::list(&client, &self.shared.vault, &of, filter, &page).await?)
    }

    async fn attempt(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        attempt: AttemptId,
    ) -> Result<AttemptRow, ChangeError> {
        let client = self.pool.get().await?;
        let (app, message) = Whose { environment, app }.message(&client, message).await?;
        attempts::get(&client, &self.shared.vault, app, message, attempt).await
    }

    async fn destinations(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Destination>, ChangeError> {
        let client = self.pool.get().await?;
        let (_, message) = Whose { environment, app }.message(&client, message).await?;
        Ok(deliveries::of_message(&client, &self.shared.vault, message, &page).await?)
    }

    async fn attempted(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        filter: &AttemptFilter,
        page: PageRequest<MessageId>,
    ) -> Result<Page<Attempted>, ChangeError> {
        let client = self.pool.get().await?;
        let (app, endpoint) = Whose { environment, app }.endpoint(&client, endpoint).await?;
        Ok(deliveries::of_endpoint(&client, &self.shared.vault, (app, endpoint), filter, &page).await?)
    }

    async fn endpoint_stats(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        endpoint: &Reference,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<EndpointStats, ChangeError> {
        let client = self.pool.get().await?;
        let (_, endpoint) = Whose { environment, app }.endpoint(&client, endpoint).await?;
        Ok(deliveries::stats(&client, endpoint, since, until).await?)
    }

    async fn counted_each(
        &self,
        environment: EnvironmentId,
        scopes: &[Scope],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Vec<Bar>>, StoreError> {
        let client = self.pool.get().await?;
        rollups::counted_each(&client, environment, scopes, (since, until)).await
    }

    async fn counted_by(
        &self,
        environment: EnvironmentId,
        scopes: &[Scope],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Counts>, StoreError> {
        let client = self.pool.get().await?;
        rollups::counted_by(&client, environment, scopes, (since, until)).await
    }

    async fn unwell(&self, environment: EnvironmentId, limit: u32) -> Result<Vec<Unwell>, StoreError> {
        let client = self.pool.get().await?;
        rollups::unwell(&client, environment, limit).await
    }

    async fn standings(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        messages: &[MessageId],
        endpoint: Option<&Reference>,
    ) -> Result<Vec<(MessageId, EndpointStats)>, ChangeError> {
        let client = self.pool.get().await?;
        let whose = Whose { environment, app };
        let app = whose.app(&client).await?;
        let endpoint = match endpoint {
            Some(endpoint) => Some(whose.endpoint(&client, endpoint).await?.1),
            None => None,
        };
        Ok(deliveries::standings(&client, app, messages, endpoint).await?)
    }

    async fn find(&self, environment: EnvironmentId, named: Named) -> Result<Option<Place>, StoreError> {
        find::place(&*self.pool.get().await?, environment, &named).await
    }

    async fn expunge_message(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
    ) -> Result<(), ChangeError> {
        let whose = Whose { environment, app };
        change!(self, |work| expunge_message(work, &whose, message))
    }

    async fn expunge_attempt(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        attempt: AttemptId,
    ) -> Result<(), ChangeError> {
        let whose = Whose { environment, app };
        change!(self, |work| expunge_attempt(work, &whose, message, attempt))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let asking = async { query(&*self.pool.get().await?, "SELECT 1 FROM setting LIMIT 1", &[]).await };
        self.promptly(asking).await.map(drop)
    }
}
