//! What holds for the embedded store when its disk does not do what it should. A limit on the size of files stands in
//! for a disk that is full; it can be moved under a running process, but only from a shell that lets it live on.
#![expect(clippy::unwrap_used, reason = "whatever fails is a failed test")]

mod place;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use place::Place;
use posthaste_core::dice::TestDice;
use posthaste_core::id::{AppId, MessageId};
use posthaste_store::conformance::World;
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};
use posthaste_store::{ChangeError, Store, StoreError};

/// The longest that a store may need to find out that its disk is back, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(10);
/// By how much files may grow each time: more than a new store needs.
const ROOM_BYTES: u64 = 2 << 20;
/// SQLite's write-ahead log could be corrupted by a rare race before 3.51.3; 3.52.0 was withdrawn.
const SQLITE_MENDED: i32 = 3_051_003;
const SQLITE_WITHDRAWN: i32 = 3_052_000;

/// Asks until the store is (not) well; returns its reason.
async fn becomes(store: &dyn Store, well: bool) -> String {
    let began = Instant::now();
    loop {
        let answer = store.ping().await;
        if answer.is_ok() == well {
            return answer.err().map(|error| error.to_string()).unwrap_or_default();
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        tokio::task::yield_now().await;
    }
}

/// Accepts until the disk is full; returns what was accepted before.
async fn fills(world: &World, app: AppId) -> Vec<MessageId> {
    let mut accepted = Vec::new();
    loop {
        assert!(accepted.len() < 10_000, "the disk is never full");
        let new = world.message(app);
        let id = new.id;
        match world.store.accept(new, world.now()).await {
            Ok(_) => accepted.push(id),
            Err(ChangeError::Store(StoreError::Unwell(why))) => {
                assert!(why.starts_with("the disk "), "{why}");
                return accepted;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn are_there(world: &World, app: AppId, messages: &[MessageId]) {
    for message in messages {
        assert_eq!(world.owed_to(app, *message).await.len(), 1, "{message} is there with its delivery");
    }
}

fn limit_files_to(limit: &str) {
    let process = std::process::id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={limit}:")]).status();
    assert!(limited.unwrap().success(), "prlimit is a part of util-linux");
}

fn log_bytes(place: &Place) -> u64 {
    std::fs::metadata(place.database().with_extension("db-wal")).unwrap().len()
}

/// The other half of the test below.
#[tokio::test]
#[ignore = "would end at its first limit; the next test starts it where it lives on"]
async fn a_process_whose_disk_is_full_for_a_while() {
    let dir = std::env::current_dir().unwrap();
    if !dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("store-")) {
        return; // Not started by that test.
    }
    let options = SqliteOptions {
        path: dir.join("posthaste.db"),
        main_secret: String::from("the main secret").into(),
        dice: Arc::new(TestDice::seeded(3)),
        serving: true,
    };
    let world = World::new(SqliteStore::open(options).unwrap()).await;
    let app = world.app().await;
    world.endpoint(app).await;
    for time in 1..=3 {
        limit_files_to(&(time * ROOM_BYTES).to_string());
        let accepted = fills(&world, app).await;
        assert!(becomes(&*world.store, false).await.starts_with("the store cannot be written: the disk "));
        assert!(world.store.commits().unwell);
        are_there(&world, app, &accepted).await;
        limit_files_to("unlimited");
        becomes(&*world.store, true).await;
        let after = world.accepts(app).await;
        are_there(&world, app, &[after]).await;
        are_there(&world, app, &accepted).await;
    }
    println!("survived");
}

#[test]
fn a_full_disk_is_told_to_callers_loses_nothing_and_is_over_when_there_is_room() {
    let place = Place::new();
    let ended = Command::new("sh")
        // A process that writes past its limit is sent a signal, and only whoever ignores it hears of an error.
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact a_process_whose_disk_is_full_for_a_while --ignored --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .current_dir(place.database().parent().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && said.contains("survived"),
        "{said}{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[tokio::test]
async fn a_store_whose_file_is_taken_away_writes_nothing_until_it_is_back() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    let app = world.app().await;
    world.endpoint(app).await;
    let before = world.accepts(app).await;
    for file in [place.database(), place.database().with_extension("db-wal")] {
        let away = file.with_extension("away");
        std::fs::rename(&file, &away).unwrap();
        let refused = world.store.accept(world.message(app), world.now()).await;
        assert!(matches!(refused, Err(ChangeError::Store(StoreError::Unwell(_)))), "{refused:?}");
        let why = becomes(&*world.store, false).await;
        assert!(why.contains("was removed or replaced under the running server"), "{why}");
        assert!(!Path::new(&file).exists(), "no new file is made in silence");
        std::fs::rename(&away, &file).unwrap();
        becomes(&*world.store, true).await;
        let after = world.accepts(app).await;
        are_there(&world, app, &[before, after]).await;
    }
}

#[tokio::test]
async fn a_store_whose_file_is_taken_away_is_missed_though_nobody_writes() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    std::fs::remove_file(place.database()).unwrap();
    becomes(&*world.store, false).await;
    assert!(!place.database().exists());
}

#[tokio::test]
async fn a_log_that_grew_under_a_reader_is_cut_back_when_the_reader_is_gone() {
    let place = Place::new();
    let world = World::new(place.open()).await;
    let app = world.app().await;
    let reader = rusqlite::Connection::open(place.database()).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM setting").unwrap();
    let body = bytes::Bytes::from(vec![b' '; 1 << 20]);
    let writes = async |mebibytes: u32| {
        for _ in 0..mebibytes {
            world.accepts_with(app, |new| new.body = body.clone()).await;
        }
    };
    writes(100).await;
    let grown = log_bytes(&place);
    assert!(grown > 100 << 20, "{grown}");
    drop(reader);
    writes(40).await;
    let cut = log_bytes(&place);
    println!("{grown} bytes under the reader, {cut} after it");
    assert!(cut <= 64 << 20, "{cut}");
}

#[test]
fn the_sqlite_that_runs_is_none_that_can_corrupt_its_log() {
    let version = rusqlite::version_number();
    assert!(version >= SQLITE_MENDED && version != SQLITE_WITHDRAWN, "{}", rusqlite::version());
}
