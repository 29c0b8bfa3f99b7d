//! Deliveries: to whom a message went, what an endpoint was sent, and how they stand.

use std::sync::Arc;

use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{DeadLetter, DeliveryState, Lease};
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, Row, params};

use super::super::pages::Listing;
use super::super::rows;
use super::messages::Conditions;
use crate::error::StoreError;
use crate::history::{AttemptFilter, Attempted, Destination, EndpointStats, Status};
use crate::page::{Page, PageRequest};
use crate::seal::Vault;

const STATE_COLUMNS: &str = "d.state, d.due_at, d.lease_token, d.lease_until, d.why";

fn state(row: &Row<'_>, first: usize) -> Result<DeliveryState, StoreError> {
    Ok(match row.get::<_, i64>(first)? {
        0 => DeliveryState::Waiting { due: rows::at(row, first + 1)? },
        1 => DeliveryState::InFlight {
            lease: Lease { token: row.get(first + 2)?, until: rows::at(row, first + 3)? },
        },
        2 => DeliveryState::Delivered,
        3 => {
            let why: Option<String> = row.get(first + 4)?;
            let why = why.and_then(|word| DeadLetter::from_word(&word));
            DeliveryState::DeadLettered { why: why.unwrap_or(DeadLetter::Exhausted) }
        }
        other => return Err(rows::corrupt("delivery", format!("state {other}"))),
    })
}

/// Endpoints that were deleted since are shown too: they were destinations then.
pub(super) fn of_message(
    conn: &Connection,
    vault: &Arc<Vault>,
    message: MessageId,
    page: &PageRequest<EndpointId>,
) -> Result<Page<Destination>, StoreError> {
    let select = format!(
        "SELECT d.endpoint, d.attempts, d.manual, {STATE_COLUMNS} FROM delivery d WHERE d.message = :message"
    );
    let listing =
        Listing { select: &select, key: "d.endpoint", values: vec![(":message", message.as_bytes())] };
    listing.page(
        conn,
        page,
        |id| *id.as_bytes(),
        |row| {
            let id: EndpointId = rows::id(row, 0)?;
            let (endpoint, _) = rows::read_endpoint(conn, vault, id, None)?
                .ok_or_else(|| rows::corrupt("delivery", format!("{id} has no endpoint")))?;
            let trigger = if row.get(2)? { Trigger::Manual } else { Trigger::Scheduled };
            Ok(Destination { endpoint, state: state(row, 3)?, attempts_made: row.get(1)?, trigger })
        },
    )
}

pub(super) fn of_endpoint(
    conn: &Connection,
    vault: &Vault,
    app: AppId,
    endpoint: EndpointId,
    filter: &AttemptFilter,
    page: &PageRequest<MessageId>,
) -> Result<Page<Attempted>, StoreError> {
    let conditions =
        Conditions::of(&filter.message, [" AND d.message >= :after", " AND d.message < :before"]);
    let status = match filter.status {
        None => "",
        Some(Status::Pending) => " AND d.state = 0",
        Some(Status::Sending) => " AND d.state = 1",
        Some(Status::Success) => " AND d.state = 2",
        Some(Status::Fail) => " AND d.state = 3",
    };
    let select = format!(
        "SELECT {STATE_COLUMNS}, {}, {} FROM delivery d \
         JOIN message m ON m.app = :app AND m.id = d.message LEFT JOIN body b ON b.id = m.body \
         WHERE d.endpoint = :endpoint{status}{}",
        rows::MESSAGE_COLUMNS,
        rows::BODY_COLUMNS,
        conditions.sql()
    );
    let mut values = conditions.values();
    values.push((":app", app.as_bytes()));
    values.push((":endpoint", endpoint.as_bytes()));
    let listing = Listing { select: &select, key: "d.message", values };
    let read = |row: &Row<'_>| {
        let message = rows::message(row, 5, vault)?;
        let weight = message.weight();
        Ok((Attempted { state: state(row, 0)?, message }, weight))
    };
    listing.page_of_heavy(conn, page, |id| *id.as_bytes(), read)
}

pub(super) fn stats(
    conn: &Connection,
    endpoint: EndpointId,
    since: Timestamp,
    until: Timestamp,
) -> Result<EndpointStats, StoreError> {
    let sql = "SELECT state, count(*) FROM delivery \
               WHERE endpoint = ?1 AND message >= ?2 AND message < ?3 GROUP BY state";
    let mut statement = conn.prepare_cached(sql)?;
    let (since, until) = (MessageId::first_at(since), MessageId::first_at(until));
    let mut found = statement.query(params![endpoint.as_bytes(), since.as_bytes(), until.as_bytes()])?;
    let mut stats = EndpointStats::default();
    while let Some(row) = found.next()? {
        stats.add(row.get(0)?, row.get(1)?);
    }
    Ok(stats)
}

/// A range of the table for each message: they are few, and each lies on its own.
pub(super) fn standings(
    conn: &Connection,
    app: AppId,
    messages: &[MessageId],
    endpoint: Option<EndpointId>,
) -> Result<Vec<(MessageId, EndpointStats)>, StoreError> {
    let sql = "SELECT state, count(*) FROM delivery \
               WHERE message = ?1 AND app = ?2 AND (?3 IS NULL OR endpoint = ?3) GROUP BY state";
    let mut statement = conn.prepare_cached(sql)?;
    let mut standings = Vec::with_capacity(messages.len());
    for message in messages {
        let endpoint = endpoint.as_ref().map(EndpointId::as_bytes);
        let mut found = statement.query(params![message.as_bytes(), app.as_bytes(), endpoint])?;
        let mut stats = EndpointStats::default();
        while let Some(row) = found.next()? {
            stats.add(row.get(0)?, row.get(1)?);
        }
        if stats.total() > 0 {
            standings.push((*message, stats));
        }
    }
    Ok(standings)
}
