//! What a replay comes by: the endpoints that it goes through, and deliveries of each in the order of their messages.

use posthaste_core::endpoint::Filter;
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::job::Tally;
use posthaste_core::limits::{JOB_STEP_ROWS, REPLAY_COUNT_ROWS_MAX};
use posthaste_core::name::{Channel, EventTypeName, Tag};
use posthaste_core::replay::{Candidate, ReplayFilter, Standing, Which, pick};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows;
use crate::columns::names::split;
use crate::error::StoreError;
use crate::replay::Target;

fn read_target(row: &Row<'_>) -> rusqlite::Result<Target> {
    let (types, channels): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
    Ok(Target {
        id: rows::id(row, 0)?,
        disabled: row.get(1)?,
        wants: Filter {
            event_types: types.map(|text| split(Some(&text), |name| EventTypeName::parse(name).ok())),
            channels: channels.map(|text| split(Some(&text), |name| Channel::parse(name).ok())),
        },
    })
}

/// The endpoint that a replay is about, or of a whole app the next that is enabled: from `at` on, or behind it.
pub(super) fn target(
    conn: &Connection,
    app: AppId,
    only: Option<EndpointId>,
    at: EndpointId,
    behind: bool,
) -> Result<Option<Target>, StoreError> {
    let columns =
        "SELECT id, disabled, event_types, channels FROM endpoint WHERE app = ?1 AND deleted_at IS NULL";
    let (condition, id) = match only {
        Some(only) => ("id = ?2", only),
        None if behind => ("id > ?2 AND disabled = 0", at),
        None => ("id >= ?2 AND disabled = 0", at),
    };
    let sql = format!("{columns} AND {condition} ORDER BY id LIMIT 1");
    let values = params![app.as_bytes(), id.as_bytes()];
    Ok(conn.prepare_cached(&sql)?.query_row(values, read_target).optional()?)
}

/// Whether an endpoint of the app is passed by.
pub(super) fn has_disabled(conn: &Connection, app: AppId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM endpoint WHERE app = ?1 AND deleted_at IS NULL AND disabled = 1 LIMIT 1";
    Ok(conn.prepare_cached(sql)?.exists([app.as_bytes()])?)
}

/// Columns of a delivery `d`, which may not be there, and its message `m`, too.
const COLUMNS: &str = "d.state, m.event_type, m.channels, m.tags, m.body IS NOT NULL";

fn read(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    let event_type: Option<String> = row.get(2)?;
    let (channels, tags): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
    Ok(Candidate {
        message: rows::id(row, 0)?,
        standing: match row.get::<_, Option<u8>>(1)? {
            None => Standing::Nothing,
            Some(2) => Standing::Delivered,
            Some(3) => Standing::DeadLettered,
            Some(_) => Standing::Owed,
        },
        event_type: event_type.and_then(|name| EventTypeName::parse(&name).ok()),
        channels: split(channels.as_deref(), |name| Channel::parse(name).ok()),
        tags: split(tags.as_deref(), |name| Tag::parse(name).ok()),
        has_body: row.get(5)?,
    })
}

/// At most `limit` of them between two messages; fewer mean that there are no more.
pub(super) fn candidates(
    conn: &Connection,
    app: AppId,
    endpoint: EndpointId,
    filter: &ReplayFilter,
    (after, until): (MessageId, MessageId),
    limit: u32,
) -> Result<Vec<Candidate>, StoreError> {
    if let Some(messages) = &filter.messages {
        let within = messages.iter().filter(|message| **message > after && **message < until);
        return within.take(limit as usize).map(|message| named(conn, app, endpoint, *message)).collect();
    }
    // A range of one index, cut off before anything else is looked at.
    let sql = match filter.which {
        Which::Failed => format!(
            "SELECT d.message, {COLUMNS} FROM (SELECT message, state FROM delivery WHERE state = 3 AND endpoint = ?2 \
             AND message > ?3 AND message < ?4 ORDER BY message LIMIT ?5) AS d \
             LEFT JOIN message m ON m.app = ?1 AND m.id = d.message ORDER BY d.message"
        ),
        Which::Delivered | Which::Ended => format!(
            "SELECT d.message, {COLUMNS} FROM (SELECT message, state FROM delivery WHERE endpoint = ?2 \
             AND message > ?3 AND message < ?4 ORDER BY message LIMIT ?5) AS d \
             LEFT JOIN message m ON m.app = ?1 AND m.id = d.message ORDER BY d.message"
        ),
        Which::Missing => format!(
            "SELECT m.id, {COLUMNS} FROM message m LEFT JOIN delivery d ON d.message = m.id AND d.endpoint = ?2 \
             WHERE m.app = ?1 AND m.id > ?3 AND m.id < ?4 ORDER BY m.id LIMIT ?5"
        ),
    };
    let values: [&dyn ToSql; 5] =
        [app.as_bytes(), endpoint.as_bytes(), after.as_bytes(), until.as_bytes(), &limit];
    let mut statement = conn.prepare_cached(&sql)?;
    Ok(statement.query_map(values, read)?.collect::<Result<_, _>>()?)
}

/// One that was named. It is there even if its message is not, so that whoever goes through them knows how far it is.
fn named(
    conn: &Connection,
    app: AppId,
    endpoint: EndpointId,
    message: MessageId,
) -> Result<Candidate, StoreError> {
    let sql = format!(
        "SELECT m.id, {COLUMNS} FROM message m LEFT JOIN delivery d ON d.message = m.id AND d.endpoint = ?2 \
         WHERE m.app = ?1 AND m.id = ?3"
    );
    let values = params![app.as_bytes(), endpoint.as_bytes(), message.as_bytes()];
    let found = conn.prepare_cached(&sql)?.query_row(values, read).optional()?;
    Ok(found.unwrap_or_else(|| Candidate::of_nothing(message)))
}

/// How many there are to put back, to one endpoint or all that are enabled.
pub(super) fn count(
    conn: &Connection,
    app: AppId,
    only: Option<EndpointId>,
    filter: &ReplayFilter,
) -> Result<Tally, StoreError> {
    let (mut tally, mut seen, mut at) = (Tally::default(), 0, EndpointId::MIN);
    while let Some(target) = target(conn, app, only, at, at != EndpointId::MIN)? {
        at = target.id;
        let (mut after, until) = (MessageId::first_at(filter.since), MessageId::first_at(filter.until));
        loop {
            let found = candidates(conn, app, target.id, filter, (after, until), JOB_STEP_ROWS)?;
            let picked = pick(filter, &target.wants, &found, u32::MAX);
            tally.count += picked.put_back.len() as u64;
            seen += found.len();
            after = picked.last.unwrap_or(after);
            if found.len() < JOB_STEP_ROWS as usize {
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
