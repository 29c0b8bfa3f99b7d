//! Attempts.

use std::time::Duration;

use posthaste_core::attempt::{Attempt, Failure, FailureKind, Outcome, Reply, Timing, Trigger};
use posthaste_core::id::{AppId, AttemptId, EndpointId, MessageId};
use posthaste_core::message::Message;
use tokio_postgres::{Client, Row};

use super::super::rows;
use super::super::statement::{Statement, bytes, execute, query_opt};
use super::messages::Conditions;
use super::walk::{self, List};
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

fn micros(row: &Row, index: usize) -> Result<Duration, StoreError> {
    Ok(Duration::from_micros(rows::count(row, index)?))
}

fn outcome(row: &Row) -> Result<Outcome, StoreError> {
    if let Some(word) = row.try_get::<_, Option<&str>>(13)? {
        let kind = FailureKind::from_word(word).unwrap_or(FailureKind::Protocol);
        let detail: Option<String> = row.try_get(14)?;
        return Ok(Outcome::Failed(Failure { kind, detail: detail.unwrap_or_default() }));
    }
    let headers: Option<&[u8]> = row.try_get(15)?;
    Ok(Outcome::Replied(Reply {
        status: u16::try_from(row.try_get::<_, i32>(12)?).unwrap_or_default(),
        headers: columns::attempt::read_headers(headers.unwrap_or_default()),
        body: row.try_get::<_, Option<Vec<u8>>>(16)?.unwrap_or_default().into(),
        truncated: row.try_get(17)?,
    }))
}

fn read(row: &Row, vault: &Vault) -> Result<AttemptRow, StoreError> {
    let outcome = outcome(row)?;
    let status = if outcome.is_success() { Status::Success } else { Status::Fail };
    let remote: Option<&str> = row.try_get(11)?;
    let attempt = Attempt {
        message: rows::id(row, 0)?,
        id: rows::id(row, 1)?,
        endpoint: rows::id(row, 2)?,
        url: row.try_get(3)?,
        trigger: if row.try_get(4)? { Trigger::Manual } else { Trigger::Scheduled },
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

/// Attempts of one app's messages, up to where the app is named.
fn select() -> String {
    format!(
        "SELECT {COLUMNS}, {}, {} FROM attempt a JOIN message m ON m.id = a.message WHERE m.app = ",
        rows::MESSAGE_COLUMNS,
        rows::BODY_COLUMNS
    )
}

pub(super) async fn list(
    client: &Client,
    vault: &Vault,
    of: &Of,
    filter: &AttemptFilter,
    page: &PageRequest<AttemptId>,
) -> Result<Page<AttemptRow>, StoreError> {
    let (message, endpoint) = (of.message.as_ref().map(bytes), of.endpoint.as_ref().map(bytes));
    let class = filter.status_class.map(i32::from);
    let conditions = Conditions::of(&filter.message);
    let (app, range, names) = (bytes(&of.app), conditions.range(), conditions.names());
    let mut statement = Statement::new(select());
    statement.bind(&app);
    if let Some(message) = &message {
        statement.push(" AND a.message = ").bind(message);
    }
    if let Some(endpoint) = &endpoint {
        statement.push(" AND a.endpoint = ").bind(endpoint);
    }
    statement.push(status_sql(filter.status));
    if let Some(class) = &class {
        // 0 stands for "no answer".
        statement.push(" AND a.status - a.status % 100 = ").bind(class);
    }
    range.add("a.id", &mut statement);
    names.add(&mut statement);
    let weighed = |row: &Row| {
        let attempt = read(row, vault)?;
        let weight = attempt.message.as_ref().map_or(0, Message::weight);
        Ok((attempt.attempt.id, attempt, weight))
    };
    // An old message may have been tried today.
    let messages = &["a.message", "m.id"];
    let list = List { select: statement, key: "a.id", messages, window: None, of: of.message };
    walk::page(client, list, page, weighed).await
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

pub(super) async fn get(
    client: &Client,
    vault: &Vault,
    app: AppId,
    message: MessageId,
    attempt: AttemptId,
) -> Result<AttemptRow, ChangeError> {
    let sql = format!("{}$1 AND a.message = $2 AND a.id = $3", select());
    let found = query_opt(client, &sql, &[&bytes(&app), &bytes(&message), &bytes(&attempt)]).await?;
    Ok(read(&found.ok_or(ChangeError::NotFound("attempt"))?, vault)?)
}

pub(super) async fn expunge(
    client: &Client,
    message: MessageId,
    attempt: AttemptId,
) -> Result<(), ChangeError> {
    let sql = "UPDATE attempt SET body = NULL WHERE message = $1 AND id = $2";
    match execute(client, sql, &[&bytes(&message), &bytes(&attempt)]).await? {
        0 => Err(ChangeError::NotFound("attempt")),
        _ => Ok(()),
    }
}
