//! Claims of what is due, for many endpoints at once: what another transaction has locked is passed by.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{Claimed, Lease};
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::EndpointId;
use posthaste_core::message::Message;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::{Bug, planted, point};

use super::super::rows::{self, BODY_COLUMNS, MESSAGE_COLUMNS};
use super::super::statement::{Value, bytes};
use super::super::work::Work;
use super::AskedClaim;
use super::versions::View;
use crate::error::StoreError;

/// What was claimed, by the place of who asked for it. Places that are not in it wait for the next transaction.
pub(super) type Taken = HashMap<usize, Vec<Claimed>>;

pub(super) async fn claim(work: &Work, claims: &[&mut AskedClaim], view: &View) -> Result<Taken, StoreError> {
    let mut taken = Taken::new();
    let mut asked = Vec::with_capacity(claims.len());
    let mut endpoints = HashSet::new();
    for (place, claim) in claims.iter().enumerate() {
        let endpoint = claim.command.endpoint;
        // What is owed to a deleted endpoint ends even while its source is paused.
        let goes_out = view.endpoints.get(&endpoint).is_some_and(|seen| seen.deleted || !seen.paused);
        if !goes_out || claim.command.limit == 0 {
            taken.insert(place, vec![]);
        } else if endpoints.insert(endpoint) {
            asked.push((place, &**claim));
        }
    }
    if asked.is_empty() {
        return Ok(taken);
    }
    // In a fixed order: nobody waits for somebody who waits.
    asked.sort_unstable_by_key(|(_, claim)| claim.command.endpoint);
    let mut targets: HashMap<usize, Target> = HashMap::new();
    for (place, _) in &asked {
        taken.insert(*place, vec![]);
    }
    for found in due(work, &asked).await? {
        let Some((place, claim)) = asked.get(found.number) else { continue };
        let to = match targets.get(place) {
            Some(to) => to.clone(),
            None => target(work, claim.command.endpoint, view).await?,
        };
        targets.insert(*place, to.clone());
        taken.entry(*place).or_default().push(found.claimed(to));
    }
    Ok(taken)
}

/// Where it goes.
#[derive(Clone)]
struct Target {
    environment: EnvironmentId,
    endpoint: Arc<Endpoint>,
    deleted: bool,
}

async fn target(work: &Work, id: EndpointId, view: &View) -> Result<Target, StoreError> {
    let app = view.endpoints.get(&id).and_then(|seen| view.apps.get(&seen.app));
    let app = app.ok_or_else(|| rows::corrupt("delivery", format!("{id} has no app")))?;
    let environment = app.environment;
    if let Some(endpoint) = app.endpoint(id) {
        return Ok(Target { environment, endpoint: Arc::clone(endpoint), deleted: false });
    }
    let rate = app.app.rate_per_second;
    let read = rows::read_endpoint(work.client(), &work.shared.vault, id, rate, false).await?;
    let (endpoint, deleted) =
        read.ok_or_else(|| rows::corrupt("delivery", format!("{id} has no endpoint")))?;
    Ok(Target { environment, endpoint: Arc::new(endpoint), deleted })
}

/// What was found due.
struct Found {
    /// Which claim it is for.
    number: usize,
    due: Timestamp,
    lease: Lease,
    attempts_made: u32,
    trigger: Trigger,
    message: Message,
}

impl Found {
    fn claimed(self, target: Target) -> Claimed {
        Claimed {
            environment: target.environment,
            lease: self.lease,
            message: Arc::new(self.message),
            endpoint: target.endpoint,
            endpoint_deleted: target.deleted,
            attempts_made: self.attempts_made,
            trigger: self.trigger,
        }
    }
}

/// The oldest that are due, of so many endpoints at once.
static DUE: LazyLock<String> = LazyLock::new(|| format!("{TAKE_DUE}{MESSAGE_COLUMNS}, {BODY_COLUMNS}"));

/// The same for a planted bug.
static DUE_UNLOCKED: LazyLock<String> = LazyLock::new(|| DUE.replace("FOR UPDATE SKIP LOCKED", ""));

const TAKE_DUE: &str = "WITH due AS MATERIALIZED ( \
     SELECT d.message, d.endpoint, d.app, d.due_at, a.n, a.until, row_number() OVER () AS number \
     FROM UNNEST($1, $2, $3, $4) WITH ORDINALITY AS a (endpoint, room, now, until, n) \
     CROSS JOIN LATERAL (SELECT message, endpoint, app, due_at FROM delivery \
         WHERE state = 0 AND endpoint = a.endpoint AND due_at <= a.now \
         ORDER BY due_at, message LIMIT a.room FOR UPDATE SKIP LOCKED) AS d) \
     UPDATE delivery SET state = 1, due_at = NULL, lease_token = $5 + due.number, lease_until = due.until \
     FROM due LEFT JOIN message m ON m.app = due.app AND m.id = due.message \
     WHERE delivery.message = due.message AND delivery.endpoint = due.endpoint \
     RETURNING due.n, due.due_at, delivery.lease_token, delivery.lease_until, delivery.attempts, delivery.manual, ";

/// Takes what is due, oldest first.
async fn due(work: &Work, asked: &[(usize, &AskedClaim)]) -> Result<Vec<Found>, StoreError> {
    let commands = || asked.iter().map(|(_, claim)| &claim.command);
    let rooms: Vec<i64> = commands().map(|claim| i64::from(claim.limit)).collect();
    let until = asked.iter().map(|(_, claim)| claim.now.later(claim.command.lease).as_micros());
    let first_token = work.shared.lease_tokens(rooms.iter().sum::<i64>() + 1);
    let values: [&dyn Value; 5] = [
        &commands().map(|claim| bytes(&claim.endpoint)).collect::<Vec<_>>(),
        &rooms,
        &asked.iter().map(|(_, claim)| claim.now.as_micros()).collect::<Vec<_>>(),
        &until.collect::<Vec<_>>(),
        &first_token,
    ];
    let sql = if planted(Bug::ClaimWithoutLock) { &DUE_UNLOCKED } else { &DUE };
    let mut found = Vec::new();
    for row in work.query(sql, &values).await? {
        found.push(Found {
            number: usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX),
            due: rows::at(&row, 1)?,
            lease: Lease { token: row.try_get(2)?, until: rows::at(&row, 3)? },
            attempts_made: rows::small_count(&row, 4)?,
            trigger: if row.try_get(5)? { Trigger::Manual } else { Trigger::Scheduled },
            message: rows::message(&row, 6, &work.shared.vault)?,
        });
    }
    if !found.is_empty() {
        point!("batch.claimed");
    }
    found.sort_by_key(|one| (one.number, one.due, one.message.id));
    Ok(found)
}

/// Answers who asked.
pub(super) fn answer(work: &mut Work, claims: &mut [&mut AskedClaim], taken: Taken) {
    for (place, claimed) in taken {
        let count = i64::try_from(claimed.len()).unwrap_or(0);
        work.effects.waiting_delta -= count;
        work.effects.in_flight_delta += count;
        claims[place].answer = Some(Ok(claimed));
    }
}
