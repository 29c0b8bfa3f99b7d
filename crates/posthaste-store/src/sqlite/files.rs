//! The files of a store as they were when it was opened, and whether they still are.
//!
//! A file that was removed or replaced can be written for ever, and is gone with the process: SQLite does not look.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::error::StoreError;

/// What tells a file from another of its name: device and inode.
type Mark = (u64, u64);

pub(super) struct Files {
    opened: Vec<(PathBuf, Mark)>,
    log: PathBuf,
}

impl Files {
    /// The database, and its log if it has one. To be asked while a connection holds both.
    pub(super) fn of(database: &Path) -> Result<Self, StoreError> {
        let marked = mark(database).map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let mut opened = vec![(database.to_owned(), marked)];
        let mut log = database.as_os_str().to_owned();
        log.push("-wal");
        let log = PathBuf::from(log);
        opened.extend(mark(&log).ok().map(|marked| (log.clone(), marked)));
        Ok(Self { opened, log })
    }

    /// A file that is not the one that was opened.
    pub(super) fn changed(&self) -> Option<&Path> {
        let other = |(path, marked): &&(PathBuf, Mark)| mark(path).ok() != Some(*marked);
        self.opened.iter().find(other).map(|(path, _)| path.as_path())
    }

    /// How long the log is.
    pub(super) fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log).map_or(0, |file| file.len())
    }
}

fn mark(path: &Path) -> std::io::Result<Mark> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
