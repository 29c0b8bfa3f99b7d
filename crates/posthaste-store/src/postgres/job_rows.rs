//! Jobs as they are shown: one, a page of them, and stopping one.

use posthaste_core::id::JobId;
use posthaste_core::job::{Job, JobReason, JobState, JobTask, Tally};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::{Client, Row};

use super::statement::{Statement, Text, Value, bytes, execute, query_opt};
use super::work::Work;
use super::{pages, rows};
use crate::columns::job::{JOB_COLUMNS, JOB_TABLES};
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::replay::JobFilter;

/// Reads [`JOB_COLUMNS`].
pub(super) fn read_job(row: &Row) -> Result<Job, StoreError> {
    let total = row.try_get::<_, Option<i64>>(9)?.map(|count| u64::try_from(count).unwrap_or(0));
    let more = row.try_get::<_, Option<bool>>(10)?.unwrap_or_default();
    Ok(Job {
        id: rows::id(row, 0)?,
        environment: rows::environment(row, 1)?,
        app: rows::id(row, 2)?,
        endpoint: rows::maybe_id(row, 3)?,
        task: JobTask::from_word(row.try_get(4)?).unwrap_or(JobTask::Recover),
        since: rows::at(row, 5)?,
        until: rows::at(row, 6)?,
        done_count: rows::count(row, 7)?,
        lost_count: rows::count(row, 8)?,
        total: total.map(|count| Tally { count, more }),
        // A word that a newer version wrote: nothing that this one goes on with.
        state: JobState::from_word(row.try_get(11)?).unwrap_or(JobState::Finished),
        reason: row.try_get::<_, Option<&str>>(12)?.and_then(JobReason::from_word),
        created_at: rows::at(row, 13)?,
        updated_at: rows::at(row, 14)?,
    })
}

pub(super) async fn job(
    client: &Client,
    environment: EnvironmentId,
    id: JobId,
) -> Result<Option<Job>, StoreError> {
    for table in JOB_TABLES {
        let sql = format!("SELECT {JOB_COLUMNS} FROM {table} WHERE id = $1 AND environment = $2");
        if let Some(row) = query_opt(client, &sql, &[&bytes(&id), &environment.0]).await? {
            return read_job(&row).map(Some);
        }
    }
    Ok(None)
}

pub(super) async fn jobs(
    client: &Client,
    environment: EnvironmentId,
    filter: JobFilter,
    request: &PageRequest<JobId>,
) -> Result<Page<Job>, StoreError> {
    let [recoveries, replays] = JOB_TABLES;
    let recoveries = page(client, recoveries, environment, filter, request).await?;
    let replays = page(client, replays, environment, filter, request).await?;
    Ok(request.merge([recoveries, replays], |job| job.id))
}

async fn page(
    client: &Client,
    table: &str,
    environment: EnvironmentId,
    filter: JobFilter,
    request: &PageRequest<JobId>,
) -> Result<Page<Job>, StoreError> {
    let mut select = Statement::new(format!("SELECT {JOB_COLUMNS} FROM {table} WHERE environment = "));
    select.bind(&environment.0);
    let task = filter.task.map(|task| Text(task.word()));
    if let Some(task) = &task {
        select.push(" AND task = ").bind(task);
    }
    match filter.state {
        Some(JobState::Failed) => drop(select.push(" AND state IN ('failed', 'cancelled')")),
        Some(JobState::Running) => drop(select.push(" AND state = 'running'")),
        Some(JobState::Finished) => drop(select.push(" AND state = 'finished'")),
        Some(JobState::Cancelled) => drop(select.push(" AND state = 'cancelled'")),
        None => {}
    }
    pages::page(client, select, "id", request, bytes, read_job).await
}

/// Stops a job, of whichever kind. A step of it that another node is at comes first.
pub(super) async fn cancel(
    work: &mut Work,
    environment: EnvironmentId,
    id: JobId,
    now: Timestamp,
) -> Result<Job, ChangeError> {
    for sql in [
        "UPDATE job SET finished = true, cancelled = true, updated_at = $3 \
         WHERE id = $1 AND environment = $2 AND NOT finished",
        "UPDATE replay SET state = 'cancelled', updated_at = $3 \
         WHERE id = $1 AND environment = $2 AND state = 'running'",
    ] {
        let values: [&dyn Value; 3] = [&bytes(&id), &environment.0, &now.as_micros()];
        execute(work.client(), sql, &values).await?;
    }
    job(work.client(), environment, id).await?.ok_or(ChangeError::NotFound("background task"))
}
