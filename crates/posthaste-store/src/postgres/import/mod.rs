//! The side of an import that takes: how far it is stands in one row, which each step changes in its own transaction.

mod read;
mod write;

use std::sync::Arc;

use posthaste_fault::point;
use serde::{Deserialize, Serialize};
use tokio_postgres::Client;

use super::clock::DatabaseClock;
use super::migrate::migrate_within;
use super::open::{check_key, look_at_settings};
use super::pool::Pool;
use super::shared::Shared;
use super::statement::{Value, execute, query_opt};
use super::work::Work;
use super::{PostgresOptions, url};
use crate::columns::corrupt;
use crate::error::StoreError;
use crate::seal::Vault;
use crate::sqlite::export::{Chunk, Place};
use crate::transfer::ImportError;
use crate::transfer::table::Row;
use crate::transfer::tables::TABLES;

/// One that writes, and one to look with and to make days with.
const CONNECTIONS: usize = 2;

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Which store it comes from.
    pub(crate) source: String,
    /// How many rows each table had when it began.
    pub(crate) counts: Vec<u64>,
    /// The table that it is at.
    pub(crate) table: usize,
    /// Rows of it that are there already.
    pub(crate) rows: u64,
    /// Everything is there, and was checked.
    pub(crate) finished: bool,
}

impl Progress {
    pub(crate) fn new(source: String, counts: Vec<u64>) -> Self {
        Self { source, counts, table: 0, rows: 0, finished: false }
    }

    /// Rows that are there.
    pub(crate) fn moved(&self) -> u64 {
        self.counts.iter().take(self.table).sum::<u64>() + self.rows
    }

    fn column(&self) -> Result<Vec<u8>, StoreError> {
        serde_json::to_vec(self).map_err(|error| corrupt("setting", error))
    }
}

/// A database that is being filled.
pub(crate) struct Import {
    pool: Pool,
    shared: Arc<Shared>,
}

impl Import {
    pub(crate) fn connect(options: PostgresOptions) -> Result<Self, StoreError> {
        let (config, secure) = url::read(&options.url)?;
        let overload = Arc::default();
        let pool = Pool::new(&config, &secure, CONNECTIONS, &overload)?;
        let (vault, clock) = (Vault::new(&options.main_secret), DatabaseClock::new(options.clock));
        let shared = Shared::new(vault, options.dice, clock, pool.clone(), overload);
        Ok(Self { pool, shared: Arc::new(shared) })
    }

    /// Brings the database to our schema, and says how far the import of this source is there: none that was begun, and
    /// nothing else in it either, is `None`. If `keep`, it is begun now; otherwise nothing is changed.
    pub(crate) async fn begin(&self, new: &Progress, keep: bool) -> Result<Option<Progress>, ImportError> {
        let work = Work::begin(&self.pool, &self.shared).await?;
        work.be_patient().await?;
        match self.look(&work, new, keep).await {
            Ok(found) if keep => {
                work.commit().await?;
                Ok(found)
            }
            other => {
                work.roll_back().await;
                other
            }
        }
    }

    async fn look(&self, work: &Work, new: &Progress, keep: bool) -> Result<Option<Progress>, ImportError> {
        look_at_settings(work).await?;
        migrate_within(work).await?;
        check_key(work).await?;
        if let Some(found) = progress(work.client()).await? {
            return if found.source == new.source { Ok(Some(found)) } else { Err(ImportError::OtherSource) };
        }
        for name in TABLES.iter().map(|table| table.name).chain(["node"]) {
            let sql = format!("SELECT 1 FROM {name} LIMIT 1");
            if query_opt(work.client(), &sql, &[]).await?.is_some() {
                return Err(ImportError::NotEmpty(name.to_owned()));
            }
        }
        if keep {
            let sql = "INSERT INTO setting (name, value) VALUES ('import', $1)";
            execute(work.client(), sql, &[&new.column()?.as_slice()]).await?;
        }
        Ok(None)
    }

    /// Where to go on: the rows of a step and how far it is are one commit, so the last key is the largest.
    pub(crate) async fn place(&self, progress: &Progress) -> Result<Place, StoreError> {
        let after = match TABLES.get(progress.table) {
            Some(table) => read::last_key(&*self.pool.get().await?, table).await?,
            None => None,
        };
        Ok(Place { table: progress.table, after })
    }

    /// Writes rows, and that they are written.
    pub(crate) async fn take(&self, chunk: Chunk, progress: &mut Progress) -> Result<(), ImportError> {
        let mut next = progress.clone();
        next.rows += chunk.rows.len() as u64;
        if chunk.ends {
            (next.table, next.rows) = (chunk.table + 1, 0);
        }
        let work = Work::begin(&self.pool, &self.shared).await?;
        advance(&work, progress, &next).await?;
        write::rows(&work, &TABLES[chunk.table], chunk.rows).await?;
        point!("import.chunk_written");
        work.commit().await?;
        point!("import.chunk_committed");
        *progress = next;
        Ok(())
    }

    /// The rows of a table behind the key `after`, up to the key `until` or to its end.
    pub(crate) async fn read(
        &self,
        table: usize,
        after: Option<&Row>,
        until: Option<&Row>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let range = read::Range { after, until, limit };
        read::rows(&*self.pool.get().await?, &self.shared.vault, &TABLES[table], &range).await
    }

    /// From now on nodes may serve.
    pub(crate) async fn finish(&self, progress: &Progress) -> Result<(), ImportError> {
        let work = Work::begin(&self.pool, &self.shared).await?;
        advance(&work, progress, &Progress { finished: true, ..progress.clone() }).await?;
        // Whoever makes an environment gets a number that none has.
        let sql = "SELECT setval(pg_get_serial_sequence('environment', 'id'), max(id)) FROM environment HAVING max(id) > 0";
        query_opt(work.client(), sql, &[]).await?;
        Ok(work.commit().await?)
    }
}

/// Only whoever knows how far it is may go on: of two that import at once, one finds another row than it has read.
async fn advance(work: &Work, from: &Progress, to: &Progress) -> Result<(), ImportError> {
    let sql = "UPDATE setting SET value = $2 WHERE name = 'import' AND value = $1";
    let (from, to) = (from.column()?, to.column()?);
    let values: [&dyn Value; 2] = [&from.as_slice(), &to.as_slice()];
    if execute(work.client(), sql, &values).await? == 1 { Ok(()) } else { Err(ImportError::Overtaken) }
}

async fn progress(client: &Client) -> Result<Option<Progress>, StoreError> {
    let found = query_opt(client, "SELECT value FROM setting WHERE name = 'import'", &[]).await?;
    let Some(row) = found else { return Ok(None) };
    serde_json::from_slice(row.try_get(0)?).map(Some).map_err(|error| corrupt("setting", error))
}

/// Refuses a database of which a part is still elsewhere.
pub(super) async fn refuse_unfinished(client: &Client) -> Result<(), StoreError> {
    match progress(client).await? {
        Some(progress) if !progress.finished => Err(StoreError::HalfImported),
        _ => Ok(()),
    }
}
