//! Requests that were not taken: kept for a while, so that somebody can see why.

use std::sync::Arc;

use posthaste_core::id::{RefusalId, SourceId};
use posthaste_core::limits::{REFUSAL_BODY_BYTES_MAX, REFUSALS_PER_SOURCE_MAX};
use posthaste_core::source::Refusal;
use rusqlite::{Connection, Row, params};

use super::super::pages::Listing;
use super::super::rows;
use super::super::writer::Work;
use crate::error::StoreError;
use crate::origin;
use crate::page::{Page, PageRequest};
use crate::seal::Vault;

/// Counted once and then in memory: whoever knocks in vain for ever must not make the writer count each time.
pub(super) fn keep(work: &mut Work<'_>, refusal: &Refusal, sealed: &[u8]) -> Result<(), StoreError> {
    let live = "SELECT 1 FROM source WHERE id = ?1 AND deleted_at IS NULL";
    if !work.conn.prepare_cached(live)?.exists([refusal.source.as_bytes()])? {
        return Ok(());
    }
    let before = match work.memo.refusals_count(refusal.source) {
        Some(count) => count,
        None => {
            let sql = "SELECT count(*) FROM refusal WHERE source = ?1";
            work.conn.prepare_cached(sql)?.query_row([refusal.source.as_bytes()], |row| row.get(0))?
        }
    };
    let mut count = before + insert(work.conn, refusal, sealed)?;
    while count > REFUSALS_PER_SOURCE_MAX {
        let sql =
            "DELETE FROM refusal WHERE source = ?1 AND id = (SELECT min(id) FROM refusal WHERE source = ?1)";
        work.conn.prepare_cached(sql)?.execute([refusal.source.as_bytes()])?;
        count -= 1;
    }
    work.memo.remember_refusals(refusal.source, count);
    Ok(())
}

fn insert(conn: &Connection, refusal: &Refusal, sealed: &[u8]) -> Result<usize, StoreError> {
    let sql = "INSERT INTO refusal (source, id, at, status, reason, remote, body_bytes, origin, body) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (source, id) DO NOTHING";
    Ok(conn.prepare_cached(sql)?.execute(params![
        refusal.source.as_bytes(),
        refusal.id.as_bytes(),
        refusal.at.as_micros(),
        refusal.status,
        refusal.reason,
        refusal.remote.map(|remote| remote.to_string()),
        i64::try_from(refusal.body_bytes_count).unwrap_or(i64::MAX),
        sealed,
        &refusal.body[..refusal.body.len().min(REFUSAL_BODY_BYTES_MAX)],
    ])?)
}

pub(super) fn list(
    conn: &Connection,
    vault: &Arc<Vault>,
    source: SourceId,
    page: &PageRequest<RefusalId>,
) -> Result<Page<Refusal>, StoreError> {
    let select =
        "SELECT id, at, status, reason, remote, body_bytes, origin, body FROM refusal WHERE source = :source";
    let listing = Listing { select, key: "id", values: vec![(":source", source.as_bytes())] };
    listing.page(conn, page, |id| *id.as_bytes(), |row| read(row, source, vault))
}

fn read(row: &Row<'_>, source: SourceId, vault: &Vault) -> Result<Refusal, StoreError> {
    let bad = |e: rusqlite::types::FromSqlError| rows::corrupt("refusal", e);
    let id: RefusalId = rows::id(row, 0)?;
    let sealed = row.get_ref(6)?.as_blob().map_err(bad)?;
    let origin = origin::open(vault, id.as_bytes(), sealed);
    let remote: Option<String> = row.get(4)?;
    Ok(Refusal {
        id,
        source,
        at: rows::at(row, 1)?,
        status: row.get(2)?,
        reason: row.get(3)?,
        origin: origin.map_err(|e| rows::corrupt("refusal", format!("{id}: {e}")))?,
        body: row.get::<_, Vec<u8>>(7)?.into(),
        body_bytes_count: row.get(5)?,
        remote: remote.and_then(|text| text.parse().ok()),
    })
}
