//! Replays: written down, and made step by step. What one comes by is found in `candidates.rs`.

use std::num::NonZeroU16;

use posthaste_core::app::Reference;
use posthaste_core::id::{AppId, EndpointId, MessageId, MessageKind};
use posthaste_core::job::{Job, JobReason, JobState, Tally};
use posthaste_core::limits::{JOB_STEP_ROWS, REPLAYS_RUNNING_MAX};
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::replay::{Pace, ReplayFilter, Which, pick};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;
use tokio_postgres::{Client, Row};

use super::partitions::by_day;
use super::statement::{Text, Value, bytes, execute, query, query_opt};
use super::work::Work;
use super::{candidates, job_rows, jobs, rows};
use crate::columns::job::{JOB_COLUMNS, REPLAY_COLUMNS, joined_ids, split_ids};
use crate::columns::names::{joined, split};
use crate::error::{ChangeError, StoreError};
use crate::replay::{Looked, NewReplay, Replay, ReplayScope, ReplayStep};

/// The app and the endpoint that a replay names.
async fn find(
    client: &Client,
    environment: EnvironmentId,
    app: &Reference,
    endpoint: Option<&Reference>,
) -> Result<(AppId, Option<EndpointId>), ChangeError> {
    let app = rows::find_app(client, environment, app).await?.ok_or(ChangeError::NotFound("application"))?;
    let Some(endpoint) = endpoint else { return Ok((app, None)) };
    let found = rows::find_endpoint(client, app, endpoint).await?.ok_or(ChangeError::NotFound("endpoint"))?;
    Ok((app, Some(found)))
}

pub(super) async fn count(client: &Client, scope: &ReplayScope) -> Result<Tally, ChangeError> {
    let (app, endpoint) = find(client, scope.environment, &scope.app, scope.endpoint.as_ref()).await?;
    Ok(candidates::count(client, app, endpoint, &scope.filter).await?)
}

/// Writes a replay down.
pub(super) async fn ask(work: &mut Work, new: &NewReplay, now: Timestamp) -> Result<Job, ChangeError> {
    let NewReplay { id, scope, pace, total } = new;
    let (app, endpoint) = find(work.client(), scope.environment, &scope.app, scope.endpoint.as_ref()).await?;
    let running = "SELECT count(*) FROM replay WHERE environment = $1 AND state = 'running'";
    let running = query_opt(work.client(), running, &[&scope.environment.0]).await?;
    if running.map_or(Ok(0), |row| rows::count(&row, 0))? >= u64::from(REPLAYS_RUNNING_MAX) {
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
    insert(work, &Replay::new(job.clone(), filter, *pace)).await?;
    work.effects.job = true;
    Ok(job)
}

async fn insert(work: &Work, replay: &Replay) -> Result<(), StoreError> {
    let Replay { job, filter, pace, at, next, next_at } = replay;
    let sql = format!(
        "INSERT INTO replay ({JOB_COLUMNS}, {REPLAY_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9, $10, \
         NULL, $11, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
    );
    let total = job.total.unwrap_or_default();
    let types = filter.event_types.as_ref().and_then(|types| joined(types.iter().map(EventTypeName::as_str)));
    let messages = filter.messages.as_ref().map(|ids| joined_ids(ids));
    let values: [&dyn Value; 20] = [
        &bytes(&job.id),
        &job.environment.0,
        &bytes(&job.app),
        &job.endpoint.as_ref().map(bytes),
        &Text(job.task.word()),
        &job.since.as_micros(),
        &job.until.as_micros(),
        &i64::try_from(total.count).unwrap_or(i64::MAX),
        &total.more,
        &Text(job.state.word()),
        &job.created_at.as_micros(),
        &Text(filter.which.word()),
        &types.as_deref().map(Text),
        &filter.channel.as_ref().map(|channel| Text(Channel::as_str(channel))),
        &filter.tag.as_ref().map(|tag| Text(Tag::as_str(tag))),
        &messages.as_deref(),
        &pace.0.map(|rate| i32::from(rate.get())),
        &bytes(at),
        &bytes(next),
        &next_at.as_micros(),
    ];
    execute(work.client(), &sql, &values).await?;
    Ok(())
}

fn read(row: &Row) -> Result<Replay, StoreError> {
    let job = job_rows::read_job(row)?;
    let types: Option<&str> = row.try_get(16)?;
    let filter = ReplayFilter {
        which: Which::from_word(row.try_get(15)?).unwrap_or(Which::Failed),
        since: job.since,
        until: job.until,
        event_types: types.map(|text| split(Some(text), |name| EventTypeName::parse(name).ok())),
        channel: row.try_get::<_, Option<&str>>(17)?.and_then(|name| Channel::parse(name).ok()),
        tag: row.try_get::<_, Option<&str>>(18)?.and_then(|name| Tag::parse(name).ok()),
        messages: row.try_get::<_, Option<&[u8]>>(19)?.map(split_ids),
    };
    let rate = row.try_get::<_, Option<i32>>(20)?.and_then(|rate| u16::try_from(rate).ok());
    Ok(Replay {
        job,
        filter,
        pace: Pace(rate.and_then(NonZeroU16::new)),
        at: rows::id(row, 21)?,
        next: rows::id(row, 22)?,
        next_at: rows::at(row, 23)?,
    })
}

/// When the next step may be.
pub(super) async fn next_at(client: &Client) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT next_at FROM replay WHERE state = 'running' ORDER BY next_at LIMIT 1";
    let found = query_opt(client, sql, &[]).await?;
    found.map(|row| rows::at(&row, 0)).transpose()
}

