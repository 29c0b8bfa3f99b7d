//! Brings a database to the schema of this version. See `migrations/README.md`.

use posthaste_fault::point;
use sha2::{Digest as _, Sha256};

use super::statement::{Text, execute, query};
use super::work::Work;
use crate::columns::corrupt;
use crate::error::StoreError;

/// All migrations, in order: the first has number 1.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/postgres/0001_first.sql")];

/// Which lock migrating nodes take: any number that nobody else would take.
const LOCK: i64 = 0x706F_7374_6861_7374;

/// One node migrates at a time; the others wait and find nothing left to do. The lock ends with the transaction, so it
/// needs no session of its own.
pub(super) async fn migrate(work: &Work) -> Result<(), StoreError> {
    let client = work.client();
    query(client, "SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    client
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)",
        )
        .await?;
    let applied = query(client, "SELECT number, checksum FROM migration ORDER BY number", &[]).await?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    for row in &applied {
        let number = u32::try_from(row.try_get::<_, i32>(0)?).unwrap_or(u32::MAX);
        if number > known {
            return Err(StoreError::Newer { found: number, known });
        }
        let sql = MIGRATIONS.get(number.wrapping_sub(1) as usize);
        if sql.is_none_or(|sql| checksum_of(sql) != row.get::<_, &str>(1)) {
            return Err(corrupt(
                "migration",
                format!("number {number} is not the one that this version knows"),
            ));
        }
    }
    for (number, sql) in (1_i32..).zip(MIGRATIONS).skip(applied.len()) {
        client.batch_execute(sql).await?;
        point!("schema.half_applied");
        let checksum = checksum_of(sql);
        let values = "INSERT INTO migration (number, checksum) VALUES ($1, $2)";
        execute(client, values, &[&number, &Text(&checksum)]).await?;
    }
    point!("schema.applied");
    Ok(())
}

fn checksum_of(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
