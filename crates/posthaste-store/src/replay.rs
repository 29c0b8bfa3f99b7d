//! Replays: what is asked for, what is kept of it, and how one goes on from step to step.

use posthaste_core::app::Reference;
use posthaste_core::endpoint::Filter;
use posthaste_core::id::{EndpointId, JobId, MessageId};
use posthaste_core::job::{Job, JobReason, JobState, JobTask, Tally};
use posthaste_core::replay::{Pace, Picked, ReplayFilter, Which};
use posthaste_core::tenant::EnvironmentId;
use posthaste_core::time::Timestamp;

/// Whose deliveries a replay is about, and which.
#[derive(Debug, Clone)]
pub struct ReplayScope {
    /// Whose environment.
    pub environment: EnvironmentId,
    /// Whose deliveries.
    pub app: Reference,
    /// To which endpoint; to all that are enabled if there is none.
    pub endpoint: Option<Reference>,
    /// Which.
    pub filter: ReplayFilter,
}

/// A replay about to be asked for.
#[derive(Debug, Clone)]
pub struct NewReplay {
    /// Our id, made by the caller.
    pub id: JobId,
    /// What is to be put back.
    pub scope: ReplayScope,
    /// How fast.
    pub pace: Pace,
    /// How many there were to put back, as counted before.
    pub total: Tally,
}

/// What came of asking for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayStep {
    /// One was made, of this job.
    Made(Job),
    /// None can be made before then.
    Later(Timestamp),
    /// There is nothing to do.
    Idle,
}

/// Which jobs to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobFilter {
    /// Those that do this.
    pub task: Option<JobTask>,
    /// Those in this state; of Svix's three words for it, a job that was cancelled has failed.
    pub state: Option<JobState>,
}

/// A replay as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Replay {
    pub(crate) job: Job,
    pub(crate) filter: ReplayFilter,
    pub(crate) pace: Pace,
    /// The endpoint whose deliveries it goes through, or was the last to.
    pub(crate) at: EndpointId,
    /// Behind which message it goes on there; [`MessageId::MAX`] if it is through.
    pub(crate) next: MessageId,
    /// When it goes on.
    pub(crate) next_at: Timestamp,
}

/// An endpoint that a replay may put back to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) id: EndpointId,
    pub(crate) disabled: bool,
    pub(crate) wants: Filter,
}

/// What a step found of its target.
pub(crate) struct Looked {
    pub(crate) picked: Picked,
    /// There may be more behind what it looked at.
    pub(crate) more: bool,
}

impl Replay {
    pub(crate) fn new(job: Job, filter: ReplayFilter, pace: Pace) -> Self {
        let (at, next) = (job.endpoint.unwrap_or(EndpointId::MIN), MessageId::first_at(filter.since));
        let next_at = job.created_at;
        Self { job, filter, pace, at, next, next_at }
    }

    /// What the job of such a filter is called.
    pub(crate) const fn task(which: Which) -> JobTask {
        match which {
            Which::Missing => JobTask::ReplayMissing,
            Which::Failed | Which::Delivered | Which::Ended => JobTask::Replay,
        }
    }

    /// It is through with the endpoint that it was at.
    pub(crate) fn is_through(&self) -> bool {
        self.next == MessageId::MAX
    }

    /// Between which messages it looks for deliveries to this endpoint.
    pub(crate) fn range(&self, target: EndpointId) -> (MessageId, MessageId) {
        let from = if target == self.at { self.next } else { MessageId::first_at(self.filter.since) };
        (from, MessageId::first_at(self.filter.until))
    }

    /// A step was made at this endpoint that put so many back.
    pub(crate) fn went_on(
        &mut self,
        target: EndpointId,
        looked: &Looked,
        put_back_count: usize,
        now: Timestamp,
    ) {
        let (from, _) = self.range(target);
        self.at = target;
        self.next = looked.picked.last.unwrap_or(from);
        self.job.done_count += put_back_count as u64;
        self.job.lost_count += looked.picked.lost_count;
        self.job.updated_at = now;
        self.next_at = self.pace.next(now, put_back_count);
        if looked.picked.all_seen && !looked.more {
            self.next = MessageId::MAX;
            if self.job.endpoint.is_some() {
                self.job.state = JobState::Finished;
            }
        }
    }

    /// It ends without another step.
    pub(crate) fn ends(&mut self, state: JobState, reason: Option<JobReason>, now: Timestamp) {
        self.job.state = state;
        self.job.reason = reason;
        self.job.updated_at = now;
    }
}
