//! A job: long work on many deliveries, done in small steps that survive a restart.

use crate::id::{AppId, EndpointId, JobId};
use crate::tenant::EnvironmentId;
use crate::time::Timestamp;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobTask {
    /// Puts an endpoint's dead-lettered deliveries back into the queue.
    Recover,
}

impl JobTask {
    /// The word that the store and the API use.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recover => "endpoint.recover",
        }
    }

    /// Reads the word back.
    pub fn from_word(word: &str) -> Option<Self> {
        (word == Self::Recover.word()).then_some(Self::Recover)
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
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// What it does.
    pub task: JobTask,
    /// Messages accepted from then on …
    pub since: Timestamp,
    /// … and before then.
    pub until: Timestamp,
    /// Deliveries put back so far.
    pub done_count: u64,
    /// It is over.
    pub finished: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last made progress.
    pub updated_at: Timestamp,
}
