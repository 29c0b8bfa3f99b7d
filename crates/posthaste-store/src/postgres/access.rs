//! The port of sessions, a customer's tokens, and what operators chose.

use async_trait::async_trait;
use posthaste_core::id::{AppId, TokenId};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_core::token::{TokenHash, TokenRecord};

use super::PostgresStore;
use super::directory::tokens;
use super::rows;
use super::statement::{Text, bytes, execute, query_opt};
use super::work::change;
use crate::access::{Access, Choice};
use crate::directory::NewToken;
use crate::error::StoreError;

/// What is kept of an end that is later than now: no end that was there is put off.
const END_LATER: &str = "UPDATE token SET expires_at = LEAST(expires_at, $3) WHERE environment = $1 \
     AND app = $2 AND revoked_at IS NULL AND coalesce(expires_at, $4 + 1) > $4";
const END_NOW: &str = "UPDATE token SET revoked_at = $3 WHERE environment = $1 AND app = $2 \
     AND revoked_at IS NULL AND coalesce(expires_at, $4 + 1) > $4";
const END_ONE: &str = "UPDATE token SET revoked_at = coalesce(revoked_at, $4) \
     WHERE id = $2 AND environment = $1 AND ($3 IS NULL OR app = $3)";
const END_SESSIONS: &str = "UPDATE token SET revoked_at = $2 WHERE environment = $1 AND app IS NULL \
     AND parent IS NOT NULL AND revoked_at IS NULL AND coalesce(expires_at, $2 + 1) > $2";
const CHOOSE: &str = "INSERT INTO choice (environment, name, value) VALUES ($1, $2, $3) \
     ON CONFLICT (environment, name) DO UPDATE SET value = excluded.value";

#[async_trait]
impl Access for PostgresStore {
    async fn create_session(
        &self,
        new: NewToken,
        of: Option<TokenHash>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |work| tokens::create_session(work, &new, of, now))
    }

    async fn tokens_of_app(
        &self,
        environment: EnvironmentId,
        app: AppId,
        now: Timestamp,
        limit: u16,
    ) -> Result<Vec<TokenRecord>, StoreError> {
        tokens::of_app(&*self.pool.get().await?, environment, app, now, limit).await
    }

    async fn end_token(
        &self,
        environment: EnvironmentId,
        app: Option<AppId>,
        id: TokenId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let app = app.as_ref().map(bytes);
        let now = now.as_micros();
        let ended: Result<u64, StoreError> =
            change!(self, |work| execute(work.client(), END_ONE, &[&environment.0, &bytes(&id), &app, &now]));
        ended.map(|count| count == 1)
    }

    async fn end_tokens_of_app(
        &self,
        environment: EnvironmentId,
        app: AppId,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = if at <= now { END_NOW } else { END_LATER };
        let (at, now) = (at.as_micros(), now.as_micros());
        let ended: Result<u64, StoreError> =
            change!(self, |work| execute(work.client(), sql, &[&environment.0, &bytes(&app), &at, &now]));
        ended
    }

    async fn end_sessions(&self, environment: EnvironmentId, now: Timestamp) -> Result<u64, StoreError> {
        let now = now.as_micros();
        change!(self, |work| execute(work.client(), END_SESSIONS, &[&environment.0, &now]))
    }

    async fn chosen(
        &self,
        environment: EnvironmentId,
        choice: Choice,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT value FROM choice WHERE environment = $1 AND name = $2";
        let values =
            query_opt(&*self.pool.get().await?, sql, &[&environment.0, &Text(choice.name())]).await?;
        Ok(values.map(|row| row.try_get::<_, Vec<u8>>(0)).transpose()?)
    }

    async fn choose(
        &self,
        environment: EnvironmentId,
        choice: Choice,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let (key, name) = (environment.0, Text(choice.name()));
        let changed: Result<u64, StoreError> = match &value {
            Some(value) => {
                let value = value.as_slice();
                change!(self, |work| execute(work.client(), CHOOSE, &[&key, &name, &value]))
            }
            None => {
                let sql = "DELETE FROM choice WHERE environment = $1 AND name = $2";
                change!(self, |work| execute(work.client(), sql, &[&key, &name]))
            }
        };
        changed.map(drop)
    }

    async fn environment_of_catalogue(&self, letters: &str) -> Result<Option<EnvironmentId>, StoreError> {
        let sql = "SELECT environment FROM choice WHERE name = 'catalogue' AND value = $1";
        let found = query_opt(&*self.pool.get().await?, sql, &[&letters.as_bytes()]).await?;
        found.map(|row| rows::environment(&row, 0)).transpose()
    }

    async fn password_of(&self, name: &str) -> Result<Option<(EnvironmentId, Vec<u8>)>, StoreError> {
        let sql = "SELECT e.id, c.value FROM environment e JOIN choice c ON c.environment = e.id \
                   WHERE e.name = $1 AND c.name = 'password'";
        let found = query_opt(&*self.pool.get().await?, sql, &[&Text(name)]).await?;
        found.map(|row| Ok((rows::environment(&row, 0)?, row.try_get(1)?))).transpose()
    }
}
