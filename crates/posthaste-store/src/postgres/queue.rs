//! The queue: the port, and what is asked of it seldom. Claims, records and releases are in `batch/`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use posthaste_core::app::Reference;
use posthaste_core::delivery::{Claimed, DeliveryKey, Lease};
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{EndpointId, JobId, MessageId};
use posthaste_core::job::{Job, Tally};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::Row;

use super::batch::place;
use super::batch::{AskedClaim, AskedRecord, AskedRelease, Claim, Command};
use super::notice::Told;
use super::statement::{Value, bytes, execute, query, query_opt};
use super::work::{Work, change};
use super::{PostgresStore, job_rows, jobs, owners, replay, retention, rows};
use crate::error::{ChangeError, StoreError};
use crate::page::{Page, PageRequest};
use crate::queue::{Backlog, Commits, Forgotten, HandOver, NewRecover, Queue, Record, Recorded};
use crate::replay::{JobFilter, NewReplay, ReplayScope, ReplayStep};

/// Endpoints that are looked at for the oldest delivery; past that the figure is that of the first so many.
const ENDPOINTS_LOOKED_AT: i64 = 10_000;

#[async_trait]
impl Queue for PostgresStore {
    fn hand_over_to(&self, engine: Arc<dyn HandOver>, lease: Duration) {
        self.shared.hand_over_to(engine, lease);
    }

    async fn claim(
        &self,
        endpoint: EndpointId,
        limit: u32,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        let claim = Claim { endpoint, limit, lease };
        self.writer.run(move |caller| Command::Claim(AskedClaim::new(claim, now, caller))).await
    }

    async fn due_endpoints(
        &self,
        after: Option<EndpointId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<EndpointId>, StoreError> {
        let after = after.unwrap_or(EndpointId::MIN);
        let sql = format!(
            "{OWED} SELECT owed.endpoint FROM owed WHERE owed.due_at <= $2 AND {UNPAUSED} ORDER BY owed.endpoint LIMIT $3"
        );
        let client = self.pool.get().await?;
        let limit = i64::from(limit);
        let found = query(&client, &sql, &[&bytes(&after), &now.as_micros(), &limit]).await?;
        found.iter().map(|row| rows::id(row, 0)).collect()
    }

    async fn oldest_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = format!(
            "{OWED} SELECT min(due_at) FROM (SELECT * FROM owed LIMIT $2) AS owed \
             WHERE {UNPAUSED} AND {NO_LISTENERS}"
        );
        let client = self.pool.get().await?;
        let found = query_opt(&client, &sql, &[&bytes(&EndpointId::MIN), &ENDPOINTS_LOOKED_AT]).await?;
        found.map_or(Ok(None), |row| rows::maybe_at(&row, 0))
    }

    async fn record(&self, record: Record, now: Timestamp) -> Result<Recorded, StoreError> {
        let command = |caller| Command::Record(Box::new(AskedRecord::new(record, now, caller)));
        self.writer.run(command).await
    }

    async fn release(&self, deliveries: Vec<(DeliveryKey, Lease)>, now: Timestamp) -> Result<(), StoreError> {
        self.writer.run(move |caller| Command::Release(AskedRelease::new(deliveries, now, caller))).await
    }

    fn may_send_to(&self, endpoint: &Endpoint) -> bool {
        self.shared.owned.may_send_to(endpoint)
    }

    fn tell_listened_to(&self, endpoint: EndpointId) {
        self.shared.teller.tell([Told::Listens { endpoint }]);
    }

    async fn let_go(&self) -> Result<(), StoreError> {
        let client = self.pool.get().await?;
        owners::let_go(&client, &self.shared).await
    }

    async fn release_expired(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
        change!(self, |work| release_expired(work, limit, now))
    }

    async fn resend(
        &self,
        environment: EnvironmentId,
        app: &Reference,
        message: &Reference,
        endpoint: &Reference,
        now: Timestamp,
    ) -> Result<(), ChangeError> {
        change!(self, |work| jobs::resend(work, environment, [app, message, endpoint], now))
    }

    async fn recover(&self, recover: NewRecover, now: Timestamp) -> Result<Job, ChangeError> {
        change!(self, |work| jobs::recover(work, &recover, now))
    }

    async fn step_job(&self, now: Timestamp) -> Result<Option<Job>, StoreError> {
        // Asked often, with nothing to do as a rule: look before a transaction is begun.
        let client = self.pool.get().await?;
        if !jobs::any_unfinished(&client).await? {
            return Ok(None);
        }
        drop(client);
        change!(self, |work| jobs::step(work, now))
    }

    async fn job(&self, environment: EnvironmentId, id: JobId) -> Result<Option<Job>, StoreError> {
        let client = self.pool.get().await?;
        job_rows::job(&client, environment, id).await
    }

    async fn jobs(
        &self,
        environment: EnvironmentId,
        filter: JobFilter,
        page: PageRequest<JobId>,
    ) -> Result<Page<Job>, StoreError> {
        let client = self.pool.get().await?;
        job_rows::jobs(&client, environment, filter, &page).await
    }

    async fn waiting_for(&self, endpoint: EndpointId, most: u32) -> Result<Tally, StoreError> {
        let client = self.pool.get().await?;
        let sql =
            "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE endpoint = $1 AND state = 0 LIMIT $2) w";
        // One more than is counted says that there are more.
        let found = query_opt(&client, sql, &[&bytes(&endpoint), &(i64::from(most) + 1)]).await?;
        let found = found.map(|row| rows::count(&row, 0)).transpose()?;
        Ok(Tally::up_to(found.unwrap_or(0), most))
    }

