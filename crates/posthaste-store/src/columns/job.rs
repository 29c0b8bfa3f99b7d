//! The columns of jobs and replays, and their statements that every store understands.

use posthaste_core::id::{ID_BYTES, MessageId};

/// The table of recoveries, in the columns of [`JOB_COLUMNS`].
pub(crate) const RECOVERIES: &str = "(SELECT id, environment, app, endpoint, task, since, until, done_count, \
     CAST(0 AS BIGINT) AS lost_count, CAST(NULL AS BIGINT) AS total, CAST(NULL AS BOOLEAN) AS total_more, CASE WHEN cancelled THEN 'cancelled' \
     WHEN finished THEN 'finished' ELSE 'running' END AS state, CAST(NULL AS TEXT) AS why, created_at, updated_at FROM job) AS jobs";

/// The table of replays.
pub(crate) const REPLAYS: &str = "replay";

/// Where jobs are: each in one of these.
pub(crate) const JOB_TABLES: [&str; 2] = [RECOVERIES, REPLAYS];

/// What a job is read from.
pub(crate) const JOB_COLUMNS: &str = "id, environment, app, endpoint, task, since, until, done_count, lost_count, total, \
     total_more, state, why, created_at, updated_at";

/// What a replay has besides, in a row of `replay`.
pub(crate) const REPLAY_COLUMNS: &str =
    "which, event_types, channel, tag, messages, rate, at_endpoint, next, next_at";

/// Ids one after another.
pub(crate) fn joined_ids(ids: &[MessageId]) -> Vec<u8> {
    ids.iter().flat_map(MessageId::as_bytes).copied().collect()
}

/// The ids of such a row.
pub(crate) fn split_ids(bytes: &[u8]) -> Vec<MessageId> {
    let ids = bytes.chunks_exact(ID_BYTES).filter_map(|id| <[u8; ID_BYTES]>::try_from(id).ok());
    ids.map(MessageId::from_bytes).collect()
}
