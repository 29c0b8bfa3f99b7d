//! Runs jobs: one small transaction after another, so that accepts never wait long and a restart loses nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::Engine;

/// How often to look for jobs that another node began and did not finish.
const JOBS_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        match engine.queue.step_job(engine.clock.now()).await {
            Ok(Some(job)) => {
                if job.finished {
                    tracing::info!(job = %job.id, put_back = job.done_count, "job finished");
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a job could not go on, trying again"),
        }
        tokio::select! {
            biased;
            () = engine.job_written.notified() => {}
            () = engine.clock.sleep_for(JOBS_INTERVAL) => {}
        }
    }
}
