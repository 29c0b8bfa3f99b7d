//! Requests that were not taken: kept for a while, so that somebody can see why.

use posthaste_core::limits::{REFUSAL_BODY_BYTES_MAX, REFUSALS_PER_SOURCE_MAX};
use posthaste_core::source::Refusal;

use super::super::statement::{Text, Value, bytes};
use super::super::work::Work;
use super::AskedRefuse;
use crate::error::StoreError;

/// Keeps them, and drops the oldest of each source beyond its limit. Nothing is kept of a source that is gone.
pub(super) async fn keep(work: &Work, refuses: &mut [&mut AskedRefuse]) -> Result<(), StoreError> {
    if refuses.is_empty() {
        return Ok(());
    }
    // Locked, so that of two transactions each counts what the other one kept.
    let sql = "SELECT id FROM source WHERE id = ANY($1) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE";
    let named: Vec<_> = refuses.iter().map(|asked| bytes(&asked.command.0.source)).collect();
    let sources = work.query(sql, &[&named]).await?;
    let sources = sources.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&[u8]>, _>>()?;
    let live = refuses.iter().map(|asked| (&asked.command.0, &asked.command.1[..]));
    let live: Vec<_> = live.filter(|(refusal, _)| sources.contains(&bytes(&refusal.source))).collect();
    if !live.is_empty() {
        insert(work, &live).await?;
        // Walks each source's index from its newest on, and ends at the limit.
        let sql = "DELETE FROM refusal r USING UNNEST($1) AS u (source) CROSS JOIN LATERAL ( \
                   SELECT id FROM refusal WHERE source = u.source ORDER BY id DESC OFFSET $2 LIMIT 1) AS last \
                   WHERE r.source = u.source AND r.id <= last.id";
        let kept = i64::try_from(REFUSALS_PER_SOURCE_MAX).unwrap_or(i64::MAX);
        work.query(sql, &[&sources, &kept]).await?;
    }
    for asked in refuses {
        asked.answer = Some(Ok(()));
    }
    Ok(())
}

async fn insert(work: &Work, live: &[(&Refusal, &[u8])]) -> Result<(), StoreError> {
    let sql = "INSERT INTO refusal (source, id, at, status, reason, remote, body_bytes, origin, body) \
               SELECT * FROM UNNEST($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (source, id) DO NOTHING";
    let remotes: Vec<_> = live.iter().map(|(one, _)| one.remote.map(|remote| remote.to_string())).collect();
    let all = || live.iter().map(|(one, _)| *one);
    let values: [&dyn Value; 9] = [
        &all().map(|one| bytes(&one.source)).collect::<Vec<_>>(),
        &all().map(|one| bytes(&one.id)).collect::<Vec<_>>(),
        &all().map(|one| one.at.as_micros()).collect::<Vec<_>>(),
        &all().map(|one| i32::from(one.status)).collect::<Vec<_>>(),
        &all().map(|one| Text(&one.reason)).collect::<Vec<_>>(),
        &remotes.iter().map(|remote| remote.as_deref().map(Text)).collect::<Vec<_>>(),
        &all().map(|one| i64::try_from(one.body_bytes_count).unwrap_or(i64::MAX)).collect::<Vec<_>>(),
        &live.iter().map(|(_, sealed)| *sealed).collect::<Vec<_>>(),
        &all().map(|one| &one.body[..one.body.len().min(REFUSAL_BODY_BYTES_MAX)]).collect::<Vec<_>>(),
    ];
    work.query(sql, &values).await?;
    Ok(())
}
