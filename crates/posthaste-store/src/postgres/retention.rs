//! Removes what is past its time: whole days, whole messages that are owed to nobody, bodies whose own time is over, and
//! what sources kept for a while.

use posthaste_core::day::{Day, goes_by_whole_days};
use posthaste_core::id::{AppId, MessageId, MessageKind};
use posthaste_core::limits::{ENDED_TOKEN_RETENTION, REFUSAL_RETENTION, RETENTION_STEP_ROWS};
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use tokio_postgres::{Client, Row};

use super::PostgresStore;
use super::partitions::{self, Ids};
use super::statement::{Value, bytes, execute, query, query_opt};
use super::work::{Work, change};
use super::{rollups, rows};
use crate::error::StoreError;
use crate::queue::Forgotten;

/// Rows of one step.
const STEP: i64 = RETENTION_STEP_ROWS as i64;
/// Rows of one step towards a day's end: nobody else wants them, and a day may have millions.
const DAY_STEP: i64 = 5_000;

/// What may go.
pub(super) struct Found {
    messages: Vec<(AppId, MessageId)>,
    /// All of these days.
    whole: Vec<Day>,
    bodies: Vec<(AppId, MessageId)>,
    /// Keys, doors or refused requests are past their time, or counts are to become coarser.
    expired: bool,
    before: Timestamp,
    now: Timestamp,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.bodies.is_empty() && !self.expired && self.whole.is_empty()
    }

    /// Days that may go as a whole.
    pub(super) fn whole_days(&self) -> &[Day] {
        &self.whole
    }
}

fn names(row: &Row) -> Result<(AppId, MessageId), StoreError> {
    Ok((rows::id(row, 0)?, rows::id(row, 1)?))
}

/// Looks for it, outside of any transaction. Whole days come first; what is owed keeps its day, and nothing else of it.
pub(super) async fn find(client: &Client, before: Timestamp, now: Timestamp) -> Result<Found, StoreError> {
    let days = partitions::days(client).await?;
    let (mut messages, mut whole) = (Vec::new(), Vec::new());
    for day in &days {
        let (first, until) = day.ids();
        if !day.is_before(before) {
            let edge = MessageId::first_at(before).min(until);
            if edge > first && !goes_by_whole_days(before, now) {
                find_in(client, (first, edge), &mut messages).await?;
            }
        } else if any_owed(client, (first, until)).await? {
            find_in(client, (first, until), &mut messages).await?;
        } else {
            whole.push(*day);
        }
    }
    let bodies = find_bodies(client, &days, now).await?;
    let expired = any_expired(client, now).await? || rollups::any_old(client, now).await?;
    Ok(Found { messages, whole, bodies, expired, before, now })
}

async fn any_owed(client: &Client, (first, until): Ids) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM delivery WHERE state = 0 AND message >= $1 AND message < $2) \
               OR EXISTS (SELECT 1 FROM delivery WHERE state = 1 AND message >= $1 AND message < $2)";
    let found = query_opt(client, sql, &[&bytes(&first), &bytes(&until)]).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Messages of one day that are owed to nobody: app by app, since each app's messages are one range.
async fn find_in(
    client: &Client,
    (first, until): Ids,
    messages: &mut Vec<(AppId, MessageId)>,
) -> Result<(), StoreError> {
    let next_app = "SELECT app FROM message WHERE app > $1 AND id >= $2 AND id < $3 ORDER BY app LIMIT 1";
    // OFFSET keeps PostgreSQL from reading all that is owed first: each message is looked up by itself, a few of them.
    let old = "SELECT app, id FROM message m WHERE app = $1 AND id >= $2 AND id < $3 AND NOT EXISTS ( \
               SELECT 1 FROM delivery d WHERE d.message = m.id AND d.state < 2 OFFSET 0) ORDER BY id LIMIT $4";
    let (first, until) = (bytes(&first), bytes(&until));
    let mut app = AppId::MIN;
    while messages.len() < RETENTION_STEP_ROWS as usize {
        let Some(row) = query_opt(client, next_app, &[&bytes(&app), &first, &until]).await? else { break };
        app = rows::id(&row, 0)?;
        let room = STEP - i64::try_from(messages.len()).unwrap_or(STEP);
        for row in query(client, old, &[&bytes(&app), &first, &until, &room]).await? {
            messages.push(names(&row)?);
        }
    }
    Ok(())
}

