//! Claims of what is due, for many endpoints at once: what another transaction has locked is passed by.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures_util::future::try_join_all;
use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{Claimed, Lease};
use posthaste_core::endpoint::Endpoint;
use posthaste_core::id::{AppId, EndpointId, MessageId, MessageKind};
use posthaste_core::limits::LISTENER_WAIT_MAX;
use posthaste_core::message::Message;
use posthaste_core::owner::thing_of;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use posthaste_fault::{Bug, planted, point};

use super::super::notice::Told;
use super::super::owners::{Answer, Held};
use super::super::partitions::by_day;
use super::super::rows::{self, BODY_COLUMNS, MESSAGE_COLUMNS};
use super::super::statement::{Value, bytes, query};
use super::super::work::Work;
use super::AskedClaim;
use super::versions::View;
use crate::error::StoreError;

/// When to come again, if another node took something at the same moment.
const TAKEN_AWAY: Duration = Duration::from_millis(100);

/// What was claimed, by the place of who asked for it. Places that are not in it wait for the next transaction.
pub(super) type Taken = HashMap<usize, Vec<Claimed>>;

/// Why nothing is claimed for an endpoint: one with a rate that is not ours.
fn not_ours(view: &View, held: &Held, endpoint: EndpointId) -> Option<Answer> {
    let (thing, _) = thing_of(view.endpoint(endpoint)?)?;
    let answer = held.of(thing).unwrap_or(Answer::Rests(TAKEN_AWAY));
    (answer != Answer::Ours).then_some(answer)
}

