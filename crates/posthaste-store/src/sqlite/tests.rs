//! What can only be seen from inside: failing commits, commands that fail half-way, query plans.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use posthaste_core::app::NewApp;
use posthaste_core::dice::{Dice, TestDice};
use posthaste_core::id::AppId;
use posthaste_core::rollup::Scope;
use posthaste_core::source::Door;
use posthaste_core::time::Timestamp;
use rusqlite::Connection;

use super::reader::Reader;
use super::writer::Work;
use super::{SqliteOptions, SqliteStore, migrate};
use crate::conformance::World;
use crate::error::{ChangeError, StoreError};
use crate::page::{Order, PageRequest};
use crate::{Directory as _, History as _, Queue as _};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
static PLACES: AtomicU64 = AtomicU64::new(0);

/// A store in a directory that goes when the test is over.
struct Place {
    dir: PathBuf,
    store: Option<Arc<SqliteStore>>,
    dice: Arc<TestDice>,
}

impl Place {
    fn new() -> Self {
        let name = format!("posthaste-{}-{}", std::process::id(), PLACES.fetch_add(1, Ordering::SeqCst));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let dice = Arc::new(TestDice::seeded(7));
        let (path, main_secret) = (dir.join("store.db"), String::from("s").into());
        let options =
            SqliteOptions { path, main_secret, dice: Arc::clone(&dice) as Arc<dyn Dice>, serving: true };
        let store = Some(SqliteStore::open(options).unwrap());
        Self { dir, store, dice }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn new_app(&self, name: &str) -> NewApp {
        let metadata = std::collections::BTreeMap::new();
        NewApp {
            id: AppId::fresh(NOW, &*self.dice),
            uid: None,
            name: name.to_owned(),
            rate_per_second: None,
            metadata,
        }
    }

    async fn creates_app(&self, name: &str) -> Result<(), ChangeError> {
        let environment = self.store().environment("acme", NOW).await?.id;
        self.store().create_app(environment, self.new_app(name), false, NOW).await.map(drop)
    }

    async fn app_names(&self) -> Vec<String> {
        let environment = self.store().environment("acme", NOW).await.unwrap().id;
        let page = PageRequest::first(Order::Ascending);
        let apps = self.store().apps(environment, page).await.unwrap().rows;
        let mut names: Vec<_> = apps.into_iter().map(|app| app.name).collect();
        names.sort();
        names
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.store = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn write_setting(work: &Work<'_>, name: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO setting (name, value) VALUES (?1, x'00')";
    work.conn.prepare_cached(sql)?.execute([name])?;
    Ok(())
}

fn settings(conn: &Connection) -> Result<Vec<String>, StoreError> {
    let mut names =
        conn.prepare("SELECT name FROM setting WHERE name NOT IN ('key_check', 'works_with') ORDER BY name")?;
    Ok(names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn a_full_disk_is_told_to_every_caller_and_leaves_nothing_and_the_writer_lives_on() {
    let place = Place::new();
    place.creates_app("before").await.unwrap();
    let limit = |pages: u32| {
        place.store().writer.run(move |work| {
            work.conn.pragma_update(None, "max_page_count", pages)?;
            Ok::<_, StoreError>(())
        })
    };
    limit(1).await.unwrap();
    let long = "x".repeat(1 << 20);
    let refused = tokio::join!(place.creates_app(&long), place.creates_app(&long), place.creates_app(&long));
    for refused in [refused.0, refused.1, refused.2] {
        assert!(matches!(refused, Err(ChangeError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    }
    assert_eq!(place.app_names().await, ["before"]);
    limit(u32::MAX).await.unwrap();
    place.creates_app("after").await.unwrap();
    assert_eq!(place.app_names().await, ["after", "before"]);
}

#[tokio::test]
async fn what_was_undone_is_not_counted_and_what_is_done_again_is_counted_once() {
    let place = Place::new();
    let environment = place.store().environment("acme", NOW).await.unwrap().id;
    let app = AppId::fresh(NOW, &*place.dice);
    let writer = &place.store().writer;
    let count = move |work: &mut Work<'_>, name| {
        work.effects.counted.accepted(environment, app, NOW);
        write_setting(work, name)
    };
    let good = |name: &'static str| writer.run(move |work| count(work, name));
    let bad = writer.run(move |work| {
        count(work, "bad")?;
        Err::<(), _>(ChangeError::NotFound("what it needs"))
    });
    let (first, bad, second) = tokio::join!(good("a"), bad, good("b"));
    assert!(first.is_ok() && bad.is_err() && second.is_ok());
    let writer = &place.store().writer;
    let full = writer.run(move |work| {
        count(work, "full")?;
        work.conn.execute_batch("DROP TABLE rollup")?;
        Ok::<_, StoreError>(())
    });
    assert!(full.await.is_err(), "what cannot be counted does not happen");
    let counted =
        place.store().counted(environment, Scope::App(app), NOW, NOW.later(Duration::from_secs(60)));
    assert_eq!(counted.await.unwrap()[0].counts.accepted, 2);
    assert_eq!(place.store().reader.point(settings).unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn a_command_that_fails_after_it_wrote_is_undone_alone() {
    let place = Place::new();
    let writer = &place.store().writer;
    let good = |name: &'static str| writer.run(move |work| write_setting(work, name));
    let bad = writer.run(|work| {
        write_setting(work, "bad")?;
        Err::<(), _>(ChangeError::NotFound("what it needs"))
    });
    // Polled together, they wait together and share a transaction.
    let (first, bad, second) = tokio::join!(good("a"), bad, good("b"));
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(bad, Err(ChangeError::NotFound(_))));
    assert_eq!(place.store().reader.point(settings).unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn a_command_that_panics_is_undone_alone_and_the_writer_lives_on() {
    let place = Place::new();
    let writer = &place.store().writer;
    let panics = writer.run(|work| {
        write_setting(work, "bad")?;
        assert!(work.conn.is_autocommit(), "a transaction is open: this panics");
        Ok::<_, StoreError>(())
    });
    let good = writer.run(|work| write_setting(work, "good"));
    let (panicked, good) = tokio::join!(panics, good);
    assert!(matches!(panicked, Err(StoreError::Unavailable(_))));
    good.unwrap();
    assert_eq!(place.store().reader.point(settings).unwrap(), ["good"]);
}

#[tokio::test]
async fn nothing_is_written_while_another_process_holds_the_store() {
    let place = Place::new();
    let beside = Connection::open(place.dir.join("store.db")).unwrap();
    let impatient = place.store().writer.run(|work| {
        // For the transactions after this one.
        work.conn.busy_timeout(Duration::ZERO)?;
        Ok::<_, StoreError>(())
    });
    impatient.await.unwrap();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = place.store().writer.run(|work| write_setting(work, "a")).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    beside.execute_batch("ROLLBACK").unwrap();
    assert!(place.store().reader.point(settings).unwrap().is_empty());
    place.store().writer.run(|work| write_setting(work, "b")).await.unwrap();
    assert_eq!(place.store().commits().commands_count, 2);
}

fn count(conn: &Connection, table: &str) -> Result<u32, StoreError> {
    Ok(conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
}

#[tokio::test]
async fn what_a_source_keeps_for_a_while_leaves_the_file_in_time_and_its_secrets_at_once() {
    let place = Place::new();
    let world = World::new(place.store.clone().unwrap()).await;
    let source = world.source().await;
    let reference = World::to(source.id);
    world.store.receive(world.received_as(&source, 1), world.now()).await.unwrap();
    let (door, grace) = (Door::fresh(&world.dice), Duration::from_mins(30));
    world.store.rotate_door(world.environment, &reference, door, grace, world.now()).await.unwrap();
    let reader = &place.store().reader;
    let counts = || ["received", "door"].map(|table| reader.point(|conn| count(conn, table)).unwrap());
    assert_eq!(counts(), [1, 2]);
    world.advance(Duration::from_mins(30));
    world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert_eq!(counts(), [1, 1]);
    world.advance(Duration::from_mins(30));
    world.store.forget(Timestamp::EPOCH, world.now()).await.unwrap();
    assert_eq!(counts(), [0, 1]);
    world.store.delete_source(world.environment, &reference, world.now()).await.unwrap();
    assert_eq!(counts(), [0, 0]);
    let sealed = "source WHERE length(sealed) > 0";
    assert_eq!(reader.point(|conn| count(conn, sealed)).unwrap(), 0);
}

/// Statements of this store that are written out in full, from its own source.
fn statements(source: &str) -> Vec<String> {
    let mut found = vec![];
    for verb in ["\"SELECT ", "\"UPDATE ", "\"DELETE ", "\"WITH ", "\"INSERT "] {
        for (at, _) in source.match_indices(verb) {
            let rest = &source[at + 1..];
            let text = rest.split('"').next().unwrap();
            let text = text.replace("\\\n", " ");
            if !text.contains('{') && !text.ends_with('\\') {
                found.push(text);
            }
        }
    }
    found
}

#[test]
fn no_statement_of_the_hot_path_reads_a_whole_table() {
    let mut conn = Connection::open_in_memory().unwrap();
    migrate::migrate(&mut conn).unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sqlite");
    let mut checked = 0;
    for file in [
        "intake.rs",
        "queue.rs",
        "record.rs",
        "jobs.rs",
        "retention.rs",
        "rows.rs",
        "directory/keys.rs",
        "sources/mod.rs",
        "sources/receive.rs",
        "sources/refusals.rs",
        "sources/rows.rs",
    ] {
        let source = std::fs::read_to_string(dir.join(file)).unwrap();
        for sql in statements(source.split("#[cfg(test)]").next().unwrap()) {
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            for index in 1..=plan.parameter_count() {
                plan.raw_bind_parameter(index, rusqlite::types::Null).unwrap();
            }
            let mut rows = plan.raw_query();
            while let Some(row) = rows.next().unwrap() {
                let step: String = row.get(3).unwrap();
                let scans = step.starts_with("SCAN") && !step.contains("owed") && !step.contains("CONSTANT");
                assert!(!scans, "{file}: {step}: {sql}");
                assert!(!step.contains("TEMP B-TREE"), "{file}: {step}: {sql}");
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked} statements were looked at");
}

#[tokio::test]
async fn a_list_that_takes_too_long_is_ended_and_the_next_one_is_not() {
    let place = Place::new();
    let connect = || Ok(Connection::open(place.dir.join("store.db"))?);
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let reader = Reader::open(super::Workers::Threads, connect, Duration::ZERO).unwrap();
    let ended =
        reader.list(|conn| Ok::<u64, StoreError>(conn.query_row(endless, [], |row| row.get(0))?)).await;
    assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    assert!(reader.list(settings).await.unwrap().is_empty());
}
