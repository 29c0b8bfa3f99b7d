//! The queue: claims, releases and the port itself. Records, jobs and retention have files of their own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::app::Reference;
use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{Claimed, DeliveryKey, Lease};
use posthaste_core::id::{AppId, EndpointId, JobId, MessageId};
use posthaste_core::job::{Job, Tally};
use posthaste_core::limits::LISTENER_WAIT_MAX;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::{Bug, planted, point};
use rusqlite::{Connection, params};

use super::writer::Work;
use super::{SqliteStore, clock, job_rows, jobs, record, replay, retention, rows};
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::queue::{Backlog, Commits, Forgotten, HandOver, NewRecover, Queue, Record, Recorded};
use crate::replay::{JobFilter, NewReplay, ReplayScope, ReplayStep};

#[async_trait]
impl Queue for SqliteStore {
    fn hand_over_to(&self, engine: Arc<dyn HandOver>, lease: Duration) {
        self.writer.hand_over_to(engine, lease);
    }

    async fn claim(
        &self,
        endpoint: EndpointId,
        limit: u32,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.writer.run(move |work| claim(work, endpoint, limit, lease, now)).await
    }

    async fn due_endpoints(
        &self,
        after: Option<EndpointId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<EndpointId>, StoreError> {
        self.reader.list(move |conn| due_endpoints(conn, after, limit, now)).await
    }

    async fn oldest_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.reader.list(oldest_due).await
    }

    async fn record(&self, record: Record, now: Timestamp) -> Result<Recorded, StoreError> {
        if planted(Bug::RetryOutsideRecord)
            && let Some(attempt) = record.attempt.clone()
        {
            self.writer.run(move |work| record::write_attempt(work, &attempt)).await?;
        }
        self.writer.run(move |work| record::record(work, &record, now)).await
    }

    async fn release(&self, deliveries: Vec<(DeliveryKey, Lease)>, now: Timestamp) -> Result<(), StoreError> {
        self.writer
            .run(move |work| {
                for (key, lease) in &deliveries {
                    release(work, *key, *lease, now)?;
                }
                Ok(())
            })
            .await
    }

    async fn release_expired(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        self.writer.run(move |work| release_expired(work, limit, now)).await
    }

    async fn resend(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        endpoint: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        let (app, message, endpoint) = (app.clone(), message.clone(), endpoint.clone());
        self.writer.run(move |work| jobs::resend(work, environment, [&app, &message, &endpoint], now)).await
    }

    async fn recover(&self, recover: NewRecover, now: Timestamp) -> Result<Job, ChangeError> {
        self.writer.run(move |work| jobs::recover(work, &recover, now)).await
    }

    async fn step_job(&self, now: Timestamp) -> Result<Option<Job>, StoreError> {
        // Asked often, with nothing to do as a rule: look before disturbing the writer.
        let unfinished = self.reader.list(jobs::unfinished).await?;
        if unfinished.is_none() {
            return Ok(None);
        }
        self.writer.run(move |work| jobs::step(work, now)).await
    }

    async fn job(&self, environment: EnvironmentId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.reader.list(move |conn| job_rows::job(conn, environment, id)).await
    }

    async fn jobs(
        &self,
        environment: EnvironmentId,
        filter: JobFilter,
        page: PageRequest<JobId>,
    ) -> Result<Page<Job>, StoreError> {
        self.reader.list(move |conn| job_rows::jobs(conn, environment, filter, &page)).await
    }

    async fn waiting_for(&self, endpoint: EndpointId, most: u32) -> Result<Tally, StoreError> {
        let count = move |conn: &Connection| {
            let sql = "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE endpoint = ?1 AND state = 0 LIMIT ?2) AS owed";
            // One more than is counted says that there are more.
            let values = params![endpoint.as_bytes(), u64::from(most) + 1];
            let found: u64 = conn.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
            Ok(Tally::up_to(found, most))
        };
        self.reader.list(count).await
    }

    async fn cancel_job(
        &self,
        environment: EnvironmentId,
        id: JobId,
        now: Timestamp,
    ) -> Result<Job, ChangeError> {
        self.writer.run(move |work| job_rows::cancel(work, environment, id, now)).await
    }

    async fn count_replay(&self, scope: ReplayScope) -> Result<Tally, ChangeError> {
        self.reader.list(move |conn| replay::count(conn, &scope)).await
    }

