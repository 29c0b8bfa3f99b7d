//! How long idempotency keys are held.

use std::time::Duration;

/// How long work may take before its reservation counts as left behind by a process that died: twice the longest
/// that a request's body may take to arrive, and far below the patience of a client that asks again.
pub(crate) const WORK_MAX: Duration = Duration::from_secs(60);
