//! Runs jobs: one small transaction after another, so that accepts never wait long and a restart loses nothing.

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::job::{Job, JobReason};
use posthaste_store::StoreError;
use posthaste_store::replay::ReplayStep;

use crate::Engine;

/// How often to look for jobs that another node began and did not finish.
const JOBS_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        let wait = match step(&engine).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "a job could not go on, trying again");
                JOBS_INTERVAL
            }
        };
        if wait.is_zero() {
            continue;
        }
        tokio::select! {
            biased;
            () = engine.job_written.notified() => {}
            () = engine.clock.sleep_for(wait) => {}
        }
    }
}

/// One step of the oldest recovery and one of the replay that is due, so that neither waits for the other's end. Says how
/// long there is nothing to do.
async fn step(engine: &Engine) -> Result<Duration, StoreError> {
    let mut wait = JOBS_INTERVAL;
    if let Some(job) = engine.queue.step_job(engine.clock.now()).await? {
        tell(&job);
        wait = Duration::ZERO;
    }
    let now = engine.clock.now();
    match engine.queue.step_replay(now).await? {
        ReplayStep::Made(job) => {
            tell(&job);
            wait = Duration::ZERO;
        }
        // Never none at all: another node may be at it, and the clock may stand still.
        ReplayStep::Later(at) => wait = wait.min(at.since(now).max(Duration::from_millis(1))),
        ReplayStep::Idle => {}
    }
    Ok(wait)
}

fn tell(job: &Job) {
    if job.is_over() {
        let reason = job.reason.map(JobReason::word);
        tracing::info!(job = %job.id, state = job.state.word(), reason, put_back = job.done_count, "job is over");
    }
}
