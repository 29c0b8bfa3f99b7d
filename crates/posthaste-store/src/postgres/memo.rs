//! What this node remembers of apps and their endpoints, so that accepting a message reads and decrypts nothing.
//!
//! Never stale: an app's version grows with each change of it, in the transaction of that change, and whoever takes an app
//! from here has read its version within the transaction that uses it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use posthaste_core::id::AppId;

use super::rows;
use super::work::Work;
use crate::error::StoreError;
use crate::known::KnownApp;

/// Apps that are remembered; past that all are forgotten, which costs one read each.
const APPS_MAX: usize = 10_000;
/// The same for their endpoints, at 1 to 2 KiB each: the memo stays below some 20 MB.
const ENDPOINTS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Memo(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    apps: HashMap<AppId, (i64, Arc<KnownApp>)>,
    endpoints_count: usize,
}

impl Memo {
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, version: i64, known: &Arc<KnownApp>) {
        let mut remembered = self.lock();
        if remembered.apps.len() >= APPS_MAX
            || remembered.endpoints_count + known.endpoints.len() > ENDPOINTS_MAX
        {
            *remembered = Remembered::default();
        }
        if let Some((_, before)) = remembered.apps.insert(known.app.id, (version, Arc::clone(known))) {
            remembered.endpoints_count -= before.endpoints.len();
        }
        remembered.endpoints_count += known.endpoints.len();
    }
}

/// Apps as of versions that this transaction has read.
pub(super) async fn known(
    work: &Work,
    versions: &HashMap<AppId, i64>,
) -> Result<HashMap<AppId, Arc<KnownApp>>, StoreError> {
    let mut found = HashMap::with_capacity(versions.len());
    let mut unknown = Vec::new();
    {
        let remembered = work.shared.memo.lock();
        for (id, version) in versions {
            match remembered.apps.get(id) {
                Some((at, known)) if at == version && !work.changed_apps => {
                    found.insert(*id, Arc::clone(known));
                }
                _ => unknown.push(*id),
            }
        }
    }
    if unknown.is_empty() {
        return Ok(found);
    }
    unknown.sort_unstable();
    for (version, known) in rows::read_known(work.client(), &work.shared.vault, &unknown).await? {
        let known = Arc::new(known);
        if !work.changed_apps {
            work.shared.memo.remember(version, &known);
        }
        found.insert(known.app.id, known);
    }
    Ok(found)
}
