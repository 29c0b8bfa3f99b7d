//! Sources: this file is the port, its siblings do the work.

mod change;
mod refusals;
mod rows;

use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, RefusalId, SourceId};
use posthaste_core::origin::Origin;
use posthaste_core::source::{Door, NewSource, Refusal, Source, SourceChange};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::Client;

use super::batch::{AskedReceive, AskedRefuse, Command};
use super::statement::{Statement, bytes, query_opt};
use super::work::change;
use super::{PostgresStore, pages, rows as shared_rows};
use crate::error::{ChangeError, StoreError};
use crate::origin;
use crate::page::{Page, PageRequest};
use crate::received::Ready;
use crate::source::{NewReceived, Received, Repeats, Sources};

const NOT_FOUND: ChangeError = ChangeError::NotFound("source");

/// The app of a source.
pub(super) async fn find_app(
    client: &Client,
    environment: EnvironmentId,
    source: &Reference,
) -> Result<AppId, ChangeError> {
    let (_, app) = rows::find_id(client, environment, source).await?.ok_or(NOT_FOUND)?;
    Ok(app)
}

impl PostgresStore {
    /// An origin as it is kept in the row that `row` names; sealed before a writer is bothered.
    fn seal_origin(&self, row: &[u8], origin: &Origin) -> Result<Vec<u8>, StoreError> {
        let (vault, dice) = (&self.shared.vault, &*self.shared.dice);
        origin::seal(vault, dice, row, origin).map_err(|e| shared_rows::corrupt("origin", e))
    }
}

#[async_trait]
impl Sources for PostgresStore {
    async fn receive(&self, new: NewReceived, now: Timestamp) -> Result<Received, ChangeError> {
        let sealed = self.seal_origin(new.id.as_bytes(), &new.origin)?;
        let ready = Ready::new(new, sealed, now);
        self.writer.run(move |caller| Command::Receive(AskedReceive::new(ready, now, caller))).await
    }

    async fn door(
        &self,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(EnvironmentId, Source)>, StoreError> {
        let vault = &self.shared.vault;
        self.promptly(async { rows::behind(&*self.pool.get().await?, vault, hash, now).await }).await
    }

    fn source_changes(&self) -> u64 {
        self.shared.source_changes()
    }

    async fn create_source(
        &self,
        environment: EnvironmentId,
        new: NewSource,
        now: Timestamp,
    ) -> Result<Source, ChangeError> {
        change!(self, |work| change::create(work, environment, new.clone(), now))
    }

    async fn source(&self, environment: EnvironmentId, source: &Reference) -> Result<Source, ChangeError> {
        let client = self.pool.get().await?;
        let found = rows::find(&client, &self.shared.vault, environment, source, false).await?;
        found.ok_or(NOT_FOUND)
    }

    async fn sources(
        &self,
        environment: EnvironmentId,
        page: PageRequest<SourceId>,
    ) -> Result<Page<Source>, StoreError> {
        let client = self.pool.get().await?;
        let mut select =
            Statement::new(format!("SELECT {} FROM source s WHERE s.environment = ", rows::COLUMNS));
        select.bind(&environment.0).push(" AND s.deleted_at IS NULL");
        let read = |row: &tokio_postgres::Row| Ok(rows::source(row, &self.shared.vault)?.1);
        pages::page(&client, select, "s.id", &page, bytes, read).await
    }

    async fn cron_sources(
        &self,
        after: Option<SourceId>,
        limit: u32,
    ) -> Result<Vec<(EnvironmentId, Source)>, StoreError> {
        rows::cron(&*self.pool.get().await?, &self.shared.vault, after, limit).await
    }

    async fn change_source(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        change: SourceChange,
        now: Timestamp,
    ) -> Result<Source, ChangeError> {
        change!(self, |work| change::change(work, environment, source, change.clone(), now))
    }

    async fn delete_source(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        change!(self, |work| change::delete(work, environment, source, now))
    }

    async fn rotate_door(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        door: Door,
        grace: Duration,
        now: Timestamp,
    ) -> Result<Source, ChangeError> {
        change!(self, |work| change::rotate(work, environment, source, (door.clone(), grace), now))
    }

    async fn refuse(&self, refusal: Refusal, now: Timestamp) -> Result<(), StoreError> {
        let sealed = self.seal_origin(refusal.id.as_bytes(), &refusal.origin)?;
        let command = |caller| Command::Refuse(AskedRefuse::new((refusal, sealed), now, caller));
        self.writer.run(command).await
    }

    async fn refusals(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        page: PageRequest<RefusalId>,
    ) -> Result<Page<Refusal>, ChangeError> {
        let client = self.pool.get().await?;
        let (source, _) = rows::find_id(&client, environment, source).await?.ok_or(NOT_FOUND)?;
        Ok(refusals::list(&client, &self.shared.vault, source, &page).await?)
    }

    async fn repeats(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
    ) -> Result<Repeats, ChangeError> {
        let client = self.pool.get().await?;
        let app = shared_rows::find_app(&client, environment, app).await?;
        let app = app.ok_or(ChangeError::NotFound("application"))?;
        let missing = ChangeError::NotFound("message");
        let Some(message) = shared_rows::find_message(&client, app, message).await? else {
            return Err(missing);
        };
        let sql = "SELECT coalesce(repeats, 0), repeated_at FROM message WHERE app = $1 AND id = $2";
        let row = query_opt(&client, sql, &[&bytes(&app), &bytes(&message)]).await?.ok_or(missing)?;
        let count = shared_rows::small_count(&row, 0)?;
        Ok(Repeats { count, last_at: shared_rows::maybe_at(&row, 1)? })
    }
}
