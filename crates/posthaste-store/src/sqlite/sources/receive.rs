//! Takes in what came by a door: the key, the message with its origin, its deliveries, one transaction.

use posthaste_core::attempt::Trigger;
use posthaste_core::id::{AppId, MessageId};
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use rusqlite::{OptionalExtension as _, params};

use super::super::intake::{Entry, enter};
use super::super::rows;
use super::super::writer::Work;
use super::NOT_FOUND;
use crate::error::{ChangeError, StoreError};
use crate::known::wanting;
use crate::received::{Key, Ready};
use crate::source::Received;

pub(super) fn receive(work: &mut Work<'_>, new: &Ready, now: Timestamp) -> Result<Received, ChangeError> {
    let app = work.memo.app(work.conn, work.vault, new.message.app)?;
    let app = app.filter(|app| {
        app.environment == new.environment && app.source.is_some_and(|source| source.id == new.source)
    });
    let app = app.ok_or(NOT_FOUND)?;
    if let Some(key) = &new.key
        && let Some(first) = take(work, key, new.message.id, now)?
    {
        return Ok(Received::Repeated { first, repeats_count: mark(work, app.app.id, first, now)? });
    }
    point!("receive.key_taken");
    let targets = wanting(&app, &new.message.event_type, &[]);
    let entry = Entry {
        app: &app,
        message: &new.message,
        origin: Some(&new.sealed_origin),
        expunge_at: new.expunge_at,
        trigger: Trigger::Scheduled,
    };
    let deliveries_count = enter(work, &entry, &targets, now)?;
    point!("receive.inserted");
    Ok(Received::New { message: new.message.id, deliveries_count })
}

/// Takes a key for a message, unless it is another's: then returns whose.
fn take(
    work: &Work<'_>,
    key: &Key,
    message: MessageId,
    now: Timestamp,
) -> Result<Option<MessageId>, StoreError> {
    let sql = "INSERT INTO received (key, message, expires_at) VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE \
               SET message = excluded.message, expires_at = excluded.expires_at WHERE expires_at <= ?4";
    let values = params![key.bytes, message.as_bytes(), key.expires_at.as_micros(), now.as_micros()];
    if work.conn.prepare_cached(sql)?.execute(values)? == 1 {
        return Ok(None);
    }
    let sql = "SELECT message FROM received WHERE key = ?1";
    Ok(Some(work.conn.prepare_cached(sql)?.query_row([key.bytes], |row| rows::id(row, 0))?))
}

/// Counts a repetition. A message that retention has removed cannot count: it came again at least this once.
fn mark(work: &Work<'_>, app: AppId, first: MessageId, now: Timestamp) -> Result<u32, StoreError> {
    let sql = "UPDATE message SET repeats = coalesce(repeats, 0) + 1, repeated_at = ?3 WHERE app = ?1 AND id = ?2 \
               RETURNING repeats";
    let values = params![app.as_bytes(), first.as_bytes(), now.as_micros()];
    let counted = work.conn.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    Ok(counted.unwrap_or(1))
}
