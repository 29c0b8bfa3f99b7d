//! Sources: this file is the port, its siblings do the work.

mod change;
mod receive;
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
use rusqlite::{Connection, params};

use super::pages::Listing;
use super::{SqliteStore, rows as shared_rows};
use crate::error::{ChangeError, StoreError};
use crate::known::KnownSource;
use crate::origin;
use crate::page::{Page, PageRequest};
use crate::received::Ready;
use crate::source::{NewReceived, Received, Repeats, Sources};

const NOT_FOUND: ChangeError = ChangeError::NotFound("source");

/// The app of a source.
pub(super) fn find_app(
    conn: &Connection,
    environment: EnvironmentId,
    source: &Reference,
) -> Result<AppId, ChangeError> {
    let id = rows::find_id(conn, environment, source)?.ok_or(NOT_FOUND)?;
    Ok(rows::app_of(conn, id)?)
}

/// The source of an app, unless it was deleted.
pub(super) fn known(conn: &Connection, app: AppId) -> Result<Option<KnownSource>, StoreError> {
    rows::known(conn, app)
}

impl SqliteStore {
    /// An origin as it is kept in the row that `row` names; sealed before the writer is bothered.
    fn seal_origin(&self, row: &[u8], origin: &Origin) -> Result<Vec<u8>, StoreError> {
        origin::seal(&self.vault, &*self.dice, row, origin).map_err(|e| shared_rows::corrupt("origin", e))
    }
}

#[async_trait]
impl Sources for SqliteStore {
    async fn receive(&self, new: NewReceived, now: Timestamp) -> Result<Received, ChangeError> {
        let sealed = self.seal_origin(new.id.as_bytes(), &new.origin)?;
        let ready = Ready::new(new, sealed, now);
        self.writer.run(move |work| receive::receive(work, &ready, now)).await
    }

    async fn door(
        &self,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<(EnvironmentId, Source)>, StoreError> {
        self.reader.point(|conn| rows::behind(conn, &self.vault, hash, now))
    }

    fn source_changes(&self) -> u64 {
        self.writer.source_changes()
    }

    async fn create_source(
        &self,
        environment: EnvironmentId,
        new: NewSource,
        now: Timestamp,
    ) -> Result<Source, ChangeError> {
        self.writer.run(move |work| change::create(work, environment, new.clone(), now)).await
    }

    async fn source(&self, environment: EnvironmentId, source: &Reference) -> Result<Source, ChangeError> {
        let found = self.reader.point(|conn| rows::find(conn, &self.vault, environment, source))?;
        found.ok_or(NOT_FOUND)
    }

    async fn sources(
        &self,
        environment: EnvironmentId,
        page: PageRequest<SourceId>,
    ) -> Result<Page<Source>, StoreError> {
        let vault = self.vault.clone();
        self.reader
            .list(move |conn| {
                let select = format!(
                    "SELECT {} FROM source s WHERE s.environment = :environment AND s.deleted_at IS NULL",
                    rows::COLUMNS
                );
                let values: Vec<(&str, &dyn rusqlite::ToSql)> = vec![(":environment", &environment.0)];
                let listing = Listing { select: &select, key: "s.id", values };
                listing.page(conn, &page, |id| *id.as_bytes(), |row| Ok(rows::source(row, &vault)?.1))
            })
            .await
    }

    async fn cron_sources(
        &self,
        after: Option<SourceId>,
        limit: u32,
    ) -> Result<Vec<(EnvironmentId, Source)>, StoreError> {
        let vault = self.vault.clone();
        self.reader.list(move |conn| rows::cron(conn, &vault, after, limit)).await
    }

    async fn change_source(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        change: SourceChange,
        now: Timestamp,
    ) -> Result<Source, ChangeError> {
        let source = source.clone();
        self.writer.run(move |work| change::change(work, environment, &source, change.clone(), now)).await
    }

    async fn delete_source(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let source = source.clone();
        self.writer.run(move |work| change::delete(work, environment, &source, now)).await
    }

    async fn rotate_door(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        door: Door,
        grace: Duration,
        now: Timestamp,
    ) -> Result<Source, ChangeError> {
        let source = source.clone();
        self.writer
            .run(move |work| change::rotate(work, environment, &source, (door.clone(), grace), now))
            .await
    }

    async fn refuse(&self, refusal: Refusal, _now: Timestamp) -> Result<(), StoreError> {
        let sealed = self.seal_origin(refusal.id.as_bytes(), &refusal.origin)?;
        self.writer.run(move |work| refusals::keep(work, &refusal, &sealed)).await
    }

    async fn refusals(
        &self,
        environment: EnvironmentId,
        source: &Reference,
        page: PageRequest<RefusalId>,
    ) -> Result<Page<Refusal>, ChangeError> {
        let (source, vault) = (source.clone(), self.vault.clone());
        self.reader
            .list(move |conn| {
                let source = rows::find_id(conn, environment, &source)?.ok_or(NOT_FOUND)?;
                Ok(refusals::list(conn, &vault, source, &page)?)
            })
            .await
    }

    async fn repeats(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
    ) -> Result<Repeats, ChangeError> {
        self.reader.point(|conn| {
            let app = shared_rows::find_app(conn, environment, app)?;
            let app = app.ok_or(ChangeError::NotFound("application"))?;
            let message = shared_rows::find_message(conn, app, message)?;
            let message = message.ok_or(ChangeError::NotFound("message"))?;
            Ok(repeats(conn, app, message)?)
        })
    }
}

fn repeats(
    conn: &Connection,
    app: AppId,
    message: posthaste_core::id::MessageId,
) -> Result<Repeats, StoreError> {
    let sql = "SELECT coalesce(repeats, 0), repeated_at FROM message WHERE app = ?1 AND id = ?2";
    Ok(conn.prepare_cached(sql)?.query_row(params![app.as_bytes(), message.as_bytes()], |row| {
        Ok(Repeats { count: row.get(0)?, last_at: shared_rows::maybe_at(row, 1)? })
    })?)
}
