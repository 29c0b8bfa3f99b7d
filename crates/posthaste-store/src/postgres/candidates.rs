//! What a replay comes by: the endpoints that it goes through, and deliveries of each in the order of their messages.

use std::collections::HashMap;

use posthaste_core::endpoint::Filter;
use posthaste_core::id::{AppId, EndpointId, MessageId, MessageKind};
use posthaste_core::job::Tally;
use posthaste_core::limits::REPLAY_COUNT_ROWS_MAX;
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::replay::{Candidate, ReplayFilter, Standing, Which, pick};
use tokio_postgres::{Client, Row};

use super::partitions::{self, Ids, by_day};
use super::rows;
use super::statement::{Value, bytes, query, query_opt};
use crate::columns::names::split;
use crate::error::StoreError;
use crate::replay::Target;

/// Deliveries that one statement looks at while they are counted.
const COUNT_STEP_ROWS: u32 = 5_000;

fn read_target(row: &Row) -> Result<Target, StoreError> {
    let (types, channels) = (row.try_get::<_, Option<&str>>(2)?, row.try_get::<_, Option<&str>>(3)?);
    Ok(Target {
        id: rows::id(row, 0)?,
        disabled: row.try_get(1)?,
        wants: Filter {
            event_types: types.map(|text| split(Some(text), |name| EventTypeName::parse(name).ok())),
            channels: channels.map(|text| split(Some(text), |name| Channel::parse(name).ok())),
        },
    })
}

/// The endpoint that a replay is about, or of a whole app the next that is enabled: from `at` on, or behind it.
pub(super) async fn target(
    client: &Client,
    app: AppId,
    only: Option<EndpointId>,
    at: EndpointId,
    behind: bool,
) -> Result<Option<Target>, StoreError> {
    let columns =
        "SELECT id, disabled, event_types, channels FROM endpoint WHERE app = $1 AND deleted_at IS NULL";
    let (condition, id) = match only {
        Some(only) => ("id = $2", only),
        None if behind => ("id > $2 AND NOT disabled", at),
        None => ("id >= $2 AND NOT disabled", at),
    };
    let sql = format!("{columns} AND {condition} ORDER BY id LIMIT 1");
    let found = query_opt(client, &sql, &[&bytes(&app), &bytes(&id)]).await?;
    found.map(|row| read_target(&row)).transpose()
}

/// Whether an endpoint of the app is passed by.
pub(super) async fn has_disabled(client: &Client, app: AppId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM endpoint WHERE app = $1 AND deleted_at IS NULL AND disabled LIMIT 1";
    Ok(query_opt(client, sql, &[&bytes(&app)]).await?.is_some())
}

/// At most `limit` of them between two messages; fewer mean that there are no more.
pub(super) async fn candidates(
    client: &Client,
    app: AppId,
    endpoint: EndpointId,
    filter: &ReplayFilter,
    (after, until): Ids,
    limit: u32,
) -> Result<Vec<Candidate>, StoreError> {
    if let Some(messages) = &filter.messages {
        let within = messages.iter().filter(|message| **message > after && **message < until);
        let within: Vec<MessageId> = within.take(limit as usize).copied().collect();
        let standings = standings(client, endpoint, &within).await?;
        return complete(client, app, within, &standings).await;
    }
    if filter.which == Which::Missing {
        let found = messages(client, app, (after, until), limit).await?;
        let ids: Vec<_> = found.iter().map(|candidate| candidate.message).collect();
        let standings = standings(client, endpoint, &ids).await?;
        let with_standing = |candidate: Candidate| {
            let standing = standings.get(&candidate.message).copied().unwrap_or(Standing::Nothing);
            Candidate { standing, ..candidate }
        };
        return Ok(found.into_iter().map(with_standing).collect());
    }
    // A range of one index, cut off before anything else is looked at.
    let dead = if filter.which == Which::Failed { "state = 3 AND" } else { "" };
    let sql = format!(
        "SELECT message, state FROM delivery WHERE {dead} endpoint = $1 AND message > $2 AND message < $3 \
         ORDER BY message LIMIT $4"
    );
    let values: [&dyn Value; 4] = [&bytes(&endpoint), &bytes(&after), &bytes(&until), &i64::from(limit)];
    let found = query(client, &sql, &values).await?;
    let standings = found.iter().map(read_standing).collect::<Result<HashMap<_, _>, _>>()?;
    let ids = found.iter().map(|row| rows::id(row, 0)).collect::<Result<Vec<_>, _>>()?;
    complete(client, app, ids, &standings).await
}

fn read_standing(row: &Row) -> Result<(MessageId, Standing), StoreError> {
    let standing = match row.try_get::<_, i16>(1)? {
        2 => Standing::Delivered,
        3 => Standing::DeadLettered,
        _ => Standing::Owed,
    };
    Ok((rows::id(row, 0)?, standing))
}

