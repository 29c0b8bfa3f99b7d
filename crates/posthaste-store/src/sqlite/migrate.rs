//! Brings a database to the schema of this version. See `migrations/README.md`.

use posthaste_fault::point;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

use crate::error::StoreError;
use crate::schema::{self, Applied, WorksWith, checksum_of, judge};

/// All migrations, in order: the first has number 1.
const RELEASED: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_first.sql"),
    include_str!("../../migrations/sqlite/0002_sources.sql"),
    include_str!("../../migrations/sqlite/0003_cron.sql"),
    include_str!("../../migrations/sqlite/0004_replay.sql"),
    include_str!("../../migrations/sqlite/0005_rollup.sql"),
    include_str!("../../migrations/sqlite/0006_guard.sql"),
];
/// What a binary adds that plays the next version in a test.
const NEXT: &str = include_str!("../../migrations/next/sqlite.sql");

pub(super) fn migrate(conn: &mut Connection) -> Result<(), StoreError> {
    // One process migrates at a time; the others wait here and find nothing left to do.
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL)",
    )?;
    let migrations = schema::migrations(RELEASED, NEXT);
    let found = judged(&transaction, &migrations)?;
    for (number, sql) in (1_u32..).zip(&migrations).skip(found as usize) {
        transaction.execute_batch(sql)?;
        point!("migrate.half_applied");
        transaction.execute(
            "INSERT INTO migration (number, checksum) VALUES (?1, ?2)",
            (number, checksum_of(sql)),
        )?;
    }
    if found < schema::count(&migrations) {
        let oldest = WorksWith::of(&migrations).to_string();
        let sql = "INSERT OR REPLACE INTO setting (name, value) VALUES ('works_with', ?1)";
        transaction.execute(sql, [oldest.into_bytes()])?;
    }
    point!("migrate.applied");
    transaction.commit()?;
    Ok(())
}

/// The schema that this version writes.
pub(super) fn known() -> u32 {
    schema::count(&schema::migrations(RELEASED, NEXT))
}

/// The schema that a database has, which is changed by nothing here. `None`: it is no store of ours.
pub(super) fn schema(conn: &Connection) -> Result<Option<u32>, StoreError> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('migration', 'setting')";
    let tables: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    if tables < 2 {
        return Ok(None);
    }
    judged(conn, &schema::migrations(RELEASED, NEXT)).map(Some)
}

/// Which schema it has; refuses what this version cannot work with, and migrations that are not ours.
fn judged(conn: &Connection, migrations: &[&str]) -> Result<u32, StoreError> {
    let applied: Vec<Applied> = conn
        .prepare("SELECT number, checksum FROM migration ORDER BY number")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let works_with = if applied.is_empty() { None } else { works_with(conn)? };
    judge(migrations, &applied, works_with)
}

/// What the newest binary said that has migrated this store.
fn works_with(conn: &Connection) -> Result<Option<WorksWith>, StoreError> {
    let sql = "SELECT CAST(value AS TEXT) FROM setting WHERE name = 'works_with'";
    let kept: Option<String> = conn.query_row(sql, [], |row| row.get(0)).optional()?;
    Ok(kept.and_then(|kept| WorksWith::parse(&kept)))
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
        let known = RELEASED.len();
        let expected =
            format!("the store has schema 99, this version knows up to {known}: use a newer posthaste");
        assert_eq!(error, expected);
    }

    #[test]
    fn a_store_that_a_newer_version_only_expanded_is_worked_with_and_left_as_it_is() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        let known = u32::try_from(RELEASED.len()).unwrap();
        let next = known + 1;
        conn.execute("INSERT INTO migration VALUES (?1, 'x')", [next]).unwrap();
        let works_with = "INSERT OR REPLACE INTO setting VALUES ('works_with', ?1)";
        conn.execute(works_with, [format!("{next} {known}")]).unwrap();
        migrate(&mut conn).unwrap();
        assert_eq!(schema(&conn).unwrap(), Some(next));
        conn.execute(works_with, [format!("{next} {next}")]).unwrap();
        let refused = migrate(&mut conn);
        assert!(matches!(refused, Err(StoreError::Newer { found, known: k }) if (found, k) == (next, known)));
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn).unwrap();
        migrate(&mut conn).unwrap();
    }
}
