//! How the rows of a list do: each one's day by the hour, the share that succeeded, and how long most took.

use posthaste_core::period::Period;
use posthaste_core::rollup::Scope;
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;
use serde::Serialize;

use crate::Shared;
use crate::chart::{Spark, spark};
use crate::error::Answer;
use crate::stats::success_share;
use crate::words::{grouped, span};

/// Of which attempts the slowest are left out.
const MOST: f64 = 0.95;

/// One row's day.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Doing {
    accepted: String,
    /// `None`: nothing was tried.
    share: Option<String>,
    p95: String,
    spark: Spark,
}

/// The day of each, in their order. A list is no longer than a page.
pub(crate) async fn read(
    state: &Shared,
    environment: EnvironmentId,
    scopes: impl Iterator<Item = Scope>,
    now: Timestamp,
) -> Answer<Vec<Doing>> {
    let window = Period::Day.until(now);
    let scopes: Vec<_> = scopes.collect();
    let each = state.history.counted_each(environment, &scopes, window.start, now).await?;
    let day = |bars: Vec<_>| {
        let counted = window.fold(&bars);
        Doing {
            accepted: grouped(counted.total.accepted),
            share: success_share(&counted.total),
            p95: counted.total.took_at_most(MOST).map(span).unwrap_or_default(),
            spark: spark(&counted.slots),
        }
    };
    Ok(each.into_iter().map(day).collect())
}
