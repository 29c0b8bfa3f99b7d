//! The embedded store: one SQLite file, one thread that writes, a few connections that read.

mod access;
mod candidates;
mod clock;
pub mod copy;
mod directory;
pub(crate) mod export;
mod files;
mod health;
mod history;
mod intake;
mod job_rows;
mod jobs;
pub mod lock;
mod memo;
mod migrate;
mod open;
mod pages;
mod queue;
mod reader;
mod record;
mod replay;
mod retention;
mod rollups;
mod rows;
mod sources;
pub mod survey;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

use posthaste_core::dice::Dice;
use zeroize::Zeroizing;

use crate::seal::Vault;
use health::Health;
use reader::Reader;
use watch::Watch;
use writer::Writer;

/// How to open the embedded store.
pub struct SqliteOptions {
    /// The database file, made if absent.
    pub path: PathBuf,
    /// Encrypts secrets at rest; the same for the life of the store.
    pub main_secret: Zeroizing<String>,
    /// Nonces and lease tokens.
    pub dice: Arc<dyn Dice>,
    /// As the one process that delivers from it: what a process before it had claimed goes back into the queue. Others,
    /// such as `token create`, may read and write beside it.
    pub serving: bool,
}

/// Where the store's work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// One thread writes, lists are read on threads that may block.
    Threads,
    /// On the runtime of whoever opens the store, which it then holds up: with a runtime of one thread, what happens and
    /// in which order follows from the calls alone. For simulations.
    CallersRuntime,
}

/// The embedded store.
pub struct SqliteStore {
    /// Ends first: it opens the file anew.
    _watch: Option<Watch>,
    health: Arc<Health>,
    // Closed in this order: only a connection that may write can move the WAL into the file as it closes the store.
    reader: Reader,
    writer: Writer,
    vault: Arc<Vault>,
    dice: Arc<dyn Dice>,
    /// Held while we serve; the system lets go of it when the process ends, however it ends.
    _lock: Option<std::fs::File>,
}