    async fn replay(&self, new: NewReplay, now: Timestamp) -> Result<Job, ChangeError> {
        self.writer.run(move |work| replay::ask(work, &new, now)).await
    }

    async fn step_replay(&self, now: Timestamp) -> Result<ReplayStep, StoreError> {
        match self.reader.list(replay::next_at).await? {
            None => Ok(ReplayStep::Idle),
            Some(next_at) if next_at > now => Ok(ReplayStep::Later(next_at)),
            Some(_) => self.writer.run(move |work| replay::step(work, now)).await,
        }
    }

    async fn forget(&self, before: Timestamp, now: Timestamp) -> Result<Forgotten, StoreError> {
        let found = self.reader.list(move |conn| retention::find(conn, before, now)).await?;
        if found.is_empty() {
            return Ok(Forgotten::default());
        }
        self.writer.run(move |work| retention::forget(work, &found)).await
    }

    async fn clock_was_set(&self, unset: Timestamp, set: Timestamp) -> Result<(), StoreError> {
        self.writer.run(move |work| clock::was_set(work, unset, set)).await
    }

    fn backlog(&self) -> Backlog {
        self.writer.backlog()
    }

    fn commits(&self) -> Commits {
        self.writer.commits()
    }
}

fn claim(
    work: &mut Work<'_>,
    endpoint_id: EndpointId,
    limit: u32,
    lasts: Duration,
    now: Timestamp,
) -> Result<Vec<Claimed>, StoreError> {
    let mut due = due_of(work, endpoint_id, limit, now)?;
    let mut forsaken = false;
    let Some((_, app_id, ..)) = due.first() else { return Ok(vec![]) };
    let Some(app) = work.memo.app(work.conn, work.vault, *app_id)? else {
        return Err(rows::corrupt("delivery", format!("{endpoint_id} has no app")));
    };
    let (endpoint, endpoint_deleted) = match app.endpoint(endpoint_id) {
        // What is owed to a deleted endpoint ends even now.
        Some(_) if app.is_paused() => return Ok(vec![]),
        Some(endpoint) => {
            if !work.may_claim_for(endpoint) {
                // Nobody listens: all that may go out is what waited too long for that.
                due = due_of(work, endpoint_id, limit, now.earlier(LISTENER_WAIT_MAX))?;
                forsaken = true;
            }
            (Arc::clone(endpoint), false)
        }
        None => {
            let rate = app.app.rate_per_second;
            let read = rows::read_endpoint(work.conn, work.vault, endpoint_id, rate)?;
            let (endpoint, deleted) =
                read.ok_or_else(|| rows::corrupt("delivery", format!("{endpoint_id} has no endpoint")))?;
            (Arc::new(endpoint), deleted)
        }
    };
    let sql = "UPDATE delivery SET state = 1, due_at = NULL, lease_token = ?3, lease_until = ?4 \
               WHERE message = ?1 AND endpoint = ?2";
    let mut claimed = Vec::with_capacity(due.len());
    for (message_id, app_id, attempts_made, manual) in due {
        let lease = work.lease(lasts, now);
        let values =
            params![message_id.as_bytes(), endpoint_id.as_bytes(), lease.token, lease.until.as_micros()];
        work.conn.prepare_cached(sql)?.execute(values)?;
        point!("claim.leased");
        let message = rows::read_message(work.conn, work.vault, app_id, message_id)?
            .ok_or_else(|| rows::corrupt("delivery", format!("{message_id} has no message")))?;
        claimed.push(Claimed {
            environment: app.environment,
            lease,
            message: Arc::new(message),
            endpoint: Arc::clone(&endpoint),
            endpoint_deleted,
            forsaken,
            attempts_made,
            trigger: if manual { Trigger::Manual } else { Trigger::Scheduled },
        });
    }
    let count = i64::try_from(claimed.len()).unwrap_or(0);
    work.effects.waiting_delta -= count;
    work.effects.in_flight_delta += count;
    Ok(claimed)
}

type Due = (MessageId, AppId, u32, bool);

