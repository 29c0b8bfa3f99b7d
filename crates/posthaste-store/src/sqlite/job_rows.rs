//! Jobs as they are shown: one, a page of them, and stopping one.

use posthaste_core::id::JobId;
use posthaste_core::job::{Job, JobReason, JobState, JobTask, Tally};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::pages::Listing;
use super::rows;
use super::writer::Work;
use crate::columns::job::{JOB_COLUMNS, JOB_TABLES};
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::replay::JobFilter;

/// Reads [`JOB_COLUMNS`].
pub(super) fn read_job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let (task, state) = (row.get::<_, String>(4)?, row.get::<_, String>(11)?);
    let total = row.get::<_, Option<u64>>(9)?;
    let more = row.get::<_, Option<bool>>(10)?.unwrap_or_default();
    let endpoint: Option<[u8; posthaste_core::id::ID_BYTES]> = row.get(3)?;
    Ok(Job {
        id: rows::id(row, 0)?,
        environment: EnvironmentId(row.get(1)?),
        app: rows::id(row, 2)?,
        endpoint: endpoint.map(posthaste_core::id::EndpointId::from_bytes),
        task: JobTask::from_word(&task).unwrap_or(JobTask::Recover),
        since: rows::at(row, 5)?,
        until: rows::at(row, 6)?,
        done_count: row.get(7)?,
        lost_count: row.get(8)?,
        total: total.map(|count| Tally { count, more }),
        // A word that a newer version wrote: nothing that this one goes on with.
        state: JobState::from_word(&state).unwrap_or(JobState::Finished),
        reason: row.get::<_, Option<String>>(12)?.as_deref().and_then(JobReason::from_word),
        created_at: rows::at(row, 13)?,
        updated_at: rows::at(row, 14)?,
    })
}

pub(super) fn job(
    conn: &Connection,
    environment: EnvironmentId,
    id: JobId,
) -> Result<Option<Job>, StoreError> {
    for table in JOB_TABLES {
        let sql = format!("SELECT {JOB_COLUMNS} FROM {table} WHERE id = ?1 AND environment = ?2");
        let values = params![id.as_bytes(), environment.0];
        let found = conn.prepare_cached(&sql)?.query_row(values, read_job).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub(super) fn jobs(
    conn: &Connection,
    environment: EnvironmentId,
    filter: JobFilter,
    request: &PageRequest<JobId>,
) -> Result<Page<Job>, StoreError> {
    let page = |table| page(conn, table, environment, filter, request);
    let [recoveries, replays] = JOB_TABLES;
    Ok(request.merge([page(recoveries)?, page(replays)?], |job| job.id))
}

fn page(
    conn: &Connection,
    table: &str,
    environment: EnvironmentId,
    filter: JobFilter,
    request: &PageRequest<JobId>,
) -> Result<Page<Job>, StoreError> {
    let mut select = format!("SELECT {JOB_COLUMNS} FROM {table} WHERE environment = :environment");
    let task = filter.task.map(JobTask::word);
    if task.is_some() {
        select.push_str(" AND task = :task");
    }
    match filter.state {
        Some(JobState::Failed) => select.push_str(" AND state IN ('failed', 'cancelled')"),
        Some(JobState::Running) => select.push_str(" AND state = 'running'"),
        Some(JobState::Finished) => select.push_str(" AND state = 'finished'"),
        Some(JobState::Cancelled) => select.push_str(" AND state = 'cancelled'"),
        None => {}
    }
    let mut listing = Listing { select: &select, key: "id", values: vec![(":environment", &environment.0)] };
    if let Some(task) = &task {
        listing.values.push((":task", task));
    }
    listing.page(conn, request, |id| *id.as_bytes(), |row| Ok(read_job(row)?))
}

/// Stops a job, of whichever kind.
pub(super) fn cancel(
    work: &mut Work<'_>,
    environment: EnvironmentId,
    id: JobId,
    now: Timestamp,
) -> Result<Job, ChangeError> {
    for sql in [
        "UPDATE job SET finished = 1, cancelled = 1, updated_at = ?3 \
         WHERE id = ?1 AND environment = ?2 AND finished = 0",
        "UPDATE replay SET state = 'cancelled', updated_at = ?3 \
         WHERE id = ?1 AND environment = ?2 AND state = 'running'",
    ] {
        let mut statement = work.conn.prepare_cached(sql).map_err(StoreError::from)?;
        let values = params![id.as_bytes(), environment.0, now.as_micros()];
        statement.execute(values).map_err(StoreError::from)?;
    }
    job(work.conn, environment, id)?.ok_or(ChangeError::NotFound("background task"))
}
