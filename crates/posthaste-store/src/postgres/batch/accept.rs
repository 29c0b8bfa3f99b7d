//! Messages taken in: which are new, which came before, and to whom they go.

use std::collections::HashSet;
use std::sync::Arc;

use posthaste_core::attempt::Trigger;
use posthaste_core::id::AppId;
use posthaste_core::limits::IDEMPOTENCY_WINDOW;
use posthaste_core::message::Message;
use posthaste_core::time::Timestamp;
use posthaste_fault::point;

use super::super::enter::Entry;
use super::super::rows;
use super::super::statement::{Text, bytes, query_opt};
use super::super::work::Work;
use super::AskedAccept;
use super::versions::{KeySeen, View};
use crate::error::{ChangeError, StoreError};
use crate::intake::{Accepted, IdempotencyKey, NewMessage};
use crate::known;

/// What is said of one without anything being written.
enum Judged {
    /// It is to be written.
    New(Entry),
    /// It came before, or is refused.
    Answered(Result<Accepted, ChangeError>),
    /// Another one of this transaction has the same key.
    InTheWay,
}

/// Answers what is refused or came before, takes the keys of the rest and answers those too: they are what is to be
/// written.
pub(super) async fn judge(
    work: &Work,
    accepts: &mut [&mut AskedAccept],
    view: &View,
) -> Result<Vec<Entry>, StoreError> {
    let mut taken = Taken::default();
    let mut entries = Vec::with_capacity(accepts.len());
    for (index, asked) in accepts.iter_mut().enumerate() {
        match one(work, &asked.command, asked.now, view, &mut taken).await? {
            Judged::New(entry) => entries.push((index, entry)),
            Judged::Answered(answer) => asked.answer = Some(answer),
            Judged::InTheWay => {}
        }
    }
    let known = take_event_keys(work, &entries).await?;
    entries.retain(|(index, _)| {
        let first = !known.contains(index);
        if !first {
            accepts[*index].answer = Some(Err(ChangeError::Taken("a message with this eventId")));
        }
        first
    });
    let keyed = entries
        .iter()
        .filter_map(|(index, entry)| Some((accepts[*index].command.idempotency.as_ref()?, entry)));
    take_keys(work, keyed.collect()).await?;
    if !entries.is_empty() {
        point!("batch.keys_taken");
    }
    for (index, entry) in &entries {
        accepts[*index].answer = Some(Ok(Accepted {
            message: Arc::clone(&entry.message),
            deliveries_count: u32::try_from(entry.targets.len()).unwrap_or(u32::MAX),
            repeated: false,
        }));
    }
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}

/// Keys that commands of this transaction take.
#[derive(Default)]
struct Taken {
    keys: HashSet<[u8; 32]>,
    event_ids: HashSet<(AppId, String)>,
}

async fn one(
    work: &Work,
    new: &NewMessage,
    now: Timestamp,
    view: &View,
    taken: &mut Taken,
) -> Result<Judged, StoreError> {
    if let Some(key) = &new.idempotency
        && let Some(seen) = view.keys.get(&key.key).filter(|seen| seen.expires_at > now)
    {
        return match repeated(work, key, seen).await {
            Err(ChangeError::Store(error)) => Err(error),
            answer => Ok(Judged::Answered(answer)),
        };
    }
    let Some(app) = view.app_by(new.environment, &new.app) else {
        return Ok(Judged::Answered(Err(ChangeError::NotFound("application"))));
    };
    let targets = match known::targets(app, new.only.as_ref(), &new.event_type, &new.channels) {
        Ok(targets) => targets,
        Err(refused) => return Ok(Judged::Answered(Err(refused))),
    };
    if let Some(key) = &new.idempotency
        && !taken.keys.insert(key.key)
    {
        return Ok(Judged::InTheWay);
    }
    if let Some(event_id) = &new.event_id
        && !taken.event_ids.insert((app.app.id, event_id.to_string()))
    {
        return Ok(Judged::InTheWay);
    }
    let message = Arc::new(Message {
        id: new.id,
        app: app.app.id,
        event_type: new.event_type.clone(),
        event_id: new.event_id.clone(),
        channels: new.channels.clone(),
        tags: new.tags.clone(),
        body: Some(new.body.clone()),
        origin: None,
        created_at: now,
        deliver_at: new.deliver_at,
    });
    let trigger = if new.only.is_some() { Trigger::Manual } else { Trigger::Scheduled };
    let (app, expunge_at) = (Arc::clone(app), new.expunge_at);
    Ok(Judged::New(Entry { app, message, origin: None, expunge_at, trigger, targets, now }))
}

