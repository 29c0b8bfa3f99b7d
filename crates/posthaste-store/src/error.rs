//! What can go wrong, by what a caller can do about it.

use std::error::Error;

/// We failed; the caller did nothing wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be written or read now; later it may.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// It has more to do than it can: whoever asks now would wait too long. Nothing was changed, as far as is known.
    #[error("the store is busy: {0}")]
    Busy(&'static str),
    /// The disk does not let us write: it is full, it failed, or its files are gone. Reading may work.
    #[error("the store cannot be written: {0}")]
    Unwell(String),
    /// A row does not make sense. Nothing was changed.
    #[error("a row of {table} cannot be read: {detail}")]
    Corrupt {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// It is a file, but not one of ours.
    #[error("{0} is not a store of posthaste's")]
    NotAStore(String),
    /// SQLite finds fault with the file itself.
    #[error("{file} is damaged: {detail}")]
    Damaged {
        /// Which file.
        file: String,
        /// What SQLite says.
        detail: String,
    },
    /// A copy could not be written.
    #[error("{file} cannot be written: {detail}")]
    NotWritten {
        /// Which file.
        file: String,
        /// What SQLite says.
        detail: String,
    },
    /// The store was written by a newer version.
    #[error("the store has schema {found}, this version knows up to {known}: use a newer posthaste")]
    Newer {
        /// What it has.
        found: u32,
        /// What we know.
        known: u32,
    },
    /// Another process serves from this store.
    #[error("another posthaste is serving from {0}: stop it first, or use another data directory")]
    InUse(String),
    /// Only a part of another store was brought here so far.
    #[error("the import into this database is not finished: run `posthaste import` until it says that it is")]
    HalfImported,
    /// The main secret is not the one that the store was written with.
    #[error("POSTHASTE_MAIN_SECRET is not the one that this store was written with")]
    WrongMainSecret,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What should be changed, or what it belongs to, is not there (or is another tenant's).
    #[error("{0} not found")]
    NotFound(&'static str),
    /// Another one has this name.
    #[error("{0} already exists")]
    Taken(&'static str),
    /// It is no longer as whoever changes it has read it.
    #[error("{0} was changed meanwhile: read it and try again")]
    Outdated(&'static str),
    /// There are as many of them as there may be.
    #[error("too many {0} are under way: wait until one is over, or cancel one")]
    TooMany(&'static str),
    /// The same idempotency key came with another request.
    #[error("this idempotency key was used for another request")]
    KeyReused,
    /// The request that first used this idempotency key is not answered yet.
    #[error("a request with this idempotency key is under way")]
    KeyInUse,
    /// We failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
