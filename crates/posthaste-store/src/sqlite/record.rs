//! Records what came of a delivery: the attempt, the new state and the endpoint's health, together.

use posthaste_core::attempt::{Attempt, Outcome, Trigger};
use posthaste_core::delivery::{DeliveryState, Verdict};
use posthaste_core::endpoint::Endpoint;
use posthaste_core::health;
use posthaste_core::id::AppId;
use posthaste_core::operational::{AttemptNames, Operational};
use posthaste_core::rollup::Counts;
use posthaste_core::time::Timestamp;
use posthaste_fault::{Bug, planted, point};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, params};

use super::intake::tell;
use super::rows;
use super::writer::Work;
use crate::error::StoreError;
use crate::queue::{Record, Recorded};
use crate::{columns, telling};

pub(super) fn record(work: &mut Work<'_>, record: &Record, now: Timestamp) -> Result<Recorded, StoreError> {
    if let Some(attempt) = &record.attempt {
        write_attempt(work, attempt)?;
        point!("record.attempt_inserted");
    }
    let Some((app, attempts)) = move_on(work, record)? else {
        return Ok(Recorded { fenced: false, disabled_endpoint: false });
    };
    count(work, app, record, now)?;
    mark_step(record.verdict);
    work.effects.in_flight_delta -= 1;
    if let Verdict::RetryAt(due) = record.verdict {
        work.effects.waiting_delta += 1;
        work.effects.due.push((record.key.endpoint, due));
    }
    let Some(attempt) = &record.attempt else {
        return Ok(Recorded { fenced: true, disabled_endpoint: false });
    };
    let disabled_endpoint = judge_health(work, app, attempt, now)?;
    if let Some(what) = telling::worth_telling(record.verdict, attempts) {
        tell_of_attempt(work, app, attempt, what, now)?;
    }
    Ok(Recorded { fenced: true, disabled_endpoint })
}

/// Once a delivery, since whoever records again has no lease any more.
fn count(work: &mut Work<'_>, app_id: AppId, record: &Record, now: Timestamp) -> Result<(), StoreError> {
    let Some(app) = work.memo.app(work.conn, work.vault, app_id)? else { return Ok(()) };
    let counts = Counts::of_record(record.attempt.as_ref(), record.verdict);
    work.effects.counted.recorded(app.environment, (app_id, record.key.endpoint), &counts, now);
    Ok(())
}

fn mark_step(verdict: Verdict) {
    match verdict {
        Verdict::Delivered => point!("record.delivered"),
        Verdict::RetryAt(_) => point!("record.retry_scheduled"),
        Verdict::GiveUp(_) => point!("record.dead_lettered"),
    }
}

/// Moves the delivery to its next state, if the lease is still ours. Returns its app and how many attempts it has had.
fn move_on(work: &Work<'_>, record: &Record) -> Result<Option<(AppId, u32)>, StoreError> {
    let (state, due, why) = match record.verdict.state() {
        DeliveryState::Waiting { due } => (0, Some(due.as_micros()), None),
        DeliveryState::InFlight { .. } => (1, None, None),
        DeliveryState::Delivered => (2, None, None),
        DeliveryState::DeadLettered { why } => (3, None, Some(why.word())),
    };
    let without = planted(Bug::LeaseWithoutToken);
    let token = if without { held_token(work, record)? } else { Some(record.lease.token) };
    let sql = "UPDATE delivery SET state = ?4, due_at = ?5, why = ?6, attempts = attempts + ?7, \
               lease_token = NULL, lease_until = NULL \
               WHERE message = ?1 AND endpoint = ?2 AND state = 1 AND lease_token = ?3 RETURNING app, attempts";
    let moved = work.conn.prepare_cached(sql)?.query_row(
        params![
            record.key.message.as_bytes(),
            record.key.endpoint.as_bytes(),
            token,
            state,
            due,
            why,
            i64::from(record.attempt.is_some()),
        ],
        |row| Ok((rows::id(row, 0)?, row.get(1)?)),
    );
    Ok(moved.optional()?)
}

/// Whoever holds the lease by now: what a planted bug asks for.
fn held_token(work: &Work<'_>, record: &Record) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT lease_token FROM delivery WHERE message = ?1 AND endpoint = ?2";
    let key = (record.key.message.as_bytes(), record.key.endpoint.as_bytes());
    let token = work.conn.prepare_cached(sql)?.query_row(key, |row| row.get(0)).optional()?;
    Ok(token.flatten())
}