/// Bodies whose own time is over.
async fn find_bodies(
    client: &Client,
    days: &[Day],
    now: Timestamp,
) -> Result<Vec<(AppId, MessageId)>, StoreError> {
    let sql = "SELECT app, id FROM message WHERE expunge_at <= $1 AND expunge_at IS NOT NULL AND body IS NOT NULL \
               AND id >= $2 AND id < $3 LIMIT $4";
    let mut bodies = Vec::new();
    for (first, until) in partitions::stretches(days) {
        let room = STEP - i64::try_from(bodies.len()).unwrap_or(STEP);
        let values: [&dyn Value; 4] = [&now.as_micros(), &bytes(&first), &bytes(&until), &room];
        for row in query(client, sql, &values).await? {
            bodies.push(names(&row)?);
        }
        if bodies.len() == RETENTION_STEP_ROWS as usize {
            break;
        }
    }
    Ok(bodies)
}

fn refused_until(now: Timestamp) -> i64 {
    now.earlier(REFUSAL_RETENTION).as_micros()
}

/// Links and sessions; what is of the whole environment and was made by hand is there until it is removed by hand.
const PASSING: &str = "AND (app IS NOT NULL OR parent IS NOT NULL)";

fn ended_until(now: Timestamp) -> i64 {
    now.earlier(ENDED_TOKEN_RETENTION).as_micros()
}

async fn any_expired(client: &Client, now: Timestamp) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT EXISTS (SELECT 1 FROM idempotency WHERE expires_at <= $1) \
         OR EXISTS (SELECT 1 FROM received WHERE expires_at <= $1) \
         OR EXISTS (SELECT 1 FROM door WHERE retires_at <= $1) \
         OR EXISTS (SELECT 1 FROM refusal WHERE at <= $2) \
         OR EXISTS (SELECT 1 FROM token WHERE expires_at <= $3 {PASSING})"
    );
    let values: [&dyn Value; 3] = [&now.as_micros(), &refused_until(now), &ended_until(now)];
    let found = query_opt(client, &sql, &values).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Removes one step of each kind. `true`: there may be more. What another node removes meanwhile is passed by.
async fn drop_expired(work: &Work, now: Timestamp) -> Result<bool, StoreError> {
    let kinds = [
        ("idempotency", "key", "expires_at", "", now.as_micros()),
        ("received", "key", "expires_at", "", now.as_micros()),
        ("door", "hash", "retires_at", "", now.as_micros()),
        ("refusal", "source, id", "at", "", refused_until(now)),
        ("token", "hash", "expires_at", PASSING, ended_until(now)),
    ];
    let mut more = false;
    for (table, key, time, which, until) in kinds {
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {time} <= $1 {which} ORDER BY {time} \
             LIMIT $2 FOR UPDATE SKIP LOCKED)"
        );
        let dropped = execute(work.client(), &sql, &[&until, &STEP]).await?;
        more |= dropped == u64::from(RETENTION_STEP_ROWS);
    }
    Ok(more)
}

pub(super) async fn forget(work: &Work, found: &Found) -> Result<Forgotten, StoreError> {
    let messages_count = forget_messages(work, &found.messages).await?;
    point!("forget.half_forgotten");
    drop_bodies(work.client(), &found.bodies).await?;
    let more_expired = drop_expired(work, found.now).await?;
    let more_counts = rollups::compact(work, found.now).await?;
    let step = RETENTION_STEP_ROWS as usize;
    tracing::debug!(messages_count, before = %found.before, "old messages removed");
    Ok(Forgotten {
        messages_count,
        bodies_count: found.bodies.len() as u64,
        more: messages_count > 0 && found.messages.len() == step
            || found.bodies.len() == step
            || more_expired
            || more_counts,
    })
}

/// Removes one step of what belongs to a day that is owed to nobody, and the day itself once there is nothing left of it
/// but messages and attempts, which are not touched one by one. Days in which nothing was go on the way.
///
/// Deliveries go first: without them nothing of the day can be put back by a recovery.
pub(super) async fn forget_days(store: &PostgresStore, days: &[Day]) -> Result<Forgotten, StoreError> {
    let mut forgotten = Forgotten::default();
    for day in days {
        let cleared: Result<bool, StoreError> = change!(store, |work| clear(work, *day));
        if cleared? {
            forgotten.more = true;
            break;
        }
        let messages_count = count(store, *day).await?;
        if !partitions::drop_day(&store.shared, *day).await? {
            break;
        }
        tracing::info!(%day, messages_count, "a day that is past its time was dropped");
        if messages_count > 0 {
            forgotten.messages_count = messages_count;
            forgotten.more = days.last() != Some(day);
            break;
        }
    }
    Ok(forgotten)
}

