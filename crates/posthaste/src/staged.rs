//! A file that appears whole or not at all: written beside its place, synced, and then moved there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;

/// What SQLite may leave beside a file that it has opened.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A file on its way to its place. Gone if it never gets there.
pub(crate) struct Staged {
    place: PathBuf,
    beside: PathBuf,
    /// Locked, so that another process can tell one that is being written from one that was left behind.
    file: File,
    arrived: bool,
}

impl Staged {
    /// An empty file that only its owner may read.
    pub(crate) fn begin(place: &Path) -> Result<Self, ConfigError> {
        let beside = with_end(place, ".partial");
        let failed = |error: io::Error| {
            ConfigError::Machine(format!("{} cannot be written: {error}", beside.display()))
        };
        if let Ok(left) = File::open(&beside) {
            taken(&left, &beside)?;
            // Its writer is gone: it was killed, or the power failed.
            clear(&beside);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .map_err(failed)?;
        taken(&file, &beside)?;
        Ok(Self { place: place.to_owned(), beside, file, arrived: false })
    }

    /// Where it is written.
    pub(crate) fn path(&self) -> &Path {
        &self.beside
    }

    /// The file itself.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Syncs it and moves it to its place, which may be taken only if `replace`.
    pub(crate) fn publish(mut self, replace: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if replace {
            std::fs::rename(&self.beside, &self.place)?;
        } else {
            std::fs::hard_link(&self.beside, &self.place)?;
            std::fs::remove_file(&self.beside)?;
        }
        self.arrived = true;
        sync_dir(&self.place)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.arrived {
            for end in COMPANIONS {
                let _ = std::fs::remove_file(with_end(&self.beside, end));
            }
        } else {
            clear(&self.beside);
        }
    }
}

/// The directory's own entry of a file: without it, a power cut may take the name back.
pub(crate) fn sync_dir(file: &Path) -> io::Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

/// `path` with something behind its whole name.
pub(crate) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

fn taken(file: &File, shown: &Path) -> Result<(), ConfigError> {
    file.try_lock().map_err(|error| {
        let why = match error {
            TryLockError::WouldBlock => "is being written by another posthaste: wait for it".to_owned(),
            TryLockError::Error(error) => format!("cannot be locked: {error}"),
        };
        ConfigError::Machine(format!("{} {why}", shown.display()))
    })
}

fn clear(beside: &Path) {
    let _ = std::fs::remove_file(beside);
    for end in COMPANIONS {
        let _ = std::fs::remove_file(with_end(beside, end));
    }
}
