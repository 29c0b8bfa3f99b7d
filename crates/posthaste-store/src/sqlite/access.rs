//! The port of sessions, a customer's tokens, and what operators chose.

use async_trait::async_trait;
use posthaste_core::id::{AppId, TokenId};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_core::token::{TokenHash, TokenRecord};
use rusqlite::{OptionalExtension as _, params};

use super::SqliteStore;
use super::directory::tokens;
use crate::access::{Access, Choice};
use crate::directory::NewToken;
use crate::error::StoreError;

/// What is kept of an end that is later than now: no end that was there is put off.
const END_LATER: &str = "UPDATE token SET expires_at = min(coalesce(expires_at, ?3), ?3) \
     WHERE environment = ?1 AND app = ?2 AND revoked_at IS NULL AND coalesce(expires_at, ?4 + 1) > ?4";
const END_NOW: &str = "UPDATE token SET revoked_at = ?3 \
     WHERE environment = ?1 AND app = ?2 AND revoked_at IS NULL AND coalesce(expires_at, ?4 + 1) > ?4";
const END_ONE: &str = "UPDATE token SET revoked_at = coalesce(revoked_at, ?4) \
     WHERE id = ?2 AND environment = ?1 AND (?3 IS NULL OR app = ?3)";
const END_SESSIONS: &str = "UPDATE token SET revoked_at = ?2 WHERE environment = ?1 AND app IS NULL \
     AND parent IS NOT NULL AND revoked_at IS NULL AND coalesce(expires_at, ?2 + 1) > ?2";

#[async_trait]
impl Access for SqliteStore {
    async fn create_session(
        &self,
        new: NewToken,
        of: Option<TokenHash>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer.run(move |work| tokens::create_session(work, &new, of, now)).await
    }

    async fn tokens_of_app(
        &self,
        environment: EnvironmentId,
        app: AppId,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<TokenRecord>, StoreError> {
        self.reader.list(move |conn| tokens::of_app(conn, environment, app, now, limit)).await
    }

    async fn end_token(
        &self,
        environment: EnvironmentId,
        app: Option<AppId>,
        id: TokenId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.writer
            .run(move |work| {
                let app = app.map(|app| *app.as_bytes());
                let values = params![environment.0, id.as_bytes(), app, now.as_micros()];
                Ok(work.conn.prepare_cached(END_ONE)?.execute(values)? == 1)
            })
            .await
    }

    async fn end_tokens_of_app(
        &self,
        environment: EnvironmentId,
        app: AppId,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = if at <= now { END_NOW } else { END_LATER };
        self.writer
            .run(move |work| {
                let values = params![environment.0, app.as_bytes(), at.as_micros(), now.as_micros()];
                Ok(work.conn.prepare_cached(sql)?.execute(values)? as u64)
            })
            .await
    }

    async fn end_sessions(&self, environment: EnvironmentId, now: Timestamp) -> Result<u64, StoreError> {
        self.writer
            .run(move |work| {
                let values = params![environment.0, now.as_micros()];
                Ok(work.conn.prepare_cached(END_SESSIONS)?.execute(values)? as u64)
            })
            .await
    }

    async fn chosen(
        &self,
        environment: EnvironmentId,
        choice: Choice,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM choice WHERE environment = ?1 AND name = ?2";
        self.reader.point(|conn| {
            let found =
                conn.prepare_cached(sql)?.query_row(params![environment.0, choice.name()], |row| row.get(0));
            Ok(found.optional()?)
        })
    }

    async fn choose(
        &self,
        environment: EnvironmentId,
        choice: Choice,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |work| {
                if let Some(value) = &value {
                    let sql = "INSERT INTO choice (environment, name, value) VALUES (?1, ?2, ?3) \
                           ON CONFLICT (environment, name) DO UPDATE SET value = excluded.value";
                    work.conn.prepare_cached(sql)?.execute(params![environment.0, choice.name(), value])?;
                } else {
                    let sql = "DELETE FROM choice WHERE environment = ?1 AND name = ?2";
                    work.conn.prepare_cached(sql)?.execute(params![environment.0, choice.name()])?;
                }
                Ok(())
            })
            .await
    }

    async fn environment_of_catalogue(&self, letters: &str) -> Result<Option<EnvironmentId>, StoreError> {
        let sql = "SELECT environment FROM choice WHERE name = 'catalogue' AND value = ?1";
        self.reader.point(|conn| {
            let found = conn.prepare_cached(sql)?.query_row([letters.as_bytes()], |row| row.get(0));
            Ok(found.optional()?.map(EnvironmentId))
        })
    }

    async fn password_of(&self, name: &str) -> Result<Option<(EnvironmentId, Vec<u8>)>, StoreError> {
        let sql = "SELECT e.id, c.value FROM environment e JOIN choice c ON c.environment = e.id \
                   WHERE e.name = ?1 AND c.name = 'password'";
        self.reader.point(|conn| {
            let found = conn.prepare_cached(sql)?.query_row([name], |row| Ok((row.get(0)?, row.get(1)?)));
            Ok(found.optional()?.map(|(id, kept)| (EnvironmentId(id), kept)))
        })
    }
}
