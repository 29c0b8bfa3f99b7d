//! What PostgreSQL says of its own work, for measurements: its log, its rows and the room that they take.

use std::ops::Sub;

use tokio_postgres::{Client, NoTls};

use super::statement::query_opt;
use crate::error::StoreError;

/// A connection of a measurement's own.
pub struct Gauge(Client);

/// Readings of PostgreSQL's counters, or what lies between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Bytes of its log.
    pub log_bytes: i64,
    /// Transactions that were committed in this database.
    pub transactions_count: i64,
    /// Rows inserted.
    pub inserted_count: i64,
    /// Rows written anew.
    pub updated_count: i64,
    /// Rows deleted.
    pub deleted_count: i64,
    /// Size of all tables, with what is kept beside them.
    pub table_bytes: i64,
    /// Size of all indexes.
    pub index_bytes: i64,
}

impl Sub for Counted {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            log_bytes: self.log_bytes - earlier.log_bytes,
            transactions_count: self.transactions_count - earlier.transactions_count,
            inserted_count: self.inserted_count - earlier.inserted_count,
            updated_count: self.updated_count - earlier.updated_count,
            deleted_count: self.deleted_count - earlier.deleted_count,
            table_bytes: self.table_bytes - earlier.table_bytes,
            index_bytes: self.index_bytes - earlier.index_bytes,
        }
    }
}

impl Gauge {
    /// Connects, without TLS: a database that is measured is near.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// Makes or removes a database to measure in.
    pub async fn execute(&self, sql: &str) -> Result<(), StoreError> {
        Ok(self.0.batch_execute(sql).await?)
    }

    /// The process that answers it: a child of PostgreSQL's first one.
    pub async fn backend(&self) -> Result<i32, StoreError> {
        let row = query_opt(&self.0, "SELECT pg_backend_pid()", &[]).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get(0))?)
    }

    /// Backends tell their counts when they end at the latest: to be read before the servers start and after they stopped.
    pub async fn counted(&self) -> Result<Counted, StoreError> {
        let sql = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, \
             (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()), \
             coalesce(sum(n_tup_ins), 0)::bigint, coalesce(sum(n_tup_upd), 0)::bigint, \
             coalesce(sum(n_tup_del), 0)::bigint, coalesce(sum(pg_table_size(relid)), 0)::bigint, \
             coalesce(sum(pg_indexes_size(relid)), 0)::bigint FROM pg_stat_user_tables";
        let Some(row) = query_opt(&self.0, sql, &[]).await? else { return Ok(Counted::default()) };
        Ok(Counted {
            log_bytes: row.try_get(0)?,
            transactions_count: row.try_get(1)?,
            inserted_count: row.try_get(2)?,
            updated_count: row.try_get(3)?,
            deleted_count: row.try_get(4)?,
            table_bytes: row.try_get(5)?,
            index_bytes: row.try_get(6)?,
        })
    }
}
