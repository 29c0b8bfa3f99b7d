//! The partitions of `message` and `attempt`, one for each day: made ahead, made when one turns out to be missing, and
//! dropped when their day is past.
//!
//! The table `day` says which there are. It changes in the transactions that make and drop them, one node at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use posthaste_core::day::Day;
use posthaste_core::id::MessageId;
use posthaste_core::time::Timestamp;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::rows;
use super::shared::Shared;
use super::statement::{Value, bytes, execute, query, query_opt};
use super::work::{Work, code, took_too_long};
use crate::error::StoreError;

/// Tables that lie in days.
const TABLES: [&str; 2] = ["message", "attempt"];
/// How far ahead days are made: nodes may be down for so long and find today's when they start.
const AHEAD: Duration = Duration::from_hours(3 * 24);
/// Days that one transaction makes: each costs some twenty of the locks that PostgreSQL has for everybody.
const DAYS_AT_ONCE: usize = 16;
/// Days that one statement reads at most.
const STRETCH_DAYS: usize = 8;
/// Which lock those take that make or drop days: any number that nobody else would take.
const LOCK: i64 = 0x706F_7374_6461_7973;
/// To drop a day, all that use the tables must be waited for, and wait meanwhile: not for long, there is a next time.
const IMPATIENT: &str = "SET LOCAL lock_timeout = '200ms'";

/// The days that this node knows to be there.
#[derive(Default)]
pub(super) struct Days(Mutex<BTreeSet<Day>>);

impl Days {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Day>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a transaction that nobody asked for by name.
async fn end<T>(work: Work, result: Result<T, StoreError>) -> Result<T, StoreError> {
    match result {
        Ok(value) => work.commit().await.map(|()| value),
        Err(error) => {
            work.roll_back().await;
            Err(error)
        }
    }
}

/// Makes the days from one to another, both included, that are not there; returns how many. Safe on every node at once.
/// Each transaction makes a few: what was made before an error stays.
pub(super) async fn make_days(
    shared: &Arc<Shared>,
    from: Timestamp,
    until: Timestamp,
) -> Result<u32, StoreError> {
    let days: Vec<Day> = Day::all(from, until).collect();
    let mut count = 0;
    for some in days.chunks(DAYS_AT_ONCE) {
        count += make(shared, some).await?;
    }
    Ok(count)
}

/// Makes today by PostgreSQL's clock, and the days that come next.
pub(super) async fn make_next_days(shared: &Arc<Shared>) -> Result<u32, StoreError> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
    let now = {
        let client = shared.pool.get().await?;
        query_opt(&client, sql, &[]).await?.map(|row| rows::at(&row, 0)).transpose()?.unwrap_or_default()
    };
    make_days(shared, now, now.later(AHEAD)).await
}

/// Makes the days of these messages, unless this node knows that they are there. In transactions of their own: what is
/// about to be written in this one finds them.
pub(super) async fn need(
    shared: &Arc<Shared>,
    messages: impl Iterator<Item = MessageId>,
) -> Result<(), StoreError> {
    let unknown: BTreeSet<Day> = {
        let known = shared.days.lock();
        messages.map(|id| Day::of_id(&id)).filter(|day| !known.contains(day)).collect()
    };
    for some in unknown.into_iter().collect::<Vec<_>>().chunks(DAYS_AT_ONCE) {
        make(shared, some).await?;
    }
    Ok(())
}

/// Looks at an error of a statement that wrote messages or attempts: if there was no day for them, another node has dropped
/// what this one knew, and the transaction is to begin again.
pub(super) fn look_again(shared: &Shared, error: &StoreError) {
    if code(error) == Some(SqlState::CHECK_VIOLATION) {
        shared.days.lock().clear();
    }
}

async fn make(shared: &Arc<Shared>, days: &[Day]) -> Result<u32, StoreError> {
    let missing = {
        let client = shared.pool.get().await?;
        missing(&client, days).await?
    };
    let mut count = 0;
    if !missing.is_empty() {
        let work = Work::begin(&shared.pool, shared).await?;
        let made = make_missing(&work, &missing).await;
        count = end(work, made).await?;
    }
    shared.days.lock().extend(days);
    Ok(count)
}

async fn missing(client: &Client, days: &[Day]) -> Result<Vec<Day>, StoreError> {
    let numbers: Vec<i32> = days.iter().map(|day| day.number()).collect();
    let sql =
        "SELECT n FROM UNNEST($1) AS n WHERE NOT EXISTS (SELECT 1 FROM day WHERE number = n) ORDER BY n";
    let found = query(client, sql, &[&numbers]).await?;
    found.iter().map(read_day).collect()
}

fn read_day(row: &tokio_postgres::Row) -> Result<Day, StoreError> {
    Ok(Day::from_number(row.try_get(0)?))
}

