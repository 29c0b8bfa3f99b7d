//! Reads a PostgreSQL store into the same ledger, all of it as it is at one instant.

use posthaste_core::id::{AppKind, AttemptKind, EndpointKind, ID_BYTES, Id, Kind, MessageKind};
use tokio_postgres::{Client, Row};

use super::ledgers::{
    Counted, Dump, ForbiddenChange, State, StoredAttempt, StoredCounts, StoredDelivery, StoredKey,
    StoredMessage, hash,
};
use super::store::DumpError;

/// Everything that the judge wants to know of the store at the other end of this connection.
pub async fn dump_database(client: &Client) -> Result<Dump, DumpError> {
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let messages = "SELECT id, app, event_type, event_id, body, created_at FROM message";
    let deliveries =
        "SELECT message, endpoint, state, due_at, lease_until, attempts, manual, why FROM delivery";
    let attempts = "SELECT id, message, endpoint, started_at, status FROM attempt";
    let keys =
        "SELECT message FROM idempotency WHERE message IS NOT NULL UNION ALL SELECT message FROM received";
    let unfinished = "SELECT (SELECT count(*) FROM job WHERE NOT finished) \
         + (SELECT count(*) FROM replay WHERE state = 'running')";
    let dump = Dump {
        messages: rows(client, messages, message).await?,
        deliveries: rows(client, deliveries, delivery).await?,
        attempts: rows(client, attempts, attempt).await?,
        keys: rows(client, keys, |row| Ok(StoredKey { message: id::<MessageKind>(row, 0)? })).await?,
        unfinished_jobs: count(client.query_one(unfinished, &[]).await?.try_get(0)?),
        forbidden: forbidden(client).await?,
        counted: Some(counted(client).await?),
    };
    client.batch_execute("COMMIT").await?;
    Ok(dump)
}

async fn counted(client: &Client) -> Result<Counted, DumpError> {
    let mut all = [StoredCounts::default(); 3];
    for (counts, of) in all.iter_mut().zip(Counted::OF) {
        let row = client.query_one(&format!("{}{of}", Counted::SQL), &[]).await?;
        let number = |index| row.try_get(index).map(count);
        *counts = StoredCounts {
            accepted: number(0)?,
            delivered: number(1)?,
            dead: number(2)?,
            attempts: number(3)?,
        };
    }
    let [environments, apps, endpoints] = all;
    Ok(Counted { environments, apps, endpoints })
}

/// What the diary of a trial holds, where one was kept.
async fn forbidden(client: &Client) -> Result<Vec<ForbiddenChange>, DumpError> {
    let kept = client.query_one("SELECT to_regclass('trial_forbidden') IS NOT NULL", &[]).await?;
    if !kept.try_get::<_, bool>(0)? {
        return Ok(vec![]);
    }
    let sql = "SELECT message, endpoint, old_state, new_state FROM trial_forbidden";
    rows(client, sql, |row| {
        Ok(ForbiddenChange {
            message: id::<MessageKind>(row, 0)?,
            endpoint: id::<EndpointKind>(row, 1)?,
            from: state(row, 2)?,
            to: state(row, 3)?,
        })
    })
    .await
}

async fn rows<T>(
    client: &Client,
    sql: &str,
    read: impl Fn(&Row) -> Result<T, DumpError>,
) -> Result<Vec<T>, DumpError> {
    client.query(sql, &[]).await?.iter().map(read).collect()
}

/// An id as it stands on the wire.
pub(crate) fn id<K: Kind>(row: &Row, index: usize) -> Result<String, DumpError> {
    let bytes = <[u8; ID_BYTES]>::try_from(row.try_get::<_, &[u8]>(index)?);
    let bytes = bytes.map_err(|_| DumpError::Damaged(format!("an id is not {ID_BYTES} bytes long")))?;
    Ok(Id::<K>::from_bytes(bytes).to_string())
}

fn state(row: &Row, index: usize) -> Result<State, DumpError> {
    let number: i16 = row.try_get(index)?;
    State::stored(number).ok_or_else(|| DumpError::Damaged(format!("there is no state {number}")))
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn message(row: &Row) -> Result<StoredMessage, DumpError> {
    Ok(StoredMessage {
        id: id::<MessageKind>(row, 0)?,
        app: id::<AppKind>(row, 1)?,
        event_type: row.try_get(2)?,
        event_id: row.try_get(3)?,
        body_hash: row.try_get::<_, Option<&[u8]>>(4)?.map(hash),
        created_at: row.try_get(5)?,
    })
}

fn delivery(row: &Row) -> Result<StoredDelivery, DumpError> {
    Ok(StoredDelivery {
        message: id::<MessageKind>(row, 0)?,
        endpoint: id::<EndpointKind>(row, 1)?,
        state: state(row, 2)?,
        due_at: row.try_get(3)?,
        lease_until: row.try_get(4)?,
        attempts: u32::try_from(row.try_get::<_, i32>(5)?).unwrap_or(0),
        manual: row.try_get(6)?,
        why: row.try_get(7)?,
    })
}

fn attempt(row: &Row) -> Result<StoredAttempt, DumpError> {
    Ok(StoredAttempt {
        id: id::<AttemptKind>(row, 0)?,
        message: id::<MessageKind>(row, 1)?,
        endpoint: id::<EndpointKind>(row, 2)?,
        started_at: row.try_get(3)?,
        status: u16::try_from(row.try_get::<_, i32>(4)?).unwrap_or(0),
    })
}
