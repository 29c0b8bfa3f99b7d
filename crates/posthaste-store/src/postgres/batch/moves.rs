//! Deliveries that move on: by what came of them, or given back untried. The lease's token decides whether they do.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use posthaste_core::attempt::{Attempt, Outcome, Trigger};
use posthaste_core::delivery::{DeliveryKey, DeliveryState, Verdict};
use posthaste_core::id::MessageId;
use posthaste_core::rollup::{Counts, Sums};
use posthaste_core::time::Timestamp;
use posthaste_fault::{Bug, planted, point};

use super::super::partitions;
use super::super::rows;
use super::super::statement::{Text, Value, bytes};
use super::super::work::Work;
use super::versions::View;
use super::{AskedRecord, AskedRelease, Batch, health};
use crate::columns::attempt::write_headers;
use crate::error::StoreError;
use crate::queue::Recorded;

/// A delivery about to move on.
pub(super) struct Move {
    key: DeliveryKey,
    token: i64,
    to: DeliveryState,
    tried: bool,
}

/// What moved, and how many attempts it has had.
pub(super) type Moved = HashMap<(DeliveryKey, i64), u32>;

/// What is asked for, each delivery once, in a fixed order: nobody waits for somebody who waits.
pub(super) fn of(records: &[&mut AskedRecord], releases: &[&mut AskedRelease]) -> Vec<Move> {
    let recorded = records.iter().map(|asked| {
        let record = &asked.command;
        let to = record.verdict.state();
        Move { key: record.key, token: record.lease.token, to, tried: record.attempt.is_some() }
    });
    let given_back = releases.iter().flat_map(|asked| {
        asked.command.iter().map(move |(key, lease)| {
            let to = DeliveryState::Waiting { due: place(key.message, asked.now) };
            Move { key: *key, token: lease.token, to, tried: false }
        })
    });
    let mut seen = HashSet::new();
    let mut moves: Vec<_> =
        recorded.chain(given_back).filter(|one| seen.insert((one.key, one.token))).collect();
    moves.sort_unstable_by_key(|one| one.key);
    moves
}

/// Counts what was recorded, each delivery once as it moves once: those whose key and token `are_meant`.
pub(super) fn count(
    records: &[&mut AskedRecord],
    view: &View,
    sums: &mut Sums,
    are_meant: impl Fn(&(DeliveryKey, i64)) -> bool,
) {
    let mut seen = HashSet::new();
    for asked in records {
        let record = &asked.command;
        let key = (record.key, record.lease.token);
        if !seen.insert(key) || !are_meant(&key) {
            continue;
        }
        let app = view.endpoints.get(&record.key.endpoint).and_then(|seen| view.apps.get(&seen.app));
        let Some(app) = app else { continue };
        let counts = Counts::of_record(record.attempt.as_ref(), record.verdict);
        sums.recorded(app.environment, (app.app.id, record.key.endpoint), &counts, asked.now);
    }
}

/// When a delivery that is given back is due: it has been since it was accepted, and keeps its place before what came
/// later.
pub(in super::super) fn place(message: MessageId, now: Timestamp) -> Timestamp {
    message.made_at().min(now)
}

const MOVE: &str = "UPDATE delivery d SET state = u.state, due_at = u.due_at, why = u.why, \
     attempts = d.attempts + u.tried, lease_token = NULL, lease_until = NULL \
     FROM UNNEST($1, $2, $3, $4, $5, $6, $7) AS u (message, endpoint, token, state, due_at, why, tried) \
     WHERE d.message = u.message AND d.endpoint = u.endpoint AND d.state = 1 AND d.lease_token = u.token \
     RETURNING d.message, d.endpoint, u.token, d.attempts";

/// The same for a planted bug.
static MOVE_UNFENCED: LazyLock<String> =
    LazyLock::new(|| MOVE.replace("AND d.state = 1 AND d.lease_token = u.token", ""));

