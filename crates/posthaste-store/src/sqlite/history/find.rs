//! Where something is, by its id alone.

use posthaste_core::id::{ID_BYTES, Id, Kind};
use posthaste_core::tenant::EnvironmentId;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::super::rows;
use crate::error::StoreError;
use crate::named::{Named, Place, sql};

pub(super) fn place(
    conn: &Connection,
    environment: EnvironmentId,
    named: &Named,
) -> Result<Option<Place>, StoreError> {
    for statement in sql::of(named, "") {
        let statement =
            statement.replace("{id}", "?1").replace("{env}", "?2").replace("CAST(NULL AS BYTES)", "NULL");
        let values = params![named.as_bytes(), environment.0];
        let found = conn.prepare_cached(&statement)?.query_row(values, read).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place {
        app: rows::id(row, 0)?,
        source: maybe_id(row, 1)?,
        message: maybe_id(row, 2)?,
        endpoint: maybe_id(row, 3)?,
    })
}

fn maybe_id<K: Kind>(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Id<K>>> {
    Ok(row.get::<_, Option<[u8; ID_BYTES]>>(index)?.map(Id::from_bytes))
}

#[cfg(test)]
mod tests {
    use posthaste_core::id::{AppId, AttemptId, EndpointId, JobId, MessageId, RefusalId, SourceId};

    use super::*;

    /// Tables that grow with time.
    const LONG: [&str; 4] = ["SCAN m", "SCAN a", "SCAN d", "SCAN r"];

    #[test]
    fn what_grows_with_time_is_looked_up_and_never_scanned() {
        let conn = Connection::open_in_memory().unwrap();
        for migration in [
            include_str!("../../../migrations/sqlite/0001_first.sql"),
            include_str!("../../../migrations/sqlite/0002_sources.sql"),
        ] {
            conn.execute_batch(migration).unwrap();
        }
        for named in [
            Named::App(AppId::MIN),
            Named::Endpoint(EndpointId::MIN),
            Named::Source(SourceId::MIN),
            Named::Message(MessageId::MIN),
            Named::Attempt(AttemptId::MIN),
            Named::Job(JobId::MIN),
            Named::Refusal(RefusalId::MIN),
        ] {
            assert_eq!(place(&conn, EnvironmentId(1), &named).unwrap(), None);
            for statement in sql::of(&named, "") {
                let statement = statement.replace("{id}", "x''").replace("{env}", "1");
                let statement = statement.replace("CAST(NULL AS BYTES)", "NULL");
                let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
                let steps = plan.query_map([], |row| row.get::<_, String>(3)).unwrap();
                for step in steps.map(Result::unwrap) {
                    assert!(!LONG.iter().any(|scan| step.starts_with(scan)), "{named:?}: {step}");
                }
            }
        }
    }
}
