//! How much is owed by all nodes together. Each node knows what it changed itself; now and then one of them counts, for all,
//! and the longer that takes the more seldom it happens.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use super::pool::Pool;
use super::shared::Shared;
use super::statement::{execute, query_opt, query_patiently};
use crate::error::StoreError;

/// The shortest time between two counts.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Of all time, counting takes no more than one part of so many.
const COUNT_SHARE: u32 = 50;
/// When another node counts, if the one that began did not end.
const GIVEN_UP_AFTER: Duration = Duration::from_mins(10);

const COUNT: &str =
    "SELECT (SELECT count(*) FROM delivery WHERE state = 0), (SELECT count(*) FROM delivery WHERE state = 1)";

/// Counts what is owed, for this node.
pub(super) async fn count(client: &Client, shared: &Shared) -> Result<(i64, i64), StoreError> {
    let Some(row) = query_patiently(client, COUNT).await?.into_iter().next() else { return Ok((0, 0)) };
    let (waiting, in_flight) = (row.try_get(0)?, row.try_get(1)?);
    shared.set_backlog(waiting, in_flight);
    Ok((waiting, in_flight))
}

/// Takes over what another node has counted since `seen`, or counts, if it is time; returns which count is seen now.
pub(super) async fn look(pool: &Pool, shared: &Shared, seen: i64) -> Result<i64, StoreError> {
    let client = pool.get().await?;
    let sql = "UPDATE tally SET next_at = clock_timestamp() + make_interval(secs => $1) \
               WHERE next_at <= clock_timestamp() RETURNING 1";
    if query_opt(&client, sql, &[&GIVEN_UP_AFTER.as_secs_f64()]).await?.is_some() {
        let began = Instant::now();
        let (waiting, in_flight) = count(&client, shared).await?;
        let rest = (began.elapsed() * COUNT_SHARE).max(COUNT_EVERY).as_secs_f64();
        let sql = "UPDATE tally SET waiting = $1, in_flight = $2, count_number = count_number + 1, \
                   next_at = clock_timestamp() + make_interval(secs => $3) RETURNING count_number";
        let counted = query_opt(&client, sql, &[&waiting, &in_flight, &rest]).await?;
        return counted.map_or(Ok(seen), |row| Ok(row.try_get(0)?));
    }
    let Some(row) = query_opt(&client, "SELECT count_number, waiting, in_flight FROM tally", &[]).await?
    else {
        // Somebody removed the row: then each knows what it changed itself.
        execute(&client, "INSERT INTO tally (waiting, in_flight) VALUES (0, 0) ON CONFLICT DO NOTHING", &[])
            .await?;
        return Ok(seen);
    };
    let number = row.try_get(0)?;
    if number != seen {
        shared.set_backlog(row.try_get(1)?, row.try_get(2)?);
    }
    Ok(number)
}
