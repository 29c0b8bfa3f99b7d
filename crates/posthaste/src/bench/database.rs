//! What a measurement asks of PostgreSQL: CPU time of its processes, its log, its rows and their room.

use std::ops::Sub;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use super::process::cpu_micros;

/// A connection of the measurement's own.
pub(super) struct Database(Client);

/// Readings of PostgreSQL's own counters, or what lies between two.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    wal_bytes: i64,
    commits: i64,
    inserted: i64,
    updated: i64,
    deleted: i64,
    table_bytes: i64,
    index_bytes: i64,
}

impl Sub for Counted {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            wal_bytes: self.wal_bytes - earlier.wal_bytes,
            commits: self.commits - earlier.commits,
            inserted: self.inserted - earlier.inserted,
            updated: self.updated - earlier.updated,
            deleted: self.deleted - earlier.deleted,
            table_bytes: self.table_bytes - earlier.table_bytes,
            index_bytes: self.index_bytes - earlier.index_bytes,
        }
    }
}

impl Database {
    pub(super) async fn connect(url: &str) -> anyhow::Result<Self> {
        let connected = tokio_postgres::connect(url, NoTls).await;
        let (client, connection) = connected.context("the measurement's own connection to PostgreSQL")?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// CPU time that all of PostgreSQL's processes have used; `None` if they are not on this machine.
    pub(super) async fn cpu_micros(&self) -> anyhow::Result<Option<u64>> {
        let backend: i32 = self.0.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        Ok(parent_of(&backend.to_string()).and_then(|postmaster| family_micros(&postmaster)))
    }

    /// Backends tell their counts when they end at the latest: to be read before the servers start and after they stopped.
    pub(super) async fn counted(&self) -> anyhow::Result<Counted> {
        let sql = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint, \
             (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()), \
             coalesce(sum(n_tup_ins), 0)::bigint, coalesce(sum(n_tup_upd), 0)::bigint, \
             coalesce(sum(n_tup_del), 0)::bigint, coalesce(sum(pg_table_size(relid)), 0)::bigint, \
             coalesce(sum(pg_indexes_size(relid)), 0)::bigint FROM pg_stat_user_tables";
        let row = self.0.query_one(sql, &[]).await?;
        Ok(Counted {
            wal_bytes: row.try_get(0)?,
            commits: row.try_get(1)?,
            inserted: row.try_get(2)?,
            updated: row.try_get(3)?,
            deleted: row.try_get(4)?,
            table_bytes: row.try_get(5)?,
            index_bytes: row.try_get(6)?,
        })
    }
}

/// What one run cost PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) cpu_micros: Option<u64>,
    pub(super) counted: Counted,
}

impl Spent {
    /// One line of the table, for each delivery of `count`.
    pub(super) fn lines(&self, count: f64) -> [(&'static str, String); 3] {
        let cpu = match self.cpu_micros {
            Some(micros) => format!("{:.1} µs a delivery", micros as f64 / count),
            None => "not on this machine".to_owned(),
        };
        let Counted { wal_bytes, commits, inserted, updated, deleted, table_bytes, index_bytes } =
            self.counted;
        let each = |number: i64| number as f64 / count;
        [
            ("database", cpu),
            (
                "writes",
                format!(
                    "{:.0} bytes of log, {:.2} rows inserted, {:.2} updated, {:.2} deleted a delivery; {:.1} deliveries a transaction",
                    each(wal_bytes),
                    each(inserted),
                    each(updated),
                    each(deleted),
                    count / commits.max(1) as f64
                ),
            ),
            (
                "disk",
                format!(
                    "{:.0} bytes of tables, {:.0} of indexes a delivery",
                    each(table_bytes),
                    each(index_bytes)
                ),
            ),
        ]
    }

    pub(super) fn json(&self, count: f64) -> Value {
        let each = |number: i64| (number as f64 / count * 100.0).round() / 100.0;
        json!({
            "cpu_us_per_delivery": self.cpu_micros.map(|micros| (micros as f64 / count * 10.0).round() / 10.0),
            "log_bytes_per_delivery": each(self.counted.wal_bytes),
            "rows_inserted_per_delivery": each(self.counted.inserted),
            "rows_updated_per_delivery": each(self.counted.updated),
            "rows_deleted_per_delivery": each(self.counted.deleted),
            "commits": self.counted.commits,
            "table_bytes_per_delivery": each(self.counted.table_bytes),
            "index_bytes_per_delivery": each(self.counted.index_bytes),
        })
    }
}

/// The fields of a process's `stat` behind its command, which may hold blanks.
fn stat(process: &str) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc").join(process).join("stat")).ok()?;
    text.rsplit_once(')').map(|(_, rest)| rest.to_owned())
}

fn parent_of(process: &str) -> Option<String> {
    stat(process)?.split_whitespace().nth(1).map(str::to_owned)
}

/// Of a process, of its children, and of those that have ended.
fn family_micros(parent: &str) -> Option<u64> {
    let own = stat(parent)?;
    let mut sum = cpu_micros(&own, &[11, 12, 13, 14]);
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        let child =
            name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).and_then(stat);
        if let Some(fields) = child.filter(|fields| fields.split_whitespace().nth(1) == Some(parent)) {
            sum += cpu_micros(&fields, &[11, 12]);
        }
    }
    Some(sum)
}