    async fn cancel_job(
        &self,
        environment: EnvironmentId,
        id: JobId,
        now: Timestamp,
    ) -> Result<Job, ChangeError> {
        change!(self, |work| job_rows::cancel(work, environment, id, now))
    }

    async fn count_replay(&self, scope: ReplayScope) -> Result<Tally, ChangeError> {
        let client = self.pool.get().await?;
        replay::count(&client, &scope).await
    }

    async fn replay(&self, new: NewReplay, now: Timestamp) -> Result<Job, ChangeError> {
        change!(self, |work| replay::ask(work, &new, now))
    }

    async fn step_replay(&self, now: Timestamp) -> Result<ReplayStep, StoreError> {
        let client = self.pool.get().await?;
        let next_at = replay::next_at(&client).await?;
        drop(client);
        match next_at {
            None => Ok(ReplayStep::Idle),
            Some(next_at) if next_at > now => Ok(ReplayStep::Later(next_at)),
            Some(_) => change!(self, |work| replay::step(work, now)),
        }
    }

    async fn forget(&self, before: Timestamp, now: Timestamp) -> Result<Forgotten, StoreError> {
        let client = self.pool.get().await?;
        let found = retention::find(&client, before, now).await?;
        drop(client);
        if found.is_empty() {
            return Ok(Forgotten::default());
        }
        let forgotten: Result<Forgotten, StoreError> = change!(self, |work| retention::forget(work, &found));
        let mut forgotten = forgotten?;
        let whole_days = retention::forget_days(self, found.whole_days()).await?;
        forgotten.messages_count += whole_days.messages_count;
        forgotten.more |= whole_days.more;
        Ok(forgotten)
    }

    async fn leave(&self) -> Result<(), StoreError> {
        self.heart.leave().await
    }

    fn backlog(&self) -> Backlog {
        self.shared.backlog()
    }

    fn commits(&self) -> Commits {
        self.shared.commits()
    }
}

/// What waits, one row an endpoint after $1 with the oldest of each: hops from endpoint to endpoint over the index, instead
/// of reading all that waits. Read only as far as somebody asks.
const OWED: &str = "WITH RECURSIVE owed (endpoint, due_at) AS ( \
     (SELECT endpoint, due_at FROM delivery WHERE state = 0 AND endpoint > $1 ORDER BY endpoint, due_at LIMIT 1) \
     UNION ALL \
     SELECT next.endpoint, next.due_at FROM owed CROSS JOIN LATERAL \
     (SELECT endpoint, due_at FROM delivery WHERE state = 0 AND endpoint > owed.endpoint \
      ORDER BY endpoint, due_at LIMIT 1) AS next)";

/// Not of a paused source; a deleted endpoint of one is, since what it is owed ends even now.
const UNPAUSED: &str = "NOT EXISTS (SELECT 1 FROM source s JOIN endpoint e ON e.app = s.app \
     WHERE s.paused AND e.id = owed.endpoint AND e.deleted_at IS NULL)";

/// What is owed to a listener waits until somebody listens: that is no delay of ours.
const NO_LISTENERS: &str = "NOT EXISTS (SELECT 1 FROM endpoint e \
     WHERE e.id = owed.endpoint AND e.deleted_at IS NULL AND e.url LIKE 'listener:%')";

async fn release_expired(work: &mut Work, limit: u32, now: Timestamp) -> Result<u32, StoreError> {
    let sql = "SELECT message, endpoint FROM delivery WHERE state = 1 AND lease_until <= $1 \
               ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED";
    let limit = i64::from(limit);
    let by_its_clock = work.shared.clock.moved(now, now);
    let expired = query(work.client(), sql, &[&by_its_clock, &limit]).await?;
    put_back(work, &expired, now).await
}

/// Puts deliveries in flight back that this transaction has locked, from rows of message and endpoint; returns how many.
pub(super) async fn put_back(work: &mut Work, rows: &[Row], now: Timestamp) -> Result<u32, StoreError> {
    let keys = rows.iter().map(|row| Ok((rows::id(row, 0)?, rows::id(row, 1)?)));
    let keys: Vec<(MessageId, EndpointId)> = keys.collect::<Result<_, StoreError>>()?;
    let sql = "UPDATE delivery d SET state = 0, due_at = u.due_at, lease_token = NULL, lease_until = NULL \
               FROM UNNEST($1, $2, $3) AS u (message, endpoint, due_at) \
               WHERE d.message = u.message AND d.endpoint = u.endpoint";
    let values: [&dyn Value; 3] = [
        &keys.iter().map(|(message, _)| bytes(message)).collect::<Vec<_>>(),
        &keys.iter().map(|(_, endpoint)| bytes(endpoint)).collect::<Vec<_>>(),
        &keys.iter().map(|(message, _)| place(*message, now).as_micros()).collect::<Vec<_>>(),
    ];
    if !keys.is_empty() {
        execute(work.client(), sql, &values).await?;
    }
    for (_, endpoint) in &keys {
        work.effects.waiting_delta += 1;
        work.effects.in_flight_delta -= 1;
        work.effects.due.push((*endpoint, now));
    }
    Ok(u32::try_from(keys.len()).unwrap_or(u32::MAX))
}
