//! Brings a database to the schema of this version. See `migrations/README.md`.

use std::sync::Arc;
use std::time::Duration;

use posthaste_fault::point;

use super::pool::Pool;
use super::shared::Shared;
use super::statement::{Text, execute, query, query_opt};
use super::work::{Work, took_too_long};
use crate::error::StoreError;
use crate::schema::{self, Applied, WorksWith, checksum_of, judge};

/// All migrations, in order: the first has number 1.
const RELEASED: &[&str] = &[
    include_str!("../../migrations/postgres/0001_first.sql"),
    include_str!("../../migrations/postgres/0002_owners.sql"),
    include_str!("../../migrations/postgres/0003_replay.sql"),
    include_str!("../../migrations/postgres/0004_rollup.sql"),
    include_str!("../../migrations/postgres/0005_guard.sql"),
];
/// What a binary adds that plays the next version in a test.
const NEXT: &str = include_str!("../../migrations/next/postgres.sql");

/// Which lock migrating nodes take: any number that nobody else would take.
const LOCK: i64 = 0x706F_7374_6861_7374;
/// A step that waits for a table makes everybody wait who comes after it: it gives up, and begins again, before callers of
/// the nodes that run feel that.
const TABLE_WAIT: &str = "SET LOCAL lock_timeout = '2s'";
/// How often it begins again, and after what pause: a minute in all for whoever holds the table.
const TRIES_MAX: u32 = 20;
const PAUSE: Duration = Duration::from_secs(1);

/// One node migrates at a time; the others wait and find nothing left to do.
pub(super) async fn migrate(pool: &Pool, shared: &Arc<Shared>) -> Result<(), StoreError> {
    let mut tries = 1;
    loop {
        let work = Work::begin(pool, shared).await?;
        match migrate_within(&work).await {
            Ok(()) => return work.commit().await,
            Err(error) if took_too_long(&error) => {
                work.roll_back().await;
                if tries == TRIES_MAX {
                    return Err(StoreError::Unavailable(
                        format!(
                            "a migration waited {TRIES_MAX} times for a table that somebody else holds: see \
                             pg_stat_activity for a transaction that does not end"
                        )
                        .into(),
                    ));
                }
                tracing::warn!(tries, "a migration waits for a table that somebody else holds");
                tries += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The same in a transaction that has more to do. The lock ends with it, so it needs no session of its own.
pub(super) async fn migrate_within(work: &Work) -> Result<(), StoreError> {
    let client = work.client();
    work.be_patient().await?;
    client.batch_execute(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)",
        )
        .await?;
    let migrations = schema::migrations(RELEASED, NEXT);
    let applied = applied(work).await?;
    let found = judge(&migrations, &applied, works_with(work, &applied).await?)?;
    if found >= schema::count(&migrations) {
        if found > schema::count(&migrations) {
            tracing::info!(found, "a newer version has migrated this store; this one works with it");
        }
        return Ok(());
    }
    client.batch_execute(TABLE_WAIT).await?;
    for (number, sql) in (1_i32..).zip(&migrations).skip(applied.len()) {
        client.batch_execute(sql).await?;
        point!("schema.half_applied");
        let checksum = checksum_of(sql);
        let values = "INSERT INTO migration (number, checksum) VALUES ($1, $2)";
        execute(client, values, &[&number, &Text(&checksum)]).await?;
    }
    let oldest = WorksWith::of(&migrations).to_string();
    let sql = "INSERT INTO setting (name, value) VALUES ('works_with', $1) \
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    execute(client, sql, &[&oldest.as_bytes()]).await?;
    point!("schema.applied");
    Ok(())
}

async fn applied(work: &Work) -> Result<Vec<Applied>, StoreError> {
    let rows = query(work.client(), "SELECT number, checksum FROM migration ORDER BY number", &[]).await?;
    let read = rows.iter().map(|row| {
        let number = u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or(u32::MAX);
        Ok((number, row.try_get(1)?))
    });
    read.collect()
}

/// What the newest binary said that has migrated this store.
async fn works_with(work: &Work, applied: &[Applied]) -> Result<Option<WorksWith>, StoreError> {
    if applied.is_empty() {
        return Ok(None);
    }
    let sql = "SELECT convert_from(value, 'UTF8') FROM setting WHERE name = 'works_with'";
    let kept = query_opt(work.client(), sql, &[]).await?;
    let Some(row) = kept else { return Ok(None) };
    Ok(WorksWith::parse(row.try_get(0)?))
}
