//! What can be lost when a standby takes over: what a commit does not wait for. A rule, and the statement that it judges.

use super::statement::query;
use super::work::Work;
use crate::error::StoreError;

/// What PostgreSQL tells of its standbys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Standbys {
    /// Hosts in the URL: the others stand by.
    pub(super) hosts_count: usize,
    /// Whether `synchronous_standby_names` names any.
    pub(super) are_named: bool,
    /// Whether commits wait for those that are named.
    pub(super) are_waited_for: bool,
    /// Standbys that are connected now.
    pub(super) connected_count: i64,
    /// Of them, those whose state we may see, which takes the role `pg_monitor`.
    pub(super) visible_count: i64,
    /// Of them, those that commits wait for.
    pub(super) synchronous_count: i64,
}

/// One sentence on what can be lost or will hang, if something can.
pub(super) fn judge(seen: Standbys) -> Option<&'static str> {
    let Standbys { hosts_count, are_named, are_waited_for, connected_count, .. } = seen;
    if hosts_count < 2 && connected_count == 0 {
        return None;
    }
    if !are_named {
        return Some(
            "PostgreSQL waits for no standby (synchronous_standby_names is empty): what was accepted in the last \
             moments before a failover can be lost",
        );
    }
    if !are_waited_for {
        return Some(
            "PostgreSQL does not wait for the standbys that synchronous_standby_names names (synchronous_commit is local \
             or off): what was accepted in the last moments before a failover can be lost",
        );
    }
    let all_are_seen = seen.visible_count == connected_count;
    if all_are_seen && seen.synchronous_count == 0 {
        return Some(
            "none of the standbys that synchronous_standby_names names is connected: every commit waits until one is",
        );
    }
    None
}

/// Says at start what a failover can cost.
pub(super) async fn look(work: &Work, hosts_count: usize) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('synchronous_standby_names') <> '', \
               current_setting('synchronous_commit') NOT IN ('off', 'local'), \
               count(*), count(sync_state), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) \
               FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup'";
    for row in query(work.client(), sql, &[]).await? {
        let seen = Standbys {
            hosts_count,
            are_named: row.try_get(0)?,
            are_waited_for: row.try_get(1)?,
            connected_count: row.try_get(2)?,
            visible_count: row.try_get(3)?,
            synchronous_count: row.try_get(4)?,
        };
        if let Some(sentence) = judge(seen) {
            tracing::warn!(standbys_count = seen.connected_count, "{sentence}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_ASYNCHRONOUS: Standbys = Standbys {
        hosts_count: 1,
        are_named: false,
        are_waited_for: true,
        connected_count: 1,
        visible_count: 1,
        synchronous_count: 0,
    };

    #[test]
    fn what_can_be_lost_is_said_and_nothing_else() {
        let one = ONE_ASYNCHRONOUS;
        let alone = Standbys { connected_count: 0, visible_count: 0, ..one };
        let named = Standbys { are_named: true, ..one };
        let hidden = Standbys { visible_count: 0, ..one };
        let cases = [
            (alone, None),
            (Standbys { hosts_count: 2, ..alone }, Some("waits for no standby")),
            (one, Some("waits for no standby")),
            // Whoever may not see their state knows that all are asynchronous where none is named.
            (hidden, Some("waits for no standby")),
            (named, Some("none of the standbys that synchronous_standby_names names is connected")),
            (Standbys { synchronous_count: 1, ..named }, None),
            (Standbys { are_named: true, ..hidden }, None),
            (
                Standbys { synchronous_count: 1, are_waited_for: false, ..named },
                Some("synchronous_commit is local"),
            ),
        ];
        for (seen, expected) in cases {
            let said = judge(seen);
            assert_eq!(said.is_some(), expected.is_some(), "{seen:?}: {said:?}");
            assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()), "{seen:?}: {said:?}");
        }
    }
}
