//! Forgets what is past its time, in the background and in small steps.

use std::sync::Arc;
use std::time::Duration;

use crate::Engine;

/// How often to look for what is past its time.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);

pub(crate) async fn forget(engine: Arc<Engine>) {
    loop {
        let now = engine.clock.now();
        let before = now.earlier(engine.settings.retention);
        match engine.queue.forget(before, now).await {
            Ok(forgotten) if forgotten.more => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old messages could not be removed, trying again"),
        }
        engine.clock.sleep_for(RETENTION_INTERVAL).await;
    }
}
