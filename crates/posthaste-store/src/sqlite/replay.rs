//! Replays: written down, and made step by step. What one comes by is found in `candidates.rs`.

use std::num::NonZeroU16;

use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, EndpointId, ID_BYTES};
use posthaste_core::job::{Job, JobReason, JobState, Tally};
use posthaste_core::limits::{JOB_STEP_ROWS, REPLAYS_RUNNING_MAX};
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::replay::{Pace, ReplayFilter, Which, pick};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::writer::Work;
use super::{candidates, job_rows, jobs, rows};
use crate::columns::job::{JOB_COLUMNS, REPLAY_COLUMNS, joined_ids, split_ids};
use crate::columns::names::{joined, split};
use crate::error::{ChangeError, StoreError};
use crate::replay::{Looked, NewReplay, Replay, ReplayScope, ReplayStep};

/// The app and the endpoint that a replay names.
fn find(
    conn: &Connection,
    environment: EnvironmentId,
    app: &Reference,
    endpoint: Option<&Reference>,
) -> Result<(AppId, Option<EndpointId>), ChangeError> {
    let app = rows::find_app(conn, environment, app)?.ok_or(ChangeError::NotFound("application"))?;
    let Some(endpoint) = endpoint else { return Ok((app, None)) };
    let found = rows::find_endpoint(conn, app, endpoint)?.ok_or(ChangeError::NotFound("endpoint"))?;
    Ok((app, Some(found)))
}

pub(super) fn count(conn: &Connection, scope: &ReplayScope) -> Result<Tally, ChangeError> {
    let (app, endpoint) = find(conn, scope.environment, &scope.app, scope.endpoint.as_ref())?;
    Ok(candidates::count(conn, app, endpoint, &scope.filter)?)
}

/// Writes a replay down.
pub(super) fn ask(work: &mut Work<'_>, new: &NewReplay, now: Timestamp) -> Result<Job, ChangeError> {
    let NewReplay { id, scope, pace, total } = new;
    let (app, endpoint) = find(work.conn, scope.environment, &scope.app, scope.endpoint.as_ref())?;
    let running = "SELECT count(*) FROM replay WHERE environment = ?1 AND state = 'running'";
    let mut statement = work.conn.prepare_cached(running).map_err(StoreError::from)?;
    let running: u32 =
        statement.query_row([scope.environment.0], |row| row.get(0)).map_err(StoreError::from)?;
    if running >= REPLAYS_RUNNING_MAX {
        return Err(ChangeError::TooMany("replays"));
    }
    let filter = ReplayFilter { until: scope.filter.until.min(now), ..scope.filter.clone() };
    let job = Job {
        id: *id,
        environment: scope.environment,
        app,
        endpoint,
        task: Replay::task(filter.which),
        since: filter.since,
        until: filter.until,
        done_count: 0,
        lost_count: 0,
        total: Some(*total),
        state: JobState::Running,
        reason: None,
        created_at: now,
        updated_at: now,
    };
    insert(work.conn, &Replay::new(job.clone(), filter, *pace))?;
    work.effects.job = true;
    Ok(job)
}

