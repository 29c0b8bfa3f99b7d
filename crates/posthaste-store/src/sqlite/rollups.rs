//! Counts over time: written with what they count, read for pages, and made coarser as they grow old.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use posthaste_core::limits::{ROLLUP_STEP_ROWS, UNWELL_ROWS_MAX};
use posthaste_core::rollup::{Bar, Counts, Fineness, Scope, Sums};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, params};

use super::rows;
use super::rows::Role;
use crate::columns::rollup::{ADD, COLUMNS, LIST, counts, numbers, thing, tier};
use crate::error::StoreError;
use crate::history::Unwell;

/// Adds to a row, or makes it.
static WRITE: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<_> = (1..=4 + COLUMNS.len()).map(|number| format!("?{number}")).collect();
    format!(
        "INSERT INTO rollup (tier, start, environment, thing, {}) VALUES ({}) \
         ON CONFLICT (tier, start, environment, thing) DO UPDATE SET {}",
        *LIST,
        places.join(", "),
        *ADD
    )
});

/// Writes what a transaction has counted, as its last.
pub(super) fn write(conn: &Connection, sums: &Sums) -> Result<(), rusqlite::Error> {
    for (line, counts) in sums.lines() {
        let start = line.start.as_micros();
        add(conn, Fineness::Minute, (start, line.environment.0, thing(&line.scope)), counts)?;
    }
    Ok(())
}

/// When a row's stretch begins, whose it is, and of what.
type Key<'a> = (i64, i64, &'a [u8]);

fn add(
    conn: &Connection,
    fineness: Fineness,
    (start, environment, thing): Key<'_>,
    counts: &Counts,
) -> Result<(), rusqlite::Error> {
    let mut statement = conn.prepare_cached(&WRITE)?;
    statement.raw_bind_parameter(1, tier(fineness))?;
    statement.raw_bind_parameter(2, start)?;
    statement.raw_bind_parameter(3, environment)?;
    statement.raw_bind_parameter(4, thing)?;
    for (index, number) in (5..).zip(numbers(counts)) {
        statement.raw_bind_parameter(index, number)?;
    }
    statement.raw_execute()?;
    Ok(())
}

fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Counts> {
    counts(|index| row.get(first + index))
}

