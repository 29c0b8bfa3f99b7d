//! A job: long work on many deliveries, done in small steps that survive a restart.

use crate::id::{AppId, EndpointId, JobId};
use crate::tenant::EnvironmentId;
use crate::time::Timestamp;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobTask {
    /// Puts an endpoint's dead-lettered deliveries back into the queue.
    Recover,
    /// Puts back what has ended and matches a filter, of one endpoint or of all that an app has.
    Replay,
    /// Makes the deliveries to an endpoint that wants messages which it was never owed.
    ReplayMissing,
}

impl JobTask {
    const ALL: [Self; 3] = [Self::Recover, Self::Replay, Self::ReplayMissing];

    /// The word that the store and the API use; they are Svix's.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recover => "endpoint.recover",
            Self::Replay => "endpoint.bulk-replay",
            Self::ReplayMissing => "endpoint.replay",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.word() == word)
    }
}

/// Whether a job goes on, and how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It has something left to do.
    Running,
    /// It did all that it could.
    Finished,
    /// What it was about is gone, or takes nothing.
    Failed,
    /// Somebody stopped it; what it had put back until then stays so.
    Cancelled,
}

impl JobState {
    const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Failed, Self::Cancelled];

    /// The word that the store and the API use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Why a job did not do all that it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobReason {
    /// The endpoint is disabled; of a job about a whole app, at least one is.
    EndpointDisabled,
    /// The endpoint was deleted.
    EndpointDeleted,
    /// The app was deleted.
    AppDeleted,
}

impl JobReason {
    const ALL: [Self; 3] = [Self::EndpointDisabled, Self::EndpointDeleted, Self::AppDeleted];

    /// The word that the store and the API use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::AppDeleted => "app_deleted",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

/// So many, or more: counts end at a bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// So many were counted.
    pub count: u64,
    /// There may be more of them.
    pub more: bool,
}

impl Tally {
    /// Of `found`, as many as `most` were to be counted.
    pub fn up_to(found: u64, most: u32) -> Self {
        Self { count: found.min(u64::from(most)), more: found > u64::from(most) }
    }
}

/// A job and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Our id.
    pub id: JobId,
    /// Whose.
    pub environment: EnvironmentId,
    /// Of which app.
    pub app: AppId,
    /// Of which endpoint; of all that the app has if there is none.
    pub endpoint: Option<EndpointId>,
    /// What it does.
    pub task: JobTask,
    /// Messages accepted from then on …
    pub since: Timestamp,
    /// … and before then.
    pub until: Timestamp,
    /// Deliveries put back so far.
    pub done_count: u64,
    /// Deliveries that matched and could not be put back so far: their payload is gone.
    pub lost_count: u64,
    /// How many matched when it was asked for, as far as they were counted.
    pub total: Option<Tally>,
    /// Whether it goes on.
    pub state: JobState,
    /// Why it did not do everything.
    pub reason: Option<JobReason>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last made progress.
    pub updated_at: Timestamp,
}

impl Job {
    /// Nothing more will come of it.
    pub fn is_over(&self) -> bool {
        self.state != JobState::Running
    }

    /// How many it still has to look at, of those that matched when it was asked for. `None`: nobody counted them.
    pub fn left(&self) -> Option<Tally> {
        let Tally { count, more } = self.total?;
        Some(Tally { count: count.saturating_sub(self.done_count + self.lost_count), more })
    }

    /// How far it is, in hundredths. `None`: nobody counted all that it has to do.
    pub fn percent(&self) -> Option<u8> {
        let Tally { count, more } = self.total?;
        if more {
            return None;
        }
        let seen = (self.done_count + self.lost_count).min(count);
        // Nothing to do is all done.
        let percent = (seen * 100).checked_div(count).unwrap_or(100);
        u8::try_from(percent).ok()
    }

    /// Deliveries put back a second, from when it was asked for to its last progress.
    pub fn per_second(&self) -> Option<f64> {
        let took = self.updated_at.since(self.created_at).as_secs_f64();
        (self.done_count > 0 && took > 0.0).then(|| self.done_count as f64 / took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(done_count: u64, lost_count: u64, total: Option<Tally>) -> Job {
        let asked_at = Timestamp::from_secs(1_000);
        Job {
            id: JobId::MIN,
            environment: EnvironmentId(1),
            app: AppId::MIN,
            endpoint: None,
            task: JobTask::Replay,
            since: Timestamp::EPOCH,
            until: asked_at,
            done_count,
            lost_count,
            total,
            state: JobState::Running,
            reason: None,
            created_at: asked_at,
            updated_at: Timestamp::from_secs(1_010),
        }
    }

    #[test]
    fn a_job_says_how_far_it_is_only_if_all_was_counted() {
        let of = |count, more| Some(Tally { count, more });
        let told = |job: Job| (job.left().map(|left| (left.count, left.more)), job.percent());
        assert_eq!(told(job(30, 10, of(200, false))), (Some((160, false)), Some(20)));
        assert_eq!(told(job(30, 10, of(200, true))), (Some((160, true)), None));
        assert_eq!(told(job(30, 10, None)), (None, None));
        assert_eq!(told(job(0, 0, of(0, false))), (Some((0, false)), Some(100)));
        // More came to match meanwhile: it is never more than done.
        assert_eq!(told(job(300, 10, of(200, false))), (Some((0, false)), Some(100)));
    }

    #[test]
    fn a_rate_is_what_was_put_back_in_the_time_it_took() {
        assert_eq!(job(50, 7, None).per_second(), Some(5.0));
        assert_eq!(job(0, 7, None).per_second(), None);
        let begun = Job { updated_at: Timestamp::from_secs(1_000), ..job(50, 0, None) };
        assert_eq!(begun.per_second(), None);
    }

    #[test]
    fn every_word_is_read_back() {
        for task in JobTask::ALL {
            assert_eq!(JobTask::from_word(task.word()), Some(task));
        }
        for state in JobState::ALL {
            assert_eq!(JobState::from_word(state.word()), Some(state));
        }
        for reason in JobReason::ALL {
            assert_eq!(JobReason::from_word(reason.word()), Some(reason));
        }
        assert_eq!(JobTask::from_word("endpoint.unheard-of"), None);
    }
}