/// Moves those whose lease is still held.
pub(super) async fn write(work: &Work, moves: &[Move]) -> Result<Moved, StoreError> {
    if moves.is_empty() {
        return Ok(Moved::new());
    }
    let columns = moves.iter().map(|one| match one.to {
        DeliveryState::Waiting { due } => (0_i16, Some(due.as_micros()), None),
        DeliveryState::InFlight { .. } => (1, None, None),
        DeliveryState::Delivered => (2, None, None),
        DeliveryState::DeadLettered { why } => (3, None, Some(Text(why.word()))),
    });
    let columns: Vec<_> = columns.collect();
    let values: [&dyn Value; 7] = [
        &moves.iter().map(|one| bytes(&one.key.message)).collect::<Vec<_>>(),
        &moves.iter().map(|one| bytes(&one.key.endpoint)).collect::<Vec<_>>(),
        &moves.iter().map(|one| one.token).collect::<Vec<_>>(),
        &columns.iter().map(|(state, ..)| *state).collect::<Vec<_>>(),
        &columns.iter().map(|(_, due, _)| *due).collect::<Vec<_>>(),
        &columns.iter().map(|(.., why)| *why).collect::<Vec<_>>(),
        &moves.iter().map(|one| i32::from(one.tried)).collect::<Vec<_>>(),
    ];
    let mut done = Moved::with_capacity(moves.len());
    let sql = if planted(Bug::LeaseWithoutToken) { &**MOVE_UNFENCED } else { MOVE };
    let returned = work.query(sql, &values).await?;
    point!("batch.moved");
    for row in returned {
        let key = DeliveryKey { message: rows::id(&row, 0)?, endpoint: rows::id(&row, 1)? };
        done.insert((key, row.try_get(2)?), rows::small_count(&row, 3)?);
    }
    Ok(done)
}

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// An attempt that is there already was recorded before: whoever did not hear our answer asks again.
pub(super) async fn write_attempts(work: &Work, attempts: Vec<&Attempt>) -> Result<(), StoreError> {
    if attempts.is_empty() {
        return Ok(());
    }
    partitions::need(&work.shared, attempts.iter().map(|attempt| attempt.message)).await?;
    let reply = |attempt: &Attempt| match &attempt.outcome {
        Outcome::Replied(reply) => Some(write_headers(&reply.headers)),
        Outcome::Failed(_) => None,
    };
    let headers: Vec<_> = attempts.iter().map(|attempt| reply(attempt)).collect();
    let remotes: Vec<_> = attempts.iter().map(|a| a.remote.map(|remote| remote.to_string())).collect();
    let failure = |attempt: &&'_ Attempt| match &attempt.outcome {
        Outcome::Replied(_) => None,
        Outcome::Failed(failure) => Some(Text(failure.kind.word())),
    };
    let sql = "INSERT INTO attempt (message, id, endpoint, url, manual, truncated, status, started_at, dns_us, \
               connect_us, tls_us, first_byte_us, total_us, remote, failure, detail, headers, body) \
               SELECT * FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
               ON CONFLICT (message, id) DO NOTHING";
    let all = || attempts.iter().copied();
    let values: [&dyn Value; 18] = [
        &all().map(|a| bytes(&a.message)).collect::<Vec<_>>(),
        &all().map(|a| bytes(&a.id)).collect::<Vec<_>>(),
        &all().map(|a| bytes(&a.endpoint)).collect::<Vec<_>>(),
        &all().map(|a| Text(&a.url)).collect::<Vec<_>>(),
        &all().map(|a| a.trigger == Trigger::Manual).collect::<Vec<_>>(),
        &all().map(|a| matches!(&a.outcome, Outcome::Replied(r) if r.truncated)).collect::<Vec<_>>(),
        &all().map(|a| i32::from(a.outcome.status_code())).collect::<Vec<_>>(),
        &all().map(|a| a.started_at.as_micros()).collect::<Vec<_>>(),
        &all().map(|a| micros(a.timing.dns)).collect::<Vec<_>>(),
        &all().map(|a| micros(a.timing.connect)).collect::<Vec<_>>(),
        &all().map(|a| micros(a.timing.tls)).collect::<Vec<_>>(),
        &all().map(|a| micros(a.timing.first_byte)).collect::<Vec<_>>(),
        &all().map(|a| micros(a.timing.total)).collect::<Vec<_>>(),
        &remotes.iter().map(|remote| remote.as_deref().map(Text)).collect::<Vec<_>>(),
        &attempts.iter().map(failure).collect::<Vec<_>>(),
        &all().map(detail).collect::<Vec<_>>(),
        &headers.iter().map(Option::as_deref).collect::<Vec<_>>(),
        &all().map(body).collect::<Vec<_>>(),
    ];
    let written = work.query(sql, &values).await;
    written.inspect_err(|error| partitions::look_again(&work.shared, error))?;
    Ok(())
}

fn detail(attempt: &Attempt) -> Option<Text<'_>> {
    match &attempt.outcome {
        Outcome::Replied(_) => None,
        Outcome::Failed(failure) => Some(Text(&failure.detail)),
    }
}

fn body(attempt: &Attempt) -> Option<&[u8]> {
    match &attempt.outcome {
        Outcome::Replied(reply) if !reply.body.is_empty() => Some(&reply.body),
        _ => None,
    }
}

/// Answers who recorded and who released, and does what follows from what was recorded.
pub(super) async fn answer(
    work: &mut Work,
    moved: &Moved,
    batch: &mut Batch<'_>,
    view: &View,
) -> Result<(), StoreError> {
    let mut told = HashSet::new();
    let mut judged = Vec::new();
    for asked in &mut batch.records {
        let record = &asked.command;
        let key = (record.key, record.lease.token);
        // Of two records of one claim, the first moved it.
        let attempts = moved.get(&key).filter(|_| told.insert(key));
        asked.answer = Some(Ok(Recorded { fenced: attempts.is_some(), disabled_endpoint: false }));
        let Some(attempts) = attempts else { continue };
        work.effects.in_flight_delta -= 1;
        if let Verdict::RetryAt(due) = record.verdict {
            waits(work, record.key, due);
        }
        if record.attempt.is_some() {
            judged.push((&mut **asked, *attempts));
        }
    }
    for asked in &mut batch.releases {
        for (key, lease) in &asked.command {
            if moved.contains_key(&(*key, lease.token)) && told.insert((*key, lease.token)) {
                work.effects.in_flight_delta -= 1;
                waits(work, *key, asked.now);
            }
        }
        asked.answer = Some(Ok(()));
    }
    health::judge(work, judged, view).await
}

fn waits(work: &mut Work, key: DeliveryKey, due: Timestamp) {
    work.effects.waiting_delta += 1;
    work.effects.due.push((key.endpoint, due));
}