/// An attempt that is there already was recorded before: whoever did not hear our answer asks again.
pub(super) fn write_attempt(work: &Work<'_>, attempt: &Attempt) -> Result<(), StoreError> {
    let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    let (headers, body, truncated, failure, detail) = match &attempt.outcome {
        Outcome::Replied(reply) => {
            let headers = write_headers(&reply.headers);
            (Some(headers), (!reply.body.is_empty()).then_some(&*reply.body), reply.truncated, None, None)
        }
        Outcome::Failed(failure) => (None, None, false, Some(failure.kind.word()), Some(&*failure.detail)),
    };
    let sql = "INSERT INTO attempt (message, id, endpoint, url, manual, started_at, dns_us, connect_us, tls_us, \
               first_byte_us, total_us, remote, status, failure, detail, headers, body, truncated) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) \
               ON CONFLICT (message, id) DO NOTHING";
    let timing = attempt.timing;
    work.conn.prepare_cached(sql)?.execute(params![
        attempt.message.as_bytes(),
        attempt.id.as_bytes(),
        attempt.endpoint.as_bytes(),
        attempt.url,
        attempt.trigger == Trigger::Manual,
        attempt.started_at.as_micros(),
        micros(timing.dns),
        micros(timing.connect),
        micros(timing.tls),
        micros(timing.first_byte),
        micros(timing.total),
        attempt.remote.map(|remote| remote.to_string()),
        attempt.outcome.status_code(),
        failure,
        detail,
        headers,
        body,
        truncated,
    ])?;
    Ok(())
}

/// Text for whoever opens the file, bytes if a value is not UTF-8.
fn write_headers(headers: &[(String, bytes::Bytes)]) -> Value {
    let lines = columns::attempt::write_headers(headers);
    String::from_utf8(lines).map_or_else(|error| Value::Blob(error.into_bytes()), Value::Text)
}

/// Applies the health rule, and writes only when something changed. Returns whether the endpoint was disabled.
fn judge_health(
    work: &mut Work<'_>,
    app_id: AppId,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(app) = work.memo.app(work.conn, work.vault, app_id)? else { return Ok(false) };
    let Some(endpoint) = app.endpoint(attempt.endpoint) else { return Ok(false) };
    let health = health::after_attempt(attempt, endpoint.failing_since, now);
    let disable = health.disable && !endpoint.disabled;
    if health.failing_since == endpoint.failing_since && !disable {
        return Ok(false);
    }
    let sql = "UPDATE endpoint SET failing_since = ?2, disabled = disabled OR ?3 WHERE id = ?1";
    let since = health.failing_since.map(Timestamp::as_micros);
    work.conn.prepare_cached(sql)?.execute(params![endpoint.id.as_bytes(), since, disable])?;
    point!("record.endpoint_disabled");
    let disabled = endpoint.disabled || disable;
    work.memo
        .replace(&app, Endpoint { failing_since: health.failing_since, disabled, ..(**endpoint).clone() });
    if disable {
        // What waits for it ends now, not at its next attempt.
        work.effects.due.push((endpoint.id, now));
        if !app.operational {
            let names = telling::names(&app, attempt.endpoint);
            let what = Operational::EndpointDisabled(names, health.failing_since);
            tell(work, app.environment, &what, now)?;
        }
    }
    Ok(disable)
}

fn tell_of_attempt(
    work: &mut Work<'_>,
    app_id: AppId,
    attempt: &Attempt,
    what: fn(AttemptNames) -> Operational,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(app) = work.memo.app(work.conn, work.vault, app_id)?.filter(|app| !app.operational) else {
        return Ok(());
    };
    let sql = "SELECT event_id FROM message WHERE app = ?1 AND id = ?2";
    let event_id: Option<Option<String>> = work
        .conn
        .prepare_cached(sql)?
        .query_row(params![app_id.as_bytes(), attempt.message.as_bytes()], |row| row.get(0))
        .optional()?;
    let event_id = event_id.flatten().and_then(|text| posthaste_core::name::Uid::parse(&text).ok());
    let names = telling::attempt_names(&app, attempt, event_id);
    tell(work, app.environment, &what(names), now)
}
