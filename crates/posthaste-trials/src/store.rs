//! Where a trial's messages are, to be looked at: a file, or a database.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use posthaste_core::id::{AppKind, EndpointKind, ID_BYTES, Id, Kind};
use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use crate::judge::{Dump, dump, dump_database, id};
use crate::postgres::Cluster;

/// How long one who wants to read waits for one who writes.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// How often to look whether something has come about: at a file often, at a database less so.
const LOOK_AT_FILE_EVERY: Duration = Duration::from_millis(10);
const LOOK_AT_DATABASE_EVERY: Duration = Duration::from_millis(100);

/// A store.
#[derive(Clone)]
pub(crate) enum Store {
    /// SQLite's.
    File(PathBuf),
    /// PostgreSQL's: the cluster, and the database's name.
    Database(Arc<Cluster>, String),
}

impl Store {
    /// What `POSTHASTE_DATABASE_URL` says of it, if anything.
    pub(crate) fn url(&self) -> Option<String> {
        match self {
            Self::File(_) => None,
            Self::Database(cluster, name) => Some(cluster.url(name)),
        }
    }

    /// The database dies and comes back.
    pub(crate) async fn crash(&self) -> anyhow::Result<()> {
        match self {
            Self::File(_) => anyhow::bail!("a file does not run"),
            Self::Database(cluster, _) => cluster.crash().await,
        }
    }

    /// Asks for one number, beside whoever else uses it. The SQL is such that both understand it.
    pub(crate) async fn count(&self, sql: &str) -> anyhow::Result<u64> {
        let count: i64 = match self {
            Self::File(path) => {
                let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
                conn.busy_timeout(BUSY_MAX)?;
                conn.query_row(sql, [], |row| row.get(0))?
            }
            Self::Database(cluster, name) => {
                cluster.connect(name).await?.query_one(sql, &[]).await?.try_get(0)?
            }
        };
        Ok(u64::try_from(count)?)
    }

    /// Waits until it counts no more than `most`. `false`: that took longer than `within`.
    pub(crate) async fn until(&self, most: u64, sql: &str, within: Duration) -> anyhow::Result<bool> {
        let look_every = match self {
            Self::File(_) => LOOK_AT_FILE_EVERY,
            Self::Database(..) => LOOK_AT_DATABASE_EVERY,
        };
        let began = Instant::now();
        while self.count(sql).await? > most {
            if began.elapsed() > within {
                return Ok(false);
            }
            tokio::time::sleep(look_every).await;
        }
        Ok(true)
    }

    /// All of it, once nobody uses it any more.
    pub(crate) async fn dump(&self) -> anyhow::Result<Dump> {
        Ok(match self {
            Self::File(path) => dump(path)?,
            Self::Database(cluster, name) => dump_database(&cluster.connect(name).await?).await?,
        })
    }

    /// Which app each endpoint is of, by their ids.
    pub(crate) async fn apps_of_endpoints(&self) -> anyhow::Result<HashMap<String, String>> {
        let sql = "SELECT id, app FROM endpoint";
        match self {
            Self::File(path) => {
                let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
                let mut statement = conn.prepare(sql)?;
                let rows = statement.query_map([], |row| {
                    Ok((shown::<EndpointKind>(row.get(0)?), shown::<AppKind>(row.get(1)?)))
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            }
            Self::Database(cluster, name) => {
                let rows = cluster.connect(name).await?.query(sql, &[]).await?;
                let pair = |row| Ok((id::<EndpointKind>(row, 0)?, id::<AppKind>(row, 1)?));
                rows.iter().map(pair).collect()
            }
        }
    }
}

fn shown<K: Kind>(bytes: [u8; ID_BYTES]) -> String {
    Id::<K>::from_bytes(bytes).to_string()
}