/// The counts of several things, by where they begin.
pub(super) fn counted_each(
    conn: &Connection,
    environment: EnvironmentId,
    scopes: &[Scope],
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Vec<Bar>>, StoreError> {
    let mut all: Vec<BTreeMap<Timestamp, Counts>> = vec![BTreeMap::new(); scopes.len()];
    each(conn, environment, scopes, (since, until), |index, start, counts| {
        all[index].entry(start).or_default().add(&counts);
    })?;
    let bars = |one: BTreeMap<_, _>| one.into_iter().map(|(start, counts)| Bar { start, counts }).collect();
    Ok(all.into_iter().map(bars).collect())
}

/// The counts of several things, each added up.
pub(super) fn counted_by(
    conn: &Connection,
    environment: EnvironmentId,
    scopes: &[Scope],
    (since, until): (Timestamp, Timestamp),
) -> Result<Vec<Counts>, StoreError> {
    let mut sums = vec![Counts::default(); scopes.len()];
    each(conn, environment, scopes, (since, until), |index, _, counts| sums[index].add(&counts))?;
    Ok(sums)
}

/// Hops from one stretch that is there to the next: there are a few hundred, however much was counted.
fn each(
    conn: &Connection,
    environment: EnvironmentId,
    scopes: &[Scope],
    (since, until): (Timestamp, Timestamp),
    mut found: impl FnMut(usize, Timestamp, Counts),
) -> Result<(), StoreError> {
    let mut wanted: Vec<_> = scopes.iter().map(thing).zip(0..).collect();
    wanted.sort_unstable();
    let next =
        "SELECT start FROM rollup WHERE tier = ?1 AND start >= ?2 AND start < ?3 ORDER BY start LIMIT 1";
    let mut next = conn.prepare_cached(next)?;
    let sql = format!(
        "SELECT thing, {} FROM rollup WHERE tier = ?1 AND start = ?2 AND environment = ?3 AND thing >= ?4 \
         ORDER BY thing",
        *LIST
    );
    let mut walk = conn.prepare_cached(&sql)?;
    for fineness in Fineness::ALL {
        let tier = tier(fineness);
        let mut from = since.as_micros();
        let until = until.as_micros();
        while let Some(start) = next.query_row((tier, from, until), |row| row.get::<_, i64>(0)).optional()? {
            let stretch = (tier, start, environment.0);
            in_stretch(&mut walk, stretch, &wanted, |index, counts| {
                found(index, Timestamp::from_micros(start), counts);
            })?;
            from = start.saturating_add(1);
        }
    }
    Ok(())
}

/// Rows that are passed by before the next that is wanted is looked for: what is on one page lies near each other, and a
/// step costs a tenth of a search.
const PASSED_MAX: u32 = 8;

/// Walks along the rows of one stretch, as far as they are near what is wanted, which is sorted.
fn in_stretch(
    walk: &mut Statement<'_>,
    (tier, start, environment): (i16, i64, i64),
    mut wanted: &[(&[u8], usize)],
    mut found: impl FnMut(usize, Counts),
) -> rusqlite::Result<()> {
    while let Some((first, _)) = wanted.first() {
        let mut rows = walk.query(params![tier, start, environment, first])?;
        let mut passed = 0;
        while passed < PASSED_MAX {
            let Some(row) = rows.next()? else { return Ok(()) };
            let thing = row.get_ref(0)?.as_blob()?;
            wanted = &wanted[wanted.partition_point(|(wanted, _)| *wanted < thing)..];
            passed += 1;
            while let Some((_, index)) = wanted.first().filter(|(wanted, _)| *wanted == thing) {
                found(*index, read(row, 1)?);
                wanted = &wanted[1..];
                passed = 0;
            }
            if wanted.is_empty() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether something is old enough to become coarser, or to go.
pub(super) fn any_old(conn: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    for fineness in Fineness::ALL {
        let sql = "SELECT 1 FROM rollup WHERE tier = ?1 AND start < ?2";
        if conn.prepare_cached(sql)?.exists((tier(fineness), fineness.edge(now).as_micros()))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes one step of each tier coarser, and removes one of the coarsest. `true`: there may be more.
pub(super) fn compact(conn: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    let mut more = false;
    for fineness in Fineness::ALL {
        let (taken, sums) = take(conn, fineness, fineness.edge(now))?;
        if let Some(coarser) = fineness.coarser() {
            for ((start, environment, thing), counts) in &sums {
                add(conn, coarser, (*start, *environment, thing), counts)?;
            }
        }
        more |= taken == ROLLUP_STEP_ROWS;
    }
    Ok(more)
}

/// By where a coarser stretch begins, whose it is, and of what.
type Coarse = BTreeMap<(i64, i64, Vec<u8>), Counts>;

/// Removes the oldest rows of a tier, and returns how many there were and what they add up to.
fn take(conn: &Connection, fineness: Fineness, edge: Timestamp) -> Result<(u32, Coarse), StoreError> {
    let coarser = fineness.coarser().unwrap_or(fineness);
    let sql = format!(
        "DELETE FROM rollup WHERE (tier, start, environment, thing) IN (SELECT tier, start, environment, thing \
         FROM rollup WHERE tier = ?1 AND start < ?2 ORDER BY start, environment, thing LIMIT ?3) \
         RETURNING start, environment, thing, {}",
        *LIST
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((tier(fineness), edge.as_micros(), ROLLUP_STEP_ROWS))?;
    let (mut taken, mut sums) = (0, Coarse::new());
    while let Some(row) = rows.next()? {
        let start = coarser.start_of(rows::at(row, 0)?).as_micros();
        sums.entry((start, row.get(1)?, row.get(2)?)).or_default().add(&read(row, 3)?);
        taken += 1;
    }
    Ok((taken, sums))
}

/// Endpoints that fail, the longest first.
pub(super) fn unwell(
    conn: &Connection,
    environment: EnvironmentId,
    limit: u32,
) -> Result<Vec<Unwell>, StoreError> {
    let sql = "SELECT e.app, a.name, a.kind, e.id, e.url, e.failing_since, e.disabled FROM ( \
               SELECT app, id, url, failing_since, disabled FROM endpoint \
               WHERE failing_since IS NOT NULL AND deleted_at IS NULL ORDER BY failing_since LIMIT ?3) AS e \
               JOIN app a ON a.id = e.app WHERE a.environment = ?1 AND a.deleted_at IS NULL \
               ORDER BY e.failing_since, e.id LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map((environment.0, limit, UNWELL_ROWS_MAX), |row| {
        Ok(Unwell {
            app: rows::id(row, 0)?,
            app_name: row.get(1)?,
            operational: Role::from_number(row.get(2)?) == Role::Operational,
            endpoint: rows::id(row, 3)?,
            url: row.get(4)?,
            failing_since: rows::at(row, 5)?,
            disabled: row.get(6)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
