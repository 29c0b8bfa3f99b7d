//! Idempotency keys of requests that are not messages: reserved, then settled with what was answered.
//!
//! Answers are sealed: one to a rotation holds a secret, one to a portal link a token.

use std::time::Duration;

use posthaste_core::limits::IDEMPOTENCY_WINDOW;
use posthaste_core::time::Timestamp;

use super::super::statement::{Value, execute, query_opt};
use super::super::work::Work;
use crate::columns::keys::WORK_MAX;
use crate::directory::Reservation;
use crate::error::{ChangeError, StoreError};
use crate::intake::IdempotencyKey;
use crate::seal::SealError;

fn unsealable(error: SealError) -> StoreError {
    StoreError::Corrupt { table: "idempotency", detail: error.to_string() }
}

/// The insert decides: of those who reserve one key at once, one is first.
pub(super) async fn reserve(
    work: &Work,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<Reservation, ChangeError> {
    let sql = "INSERT INTO idempotency AS i (key, fingerprint, expires_at) VALUES ($1, $2, $3) \
               ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, expires_at = excluded.expires_at, \
               app = NULL, message = NULL, status = NULL, answer = NULL WHERE i.expires_at <= $4";
    let values: [&dyn Value; 4] =
        [&&key.key[..], &&key.fingerprint[..], &now.later(WORK_MAX).as_micros(), &now.as_micros()];
    if execute(work.client(), sql, &values).await? == 1 {
        return Ok(Reservation::Fresh);
    }
    let sql = "SELECT fingerprint, status, answer FROM idempotency WHERE key = $1";
    let found = query_opt(work.client(), sql, &[&&key.key[..]]).await?;
    // Freed between the two statements.
    let row = found.ok_or(ChangeError::KeyInUse)?;
    let column = StoreError::from;
    if row.try_get::<_, &[u8]>(0).map_err(column)? != key.fingerprint {
        return Err(ChangeError::KeyReused);
    }
    let Some(status) = row.try_get::<_, Option<i32>>(1).map_err(column)? else {
        return Err(ChangeError::KeyInUse);
    };
    let answer: Option<&[u8]> = row.try_get(2).map_err(column)?;
    let body = answer.map(|sealed| work.shared.vault.open(sealed, &key.key)).transpose();
    let body = body.map_err(unsealable)?.map(|body| body.to_vec()).unwrap_or_default();
    Ok(Reservation::Answered { status: u16::try_from(status).unwrap_or_default(), body })
}

pub(super) async fn settle(
    work: &Work,
    key: &IdempotencyKey,
    answer: Option<&(u16, Vec<u8>)>,
) -> Result<(), StoreError> {
    let Some((status, body)) = answer else {
        execute(work.client(), "DELETE FROM idempotency WHERE key = $1", &[&&key.key[..]]).await?;
        return Ok(());
    };
    let sealed = work.shared.vault.seal(body, &key.key, &*work.shared.dice).map_err(unsealable)?;
    // The window began when the key was reserved.
    let rest: Duration = IDEMPOTENCY_WINDOW.saturating_sub(WORK_MAX);
    let rest = i64::try_from(rest.as_micros()).unwrap_or(i64::MAX);
    let sql = "UPDATE idempotency SET status = $2, answer = $3, expires_at = expires_at + $4 \
               WHERE key = $1 AND status IS NULL";
    let values: [&dyn Value; 4] = [&&key.key[..], &i32::from(*status), &sealed.as_slice(), &rest];
    execute(work.client(), sql, &values).await?;
    Ok(())
}
