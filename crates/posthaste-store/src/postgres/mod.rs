//! The store for several machines: PostgreSQL, any number of equal nodes.
//!
//! Works through a pooler that gives each transaction a connection of its own choice: no statement is prepared by name,
//! nothing is set for a session. What listens has a connection of its own, and can be done without.

mod access;
mod batch;
mod candidates;
mod clock;
mod connection;
mod directory;
mod enter;
mod gate;
mod gauge;
mod history;
pub(crate) mod import;
mod intake;
mod job_rows;
mod jobs;
mod listen;
mod memo;
mod migrate;
mod nodes;
mod notice;
mod open;
mod overload;
mod owned;
mod owners;
mod pages;
mod partitions;
mod pool;
mod queue;
mod replay;
mod retention;
mod rollups;
mod rows;

mod shards;
mod shared;
mod sources;
mod standbys;
mod statement;
mod tally;
mod tell;
mod tls;
mod url;
mod work;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use posthaste_core::dice::Dice;
use posthaste_core::time::Clock;
use tokio::task::AbortHandle;
use zeroize::Zeroizing;

use crate::error::StoreError;
use gate::Gate;
pub use gauge::{Counted, Gauge};
use nodes::Heart;
use pool::Pool;
use shared::Shared;
use writer::Writer;

/// How to open the store.
pub struct PostgresOptions {
    /// `postgres://user:password@host:port,host:port/database?sslmode=…`; tried in order until one can be written to.
    pub url: Zeroizing<String>,
    /// The database itself, if `url` leads to a pooler; what nodes tell each other is heard only without one.
    pub listen_url: Option<Zeroizing<String>>,
    /// Encrypts secrets at rest; the same on every node, for the life of the store.
    pub main_secret: Zeroizing<String>,
    /// Nonces and lease tokens.
    pub dice: Arc<dyn Dice>,
    /// This node's clock, to be held against PostgreSQL's; `None` for a clock that a test holds.
    pub clock: Option<Arc<dyn Clock>>,
    /// As a node that delivers: it says that it lives, and takes over from those that do not.
    pub serving: bool,
}

/// The store.
pub struct PostgresStore {
    /// For what reads, and for changes that are rare.
    pool: Pool,
    writer: Writer,
    gate: Gate,
    shared: Arc<Shared>,
    heart: Arc<Heart>,
    _beside: Beside,
}

/// Tasks that end with the store.
struct Beside(Vec<AbortHandle>);

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// How long a caller waits for what every request reads first.
const FIRST_READ_WAIT: Duration = Duration::from_secs(5);

impl PostgresStore {
    /// Reads what every request needs first: a PostgreSQL that is slow is noticed by it, before a body is read.
    async fn promptly<T>(
        &self,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answer = tokio::time::timeout(FIRST_READ_WAIT, reading).await;
        answer.unwrap_or_else(|_| Err(self.shared.shed("PostgreSQL does not answer")))
    }

    /// Says that this node lives, gives back what it leased without hearing of it, and takes over what nodes hold that
    /// have been silent for too long; returns how much.
    /// A node that serves does so by itself every few seconds.
    pub async fn beat(&self) -> Result<u32, StoreError> {
        self.heart.beat().await?;
        self.heart.give_back().await?;
        self.heart.take_over().await
    }
}
