//! Where something is, by its id alone.

use posthaste_core::id::MessageId;
use posthaste_core::tenant::EnvironmentId;
use tokio_postgres::{Client, Row};

use super::super::statement::{Value, query_opt};
use super::super::{partitions, rows};
use crate::error::StoreError;
use crate::named::{Named, Place, sql};

pub(super) async fn place(
    client: &Client,
    environment: EnvironmentId,
    named: &Named,
) -> Result<Option<Place>, StoreError> {
    let Named::Attempt(attempt) = named else {
        for statement in sql::of(named, "") {
            let found = look(client, &statement, environment, named, &[]).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        return Ok(None);
    };
    // It lies in the day of its message, which was made before it: most often on the same day.
    let made = MessageId::from_bytes(*attempt.as_bytes());
    let stretches = partitions::stretches(&partitions::days(client).await?);
    for (first, until) in stretches.into_iter().rev().filter(|(first, _)| *first <= made) {
        let (first, until) = (&first.as_bytes()[..], &until.as_bytes()[..]);
        for statement in sql::of(named, " AND a.message >= $3 AND a.message < $4") {
            let found = look(client, &statement, environment, named, &[&first, &until]).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

async fn look(
    client: &Client,
    statement: &str,
    environment: EnvironmentId,
    named: &Named,
    more: &[&dyn Value],
) -> Result<Option<Place>, StoreError> {
    let statement = statement.replace("{id}", "$1").replace("{env}", "$2").replace("AS BYTES", "AS BYTEA");
    let id = &named.as_bytes()[..];
    let values: Vec<&dyn Value> =
        [&id as &dyn Value, &environment.0].into_iter().chain(more.iter().copied()).collect();
    query_opt(client, &statement, &values).await?.map(|row| read(&row)).transpose()
}

fn read(row: &Row) -> Result<Place, StoreError> {
    Ok(Place {
        app: rows::id(row, 0)?,
        source: rows::maybe_id(row, 1)?,
        message: rows::maybe_id(row, 2)?,
        endpoint: rows::maybe_id(row, 3)?,
    })
}
