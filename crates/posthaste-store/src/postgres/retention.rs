//! Removes what is past its time: whole messages that are owed to nobody, and bodies whose own time is over, and
//! what sources kept for a while.

use posthaste_core::id::{AppId, MessageId};
use posthaste_core::limits::{REFUSAL_RETENTION, RETENTION_STEP_ROWS};
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use tokio_postgres::{Client, Row};

use super::rows;
use super::statement::{bytes, execute, query, query_opt};
use super::work::Work;
use crate::error::StoreError;
use crate::queue::Forgotten;

/// Rows of one step.
const STEP: i64 = RETENTION_STEP_ROWS as i64;

/// What may go.
pub(super) struct Found {
    messages: Vec<(AppId, MessageId)>,
    bodies: Vec<(AppId, MessageId)>,
    /// Keys, doors or refused requests are past their time.
    expired: bool,
    before: Timestamp,
    now: Timestamp,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.bodies.is_empty() && !self.expired
    }
}

fn names(row: &Row) -> Result<(AppId, MessageId), StoreError> {
    Ok((rows::id(row, 0)?, rows::id(row, 1)?))
}

/// Looks for it, outside of any transaction: app by app, since each app's messages are one range.
pub(super) async fn find(client: &Client, before: Timestamp, now: Timestamp) -> Result<Found, StoreError> {
    let edge = MessageId::first_at(before);
    let mut messages = Vec::new();
    let next_app = "SELECT app FROM message WHERE app > $1 ORDER BY app LIMIT 1";
    let old = "SELECT app, id FROM message m WHERE app = $1 AND id < $2 AND NOT EXISTS (SELECT 1 FROM delivery d \
               WHERE d.message = m.id AND d.state < 2) ORDER BY id LIMIT $3";
    let mut app = AppId::MIN;
    while messages.len() < RETENTION_STEP_ROWS as usize {
        let Some(row) = query_opt(client, next_app, &[&bytes(&app)]).await? else { break };
        app = rows::id(&row, 0)?;
        let room = STEP - i64::try_from(messages.len()).unwrap_or(STEP);
        for row in query(client, old, &[&bytes(&app), &bytes(&edge), &room]).await? {
            messages.push(names(&row)?);
        }
    }
    let sql = "SELECT app, id FROM message WHERE expunge_at <= $1 AND expunge_at IS NOT NULL AND body IS NOT NULL \
               ORDER BY expunge_at LIMIT $2";
    let bodies = query(client, sql, &[&now.as_micros(), &STEP]).await?;
    let bodies = bodies.iter().map(names).collect::<Result<_, _>>()?;
    Ok(Found { messages, bodies, expired: any_expired(client, now).await?, before, now })
}

fn refused_until(now: Timestamp) -> i64 {
    now.earlier(REFUSAL_RETENTION).as_micros()
}

async fn any_expired(client: &Client, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM idempotency WHERE expires_at <= $1) \
               OR EXISTS (SELECT 1 FROM received WHERE expires_at <= $1) \
               OR EXISTS (SELECT 1 FROM door WHERE retires_at <= $1) \
               OR EXISTS (SELECT 1 FROM refusal WHERE at <= $2)";
    let found = query_opt(client, sql, &[&now.as_micros(), &refused_until(now)]).await?;
    Ok(found.map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}

/// Removes one step of each kind. `true`: there may be more. What another node removes meanwhile is passed by.
async fn drop_expired(work: &Work, now: Timestamp) -> Result<bool, StoreError> {
    let kinds = [
        ("idempotency", "key", "expires_at", now.as_micros()),
        ("received", "key", "expires_at", now.as_micros()),
        ("door", "hash", "retires_at", now.as_micros()),
        ("refusal", "source, id", "at", refused_until(now)),
    ];
    let mut more = false;
    for (table, key, time, until) in kinds {
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {time} <= $1 ORDER BY {time} \
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
    let step = RETENTION_STEP_ROWS as usize;
    tracing::debug!(messages_count, before = %found.before, "old messages removed");
    Ok(Forgotten {
        messages_count,
        bodies_count: found.bodies.len() as u64,
        more: messages_count > 0 && found.messages.len() == step
            || found.bodies.len() == step
            || more_expired,
    })
}

/// Locks the messages first: a resend that came between looking and removing is seen, one that comes now waits.
async fn forget_messages(work: &Work, messages: &[(AppId, MessageId)]) -> Result<u64, StoreError> {
    if messages.is_empty() {
        return Ok(0);
    }
    let (apps, ids) = columns(messages);
    let sql = "SELECT 1 FROM message m JOIN UNNEST($1, $2) AS u (app, id) ON m.app = u.app AND m.id = u.id \
               ORDER BY m.app, m.id FOR UPDATE OF m";
    query(work.client(), sql, &[&apps, &ids]).await?;
    let sql = "WITH gone AS (DELETE FROM message m USING UNNEST($1, $2) AS u (app, id) \
                   WHERE m.app = u.app AND m.id = u.id AND NOT EXISTS ( \
                   SELECT 1 FROM delivery d WHERE d.message = m.id AND d.state < 2) \
                   RETURNING m.app, m.id, m.event_id), \
               attempts AS (DELETE FROM attempt a USING gone WHERE a.message = gone.id), \
               deliveries AS (DELETE FROM delivery d USING gone WHERE d.message = gone.id), \
               keys AS (DELETE FROM event_key k USING gone \
                   WHERE k.app = gone.app AND k.event_id = gone.event_id AND k.message = gone.id) \
               SELECT count(*) FROM gone";
    let counted = query_opt(work.client(), sql, &[&apps, &ids]).await?;
    counted.map_or(Ok(0), |row| rows::count(&row, 0))
}

fn columns(messages: &[(AppId, MessageId)]) -> (Vec<&[u8]>, Vec<&[u8]>) {
    messages.iter().map(|(app, id)| (bytes(app), bytes(id))).unzip()
}

/// Removes bodies, with the requests they came with, and leaves their messages.
pub(super) async fn drop_bodies(client: &Client, messages: &[(AppId, MessageId)]) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let (apps, ids) = columns(messages);
    let sql = "UPDATE message m SET body = NULL, origin = NULL FROM UNNEST($1, $2) AS u (app, id) \
               WHERE m.app = u.app AND m.id = u.id";
    execute(client, sql, &[&apps, &ids]).await?;
    Ok(())
}
