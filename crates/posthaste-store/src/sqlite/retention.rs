//! Removes what is past its time: whole messages that are owed to nobody, and bodies whose own time is over, and
//! what sources kept for a while.

use posthaste_core::id::{AppId, MessageId};
use posthaste_core::limits::{ENDED_TOKEN_RETENTION, REFUSAL_RETENTION, RETENTION_STEP_ROWS};
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use rusqlite::{Connection, params};

use super::writer::Work;
use super::{rollups, rows};
use crate::error::StoreError;
use crate::queue::Forgotten;

/// What may go.
pub(super) struct Found {
    messages: Vec<(AppId, MessageId)>,
    bodies: Vec<(AppId, MessageId)>,
    /// Keys, doors, refused requests, links or sessions are past their time, or counts are to become coarser.
    expired: bool,
    before: Timestamp,
    now: Timestamp,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.bodies.is_empty() && !self.expired
    }
}

/// Looks for it, on a reading connection: app by app, since each app's messages are one range.
pub(super) fn find(conn: &Connection, before: Timestamp, now: Timestamp) -> Result<Found, StoreError> {
    let edge = MessageId::first_at(before);
    let mut messages = Vec::new();
    let mut next_app = conn.prepare_cached("SELECT app FROM message WHERE app > ?1 ORDER BY app LIMIT 1")?;
    let sql = "SELECT id FROM message m WHERE app = ?1 AND id < ?2 AND NOT EXISTS (SELECT 1 FROM delivery d \
               WHERE d.message = m.id AND d.state < 2) ORDER BY id LIMIT ?3";
    let mut old = conn.prepare_cached(sql)?;
    let mut app = AppId::MIN;
    while messages.len() < RETENTION_STEP_ROWS as usize {
        let mut rows = next_app.query([app.as_bytes()])?;
        let Some(row) = rows.next()? else { break };
        app = rows::id(row, 0)?;
        let room = RETENTION_STEP_ROWS as usize - messages.len();
        let found = old.query_map(params![app.as_bytes(), edge.as_bytes(), room], |row| rows::id(row, 0))?;
        for id in found {
            messages.push((app, id?));
        }
    }
    let sql = "SELECT app, id FROM message WHERE expunge_at <= ?1 AND expunge_at IS NOT NULL AND body IS NOT NULL \
               LIMIT ?2";
    let bodies = conn
        .prepare_cached(sql)?
        .query_map(params![now.as_micros(), RETENTION_STEP_ROWS], |row| {
            Ok((rows::id(row, 0)?, rows::id(row, 1)?))
        })?
        .collect::<Result<_, _>>()?;
    Ok(Found {
        messages,
        bodies,
        expired: any_expired(conn, now)? || rollups::any_old(conn, now)?,
        before,
        now,
    })
}

fn refused_until(now: Timestamp) -> i64 {
    now.earlier(REFUSAL_RETENTION).as_micros()
}

/// Links and sessions; what is of the whole environment and was made by hand is there until it is removed by hand.
fn ended_until(now: Timestamp) -> i64 {
    now.earlier(ENDED_TOKEN_RETENTION).as_micros()
}

fn any_expired(conn: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    let looks = [
        ("SELECT 1 FROM idempotency WHERE expires_at <= ?1", now.as_micros()),
        ("SELECT 1 FROM received WHERE expires_at <= ?1", now.as_micros()),
        ("SELECT 1 FROM door WHERE retires_at <= ?1", now.as_micros()),
        ("SELECT 1 FROM refusal WHERE at <= ?1", refused_until(now)),
        (
            "SELECT 1 FROM token WHERE expires_at <= ?1 AND expires_at IS NOT NULL AND (app IS NOT NULL OR parent IS NOT NULL)",
            ended_until(now),
        ),
    ];
    for (sql, until) in looks {
        if conn.prepare_cached(sql)?.exists([until])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes one step of each kind. `true`: there may be more.
fn drop_expired(work: &mut Work<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let drop = |sql: &str, until: i64| -> Result<usize, StoreError> {
        Ok(work.conn.prepare_cached(sql)?.execute((until, RETENTION_STEP_ROWS))?)
    };
    let dropped = [
        drop(
            "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE expires_at <= ?1 LIMIT ?2)",
            now.as_micros(),
        )?,
        drop(
            "DELETE FROM received WHERE key IN (SELECT key FROM received WHERE expires_at <= ?1 LIMIT ?2)",
            now.as_micros(),
        )?,
        drop(
            "DELETE FROM door WHERE hash IN (SELECT hash FROM door WHERE retires_at <= ?1 LIMIT ?2)",
            now.as_micros(),
        )?,
        drop(
            "DELETE FROM refusal WHERE (source, id) IN (SELECT source, id FROM refusal WHERE at <= ?1 LIMIT ?2)",
            refused_until(now),
        )?,
        drop(
            "DELETE FROM token WHERE hash IN (SELECT hash FROM token WHERE expires_at <= ?1 AND expires_at IS NOT NULL \
             AND (app IS NOT NULL OR parent IS NOT NULL) LIMIT ?2)",
            ended_until(now),
        )?,
    ];
    if dropped[3] > 0 {
        work.memo.forget_refusals();
    }
    Ok(dropped.contains(&(RETENTION_STEP_ROWS as usize)))
}

pub(super) fn forget(work: &mut Work<'_>, found: &Found) -> Result<Forgotten, StoreError> {
    let conn = work.conn;
    let mut messages_count = 0;
    for (app, id) in &found.messages {
        // A resend may have come between looking and removing.
        let owed = "SELECT 1 FROM delivery WHERE message = ?1 AND state < 2";
        if conn.prepare_cached(owed)?.exists([id.as_bytes()])? {
            continue;
        }
        drop_body(conn, *app, *id)?;
        conn.prepare_cached("DELETE FROM attempt WHERE message = ?1")?.execute([id.as_bytes()])?;
        conn.prepare_cached("DELETE FROM delivery WHERE message = ?1")?.execute([id.as_bytes()])?;
        let key = "DELETE FROM event_key WHERE app = ?1 AND event_id = (SELECT event_id FROM message WHERE app = ?1 AND id = ?2)";
        let values = params![app.as_bytes(), id.as_bytes()];
        conn.prepare_cached(key)?.execute(values)?;
        conn.prepare_cached("DELETE FROM message WHERE app = ?1 AND id = ?2")?.execute(values)?;
        messages_count += 1;
        point!("retention.half_forgotten");
    }
    for (app, id) in &found.bodies {
        drop_body(conn, *app, *id)?;
    }
    let step = RETENTION_STEP_ROWS as usize;
    let more_expired = drop_expired(work, found.now)?;
    let more_counts = rollups::compact(conn, found.now)?;
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

/// Removes a message's body and leaves the message.
pub(super) fn drop_body(conn: &Connection, app: AppId, id: MessageId) -> Result<(), StoreError> {
    let values = params![app.as_bytes(), id.as_bytes()];
    let body = "DELETE FROM body WHERE id = (SELECT body FROM message WHERE app = ?1 AND id = ?2)";
    conn.prepare_cached(body)?.execute(values)?;
    conn.prepare_cached("UPDATE message SET body = NULL WHERE app = ?1 AND id = ?2")?.execute(values)?;
    Ok(())
}
