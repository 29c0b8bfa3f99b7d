//! Deliveries: to whom a message went, what an endpoint was sent, and how they stand.

use std::collections::HashMap;

use posthaste_core::attempt::Trigger;
use posthaste_core::delivery::{DeadLetter, DeliveryState, Lease};
use posthaste_core::id::{AppId, EndpointId, MessageId};
use posthaste_core::time::Timestamp;
use tokio_postgres::{Client, Row};

use super::super::statement::{Statement, bytes, query};
use super::super::{pages, rows};
use super::messages::Conditions;
use super::walk::{self, List};
use crate::error::StoreError;
use crate::history::{AttemptFilter, Attempted, Destination, EndpointStats, Status};
use crate::page::{Page, PageRequest};
use crate::seal::Vault;

const STATE_COLUMNS: &str = "d.state, d.due_at, d.lease_token, d.lease_until, d.why";

fn state(row: &Row, first: usize) -> Result<DeliveryState, StoreError> {
    Ok(match row.try_get::<_, i16>(first)? {
        0 => DeliveryState::Waiting { due: rows::at(row, first + 1)? },
        1 => DeliveryState::InFlight {
            lease: Lease { token: row.try_get(first + 2)?, until: rows::at(row, first + 3)? },
        },
        2 => DeliveryState::Delivered,
        3 => {
            let why: Option<&str> = row.try_get(first + 4)?;
            DeliveryState::DeadLettered {
                why: why.and_then(DeadLetter::from_word).unwrap_or(DeadLetter::Exhausted),
            }
        }
        other => return Err(rows::corrupt("delivery", format!("state {other}"))),
    })
}

/// Columns of the table `endpoint e`.
fn endpoint_columns() -> String {
    rows::ENDPOINT_COLUMNS.split(", ").map(|name| format!("e.{}", name.trim())).collect::<Vec<_>>().join(", ")
}

/// Endpoints that were deleted since are shown too: they were destinations then.
pub(super) async fn of_message(
    client: &Client,
    vault: &Vault,
    message: MessageId,
    page: &PageRequest<EndpointId>,
) -> Result<Page<Destination>, StoreError> {
    let of = bytes(&message);
    let mut select = Statement::new(format!(
        "SELECT {}, d.attempts, d.manual, {STATE_COLUMNS} FROM delivery d JOIN endpoint e ON e.id = d.endpoint \
         WHERE d.message = ",
        endpoint_columns()
    ));
    select.bind(&of);
    let read = |row: &Row| {
        let (endpoint, _) = rows::endpoint(row, vault, None)?;
        let trigger = if row.try_get(16)? { Trigger::Manual } else { Trigger::Scheduled };
        let attempts_made = rows::small_count(row, 15)?;
        Ok(Destination { endpoint, state: state(row, 17)?, attempts_made, trigger })
    };
    pages::page(client, select, "d.endpoint", page, bytes, read).await
}

pub(super) async fn of_endpoint(
    client: &Client,
    vault: &Vault,
    (app, endpoint): (AppId, EndpointId),
    filter: &AttemptFilter,
    page: &PageRequest<MessageId>,
) -> Result<Page<Attempted>, StoreError> {
    let conditions = Conditions::of(&filter.message);
    let (range, names) = (conditions.range(), conditions.names());
    let status = match filter.status {
        None => "",
        Some(Status::Pending) => " AND d.state = 0",
        Some(Status::Sending) => " AND d.state = 1",
        Some(Status::Success) => " AND d.state = 2",
        Some(Status::Fail) => " AND d.state = 3",
    };
    let (app, of) = (bytes(&app), bytes(&endpoint));
    let mut select = Statement::new(format!(
        "SELECT {STATE_COLUMNS}, {}, {} FROM delivery d JOIN message m ON m.id = d.message WHERE m.app = ",
        rows::MESSAGE_COLUMNS,
        rows::BODY_COLUMNS
    ));
    select.bind(&app).push(" AND d.endpoint = ").bind(&of).push(status);
    range.add("d.message", &mut select);
    names.add(&mut select);
    let read = |row: &Row| {
        let message = rows::message(row, 5, vault)?;
        let weight = message.weight();
        Ok((message.id, Attempted { state: state(row, 0)?, message }, weight))
    };
    let (messages, window) = (&["d.message", "m.id"][..], Some(conditions.window()));
    walk::page(client, List { select, key: "d.message", messages, window, of: None }, page, read).await
}

pub(super) async fn stats(
    client: &Client,
    endpoint: EndpointId,
    since: Timestamp,
    until: Timestamp,
) -> Result<EndpointStats, StoreError> {
    let sql = "SELECT state, count(*) FROM delivery \
               WHERE endpoint = $1 AND message >= $2 AND message < $3 GROUP BY state";
    let (since, until) = (MessageId::first_at(since), MessageId::first_at(until));
    let mut stats = EndpointStats::default();
    for row in query(client, sql, &[&bytes(&endpoint), &bytes(&since), &bytes(&until)]).await? {
        stats.add(row.try_get::<_, i16>(0)?.into(), rows::count(&row, 1)?);
    }
    Ok(stats)
}

pub(super) async fn standings(
    client: &Client,
    app: AppId,
    messages: &[MessageId],
    endpoint: Option<EndpointId>,
) -> Result<Vec<(MessageId, EndpointStats)>, StoreError> {
    let sql = "SELECT message, state, count(*) FROM delivery \
               WHERE message = ANY($1) AND app = $2 AND ($3::bytea IS NULL OR endpoint = $3) GROUP BY message, state";
    let (asked, endpoint): (Vec<_>, _) = (messages.iter().map(bytes).collect(), endpoint.as_ref().map(bytes));
    let mut standings: HashMap<MessageId, EndpointStats> = HashMap::new();
    for row in query(client, sql, &[&asked, &bytes(&app), &endpoint]).await? {
        let stats = standings.entry(rows::id(&row, 0)?).or_default();
        stats.add(row.try_get::<_, i16>(1)?.into(), rows::count(&row, 2)?);
    }
    Ok(standings.into_iter().collect())
}
