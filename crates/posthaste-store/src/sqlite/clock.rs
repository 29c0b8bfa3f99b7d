//! What stands in the store as an instant of the wall clock, and has to move when that is set.

use posthaste_core::time::Timestamp;

use super::writer::Work;
use crate::error::StoreError;

/// Rare, and over few rows: leases in flight, and endpoints that fail.
pub(super) fn was_set(work: &mut Work<'_>, unset: Timestamp, set: Timestamp) -> Result<(), StoreError> {
    let by = set.as_micros().saturating_sub(unset.as_micros());
    let sql = "UPDATE endpoint SET failing_since = failing_since + ?1 WHERE failing_since IS NOT NULL";
    work.conn.prepare_cached(sql)?.execute([by])?;
    let sql = "UPDATE delivery SET lease_until = lease_until + ?1 WHERE state = 1";
    work.conn.prepare_cached(sql)?.execute([by])?;
    work.memo.clear();
    Ok(())
}
