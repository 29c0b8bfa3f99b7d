//! Brings a database to the schema of this version. See `migrations/README.md`.

use posthaste_fault::point;
use rusqlite::{Connection, TransactionBehavior};
use sha2::{Digest as _, Sha256};

use super::rows::corrupt;
use crate::error::StoreError;

/// All migrations, in order: the first has number 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_first.sql"),
    include_str!("../../migrations/sqlite/0002_sources.sql"),
    include_str!("../../migrations/sqlite/0003_cron.sql"),
];

pub(super) fn migrate(conn: &mut Connection) -> Result<(), StoreError> {
    // One process migrates at a time; the others wait here and find nothing left to do.
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)",
    )?;
    let applied_count = applied(&transaction)?;
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(applied_count) {
        transaction.execute_batch(sql)?;
        point!("migrate.half_applied");
        transaction.execute(
            "INSERT INTO migration (number, checksum) VALUES (?1, ?2)",
            (index + 1, checksum_of(sql)),
        )?;
    }
    point!("migrate.applied");
    transaction.commit()?;
    Ok(())
}

/// The schema that this version writes.
pub(super) fn known() -> u32 {
    as_u32(MIGRATIONS.len())
}

/// The schema that a database has, which is changed by nothing here. `None`: it is no store of ours.
pub(super) fn schema(conn: &Connection) -> Result<Option<u32>, StoreError> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('migration', 'setting')";
    let tables: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    if tables < 2 {
        return Ok(None);
    }
    Ok(Some(as_u32(applied(conn)?)))
}

/// How many migrations were applied; refuses those that we do not know, and those that are not ours.
fn applied(conn: &Connection) -> Result<usize, StoreError> {
    let applied: Vec<(usize, String)> = conn
        .prepare("SELECT number, checksum FROM migration ORDER BY number")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    if let Some((found, _)) = applied.last().filter(|(number, _)| *number > MIGRATIONS.len()) {
        return Err(StoreError::Newer { found: as_u32(*found), known: known() });
    }
    for (number, checksum) in &applied {
        if MIGRATIONS.get(number - 1).is_none_or(|sql| checksum_of(sql) != *checksum) {
            return Err(corrupt(
                "migration",
                format!("number {number} is not the one that this version knows"),
            ));
        }
    }
    Ok(applied.len())
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn checksum_of(sql: &str) -> String {
    Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_of_a_newer_version_is_refused_in_one_sentence() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        conn.execute("INSERT INTO migration VALUES (99, 'x')", []).unwrap();
        let error = migrate(&mut conn).unwrap_err().to_string();
        assert_eq!(error, "the store has schema 99, this version knows up to 3: use a newer posthaste");
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
    }
}