/// How the deliveries of these messages to one endpoint stand, as far as there are some.
async fn standings(
    client: &Client,
    endpoint: EndpointId,
    messages: &[MessageId],
) -> Result<HashMap<MessageId, Standing>, StoreError> {
    let sql = "SELECT d.* FROM UNNEST($2) AS u (id) CROSS JOIN LATERAL (SELECT message, state FROM delivery \
               WHERE endpoint = $1 AND delivery.message = u.id LIMIT 1) AS d";
    let ids: Vec<_> = messages.iter().map(bytes).collect();
    query(client, sql, &[&bytes(&endpoint), &ids]).await?.iter().map(read_standing).collect()
}

const MESSAGE: &str = "message.id, event_type, channels, tags, body IS NOT NULL";

fn read_message(row: &Row) -> Result<Candidate, StoreError> {
    let (channels, tags) = (row.try_get::<_, Option<&str>>(2)?, row.try_get::<_, Option<&str>>(3)?);
    Ok(Candidate {
        message: rows::id(row, 0)?,
        standing: Standing::Nothing,
        event_type: EventTypeName::parse(row.try_get(1)?).ok(),
        channels: split(channels, |name| Channel::parse(name).ok()),
        tags: split(tags, |name| Tag::parse(name).ok()),
        has_body: row.try_get(4)?,
    })
}

/// These deliveries, with what is asked of their messages: one statement for each day, which touches no other. One whose
/// message is not there is there nevertheless, so that whoever goes through them knows how far it is.
async fn complete(
    client: &Client,
    app: AppId,
    ids: Vec<MessageId>,
    standings: &HashMap<MessageId, Standing>,
) -> Result<Vec<Candidate>, StoreError> {
    // One by one, or a day that is not large would be read from end to end.
    let sql = format!(
        "SELECT m.* FROM UNNEST($2) AS u (id) CROSS JOIN LATERAL (SELECT {MESSAGE} FROM message \
         WHERE app = $1 AND message.id = u.id AND message.id >= $3 AND message.id < $4 LIMIT 1) AS m"
    );
    let mut messages = HashMap::with_capacity(ids.len());
    for (day, ids) in by_day(ids.iter().copied(), |message| *message) {
        let ids: Vec<_> = ids.iter().map(bytes).collect();
        let (first, until) = day.ids::<MessageKind>();
        let values: [&dyn Value; 4] = [&bytes(&app), &ids, &bytes(&first), &bytes(&until)];
        for row in query(client, &sql, &values).await? {
            let candidate = read_message(&row)?;
            messages.insert(candidate.message, candidate);
        }
    }
    let complete = |id: MessageId| {
        let candidate = messages.remove(&id).unwrap_or_else(|| Candidate::of_nothing(id));
        let standing = standings.get(&id).copied().unwrap_or(Standing::Nothing);
        Candidate { standing, ..candidate }
    };
    Ok(ids.into_iter().map(complete).collect())
}

/// Messages of an app between two of them, a few days at a time.
async fn messages(
    client: &Client,
    app: AppId,
    (after, until): Ids,
    limit: u32,
) -> Result<Vec<Candidate>, StoreError> {
    let sql = format!(
        "SELECT {MESSAGE} FROM message WHERE app = $1 AND id > $2 AND id >= $3 AND id < $4 ORDER BY message.id LIMIT $5"
    );
    let mut found = Vec::new();
    for (first, end) in partitions::stretches(&partitions::days(client).await?) {
        if end <= after || first >= until {
            continue;
        }
        let room = i64::from(limit) - i64::try_from(found.len()).unwrap_or(i64::MAX);
        if room <= 0 {
            break;
        }
        let end = end.min(until);
        let values: [&dyn Value; 5] = [&bytes(&app), &bytes(&after), &bytes(&first), &bytes(&end), &room];
        for row in query(client, &sql, &values).await? {
            found.push(read_message(&row)?);
        }
    }
    Ok(found)
}

/// How many there are to put back, to one endpoint or all that are enabled.
pub(super) async fn count(
    client: &Client,
    app: AppId,
    only: Option<EndpointId>,
    filter: &ReplayFilter,
) -> Result<Tally, StoreError> {
    let (mut tally, mut seen, mut at) = (Tally::default(), 0, EndpointId::MIN);
    while let Some(target) = target(client, app, only, at, at != EndpointId::MIN).await? {
        at = target.id;
        let (mut after, until) = (MessageId::first_at(filter.since), MessageId::first_at(filter.until));
        loop {
            let found = candidates(client, app, target.id, filter, (after, until), COUNT_STEP_ROWS).await?;
            let picked = pick(filter, &target.wants, &found, u32::MAX);
            tally.count += picked.put_back.len() as u64;
            seen += found.len();
            after = picked.last.unwrap_or(after);
            if found.len() < COUNT_STEP_ROWS as usize {
                break;
            }
            if seen >= REPLAY_COUNT_ROWS_MAX as usize {
                return Ok(Tally { more: true, ..tally });
            }
        }
        if only.is_some() {
            break;
        }
    }
    Ok(tally)
}
