//! Attempts.

use std::time::Duration;

use posthaste_core::attempt::{Attempt, Failure, FailureKind, Outcome, Reply, Timing, Trigger};
use posthaste_core::id::{AppId, AttemptId, EndpointId, MessageId};
use posthaste_core::message::Message;
use rusqlite::types::ToSql;
use rusqlite::{Connection, Row, params};

use super::super::pages::Listing;
use super::super::rows;
use super::messages::Conditions;
use crate::columns;
use crate::error::{ChangeError, StoreError};
use crate::history::{AttemptFilter, AttemptRow, Status};
use crate::page::{Page, PageRequest};
use crate::seal::Vault;

const COLUMNS: &str = "a.message, a.id, a.endpoint, a.url, a.manual, a.started_at, a.dns_us, a.connect_us, a.tls_us, \
     a.first_byte_us, a.total_us, a.remote, a.status, a.failure, a.detail, a.headers, a.body, a.truncated";
/// How many there are: the message's own columns come behind them.
const COLUMNS_COUNT: usize = 18;

/// Whose attempts: of a message, of an endpoint, or of both.
pub(super) struct Of {
    pub(super) app: AppId,
    pub(super) message: Option<MessageId>,
    pub(super) endpoint: Option<EndpointId>,
}

fn micros(row: &Row<'_>, index: usize) -> rusqlite::Result<Duration> {
    row.get::<_, i64>(index).map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
}

fn outcome(row: &Row<'_>) -> rusqlite::Result<Outcome> {
    if let Some(word) = row.get::<_, Option<String>>(13)? {
        let kind = FailureKind::from_word(&word).unwrap_or(FailureKind::Protocol);
        let detail: Option<String> = row.get(14)?;
        return Ok(Outcome::Failed(Failure { kind, detail: detail.unwrap_or_default() }));
    }
    let headers = row.get_ref(15)?.as_bytes_or_null()?.unwrap_or_default();
    Ok(Outcome::Replied(Reply {
        status: row.get(12)?,
        headers: columns::attempt::read_headers(headers),
        body: row.get::<_, Option<Vec<u8>>>(16)?.unwrap_or_default().into(),
        truncated: row.get(17)?,
    }))
}

fn read(row: &Row<'_>, vault: &Vault) -> Result<AttemptRow, StoreError> {
    let outcome = outcome(row)?;
    let status = if outcome.is_success() { Status::Success } else { Status::Fail };
    let remote: Option<String> = row.get(11)?;
    let attempt = Attempt {
        message: rows::id(row, 0)?,
        id: rows::id(row, 1)?,
        endpoint: rows::id(row, 2)?,
        url: row.get(3)?,
        trigger: if row.get(4)? { Trigger::Manual } else { Trigger::Scheduled },
        started_at: rows::at(row, 5)?,
        timing: Timing {
            dns: micros(row, 6)?,
            connect: micros(row, 7)?,
            tls: micros(row, 8)?,
            first_byte: micros(row, 9)?,
            total: micros(row, 10)?,
        },
        remote: remote.and_then(|text| text.parse().ok()),
        outcome,
    };
    let message = rows::message(row, COLUMNS_COUNT, vault)?;
    Ok(AttemptRow { attempt, status, message: Some(message) })
}

fn select(conditions: &str) -> String {
    format!(
        "SELECT {COLUMNS}, {}, {} FROM attempt a \
         JOIN message m ON m.app = :app AND m.id = a.message LEFT JOIN body b ON b.id = m.body \
         WHERE {conditions}",
        rows::MESSAGE_COLUMNS,
        rows::BODY_COLUMNS
    )
}

pub(super) fn list(
    conn: &Connection,
    vault: &Vault,
    of: &Of,
    filter: &AttemptFilter,
    page: &PageRequest<AttemptId>,
) -> Result<Page<AttemptRow>, StoreError> {
    let conditions = Conditions::of(&filter.message, [" AND a.id >= :after", " AND a.id < :before"]);
    let mut values = conditions.values();
    values.push((":app", of.app.as_bytes()));
    let mut sql = match (&of.message, &of.endpoint) {
        (Some(message), _) => {
            values.push((":message", message.as_bytes()));
            "a.message = :message".to_owned()
        }
        (None, _) => "a.endpoint = :endpoint".to_owned(),
    };
    if let Some(endpoint) = &of.endpoint {
        values.push((":endpoint", endpoint.as_bytes()));
        if of.message.is_some() {
            sql.push_str(" AND a.endpoint = :endpoint");
        }
    }
    sql.push_str(status_sql(filter.status));
    let class = filter.status_class.map(i64::from);
    if let Some(class) = &class {
        // 0 stands for "no answer".
        sql.push_str(" AND a.status - a.status % 100 = :class");
        values.push((":class", class as &dyn ToSql));
    }
    let select = select(&(sql + &conditions.sql()));
    let weighed = |row: &Row<'_>| {
        let attempt = read(row, vault)?;
        let weight = attempt.message.as_ref().map_or(0, Message::weight);
        Ok((attempt, weight))
    };
    Listing { select: &select, key: "a.id", values }.page_of_heavy(conn, page, |id| *id.as_bytes(), weighed)
}

fn status_sql(status: Option<Status>) -> &'static str {
    match status {
        None => "",
        Some(Status::Success) => " AND a.status BETWEEN 200 AND 299",
        Some(Status::Fail) => " AND a.status NOT BETWEEN 200 AND 299",
        Some(Status::Pending) => {
            " AND EXISTS (SELECT 1 FROM delivery d WHERE d.message = a.message AND d.endpoint = a.endpoint AND d.state = 0)"
        }
        Some(Status::Sending) => {
            " AND EXISTS (SELECT 1 FROM delivery d WHERE d.message = a.message AND d.endpoint = a.endpoint AND d.state = 1)"
        }
    }
}

pub(super) fn get(
    conn: &Connection,
    vault: &Vault,
    app: AppId,
    message: MessageId,
    attempt: AttemptId,
) -> Result<AttemptRow, ChangeError> {
    let sql = select("a.message = :message AND a.id = :id");
    let mut statement = conn.prepare_cached(&sql).map_err(StoreError::from)?;
    let values: &[(&str, &dyn ToSql)] =
        &[(":app", app.as_bytes()), (":message", message.as_bytes()), (":id", attempt.as_bytes())];
    let mut found = statement.query(values).map_err(StoreError::from)?;
    let row = found.next().map_err(StoreError::from)?.ok_or(ChangeError::NotFound("attempt"))?;
    Ok(read(row, vault)?)
}

pub(super) fn expunge(conn: &Connection, message: MessageId, attempt: AttemptId) -> Result<(), ChangeError> {
    let sql = "UPDATE attempt SET body = NULL WHERE message = ?1 AND id = ?2";
    let mut statement = conn.prepare_cached(sql).map_err(StoreError::from)?;
    let changed =
        statement.execute(params![message.as_bytes(), attempt.as_bytes()]).map_err(StoreError::from)?;
    if changed == 1 { Ok(()) } else { Err(ChangeError::NotFound("attempt")) }
}
