//! Deliveries whose lease ran out go back into the queue: their node died, or gave up on them.

use std::sync::Arc;
use std::time::Duration;

use crate::Engine;

/// How often to look. With the lease, this bounds how long a dead node's deliveries wait.
const RESCUE_INTERVAL: Duration = Duration::from_secs(5);
/// Deliveries put back in one transaction.
const RESCUE_ROWS_MAX: u32 = 500;

pub(crate) async fn release_expired(engine: Arc<Engine>) {
    loop {
        engine.look_at_clock().await;
        let now = engine.clock.now();
        match engine.queue.release_expired(RESCUE_ROWS_MAX, now).await {
            Ok(0) => {}
            Ok(count) => {
                tracing::info!(count, "deliveries with an expired lease went back into the queue");
                if count >= RESCUE_ROWS_MAX {
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, "expired leases could not be released, trying again"),
        }
        engine.clock.sleep_for(RESCUE_INTERVAL).await;
    }
}
