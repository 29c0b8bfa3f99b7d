//! Puts deliveries back into the queue: one by resend, many by a job in small steps.

use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::job::{Job, JobState, JobTask};
use posthaste_core::limits::JOB_STEP_ROWS;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::job_rows::read_job;
use super::rows;
use super::writer::Work;
use crate::columns::job::{JOB_COLUMNS, RECOVERIES};
use crate::error::{ChangeError, StoreError};
use crate::queue::NewRecover;

/// Puts one delivery back. `references`: app, message, endpoint.
pub(super) fn resend(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    references: [&Reference; 3],
    now: Timestamp,
) -> Result<(), ChangeError> {
    let [app, message, endpoint] = references;
    let app = work.memo.app_by(work.conn, work.vault, environment, app)?;
    let app = app.ok_or(ChangeError::NotFound("application"))?;
    let endpoint = app.endpoint_by(endpoint).ok_or(ChangeError::NotFound("endpoint"))?.id;
    let message =
        rows::find_message(work.conn, app.app.id, message)?.ok_or(ChangeError::NotFound("message"))?;
    let body: Option<i64> = {
        let sql = "SELECT body FROM message WHERE app = ?1 AND id = ?2";
        let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
        let values = params![app.app.id.as_bytes(), message.as_bytes()];
        statement.query_row(values, |row| row.get(0)).map_err(StoreError::from)?
    };
    if body.is_none() {
        return Err(ChangeError::NotFound("the message's payload"));
    }
    put_back(work, app.app.id, message, endpoint, now)?;
    Ok(())
}

/// Makes a delivery wait, due now, with its full schedule; one in flight is left alone.
pub(super) fn put_back(
    work: &mut Work<'_>,
    app: AppId,
    message: MessageId,
    endpoint: EndpointId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO delivery (message, endpoint, app, state, due_at, attempts, manual) \
               VALUES (?1, ?2, ?3, 0, ?4, 0, 1) ON CONFLICT (message, endpoint) DO UPDATE SET \
               state = 0, due_at = excluded.due_at, attempts = 0, manual = 1, why = NULL WHERE state <> 1";
    let was: Option<i64> = work
        .conn
        .prepare_cached("SELECT state FROM delivery WHERE message = ?1 AND endpoint = ?2")?
        .query_row(params![message.as_bytes(), endpoint.as_bytes()], |row| row.get(0))
        .optional()?;
    let values = params![message.as_bytes(), endpoint.as_bytes(), app.as_bytes(), now.as_micros()];
    if work.conn.prepare_cached(sql)?.execute(values)? == 1 {
        work.effects.waiting_delta += i64::from(was != Some(0));
        work.effects.due.push((endpoint, now));
    }
    Ok(())
}

/// Writes down a recovery.
pub(super) fn recover(work: &mut Work<'_>, new: &NewRecover, now: Timestamp) -> Result<Job, ChangeError> {
    let app = work.memo.app_by(work.conn, work.vault, new.environment, &new.app)?;
    let app = app.ok_or(ChangeError::NotFound("application"))?;
    let endpoint = app.endpoint_by(&new.endpoint).ok_or(ChangeError::NotFound("endpoint"))?.id;
    let job = Job {
        id: new.id,
        environment: new.environment,
        app: app.app.id,
        endpoint: Some(endpoint),
        task: JobTask::Recover,
        since: new.since,
        until: new.until,
        done_count: 0,
        lost_count: 0,
        total: None,
        state: JobState::Running,
        reason: None,
        created_at: now,
        updated_at: now,
    };
    let sql = "INSERT INTO job (id, environment, app, endpoint, task, since, until, next, done_count, finished, \
               created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?9, ?9)";
    let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
    let next = MessageId::first_at(job.since);
    let values = params![
        job.id.as_bytes(),
        job.environment.0,
        job.app.as_bytes(),
        endpoint.as_bytes(),
        job.task.word(),
        job.since.as_micros(),
        job.until.as_micros(),
        next.as_bytes(),
        now.as_micros(),
    ];
    statement.execute(values).map_err(StoreError::from)?;
    point!("recover.created");
    work.effects.job = true;
    Ok(job)
}

/// The oldest unfinished recovery.
pub(super) fn unfinished(conn: &Connection) -> Result<Option<Job>, StoreError> {
    let sql = format!(
        "SELECT {JOB_COLUMNS} FROM {RECOVERIES} WHERE id = (SELECT id FROM job WHERE finished = 0 ORDER BY id LIMIT 1)"
    );
    Ok(conn.prepare_cached(&sql)?.query_row([], read_job).optional()?)
}

/// One step of the oldest unfinished recovery: its rows, how far it is and that it is over are one commit.
pub(super) fn step(work: &mut Work<'_>, now: Timestamp) -> Result<Option<Job>, StoreError> {
    let Some(mut job) = unfinished(work.conn)? else { return Ok(None) };
    let endpoint = job.endpoint.ok_or_else(|| rows::corrupt("job", "a recovery has no endpoint"))?;
    let sql = "SELECT message FROM delivery WHERE state = 3 AND endpoint = ?1 AND message > ?2 AND message < ?3 \
               ORDER BY message LIMIT ?4";
    let next: [u8; 20] = work
        .conn
        .prepare_cached("SELECT next FROM job WHERE id = ?1")?
        .query_row([job.id.as_bytes()], |row| row.get(0))?;
    let mut statement = work.conn.prepare_cached(sql)?;
    let until = MessageId::first_at(job.until);
    let found = statement
        .query_map(params![endpoint.as_bytes(), next, until.as_bytes(), JOB_STEP_ROWS], |row| {
            rows::id(row, 0)
        })?
        .collect::<Result<Vec<MessageId>, _>>()?;
    drop(statement);
    for message in &found {
        put_back(work, job.app, *message, endpoint, now)?;
        point!("recover.half_put_back");
    }
    job.done_count += found.len() as u64;
    if found.len() < JOB_STEP_ROWS as usize {
        job.state = JobState::Finished;
    }
    job.updated_at = now;
    let next = found.last().map_or(next, |message| *message.as_bytes());
    let sql = "UPDATE job SET next = ?2, done_count = ?3, finished = ?4, updated_at = ?5 WHERE id = ?1";
    work.conn.prepare_cached(sql)?.execute(params![
        job.id.as_bytes(),
        next,
        job.done_count,
        job.is_over(),
        now.as_micros()
    ])?;
    point!("recover.cursor_saved");
    Ok(Some(job))
}