fn due_of(work: &Work<'_>, endpoint: EndpointId, limit: u32, now: Timestamp) -> Result<Vec<Due>, StoreError> {
    let sql = "SELECT message, app, attempts, manual FROM delivery \
               WHERE state = 0 AND endpoint = ?1 AND due_at <= ?2 ORDER BY due_at, message LIMIT ?3";
    let mut statement = work.conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![endpoint.as_bytes(), now.as_micros(), limit], |row| {
        Ok((rows::id(row, 0)?, rows::id(row, 1)?, row.get(2)?, row.get(3)?))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Hops from endpoint to endpoint over the index of what waits, instead of reading all that waits.
/// By endpoint: the index knows the oldest of each, and there are far fewer endpoints than deliveries.
pub(super) fn oldest_due(conn: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let sql = "WITH RECURSIVE owed (endpoint) AS ( \
        SELECT min(endpoint) FROM delivery WHERE state = 0 UNION ALL \
        SELECT (SELECT min(d.endpoint) FROM delivery d WHERE d.state = 0 AND d.endpoint > owed.endpoint) \
        FROM owed WHERE owed.endpoint IS NOT NULL LIMIT 10000) \
        SELECT min((SELECT min(d.due_at) FROM delivery d WHERE d.state = 0 AND d.endpoint = owed.endpoint)) \
        FROM owed WHERE owed.endpoint IS NOT NULL AND owed.endpoint NOT IN ( \
        SELECT e.id FROM source s JOIN endpoint e ON e.app = s.app AND e.deleted_at IS NULL \
        WHERE s.paused = 1) AND NOT EXISTS (SELECT 1 FROM endpoint e WHERE e.id = owed.endpoint \
        AND e.deleted_at IS NULL AND e.url LIKE 'listener:%')";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| rows::maybe_at(row, 0))?)
}

fn due_endpoints(
    conn: &Connection,
    after: Option<EndpointId>,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<EndpointId>, StoreError> {
    let next = "SELECT endpoint, due_at FROM delivery WHERE state = 0 AND endpoint > ?1 \
                ORDER BY endpoint, due_at LIMIT 1";
    let mut next = conn.prepare_cached(next)?;
    let paused = paused_endpoints(conn)?;
    let mut cursor = after.unwrap_or(EndpointId::MIN);
    let mut due = Vec::new();
    while due.len() < limit as usize {
        let mut rows = next.query([cursor.as_bytes()])?;
        let Some(row) = rows.next()? else { break };
        cursor = rows::id(row, 0)?;
        if rows::at(row, 1)? <= now && !paused.contains(&cursor) {
            due.push(cursor);
        }
    }
    Ok(due)
}

/// The endpoints of paused sources; as a rule there are none.
fn paused_endpoints(conn: &Connection) -> Result<HashSet<EndpointId>, StoreError> {
    let sql = "SELECT e.id FROM source s JOIN endpoint e ON e.app = s.app AND e.deleted_at IS NULL \
               WHERE s.paused = 1";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map([], |row| rows::id(row, 0))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn release(work: &mut Work<'_>, key: DeliveryKey, lease: Lease, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE delivery SET state = 0, due_at = ?4, lease_token = NULL, lease_until = NULL \
               WHERE message = ?1 AND endpoint = ?2 AND state = 1 AND lease_token = ?3";
    // It has been due since it was accepted, and keeps its place before what came later.
    let due = key.message.made_at().min(now).as_micros();
    let values = params![key.message.as_bytes(), key.endpoint.as_bytes(), lease.token, due];
    if work.conn.prepare_cached(sql)?.execute(values)? == 1 {
        work.effects.waiting_delta += 1;
        work.effects.in_flight_delta -= 1;
        work.effects.due.push((key.endpoint, now));
    }
    Ok(())
}

fn release_expired(work: &mut Work<'_>, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
    let sql = "SELECT message, endpoint, lease_token, lease_until FROM delivery \
               WHERE state = 1 AND lease_until <= ?1 ORDER BY lease_until LIMIT ?2";
    let mut statement = work.conn.prepare_cached(sql)?;
    let rows = statement.query_map(params![now.as_micros(), limit], |row| {
        let key = DeliveryKey { message: rows::id(row, 0)?, endpoint: rows::id(row, 1)? };
        Ok((key, Lease { token: row.get(2)?, until: rows::at(row, 3)? }))
    })?;
    let expired: Vec<_> = rows.collect::<Result<_, _>>()?;
    drop(statement);
    let count = u32::try_from(expired.len()).unwrap_or(u32::MAX);
    for (key, lease) in expired {
        release(work, key, lease, now)?;
    }
    Ok(count)
}
