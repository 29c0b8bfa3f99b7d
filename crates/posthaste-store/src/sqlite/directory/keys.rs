//! Idempotency keys of requests that are not messages: reserved, then settled with what was answered.
//!
//! Answers are sealed: one to a rotation holds a secret, one to a portal link a token.

use posthaste_core::limits::IDEMPOTENCY_WINDOW;
use posthaste_core::time::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::super::writer::Work;
use crate::columns::keys::WORK_MAX;
use crate::directory::Reservation;
use crate::error::{ChangeError, StoreError};
use crate::intake::IdempotencyKey;
use crate::seal::SealError;

fn unsealable(error: SealError) -> StoreError {
    StoreError::Corrupt { table: "idempotency", detail: error.to_string() }
}

pub(super) fn reserve(
    work: &Work<'_>,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Reservation, ChangeError> {
    type Row = ([u8; 32], Option<u16>, Option<Vec<u8>>);
    let sql = "SELECT fingerprint, status, answer FROM idempotency WHERE key = ?1 AND expires_at > ?2";
    let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
    let found: Option<Row> = statement
        .query_row(params![key.key, now.as_micros()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()
        .map_err(StoreError::from)?;
    match found {
        Some((fingerprint, ..)) if fingerprint != key.fingerprint => Err(ChangeError::KeyReused),
        Some((_, Some(status), answer)) => {
            let body =
                answer.map(|sealed| work.vault.open(&sealed, &key.key)).transpose().map_err(unsealable)?;
            Ok(Reservation::Answered { status, body: body.map(|body| body.to_vec()).unwrap_or_default() })
        }
        Some(_) => Err(ChangeError::KeyInUse),
        None => {
            let sql = "INSERT OR REPLACE INTO idempotency (key, fingerprint, expires_at) VALUES (?1, ?2, ?3)";
            let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
            let values = params![key.key, key.fingerprint, now.later(WORK_MAX).as_micros()];
            statement.execute(values).map_err(StoreError::from)?;
            Ok(Reservation::Fresh)
        }
    }
}

pub(super) fn settle(
    work: &Work<'_>,
    key: &IdempotencyKey,
    answer: Option<&(u16, Vec<u8>)>,
) -> Result<(), StoreError> {
    match answer {
        Some((status, body)) => {
            let sealed = work.vault.seal(body, &key.key, work.dice).map_err(unsealable)?;
            // The window began when the key was reserved.
            let rest =
                i64::try_from(IDEMPOTENCY_WINDOW.saturating_sub(WORK_MAX).as_micros()).unwrap_or(i64::MAX);
            let sql = "UPDATE idempotency SET status = ?2, answer = ?3, expires_at = expires_at + ?4 \
                       WHERE key = ?1 AND status IS NULL";
            work.conn.prepare_cached(sql)?.execute(params![key.key, status, sealed, rest])?;
        }
        None => {
            work.conn.prepare_cached("DELETE FROM idempotency WHERE key = ?1")?.execute([key.key])?;
        }
    }
    Ok(())
}
