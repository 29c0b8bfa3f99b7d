//! Connections, and what was prepared on them.
//!
//! To read and plan a statement costs PostgreSQL more than to run it on a few rows, so what runs often is prepared once a
//! connection. That is sound where one backend answers all of a connection's transactions. A pooler that hands
//! connections on gives each transaction a backend of its own choice, where a name may stand for another client's
//! statement: so each transaction first asks which backend it is at. Once one is at another than the connection began
//! with, it is undone, and this process prepares nothing from then on.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error, Row, Statement};

use super::statement::{Value, typed};
use super::tls::Secure;

/// Makes connections.
pub(super) struct Dialer {
    pub(super) config: Config,
    pub(super) secure: Secure,
}

impl managed::Manager for Dialer {
    type Type = Connection;
    type Error = Error;

    async fn create(&self) -> Result<Connection, Error> {
        let (client, connection) = self.config.connect(self.secure.clone()).await?;
        // Ends with the client; what it says then, the client's own calls say too.
        tokio::spawn(connection);
        let backend = client.query_typed("SELECT pg_backend_pid()", &[]).await?;
        let backend = backend.first().map_or(Ok(0), |row| row.try_get(0))?;
        Ok(Connection { client, backend, prepared: Mutex::default() })
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Error> {
        if connection.client.is_closed() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}

/// One connection.
pub(super) struct Connection {
    client: Client,
    /// The process at its other end when it was made.
    backend: i32,
    /// By their text.
    prepared: Mutex<HashMap<&'static str, Statement>>,
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Connection {
    /// Whether this is the process at its other end.
    pub(super) fn is_at(&self, backend: Option<&str>) -> bool {
        backend.and_then(|number| number.parse().ok()) == Some(self.backend)
    }

    async fn prepared(&self, sql: &'static str, values: &[&dyn Value]) -> Result<Statement, Error> {
        let known = self.prepared.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let types: Vec<_> = values.iter().map(|value| value.kind()).collect();
        let made = Box::pin(self.client.prepare_typed(sql, &types)).await?;
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner).insert(sql, made.clone());
        Ok(made)
    }

    /// Runs a statement that is prepared, the first time, for all others. Only in a transaction that has asked where it is.
    pub(super) async fn query_prepared(
        &self,
        sql: &'static str,
        values: &[&dyn Value],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(sql, values).await?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| *value as _).collect();
        self.client.query(&statement, &values).await
    }

    /// As [`query_typed`](Client::query_typed).
    pub(super) async fn query_once(&self, sql: &str, values: &[&dyn Value]) -> Result<Vec<Row>, Error> {
        self.client.query_typed(sql, &typed(values)).await
    }
}

/// Whether a name stood for no statement, for somebody else's, or for one that was made before a table was changed.
pub(super) fn is_misprepared(code: &SqlState) -> bool {
    [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT, SqlState::FEATURE_NOT_SUPPORTED]
        .contains(code)
}
