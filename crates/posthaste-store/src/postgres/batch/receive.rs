//! Requests of providers taken in: which are new, and which came before.

use std::collections::HashMap;

use posthaste_core::attempt::Trigger;
use posthaste_core::day::Day;
use posthaste_core::id::{AppId, MessageId, MessageKind};

use super::super::enter::Entry;
use super::super::partitions::by_day;
use super::super::rows;
use super::super::statement::{Value, bytes, query};
use super::super::work::Work;
use super::AskedReceive;
use super::versions::View;
use crate::error::{ChangeError, StoreError};
use crate::known::wanting;
use crate::source::Received;

/// Takes the keys of what was received and answers, all but the count of repetitions: what comes back is to be written.
pub(super) async fn judge(
    work: &Work,
    receives: &mut [&mut AskedReceive],
    view: &View,
) -> Result<Vec<Entry>, StoreError> {
    for asked in receives.iter_mut() {
        let new = &asked.command;
        let app = view.apps.get(&new.message.app).filter(|app| {
            app.environment == new.environment && app.source.is_some_and(|source| source.id == new.source)
        });
        if app.is_none() {
            asked.answer = Some(Err(ChangeError::NotFound("source")));
        }
    }
    let firsts = take_keys(work, receives).await?;
    let mut entries = Vec::with_capacity(receives.len());
    for asked in receives.iter_mut().filter(|asked| asked.answer.is_none()) {
        let (new, id) = (&asked.command, asked.command.message.id);
        let first = new.key.as_ref().and_then(|key| firsts.get(&key.bytes)).copied().unwrap_or(id);
        if first != id {
            asked.answer = Some(Ok(Received::Repeated { first, repeats_count: 0 }));
            continue;
        }
        let Some(app) = view.apps.get(&new.message.app).cloned() else { continue };
        let targets = wanting(&app, &new.message.event_type, &[]);
        let deliveries_count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let entry = Entry {
            app,
            message: new.message.clone(),
            origin: Some(new.sealed_origin.clone()),
            expunge_at: new.expunge_at,
            trigger: Trigger::Scheduled,
            targets,
            now: asked.now,
        };
        entries.push(entry);
        asked.answer = Some(Ok(Received::New { message: id, deliveries_count }));
    }
    Ok(entries)
}

/// Whose each key is, of those that were not refused: one of this transaction's messages, or one that was there.
async fn take_keys(
    work: &Work,
    receives: &[&mut AskedReceive],
) -> Result<HashMap<[u8; 16], MessageId>, StoreError> {
    let mut wanted: Vec<_> = receives
        .iter()
        .filter(|asked| asked.answer.is_none())
        .filter_map(|asked| Some((asked.command.key.as_ref()?, &asked.command.message, asked.now)))
        .collect();
    // Of those with one key the first is asked for; the others came again.
    wanted.sort_by_key(|(key, ..)| key.bytes);
    wanted.dedup_by_key(|(key, ..)| key.bytes);
    let Some(now) = wanted.iter().map(|(_, _, now)| now.as_micros()).max() else {
        return Ok(HashMap::new());
    };
    let keys: Vec<_> = wanted.iter().map(|(key, ..)| &key.bytes[..]).collect();
    let sql = "INSERT INTO received (key, message, expires_at) SELECT * FROM UNNEST($1, $2, $3) \
               ON CONFLICT (key) DO UPDATE SET message = excluded.message, expires_at = excluded.expires_at \
               WHERE received.expires_at <= $4 RETURNING key, message";
    let values: [&dyn Value; 4] = [
        &keys,
        &wanted.iter().map(|(_, message, _)| bytes(&message.id)).collect::<Vec<_>>(),
        &wanted.iter().map(|(key, ..)| key.expires_at.as_micros()).collect::<Vec<_>>(),
        &now,
    ];
    let mut rows = work.query(sql, &values).await?;
    if rows.len() < wanted.len() {
        let sql = "SELECT key, message FROM received WHERE key = ANY($1)";
        rows = work.query(sql, &[&keys]).await?;
    }
    let mut firsts = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Ok(key) = <[u8; 16]>::try_from(row.try_get::<_, &[u8]>(0)?) {
            firsts.insert(key, rows::id(&row, 1)?);
        }
    }
    Ok(firsts)
}

/// Counts repetitions, once the messages of this transaction are there. One of a message that retention has removed
/// cannot count: it came again at least this once.
pub(super) async fn mark(work: &Work, receives: &mut [&mut AskedReceive]) -> Result<(), StoreError> {
    let mut times: HashMap<(AppId, MessageId), (u32, i64)> = HashMap::new();
    for asked in receives.iter() {
        if let Some(Ok(Received::Repeated { first, .. })) = &asked.answer {
            let (count, last) = times.entry((asked.command.message.app, *first)).or_default();
            *count += 1;
            *last = asked.now.as_micros().max(*last);
        }
    }
    if times.is_empty() {
        return Ok(());
    }
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort_unstable_by_key(|(key, _)| *key);
    // What each message's next repetition is numbered.
    let mut numbers = HashMap::new();
    for (day, times) in by_day(times, |((_, message), _)| *message) {
        count_up(work, day, &times, &mut numbers).await?;
    }
    for asked in receives.iter_mut() {
        if let Some(Ok(Received::Repeated { first, repeats_count })) = &mut asked.answer {
            let number = numbers.get_mut(first);
            *repeats_count = number.as_deref().copied().unwrap_or(1);
            if let Some(number) = number {
                *number += 1;
            }
        }
    }
    Ok(())
}

/// How often messages came again now, and when last.
type Times = [((AppId, MessageId), (u32, i64))];

/// Counts the repetitions of one day's messages, in a fixed order. Not prepared, so that it is planned for that day.
async fn count_up(
    work: &Work,
    day: Day,
    times: &Times,
    numbers: &mut HashMap<MessageId, u32>,
) -> Result<(), StoreError> {
    let (from, until) = day.ids::<MessageKind>();
    let sql = "UPDATE message m SET repeats = coalesce(repeats, 0) + u.times, repeated_at = u.at \
               FROM UNNEST($1, $2, $3, $4) AS u (app, id, times, at) WHERE m.app = u.app AND m.id = u.id \
               AND m.id >= $5 AND m.id < $6 RETURNING m.id, m.repeats";
    let values: [&dyn Value; 6] = [
        &times.iter().map(|((app, _), _)| bytes(app)).collect::<Vec<_>>(),
        &times.iter().map(|((_, id), _)| bytes(id)).collect::<Vec<_>>(),
        &times.iter().map(|(_, (count, _))| i32::try_from(*count).unwrap_or(i32::MAX)).collect::<Vec<_>>(),
        &times.iter().map(|(_, (_, last))| *last).collect::<Vec<_>>(),
        &bytes(&from),
        &bytes(&until),
    ];
    for row in query(work.client(), sql, &values).await? {
        let id: MessageId = rows::id(&row, 0)?;
        let count = times.iter().find(|((_, one), _)| *one == id).map_or(0, |(_, (count, _))| *count);
        numbers.insert(id, (rows::small_count(&row, 1)? + 1).saturating_sub(count));
    }
    Ok(())
}
