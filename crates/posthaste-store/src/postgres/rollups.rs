//! Counts over time: written with what they count, read for pages, and made coarser as they grow old.

use std::sync::LazyLock;

use posthaste_core::limits::{ROLLUP_STEP_ROWS, UNWELL_ROWS_MAX};
use posthaste_core::rollup::{Bar, Counts, Fineness, Scope, Sums};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use tokio_postgres::{Client, Row};

use super::rows::{self, Role};
use super::statement::{Value, query, query_opt};
use super::work::Work;
use crate::columns::rollup::{ADD, COLUMNS, COUNTS, LIST, counts, numbers, thing, tier};
use crate::error::StoreError;
use crate::history::Unwell;

/// Adds to rows, or makes them.
static WRITE: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<_> = (3..6 + COUNTS).map(|number| format!("${number}")).collect();
    format!(
        "INSERT INTO rollup (tier, shard, start, environment, thing, {}) \
         SELECT $1, $2, * FROM UNNEST({}) \
         ON CONFLICT (tier, start, environment, thing, shard) DO UPDATE SET {}",
        *LIST,
        places.join(", "),
        *ADD
    )
});

/// What becomes of counts.
#[derive(Clone, Copy)]
pub(super) enum Sign {
    /// They happened.
    Plus = 1,
    /// They were counted in this transaction, and did not happen.
    Minus = -1,
}

/// Writes what a transaction has counted.
pub(super) async fn write(work: &Work, sums: &Sums, sign: Sign) -> Result<(), StoreError> {
    if sums.is_empty() {
        return Ok(());
    }
    let lines = || sums.lines().map(|(line, _)| line);
    let mut columns: Vec<_> = (0..COUNTS).map(|_| Vec::with_capacity(sums.len())).collect();
    for (_, counts) in sums.lines() {
        for (column, number) in columns.iter_mut().zip(numbers(counts)) {
            column.push(number * sign as i64);
        }
    }
    let (tier, shard) = (tier(Fineness::Minute), work.shard());
    let starts: Vec<_> = lines().map(|line| line.start.as_micros()).collect();
    let environments: Vec<_> = lines().map(|line| line.environment.0).collect();
    let things: Vec<_> = lines().map(|line| thing(&line.scope)).collect();
    let mut values: Vec<&dyn Value> = vec![&tier, &shard, &starts, &environments, &things];
    values.extend(columns.iter().map(|column| column as &dyn Value));
    // On the heap: whoever writes holds several of these at once.
    Box::pin(work.query(&WRITE, &values)).await?;
    Ok(())
}

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
        *LIST
    )
});

/// What they add up to.
static SUMS: LazyLock<String> =
    LazyLock::new(|| COLUMNS.map(|name| format!("sum({name})::bigint")).join(", "));

/// The counts of several things, by where they begin.
pub(super) async fn counted_each(
    client: &Client,
    environment: EnvironmentId,
    scopes: &[Scope],
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Vec<Bar>>, StoreError> {
    let sql =
        format!("{} SELECT thing, start, {} FROM found GROUP BY thing, start ORDER BY start", *FOUND, *SUMS);
    let things: Vec<_> = scopes.iter().map(thing).collect();
    let values: [&dyn Value; 4] = [&environment.0, &things, &since.as_micros(), &until.as_micros()];
    let mut all = vec![Vec::new(); scopes.len()];
    for row in &query(client, &sql, &values).await? {
        let (name, bar): (&[u8], _) =
            (row.try_get(0)?, Bar { start: rows::at(row, 1)?, counts: read(row, 2)? });
        for (bars, _) in all.iter_mut().zip(&things).filter(|(_, thing)| **thing == name) {
            bars.push(bar);
        }
    }
    Ok(all)
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

/// Whether something is old enough to become coarser, or to go.
pub(super) async fn any_old(client: &Client, now: Timestamp) -> Result<bool, StoreError> {
    for fineness in Fineness::ALL {
        let sql = "SELECT 1 FROM rollup WHERE tier = $1 AND start < $2 ORDER BY start LIMIT 1";
        let values: [&dyn Value; 2] = [&tier(fineness), &fineness.edge(now).as_micros()];
        if query_opt(client, sql, &values).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Rows that go, of which another node takes none: found by their places, which nobody changes once they are locked.
static OLD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "DELETE FROM rollup WHERE ctid = ANY (ARRAY(SELECT ctid FROM rollup WHERE tier = $1 AND start < $2 \
         ORDER BY start, environment, thing, shard LIMIT $3 FOR UPDATE SKIP LOCKED)) \
         RETURNING start, environment, thing, {}",
        *LIST
    )
});

/// Makes one step of each tier coarser, and removes one of the coarsest. `true`: there may be more.
pub(super) async fn compact(work: &Work, now: Timestamp) -> Result<bool, StoreError> {
    let mut more = false;
    for fineness in Fineness::ALL {
        let (edge, step) = (fineness.edge(now).as_micros(), i64::from(ROLLUP_STEP_ROWS));
        let taken = match fineness.coarser() {
            Some(coarser) => add_up(work.client(), fineness, coarser, (edge, step)).await?,
            None => {
                let sql = format!("WITH old AS ({}) SELECT count(*) FROM old", *OLD);
                query_opt(work.client(), &sql, &[&tier(fineness), &edge, &step]).await?
            }
        };
        more |= taken.map_or(Ok(0), |row| rows::count(&row, 0))? == u64::from(ROLLUP_STEP_ROWS);
    }
    Ok(more)
}

/// All who add up do so in one shard, in the order of their rows: nobody waits for somebody who waits.
async fn add_up(
    client: &Client,
    fineness: Fineness,
    coarser: Fineness,
    (edge, step): (i64, i64),
) -> Result<Option<Row>, StoreError> {
    let sql = format!(
        "WITH old AS ({}), coarser AS ( \
         INSERT INTO rollup (tier, start, environment, thing, shard, {}) \
         SELECT $4, start / $5 * $5, environment, thing, 0, {} FROM old \
         GROUP BY 2, environment, thing ORDER BY 2, environment, thing \
         ON CONFLICT (tier, start, environment, thing, shard) DO UPDATE SET {}) \
         SELECT count(*) FROM old",
        *OLD, *LIST, *SUMS, *ADD
    );
    let lasts = i64::try_from(coarser.lasts().as_micros()).unwrap_or(i64::MAX);
    let values: [&dyn Value; 5] = [&tier(fineness), &edge, &step, &tier(coarser), &lasts];
    query_opt(client, &sql, &values).await
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
