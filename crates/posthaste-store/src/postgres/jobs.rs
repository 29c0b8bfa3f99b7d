//! Puts deliveries back into the queue: one by resend, many by a job in small steps.

use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, EndpointId, JobId, MessageId};
use posthaste_core::job::{Job, JobState, JobTask};
use posthaste_core::limits::JOB_STEP_ROWS;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use tokio_postgres::Client;

use super::job_rows::read_job;
use super::rows;
use super::statement::{Text, Value, bytes, execute, query, query_opt};
use super::work::Work;
use crate::columns::job::{JOB_COLUMNS, RECOVERIES};
use crate::error::{ChangeError, StoreError};
use crate::queue::NewRecover;

const APP: ChangeError = ChangeError::NotFound("application");
const ENDPOINT: ChangeError = ChangeError::NotFound("endpoint");
const MESSAGE: ChangeError = ChangeError::NotFound("message");

/// Puts one delivery back. `references`: app, message, endpoint.
pub(super) async fn resend(
    work: &mut Work,
    environment: EnvironmentId,
    references: [&Reference; 3],
    now: Timestamp,
) -> Result<(), ChangeError> {
    let [app, message, endpoint] = references;
    let app = rows::find_app(work.client(), environment, app).await?.ok_or(APP)?;
    let endpoint = rows::find_endpoint(work.client(), app, endpoint).await?.ok_or(ENDPOINT)?;
    let message = rows::find_message(work.client(), app, message).await?.ok_or(MESSAGE)?;
    // Locked, so that retention does not take it meanwhile.
    let sql = "SELECT body IS NOT NULL FROM message WHERE app = $1 AND id = $2 FOR UPDATE";
    let found = query_opt(work.client(), sql, &[&bytes(&app), &bytes(&message)]).await?.ok_or(MESSAGE)?;
    if !found.try_get::<_, bool>(0).map_err(StoreError::from)? {
        return Err(ChangeError::NotFound("the message's payload"));
    }
    put_back(work, app, &[message], endpoint, now).await?;
    Ok(())
}

/// Makes deliveries wait, due now, with their full schedule; those in flight are left alone.
pub(super) async fn put_back(
    work: &mut Work,
    app: AppId,
    messages: &[MessageId],
    endpoint: EndpointId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let messages: Vec<_> = messages.iter().map(bytes).collect();
    let waiting = "SELECT count(*) FROM delivery WHERE message = ANY($1) AND endpoint = $2 AND state = 0";
    let waited = query_opt(work.client(), waiting, &[&messages, &bytes(&endpoint)]).await?;
    let waited: i64 = waited.map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
    let sql = "INSERT INTO delivery (message, endpoint, app, state, manual, attempts, due_at) \
               SELECT m, $2, $3, 0, true, 0, $4 FROM UNNEST($1) AS m \
               ON CONFLICT (message, endpoint) DO UPDATE SET \
               state = 0, due_at = excluded.due_at, attempts = 0, manual = true, why = NULL WHERE delivery.state <> 1";
    let values: [&dyn Value; 4] = [&messages, &bytes(&endpoint), &bytes(&app), &now.as_micros()];
    let count = execute(work.client(), sql, &values).await?;
    if count > 0 {
        work.effects.waiting_delta += i64::try_from(count).unwrap_or(0) - waited;
        work.effects.due.push((endpoint, now));
    }
    Ok(())
}

/// Writes down a recovery.
pub(super) async fn recover(work: &mut Work, new: &NewRecover, now: Timestamp) -> Result<Job, ChangeError> {
    let app = rows::find_app(work.client(), new.environment, &new.app).await?.ok_or(APP)?;
    let endpoint = rows::find_endpoint(work.client(), app, &new.endpoint).await?.ok_or(ENDPOINT)?;
    let job = Job {
        id: new.id,
        environment: new.environment,
        app,
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
               created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, false, $9, $9)";
    let next = MessageId::first_at(job.since);
    let values: [&dyn Value; 9] = [
        &bytes(&job.id),
        &job.environment.0,
        &bytes(&job.app),
        &bytes(&endpoint),
        &Text(job.task.word()),
        &job.since.as_micros(),
        &job.until.as_micros(),
        &bytes(&next),
        &now.as_micros(),
    ];
    execute(work.client(), sql, &values).await?;
    work.effects.job = true;
    Ok(job)
}

pub(super) async fn any_unfinished(client: &Client) -> Result<bool, StoreError> {
    Ok(query_opt(client, "SELECT 1 FROM job WHERE NOT finished LIMIT 1", &[]).await?.is_some())
}

/// One step of the oldest unfinished job that no other node is at: its rows, how far it is and that it is over are one
/// commit.
pub(super) async fn step(work: &mut Work, now: Timestamp) -> Result<Option<Job>, StoreError> {
    let sql = "SELECT id, next FROM job WHERE NOT finished ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let Some(row) = query_opt(work.client(), sql, &[]).await? else { return Ok(None) };
    let (id, next): (JobId, MessageId) = (rows::id(&row, 0)?, rows::id(&row, 1)?);
    let sql = format!("SELECT {JOB_COLUMNS} FROM {RECOVERIES} WHERE id = $1");
    let Some(row) = query_opt(work.client(), &sql, &[&bytes(&id)]).await? else { return Ok(None) };
    let mut job = read_job(&row)?;
    let endpoint = job.endpoint.ok_or_else(|| rows::corrupt("job", "a recovery has no endpoint"))?;
    // Locked, so that retention does not take them meanwhile.
    let sql = "SELECT message FROM delivery WHERE state = 3 AND endpoint = $1 AND message > $2 AND message < $3 \
               ORDER BY message LIMIT $4 FOR UPDATE";
    let until = MessageId::first_at(job.until);
    let limit = i64::from(JOB_STEP_ROWS);
    let values: [&dyn Value; 4] = [&bytes(&endpoint), &bytes(&next), &bytes(&until), &limit];
    let found = query(work.client(), sql, &values).await?;
    let found = found.iter().map(|row| rows::id(row, 0)).collect::<Result<Vec<MessageId>, _>>()?;
    put_back(work, job.app, &found, endpoint, now).await?;
    point!("job.half_stepped");
    job.done_count += found.len() as u64;
    if found.len() < JOB_STEP_ROWS as usize {
        job.state = JobState::Finished;
    }
    job.updated_at = now;
    let next = found.last().copied().unwrap_or(next);
    let sql = "UPDATE job SET next = $2, done_count = $3, finished = $4, updated_at = $5 WHERE id = $1";
    let done_count = i64::try_from(job.done_count).unwrap_or(i64::MAX);
    let values: [&dyn Value; 5] =
        [&bytes(&job.id), &bytes(&next), &done_count, &job.is_over(), &now.as_micros()];
    execute(work.client(), sql, &values).await?;
    Ok(Some(job))
}
