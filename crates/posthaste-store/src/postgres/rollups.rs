//! Counts over time, as pages read them.

use std::sync::LazyLock;

use posthaste_core::limits::UNWELL_ROWS_MAX;
use posthaste_core::rollup::{Bar, Counts, Scope};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::{Client, Row};

use super::rows::{self, Role};
use super::statement::{Value, query};
use crate::columns::rollup::{COLUMNS, counts, thing};
use crate::error::StoreError;
use crate::history::Unwell;

/// The counts of a thing in `$1` and some of `$2`, of stretches that begin in `$3..$4`. Hops from one stretch that is
/// there to the next, and looks up each thing in it: there are a few hundred stretches however much was counted.
/// OFFSET keeps PostgreSQL from looking at all that was counted first.
static FOUND: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH RECURSIVE stretch (tier, start) AS ( \
         SELECT t.tier, first.start FROM UNNEST('{{0,1,2}}'::smallint[]) AS t (tier) CROSS JOIN LATERAL \
         (SELECT start FROM rollup WHERE tier = t.tier AND start >= $3 AND start < $4 ORDER BY start LIMIT 1) AS first \
         UNION ALL \
         SELECT s.tier, next.start FROM stretch s CROSS JOIN LATERAL \
         (SELECT start FROM rollup WHERE tier = s.tier AND start > s.start AND start < $4 ORDER BY start LIMIT 1) AS next), \
         found AS (SELECT r.* FROM stretch s CROSS JOIN LATERAL (SELECT start, thing, {} FROM rollup \
         WHERE tier = s.tier AND start = s.start AND environment = $1 AND thing = ANY($2) OFFSET 0) AS r)",
        COLUMNS.join(", ")
    )
});

/// What they add up to.
static SUMS: LazyLock<String> =
    LazyLock::new(|| COLUMNS.map(|name| format!("sum({name})::bigint")).join(", "));

/// The counts of one thing, by where they begin.
pub(super) async fn counted(
    client: &Client,
    environment: EnvironmentId,
    scope: &Scope,
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Bar>, StoreError> {
    let sql = format!("{} SELECT start, {} FROM found GROUP BY start ORDER BY start", *FOUND, *SUMS);
    let things = vec![thing(scope)];
    let values: [&dyn Value; 4] = [&environment.0, &things, &since.as_micros(), &until.as_micros()];
    let found = query(client, &sql, &values).await?;
    found.iter().map(|row| Ok(Bar { start: rows::at(row, 0)?, counts: read(row, 1)? })).collect()
}

/// The counts of several things, each added up.
pub(super) async fn counted_by(
    client: &Client,
    environment: EnvironmentId,
    scopes: &[Scope],
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Counts>, StoreError> {
    let sql = format!("{} SELECT thing, {} FROM found GROUP BY thing", *FOUND, *SUMS);
    let things: Vec<_> = scopes.iter().map(thing).collect();
    let values: [&dyn Value; 4] = [&environment.0, &things, &since.as_micros(), &until.as_micros()];
    let mut sums = vec![Counts::default(); scopes.len()];
    for row in &query(client, &sql, &values).await? {
        let (name, counts): (&[u8], _) = (row.try_get(0)?, read(row, 1)?);
        for (sum, _) in sums.iter_mut().zip(&things).filter(|(_, thing)| **thing == name) {
            *sum = counts;
        }
    }
    Ok(sums)
}

fn read(row: &Row, first: usize) -> Result<Counts, StoreError> {
    counts(|index| Ok(row.try_get(first + index)?))
}

/// Endpoints that fail, the longest first.
pub(super) async fn unwell(
    client: &Client,
    environment: EnvironmentId,
    limit: u32,
) -> Result<Vec<Unwell>, StoreError> {
    let sql = "SELECT e.app, a.name, a.kind, e.id, e.url, e.failing_since, e.disabled FROM ( \
               SELECT app, id, url, failing_since, disabled FROM endpoint \
               WHERE failing_since IS NOT NULL AND deleted_at IS NULL ORDER BY failing_since LIMIT $3) AS e \
               JOIN app a ON a.id = e.app WHERE a.environment = $1 AND a.deleted_at IS NULL \
               ORDER BY e.failing_since, e.id LIMIT $2";
    let values: [&dyn Value; 3] = [&environment.0, &i64::from(limit), &i64::from(UNWELL_ROWS_MAX)];
    let found = query(client, sql, &values).await?;
    found.iter().map(read_unwell).collect()
}

fn read_unwell(row: &Row) -> Result<Unwell, StoreError> {
    Ok(Unwell {
        app: rows::id(row, 0)?,
        app_name: row.try_get(1)?,
        operational: Role::from_number(i64::from(row.try_get::<_, i16>(2)?)) == Role::Operational,
        endpoint: rows::id(row, 3)?,
        url: row.try_get(4)?,
        failing_since: rows::at(row, 5)?,
        disabled: row.try_get(6)?,
    })
}
