//! What attempts say about their endpoints' health, and what of it is told.

use std::collections::BTreeMap;

use posthaste_core::health;
use posthaste_core::id::{AppId, EndpointId};
use posthaste_core::name::Uid;
use posthaste_core::operational::Operational;
use posthaste_core::time::Timestamp;

use super::super::enter::{enter, told};
use super::super::statement::{Value, bytes, query_opt};
use super::super::work::Work;
use super::AskedRecord;
use super::versions::View;
use crate::error::StoreError;
use crate::queue::Recorded;
use crate::telling;

/// An endpoint's health after the attempts of this transaction.
struct Health {
    app: AppId,
    failing_since: Option<Timestamp>,
    disabled: bool,
    changed: bool,
    disabled_now: bool,
}

/// Judges attempts that moved their deliveries, each with how many attempts its delivery has had. Writes only what
/// changed.
pub(super) async fn judge(
    work: &mut Work,
    records: Vec<(&mut AskedRecord, u32)>,
    view: &View,
) -> Result<(), StoreError> {
    let mut all: BTreeMap<EndpointId, Health> = BTreeMap::new();
    let mut happened = Vec::new();
    for (asked, attempts) in records {
        let now = asked.now;
        let Some(attempt) = &asked.command.attempt else { continue };
        let Some(seen) = view.endpoints.get(&attempt.endpoint) else { continue };
        let Some(app) = view.apps.get(&seen.app) else { continue };
        if !seen.deleted {
            let one = all.entry(attempt.endpoint).or_insert(Health {
                app: seen.app,
                failing_since: seen.failing_since,
                disabled: seen.disabled,
                changed: false,
                disabled_now: false,
            });
            let after = health::after_attempt(attempt, one.failing_since, now);
            let disable = after.disable && !one.disabled;
            one.changed |= disable || after.failing_since != one.failing_since;
            one.failing_since = after.failing_since;
            one.disabled |= disable;
            one.disabled_now |= disable;
            if disable {
                asked.answer = Some(Ok(Recorded { fenced: true, disabled_endpoint: true }));
                // What waits for it ends now, not at its next attempt.
                work.effects.due.push((attempt.endpoint, now));
                if !app.operational {
                    let names = telling::names(app, attempt.endpoint);
                    let what = Operational::EndpointDisabled(names, after.failing_since);
                    happened.push((app.environment, what, now));
                }
            }
        }
        if let Some(what) =
            telling::worth_telling(asked.command.verdict, attempts).filter(|_| !app.operational)
        {
            let event_id = event_id(work, app.app.id, attempt.message).await?;
            let names = telling::attempt_names(app, attempt, event_id);
            happened.push((app.environment, what(names), now));
        }
    }
    let mut entries = Vec::with_capacity(happened.len());
    for (environment, what, now) in happened {
        entries.extend(told(work, environment, &what, now).await?);
    }
    write(work, &all).await?;
    enter(work, &entries).await
}

async fn event_id(
    work: &Work,
    app: AppId,
    message: posthaste_core::id::MessageId,
) -> Result<Option<Uid>, StoreError> {
    let sql = "SELECT event_id FROM message WHERE app = $1 AND id = $2";
    let Some(row) = query_opt(work.client(), sql, &[&bytes(&app), &bytes(&message)]).await? else {
        return Ok(None);
    };
    super::super::rows::uid(&row, 0)
}

/// Apps first, then endpoints, each in the order of their ids, as all who change them: nobody waits for somebody who waits.
async fn write(work: &mut Work, all: &BTreeMap<EndpointId, Health>) -> Result<(), StoreError> {
    let changed: Vec<_> = all.iter().filter(|(_, one)| one.changed).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let mut apps: Vec<_> =
        changed.iter().filter(|(_, one)| one.disabled_now).map(|(_, one)| one.app).collect();
    apps.sort_unstable();
    apps.dedup();
    if !apps.is_empty() {
        work.changed_apps = true;
        let sql = "WITH locked AS MATERIALIZED (SELECT id FROM app WHERE id = ANY($1) ORDER BY id FOR UPDATE) \
                   UPDATE app SET version = version + 1 FROM locked WHERE app.id = locked.id";
        work.query(sql, &[&apps.iter().map(bytes).collect::<Vec<_>>()]).await?;
    }
    let sql = "WITH locked AS MATERIALIZED (SELECT id FROM endpoint WHERE id = ANY($1) ORDER BY id FOR UPDATE) \
               UPDATE endpoint e SET failing_since = u.failing_since, disabled = e.disabled OR u.disabled \
               FROM locked, UNNEST($1, $2, $3) AS u (id, failing_since, disabled) \
               WHERE e.id = locked.id AND u.id = e.id";
    let values: [&dyn Value; 3] = [
        &changed.iter().map(|(id, _)| bytes(*id)).collect::<Vec<_>>(),
        &changed.iter().map(|(_, one)| one.failing_since.map(Timestamp::as_micros)).collect::<Vec<_>>(),
        &changed.iter().map(|(_, one)| one.disabled_now).collect::<Vec<_>>(),
    ];
    work.query(sql, &values).await?;
    Ok(())
}