/// `true`: there may be more.
async fn clear(work: &Work, day: Day) -> Result<bool, StoreError> {
    let (first, until) = day.ids::<MessageKind>();
    let values: [&dyn Value; 3] = [&bytes(&first), &bytes(&until), &DAY_STEP];
    let mut more = false;
    for (table, condition) in [("delivery", "AND state >= 2"), ("event_key", "")] {
        // Found by their places, which nobody changes once they are locked.
        let sql = format!(
            "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE message >= $1 AND message < $2 \
             {condition} ORDER BY message LIMIT $3 FOR UPDATE SKIP LOCKED))"
        );
        more |= execute(work.client(), &sql, &values).await? == DAY_STEP.unsigned_abs();
    }
    Ok(more)
}

/// Counted in the index, before anything waits for the day to go.
async fn count(store: &PostgresStore, day: Day) -> Result<u64, StoreError> {
    let (first, until) = day.ids::<MessageKind>();
    let sql = "SELECT count(*) FROM message WHERE id >= $1 AND id < $2";
    let client = store.pool.get().await?;
    let counted = query_opt(&client, sql, &[&bytes(&first), &bytes(&until)]).await?;
    counted.map_or(Ok(0), |row| rows::count(&row, 0))
}

/// Day by day, each in one statement that touches no other.
async fn forget_messages(work: &Work, messages: &[(AppId, MessageId)]) -> Result<u64, StoreError> {
    let mut count = 0;
    for (day, messages) in partitions::by_day(messages, |(_, message)| *message) {
        count += forget_messages_of(work, day, &messages).await?;
    }
    Ok(count)
}

/// Locks the messages first: a resend that came between looking and removing is seen, one that comes now waits.
async fn forget_messages_of(
    work: &Work,
    day: Day,
    messages: &[&(AppId, MessageId)],
) -> Result<u64, StoreError> {
    let (apps, ids) = columns(messages);
    let (first, until) = day.ids::<MessageKind>();
    let values: [&dyn Value; 4] = [&apps, &ids, &bytes(&first), &bytes(&until)];
    let sql = "SELECT 1 FROM message m JOIN UNNEST($1, $2) AS u (app, id) ON m.app = u.app AND m.id = u.id \
               WHERE m.id >= $3 AND m.id < $4 ORDER BY m.app, m.id FOR UPDATE OF m";
    query(work.client(), sql, &values).await?;
    let sql = "WITH gone AS (DELETE FROM message m USING UNNEST($1, $2) AS u (app, id) \
                   WHERE m.app = u.app AND m.id = u.id AND m.id >= $3 AND m.id < $4 AND NOT EXISTS ( \
                   SELECT 1 FROM delivery d WHERE d.message = m.id AND d.state < 2) \
                   RETURNING m.app, m.id, m.event_id), \
               attempts AS (DELETE FROM attempt a USING gone \
                   WHERE a.message = gone.id AND a.message >= $3 AND a.message < $4), \
               deliveries AS (DELETE FROM delivery d USING gone WHERE d.message = gone.id), \
               keys AS (DELETE FROM event_key k USING gone \
                   WHERE k.app = gone.app AND k.event_id = gone.event_id AND k.message = gone.id) \
               SELECT count(*) FROM gone";
    let counted = query_opt(work.client(), sql, &values).await?;
    counted.map_or(Ok(0), |row| rows::count(&row, 0))
}

fn columns<'a>(messages: &[&'a (AppId, MessageId)]) -> (Vec<&'a [u8]>, Vec<&'a [u8]>) {
    messages.iter().map(|(app, id)| (bytes(app), bytes(id))).unzip()
}

/// Removes bodies, with the requests they came with, and leaves their messages.
pub(super) async fn drop_bodies(client: &Client, messages: &[(AppId, MessageId)]) -> Result<(), StoreError> {
    let sql = "UPDATE message m SET body = NULL, origin = NULL FROM UNNEST($1, $2) AS u (app, id) \
               WHERE m.app = u.app AND m.id = u.id AND m.id >= $3 AND m.id < $4";
    for (day, messages) in partitions::by_day(messages, |(_, message)| *message) {
        let (apps, ids) = columns(&messages);
        let (first, until) = day.ids::<MessageKind>();
        execute(client, sql, &[&apps, &ids, &bytes(&first), &bytes(&until)]).await?;
    }
    Ok(())
}