fn insert(conn: &Connection, replay: &Replay) -> Result<(), StoreError> {
    let Replay { job, filter, pace, at, next, next_at } = replay;
    let sql = format!(
        "INSERT INTO replay ({JOB_COLUMNS}, {REPLAY_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, ?8, ?9, ?10, \
         NULL, ?11, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
    );
    let total = job.total.unwrap_or_default();
    let event_types =
        filter.event_types.as_ref().and_then(|types| joined(types.iter().map(EventTypeName::as_str)));
    conn.prepare_cached(&sql)?.execute(params![
        job.id.as_bytes(),
        job.environment.0,
        job.app.as_bytes(),
        job.endpoint.as_ref().map(EndpointId::as_bytes),
        job.task.word(),
        job.since.as_micros(),
        job.until.as_micros(),
        total.count,
        total.more,
        job.state.word(),
        job.created_at.as_micros(),
        filter.which.word(),
        event_types,
        filter.channel.as_ref().map(Channel::as_str),
        filter.tag.as_ref().map(Tag::as_str),
        filter.messages.as_ref().map(|ids| joined_ids(ids)),
        pace.0.map(NonZeroU16::get),
        at.as_bytes(),
        next.as_bytes(),
        next_at.as_micros(),
    ])?;
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Replay> {
    let job = job_rows::read_job(row)?;
    let which: String = row.get(15)?;
    let event_types: Option<String> = row.get(16)?;
    let channel: Option<String> = row.get(17)?;
    let tag: Option<String> = row.get(18)?;
    let filter = ReplayFilter {
        which: Which::from_word(&which).unwrap_or(Which::Failed),
        since: job.since,
        until: job.until,
        event_types: event_types.map(|text| split(Some(&text), |name| EventTypeName::parse(name).ok())),
        channel: channel.and_then(|name| Channel::parse(&name).ok()),
        tag: tag.and_then(|name| Tag::parse(&name).ok()),
        messages: row.get::<_, Option<Vec<u8>>>(19)?.map(|ids| split_ids(&ids)),
    };
    let rate: Option<u16> = row.get(20)?;
    Ok(Replay {
        job,
        filter,
        pace: Pace(rate.and_then(NonZeroU16::new)),
        at: EndpointId::from_bytes(row.get::<_, [u8; ID_BYTES]>(21)?),
        next: rows::id(row, 22)?,
        next_at: rows::at(row, 23)?,
    })
}

/// When the next step may be.
pub(super) fn next_at(conn: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT next_at FROM replay WHERE state = 'running' ORDER BY next_at LIMIT 1";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| rows::at(row, 0)).optional()?)
}

/// One step of the replay that is due first: its rows, how far it is and that it is over are one commit.
pub(super) fn step(work: &mut Work<'_>, now: Timestamp) -> Result<ReplayStep, StoreError> {
    let sql = format!(
        "SELECT {JOB_COLUMNS}, {REPLAY_COLUMNS} FROM replay WHERE state = 'running' AND next_at <= ?1 \
         ORDER BY next_at, id LIMIT 1"
    );
    let found = work.conn.prepare_cached(&sql)?.query_row([now.as_micros()], read).optional()?;
    let Some(mut replay) = found else { return Ok(ReplayStep::Idle) };
    go_on(work, &mut replay, now)?;
    let sql = "UPDATE replay SET at_endpoint = ?2, next = ?3, next_at = ?4, done_count = ?5, lost_count = ?6, state = ?7, \
               why = ?8, updated_at = ?9 WHERE id = ?1";
    work.conn.prepare_cached(sql)?.execute(params![
        replay.job.id.as_bytes(),
        replay.at.as_bytes(),
        replay.next.as_bytes(),
        replay.next_at.as_micros(),
        replay.job.done_count,
        replay.job.lost_count,
        replay.job.state.word(),
        replay.job.reason.map(JobReason::word),
        now.as_micros(),
    ])?;
    Ok(ReplayStep::Made(replay.job))
}

fn go_on(work: &mut Work<'_>, replay: &mut Replay, now: Timestamp) -> Result<(), StoreError> {
    let app = replay.job.app;
    let gone = "SELECT deleted_at IS NOT NULL FROM app WHERE id = ?1";
    let gone: Option<bool> =
        work.conn.prepare_cached(gone)?.query_row([app.as_bytes()], |row| row.get(0)).optional()?;
    if gone.unwrap_or(true) {
        replay.ends(JobState::Failed, Some(JobReason::AppDeleted), now);
        return Ok(());
    }
    let target = candidates::target(work.conn, app, replay.job.endpoint, replay.at, replay.is_through())?;
    let Some(target) = target else {
        if replay.job.endpoint.is_some() {
            replay.ends(JobState::Failed, Some(JobReason::EndpointDeleted), now);
        } else {
            let passed_by = candidates::has_disabled(work.conn, app)?;
            replay.ends(JobState::Finished, passed_by.then_some(JobReason::EndpointDisabled), now);
        }
        return Ok(());
    };
    if target.disabled {
        replay.ends(JobState::Failed, Some(JobReason::EndpointDisabled), now);
        return Ok(());
    }
    let found = candidates::candidates(
        work.conn,
        app,
        target.id,
        &replay.filter,
        replay.range(target.id),
        JOB_STEP_ROWS,
    )?;
    let picked = pick(&replay.filter, &target.wants, &found, replay.pace.room());
    for message in &picked.put_back {
        jobs::put_back(work, app, *message, target.id, now)?;
        point!("replay.half_put_back");
    }
    let put_back_count = picked.put_back.len();
    let looked = Looked { picked, more: found.len() >= JOB_STEP_ROWS as usize };
    replay.went_on(target.id, &looked, put_back_count, now);
    Ok(())
}
