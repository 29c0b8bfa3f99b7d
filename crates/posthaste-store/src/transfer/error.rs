//! Why an import did not take place, or did not end well.

use crate::error::StoreError;

/// Why not. Whatever is refused has changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// An older version wrote the source, which is only read.
    #[error(
        "{file} has schema {found}, and this version reads {known}: bring it there with `posthaste migrate --data-dir {dir}`, and begin again"
    )]
    Older {
        /// The source.
        file: String,
        /// The directory that it is in.
        dir: String,
        /// What it has.
        found: u32,
        /// What we read.
        known: u32,
    },
    /// None of the main secrets that we know of is the source's.
    #[error(
        "the main secret of {file} is not known here: neither {places} nor POSTHASTE_MAIN_SECRET is it; put it into a file named main-secret, and name its directory with --data-dir"
    )]
    UnknownSecret {
        /// The source.
        file: String,
        /// Where we looked.
        places: String,
    },
    /// There is something in the target that no import brought.
    #[error("the database is not empty ({0} has rows): name one with nothing in it")]
    NotEmpty(String),
    /// Another store's import was begun in the target.
    #[error("the database holds what was imported from another store: name one with nothing in it")]
    OtherSource,
    /// The source is no longer what it was.
    #[error(
        "{file} has changed since this import began: stop its server, and begin again with a database with nothing in it"
    )]
    Changed {
        /// The source.
        file: String,
    },
    /// There is nothing left to do.
    #[error(
        "{file} was imported into this database already: start `posthaste serve`, or look at both again with --check"
    )]
    Finished {
        /// The source.
        file: String,
    },
    /// There is nothing to look at yet.
    #[error("{file} is not yet imported into this database: run `posthaste import` without --check first")]
    Unfinished {
        /// The source.
        file: String,
    },
    /// Another process imports at the same time.
    #[error("another `posthaste import` writes to this database: let it end")]
    Overtaken,
    /// What was read back is not what was written.
    #[error("the check failed: in table {table}, {key} {what}")]
    Differs {
        /// In which table.
        table: &'static str,
        /// The first row.
        key: String,
        /// In what way.
        what: &'static str,
    },
    /// One of the two stores failed, or cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImportError {
    /// Whether whoever started us can mend it before anything was done.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::Differs { .. })
    }
}

impl From<rusqlite::Error> for ImportError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<tokio_postgres::Error> for ImportError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Store(error.into())
    }
}