pub(super) async fn claim(
    work: &Work,
    claims: &[&mut AskedClaim],
    view: &View,
    held: &Held,
) -> Result<Taken, StoreError> {
    let mut taken = Taken::new();
    let mut asked = Vec::with_capacity(claims.len());
    let (mut endpoints, mut forsaken) = (HashSet::new(), HashSet::new());
    for (place, claim) in claims.iter().enumerate() {
        let endpoint = claim.command.endpoint;
        // What is owed to a deleted endpoint ends even while its source is paused.
        let goes_out = view.endpoints.get(&endpoint).is_some_and(|seen| seen.deleted || !seen.paused);
        if !goes_out || claim.command.limit == 0 || not_ours(view, held, endpoint).is_some() {
            taken.insert(place, vec![]);
        } else if endpoints.insert(endpoint) {
            // Asked once: somebody may come or go at any moment.
            if view.endpoint(endpoint).is_some_and(|endpoint| !work.may_claim_for(endpoint)) {
                forsaken.insert(endpoint);
            }
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
    for found in due(work, &asked, &forsaken).await? {
        let Some((place, claim)) = asked.get(found.number) else { continue };
        let to = match targets.get(place) {
            Some(to) => to.clone(),
            None => target(work, claim.command.endpoint, view).await?,
        };
        targets.insert(*place, to.clone());
        let forsaken = forsaken.contains(&claim.command.endpoint);
        taken.entry(*place).or_default().push(Claimed { forsaken, ..found.claimed(to) });
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
    message: Arc<Message>,
}

impl Found {
    fn claimed(self, target: Target) -> Claimed {
        Claimed {
            environment: target.environment,
            lease: self.lease,
            message: self.message,
            endpoint: target.endpoint,
            endpoint_deleted: target.deleted,
            forsaken: false,
            attempts_made: self.attempts_made,
            trigger: self.trigger,
        }
    }
}

/// The oldest that are due, of so many endpoints at once.
const DUE: &str = "WITH due AS MATERIALIZED ( \
     SELECT d.message, d.endpoint, d.app, d.due_at, a.n, a.until, row_number() OVER () AS number \
     FROM UNNEST($1, $2, $3, $4) WITH ORDINALITY AS a (endpoint, room, now, until, n) \
     CROSS JOIN LATERAL (SELECT message, endpoint, app, due_at FROM delivery \
         WHERE state = 0 AND endpoint = a.endpoint AND due_at <= a.now \
         ORDER BY due_at, message LIMIT a.room FOR UPDATE SKIP LOCKED) AS d) \
     UPDATE delivery SET state = 1, due_at = NULL, lease_token = $5 + due.number, lease_until = due.until \
     FROM due WHERE delivery.message = due.message AND delivery.endpoint = due.endpoint \
     RETURNING due.n, due.due_at, delivery.lease_token, delivery.attempts, delivery.manual, \
     delivery.app, delivery.message";

/// The same for a planted bug.
static DUE_UNLOCKED: LazyLock<String> = LazyLock::new(|| DUE.replace("FOR UPDATE SKIP LOCKED", ""));

/// Takes what is due, oldest first.
async fn due(
    work: &Work,
    asked: &[(usize, &AskedClaim)],
    forsaken: &HashSet<EndpointId>,
) -> Result<Vec<Found>, StoreError> {
    let commands = || asked.iter().map(|(_, claim)| &claim.command);
    let rooms: Vec<i64> = commands().map(|claim| i64::from(claim.limit)).collect();
    // In the row by PostgreSQL's clock, for the engine by ours.
    let ours = |claim: &AskedClaim| claim.now.later(claim.command.lease);
    let until = asked.iter().map(|(_, claim)| work.shared.clock.moved(ours(claim), claim.now));
    // Where nobody listens, only what waited too long for that.
    let before = |claim: &AskedClaim| {
        let is_forsaken = forsaken.contains(&claim.command.endpoint);
        if is_forsaken { claim.now.earlier(LISTENER_WAIT_MAX) } else { claim.now }
    };
    let first_token = work.shared.lease_tokens(rooms.iter().sum::<i64>() + 1);
    let values: [&dyn Value; 5] = [
        &commands().map(|claim| bytes(&claim.endpoint)).collect::<Vec<_>>(),
        &rooms,
        &asked.iter().map(|(_, claim)| before(claim).as_micros()).collect::<Vec<_>>(),
        &until.collect::<Vec<_>>(),
        &first_token,
    ];
    let unlocked = planted(Bug::ClaimWithoutLock);
    let taken = work.query(if unlocked { &DUE_UNLOCKED } else { DUE }, &values).await?;
    let keys = taken.iter().map(|row| Ok((rows::id(row, 5)?, rows::id(row, 6)?)));
    let messages = messages(work, keys.collect::<Result<Vec<_>, StoreError>>()?).await?;
    let mut found = Vec::with_capacity(taken.len());
    for row in taken {
        let number = usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX);
        let Some((_, claim)) = asked.get(number) else { continue };
        let message: MessageId = rows::id(&row, 6)?;
        let gone = || rows::corrupt("delivery", format!("{message} is not there"));
        // One message may be owed to several endpoints.
        let message = Arc::clone(messages.get(&message).ok_or_else(gone)?);
        found.push(Found {
            number,
            due: rows::at(&row, 1)?,
            lease: Lease { token: row.try_get(2)?, until: ours(claim) },
            attempts_made: rows::small_count(&row, 3)?,
            trigger: if row.try_get(4)? { Trigger::Manual } else { Trigger::Scheduled },
            message,
        });
    }
    if !found.is_empty() {
        point!("batch.claimed");
    }
    found.sort_by_key(|one| (one.number, one.due, one.message.id));
    Ok(found)
}

/// The messages of what was taken: one statement for each day, which touches no other. Not prepared: a plan that is kept
/// does not know the day, and is of all of them.
async fn messages(
    work: &Work,
    keys: Vec<(AppId, MessageId)>,
) -> Result<HashMap<MessageId, Arc<Message>>, StoreError> {
    let sql = format!(
        "SELECT {MESSAGE_COLUMNS}, {BODY_COLUMNS} FROM UNNEST($1, $2) AS u (app, id) \
         JOIN message m ON m.app = u.app AND m.id = u.id WHERE m.id >= $3 AND m.id < $4"
    );
    let unique: HashSet<_> = keys.into_iter().collect();
    let days = by_day(unique, |(_, message)| *message);
    let read = days.iter().map(async |(day, keys)| {
        let (apps, ids): (Vec<_>, Vec<_>) = keys.iter().map(|(app, id)| (bytes(app), bytes(id))).unzip();
        let (first, until) = day.ids::<MessageKind>();
        let values: [&dyn Value; 4] = [&apps, &ids, &bytes(&first), &bytes(&until)];
        query(work.client(), &sql, &values).await
    });
    let mut messages = HashMap::new();
    for row in try_join_all(read).await?.iter().flatten() {
        let message = rows::message(row, 0, &work.shared.vault)?;
        messages.insert(message.id, Arc::new(message));
    }
    Ok(messages)
}

/// Answers who asked. What is another node's, that one is told of.
pub(super) fn answer(
    work: &mut Work,
    claims: &mut [&mut AskedClaim],
    taken: Taken,
    view: &View,
    held: &Held,
) {
    for (place, claimed) in taken {
        let endpoint = claims[place].command.endpoint;
        match not_ours(view, held, endpoint) {
            Some(Answer::Theirs(node)) => work.effects.told.push(Told::Due { to: Some(node), endpoint }),
            Some(Answer::Rests(left)) => {
                work.effects.due.push((endpoint, claims[place].now.later(left)));
            }
            Some(Answer::Ours) | None => {}
        }
        let count = i64::try_from(claimed.len()).unwrap_or(0);
        work.effects.waiting_delta -= count;
        work.effects.in_flight_delta += count;
        claims[place].answer = Some(Ok(claimed));
    }
}