/// One step of the replay that is due first and that no other node is at: its rows, how far it is and that it is over are
/// one commit.
pub(super) async fn step(work: &mut Work, now: Timestamp) -> Result<ReplayStep, StoreError> {
    let sql = format!(
        "SELECT {JOB_COLUMNS}, {REPLAY_COLUMNS} FROM replay WHERE state = 'running' AND next_at <= $1 \
         ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    let Some(row) = query_opt(work.client(), &sql, &[&now.as_micros()]).await? else {
        return Ok(ReplayStep::Idle);
    };
    let mut replay = read(&row)?;
    go_on(work, &mut replay, now).await?;
    point!("replay.half_stepped");
    let sql = "UPDATE replay SET at_endpoint = $2, next = $3, next_at = $4, done_count = $5, lost_count = $6, state = $7, \
               why = $8, updated_at = $9 WHERE id = $1";
    let values: [&dyn Value; 9] = [
        &bytes(&replay.job.id),
        &bytes(&replay.at),
        &bytes(&replay.next),
        &replay.next_at.as_micros(),
        &i64::try_from(replay.job.done_count).unwrap_or(i64::MAX),
        &i64::try_from(replay.job.lost_count).unwrap_or(i64::MAX),
        &Text(replay.job.state.word()),
        &replay.job.reason.map(|reason| Text(JobReason::word(reason))),
        &now.as_micros(),
    ];
    execute(work.client(), sql, &values).await?;
    Ok(ReplayStep::Made(replay.job))
}

async fn go_on(work: &mut Work, replay: &mut Replay, now: Timestamp) -> Result<(), StoreError> {
    let app = replay.job.app;
    let there = "SELECT 1 FROM app WHERE id = $1 AND deleted_at IS NULL";
    if query_opt(work.client(), there, &[&bytes(&app)]).await?.is_none() {
        replay.ends(JobState::Failed, Some(JobReason::AppDeleted), now);
        return Ok(());
    }
    let client = work.client();
    let target = candidates::target(client, app, replay.job.endpoint, replay.at, replay.is_through()).await?;
    let Some(target) = target else {
        if replay.job.endpoint.is_some() {
            replay.ends(JobState::Failed, Some(JobReason::EndpointDeleted), now);
        } else {
            let passed_by = candidates::has_disabled(client, app).await?;
            replay.ends(JobState::Finished, passed_by.then_some(JobReason::EndpointDisabled), now);
        }
        return Ok(());
    };
    if target.disabled {
        replay.ends(JobState::Failed, Some(JobReason::EndpointDisabled), now);
        return Ok(());
    }
    let range = replay.range(target.id);
    let found = candidates::candidates(client, app, target.id, &replay.filter, range, JOB_STEP_ROWS).await?;
    let picked = pick(&replay.filter, &target.wants, &found, replay.pace.room());
    let ours = lock(work.client(), app, target.id, replay.filter.which, &picked.put_back).await?;
    jobs::put_back(work, app, &ours, target.id, now).await?;
    let looked = Looked { picked, more: found.len() >= JOB_STEP_ROWS as usize };
    replay.went_on(target.id, &looked, ours.len(), now);
    Ok(())
}

/// Locks what is to be put back, so that retention does not take it meanwhile, and leaves out what no longer stands as it
/// did a moment ago.
async fn lock(
    client: &Client,
    app: AppId,
    endpoint: EndpointId,
    which: Which,
    picked: &[MessageId],
) -> Result<Vec<MessageId>, StoreError> {
    let states: Vec<i16> = match which {
        Which::Failed => vec![3],
        Which::Delivered => vec![2],
        Which::Ended => vec![2, 3],
        Which::Missing => return lock_messages(client, app, picked).await,
    };
    // In their order, so that nobody waits for somebody who waits.
    let sql = "SELECT d.message FROM UNNEST($2) AS u (id) CROSS JOIN LATERAL (SELECT message FROM delivery \
               WHERE endpoint = $1 AND delivery.message = u.id AND state = ANY($3) LIMIT 1 FOR UPDATE) AS d";
    let picked: Vec<_> = picked.iter().map(bytes).collect();
    let found = query(client, sql, &[&bytes(&endpoint), &picked, &states]).await?;
    found.iter().map(|row| rows::id(row, 0)).collect()
}

async fn lock_messages(
    client: &Client,
    app: AppId,
    messages: &[MessageId],
) -> Result<Vec<MessageId>, StoreError> {
    let sql = "SELECT m.id FROM UNNEST($2) AS u (id) CROSS JOIN LATERAL (SELECT message.id FROM message \
               WHERE app = $1 AND message.id = u.id AND message.id >= $3 AND message.id < $4 LIMIT 1 FOR UPDATE) AS m";
    let mut locked = Vec::with_capacity(messages.len());
    for (day, messages) in by_day(messages.iter().copied(), |message| *message) {
        let ids: Vec<_> = messages.iter().map(bytes).collect();
        let (first, until) = day.ids::<MessageKind>();
        let values: [&dyn Value; 4] = [&bytes(&app), &ids, &bytes(&first), &bytes(&until)];
        for row in query(client, sql, &values).await? {
            locked.push(rows::id(&row, 0)?);
        }
    }
    Ok(locked)
}