async fn make_missing(work: &Work, days: &[Day]) -> Result<u32, StoreError> {
    query(work.client(), "SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    // Another node may have been faster.
    let missing = missing(work.client(), days).await?;
    let mut sql = String::new();
    for day in &missing {
        make_sql(*day, &mut sql);
    }
    work.client().batch_execute(&sql).await?;
    Ok(u32::try_from(missing.len()).unwrap_or(u32::MAX))
}

/// A table of its own that is attached then: whoever reads and writes other days goes on meanwhile.
fn make_sql(day: Day, sql: &mut String) {
    let (first, until) = day.ids::<posthaste_core::id::MessageKind>();
    let hex = |id: MessageId| id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let until = if until == MessageId::MAX { "MAXVALUE".to_owned() } else { format!("'\\x{}'", hex(until)) };
    for table in TABLES {
        let _ = write!(
            sql,
            "CREATE TABLE {table}_{day} (LIKE {table} INCLUDING STORAGE); \
             ALTER TABLE {table} ATTACH PARTITION {table}_{day} FOR VALUES FROM ('\\x{}') TO ({until}); ",
            hex(first)
        );
    }
    let _ = write!(sql, "INSERT INTO day (number) VALUES ({}); ", day.number());
}

/// All days that are there, the oldest first.
pub(super) async fn days(client: &Client) -> Result<Vec<Day>, StoreError> {
    query(client, "SELECT number FROM day ORDER BY number", &[]).await?.iter().map(read_day).collect()
}

/// Ids from one until before another.
pub(super) type Ids = (MessageId, MessageId);

/// What of these days one statement may read, the oldest first.
pub(super) fn stretches(days: &[Day]) -> Vec<Ids> {
    let stretch = |days: &[Day]| Some((days.first()?.ids().0, days.last()?.ids().1));
    // As many as it can have in the newest, which is read first as a rule.
    let mut stretches: Vec<Ids> = days.rchunks(STRETCH_DAYS).filter_map(stretch).collect();
    stretches.reverse();
    stretches
}

/// Things by the days of their messages: a statement that names the bounds of one day touches no other.
pub(super) fn by_day<T>(
    things: impl IntoIterator<Item = T>,
    message: impl Fn(&T) -> MessageId,
) -> BTreeMap<Day, Vec<T>> {
    let mut days: BTreeMap<Day, Vec<T>> = BTreeMap::new();
    for thing in things {
        days.entry(Day::of_id(&message(&thing))).or_default().push(thing);
    }
    days
}

/// Drops a day with all its messages and attempts, if there is no delivery in it. `false`: not now.
pub(super) async fn drop_day(shared: &Arc<Shared>, day: Day) -> Result<bool, StoreError> {
    let work = Work::begin(&shared.pool, shared).await?;
    let dropped = try_drop(&work, day).await;
    let dropped = end(work, dropped).await;
    shared.days.lock().remove(&day);
    match dropped {
        Err(error) if took_too_long(&error) => {
            tracing::debug!(%day, "a day could not be dropped: its tables are in use, trying again later");
            Ok(false)
        }
        dropped => dropped,
    }
}

async fn try_drop(work: &Work, day: Day) -> Result<bool, StoreError> {
    let client = work.client();
    client.batch_execute(IMPATIENT).await?;
    let lock = query_opt(client, "SELECT pg_try_advisory_xact_lock($1)", &[&LOCK]).await?;
    if !lock.map(|row| row.try_get(0)).transpose()?.unwrap_or(false) {
        return Ok(false);
    }
    if execute(client, "DELETE FROM day WHERE number = $1", &[&day.number()]).await? == 0 {
        return Ok(false);
    }
    // Whoever makes a delivery of one of its messages has locked that before: with this lock all that was made is seen.
    client.batch_execute("LOCK TABLE ONLY message, ONLY attempt IN ACCESS EXCLUSIVE MODE").await?;
    let (first, until) = day.ids();
    let values: [&dyn Value; 2] = [&bytes(&first), &bytes::<posthaste_core::id::MessageKind>(&until)];
    let sql = "SELECT 1 FROM delivery WHERE message >= $1 AND message < $2 LIMIT 1";
    if query_opt(client, sql, &values).await?.is_some() {
        execute(client, "INSERT INTO day (number) VALUES ($1)", &[&day.number()]).await?;
        return Ok(false);
    }
    let detach = TABLES.map(|table| format!("ALTER TABLE {table} DETACH PARTITION {table}_{day}; "));
    let tables = TABLES.map(|table| format!("{table}_{day}"));
    client.batch_execute(&format!("{}DROP TABLE {}", detach.concat(), tables.join(", "))).await?;
    Ok(true)
}
