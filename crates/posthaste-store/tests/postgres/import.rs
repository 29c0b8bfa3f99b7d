//! What an import brings, and what keeps others away until all of it is there.

use std::sync::Arc;

use posthaste_core::dice::TestDice;
use posthaste_core::time::Timestamp;
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::transfer::{self, ImportError, Moved, Options, Report, Step};
use posthaste_store::{Directory as _, StoreError};

use super::cluster::{Cluster, Database, options};

/// In PostgreSQL only: filled as rows are written, and what nodes keep for themselves.
const OF_POSTGRES: &[&str] = &["app.version", "delivery.lease_token", "delivery.lease_until", "rollup.shard"];
const TABLES_OF_POSTGRES: &[&str] = &["day", "setting", "migration", "node", "owner", "tally"];

struct Embedded(std::path::PathBuf);

impl Embedded {
    /// A store with a few environments.
    async fn with_environments(count: usize) -> Self {
        let number = std::process::id();
        let dir = std::env::temp_dir().join(format!("posthaste-import-{number}-{count}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let options = SqliteOptions {
            path: dir.join("posthaste.db"),
            main_secret: String::from("the embedded secret").into(),
            dice: Arc::new(TestDice::seeded(7)),
            serving: false,
        };
        let store = SqliteStore::open(options).unwrap();
        for number in 0..count {
            store.environment(&format!("env-{number}"), Timestamp::from_secs(1_700_000_000)).await.unwrap();
        }
        Self(dir)
    }

    fn to(&self, database: &Database<'_>) -> Options {
        Options {
            from: self.0.join("posthaste.db"),
            secrets: ["another", "the embedded secret"].map(|secret| String::from(secret).into()).into(),
            places: "here".to_owned(),
            to: options(database.url()),
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn rows_of(reports: &[Report], table: &str) -> u64 {
    reports.iter().find(|report| report.table == table).unwrap().rows_count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_column_is_moved_or_named_as_postgresqls_own() {
    let Some(cluster) = Cluster::running().await else { return };
    let database = cluster.database().await;
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let moved = transfer::moved_columns();
    // What is a part of another table is filled by way of it.
    let sql = "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
               WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
               AND a.attnum > 0 AND NOT a.attisdropped";
    let mut missing = Vec::new();
    for row in client.query(sql, &[]).await.unwrap() {
        let (table, column): (&str, &str) = (row.get(0), row.get(1));
        let name = format!("{table}.{column}");
        let known = TABLES_OF_POSTGRES.contains(&table) || OF_POSTGRES.contains(&name.as_str());
        if !known && !moved.contains(&name) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "an import would leave these behind: {missing:?}");
    drop(client);
    connection.await.unwrap().unwrap();
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_moves_to_a_database_without_a_schema_and_its_numbers_go_on() {
    let Some(cluster) = Cluster::running().await else { return };
    let (database, embedded) = (cluster.empty_database().await, Embedded::with_environments(3).await);
    let mut steps = Vec::new();
    let mut tell = |moved: Moved| steps.push(moved.step);
    let reports = transfer::import(embedded.to(&database), &mut tell).await.unwrap();
    assert_eq!(rows_of(&reports, "environment"), 3);
    assert!(reports.iter().all(|report| report.digest.is_some()), "{reports:?}");
    assert!(steps.contains(&Step::Moving) && steps.contains(&Step::Checking));
    let store = database.open().await;
    let now = Timestamp::from_secs(1_800_000_000);
    assert_eq!(store.environment("env-1", now).await.unwrap().id.0, 2);
    assert!(store.environment("new", now).await.unwrap().id.0 > 3);
    drop(store);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_opens_a_database_with_an_unfinished_import() {
    let Some(cluster) = Cluster::running().await else { return };
    let (database, embedded) = (cluster.database().await, Embedded::with_environments(2).await);
    transfer::import(embedded.to(&database), &mut |_| ()).await.unwrap();
    database
        .execute(
            "UPDATE setting SET value = convert_to(replace(convert_from(value, 'UTF8'), '\"finished\":true', \
             '\"finished\":false'), 'UTF8') WHERE name = 'import'",
        )
        .await;
    assert!(matches!(database.try_open().await, Err(StoreError::HalfImported)));
    transfer::import(embedded.to(&database), &mut |_| ()).await.unwrap();
    drop(database.open().await);
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_empty_and_what_is_another_stores_is_refused_and_left_as_it_is() {
    let Some(cluster) = Cluster::running().await else { return };
    let (database, embedded) = (cluster.database().await, Embedded::with_environments(4).await);
    database.execute("INSERT INTO environment (name, created_at) VALUES ('here', 1)").await;
    let refused = transfer::import(embedded.to(&database), &mut |_| ()).await;
    assert!(matches!(refused, Err(ImportError::NotEmpty(table)) if table == "environment"));
    database.execute("DELETE FROM environment").await;
    transfer::dry_run(embedded.to(&database)).await.unwrap();
    transfer::import(embedded.to(&database), &mut |_| ()).await.unwrap();
    let again = transfer::import(embedded.to(&database), &mut |_| ()).await;
    assert!(matches!(again, Err(ImportError::Finished { .. })));
    let other = Embedded::with_environments(5).await;
    // The same dice gave it the same nonce: no other store has.
    let conn = Options { secrets: vec![String::from("wrong").into()], ..other.to(&database) };
    assert!(matches!(transfer::dry_run(conn).await, Err(ImportError::UnknownSecret { .. })));
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_names_the_first_row_that_is_not_what_it_was() {
    let Some(cluster) = Cluster::running().await else { return };
    let (database, embedded) = (cluster.database().await, Embedded::with_environments(6).await);
    let check = || async { transfer::check(embedded.to(&database), &mut |_| ()).await };
    assert!(matches!(check().await, Err(ImportError::Unfinished { .. })));
    transfer::import(embedded.to(&database), &mut |_| ()).await.unwrap();
    assert_eq!(rows_of(&check().await.unwrap(), "environment"), 6);
    let spoils = [
        ("UPDATE environment SET name = 'x' WHERE id = 2", "2", "is not what it was"),
        ("DELETE FROM environment WHERE id = 6", "2", "is not what it was"),
        ("UPDATE environment SET name = 'env-1' WHERE id = 2", "6", "is not there"),
        (
            "INSERT INTO environment OVERRIDING SYSTEM VALUE VALUES (6, 'env-5', 1700000000000000), (7, 'y', 1)",
            "7",
            "is there, and was not in the source",
        ),
    ];
    for (spoil, first, how) in spoils {
        database.execute(spoil).await;
        match check().await {
            Err(ImportError::Differs { table: "environment", key, what }) => {
                assert_eq!((key.as_str(), what), (first, how), "after {spoil}");
            }
            other => panic!("{spoil}: {other:?}"),
        }
    }
    database.drop().await;
}