/// The first answer to a key that was used before.
async fn repeated(work: &Work, key: &IdempotencyKey, seen: &KeySeen) -> Result<Accepted, ChangeError> {
    if seen.fingerprint != key.fingerprint {
        return Err(ChangeError::KeyReused);
    }
    let (app, message) = seen.of.ok_or(ChangeError::KeyInUse)?;
    // The lock is a write, so that this answer waits for a synchronous standby as the first one did: a primary that
    // crashed may hold what its standby never got.
    let sql = "SELECT 1 FROM idempotency WHERE key = $1 FOR KEY SHARE";
    query_opt(work.client(), sql, &[&&key.key[..]]).await?;
    let message = rows::read_message(work.client(), &work.shared.vault, app, message).await?;
    let message = message.ok_or(ChangeError::NotFound("message"))?;
    let sql = "SELECT count(*) FROM delivery WHERE message = $1";
    let counted = query_opt(work.client(), sql, &[&bytes(&message.id)]).await?;
    let count = counted.map(|row| rows::count(&row, 0)).transpose()?.unwrap_or(0);
    let deliveries_count = u32::try_from(count).unwrap_or(u32::MAX);
    Ok(Accepted { message: Arc::new(message), deliveries_count, repeated: true })
}

/// Takes the callers' ids; returns whose were taken before.
async fn take_event_keys(work: &Work, entries: &[(usize, Entry)]) -> Result<HashSet<usize>, StoreError> {
    let mut keyed: Vec<_> = entries
        .iter()
        .filter_map(|(index, entry)| Some((entry.message.event_id.as_ref()?.as_str(), *index, entry)))
        .collect();
    if keyed.is_empty() {
        return Ok(HashSet::new());
    }
    // In a fixed order, as all who take keys: nobody waits for somebody who waits.
    keyed.sort_unstable_by_key(|(event_id, _, entry)| (entry.message.app, *event_id));
    let sql = "INSERT INTO event_key (app, event_id, message) SELECT * FROM UNNEST($1, $2, $3) \
               ON CONFLICT (app, event_id) DO NOTHING RETURNING message";
    let taken = work
        .query(
            sql,
            &[
                &keyed.iter().map(|(_, _, entry)| bytes(&entry.message.app)).collect::<Vec<_>>(),
                &keyed.iter().map(|(event_id, ..)| Text(event_id)).collect::<Vec<_>>(),
                &keyed.iter().map(|(_, _, entry)| bytes(&entry.message.id)).collect::<Vec<_>>(),
            ],
        )
        .await?;
    let taken = taken.iter().map(|row| rows::id(row, 0)).collect::<Result<HashSet<_>, _>>()?;
    let lost = keyed.iter().filter(|(_, _, entry)| !taken.contains(&entry.message.id));
    Ok(lost.map(|(_, index, _)| *index).collect())
}

/// Takes idempotency keys. One that was free a moment ago and is not now was taken by a transaction that is over by now:
/// the insert fails, and this one begins again and sees what that one wrote.
async fn take_keys(work: &Work, mut keyed: Vec<(&IdempotencyKey, &Entry)>) -> Result<(), StoreError> {
    if keyed.is_empty() {
        return Ok(());
    }
    keyed.sort_unstable_by_key(|(key, _)| key.key);
    let keys: Vec<_> = keyed.iter().map(|(key, _)| &key.key[..]).collect();
    // Those that are past their time.
    let sql = "DELETE FROM idempotency USING UNNEST($1, $2) AS u (key, now) \
               WHERE idempotency.key = u.key AND idempotency.expires_at <= u.now";
    let nows: Vec<_> = keyed.iter().map(|(_, entry)| entry.now.as_micros()).collect();
    work.query(sql, &[&keys, &nows]).await?;
    let sql = "INSERT INTO idempotency (key, fingerprint, app, message, expires_at) \
               SELECT * FROM UNNEST($1, $2, $3, $4, $5)";
    work.query(
        sql,
        &[
            &keys,
            &keyed.iter().map(|(key, _)| &key.fingerprint[..]).collect::<Vec<_>>(),
            &keyed.iter().map(|(_, entry)| bytes(&entry.message.app)).collect::<Vec<_>>(),
            &keyed.iter().map(|(_, entry)| bytes(&entry.message.id)).collect::<Vec<_>>(),
            &keyed
                .iter()
                .map(|(_, entry)| entry.now.later(IDEMPOTENCY_WINDOW).as_micros())
                .collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}
