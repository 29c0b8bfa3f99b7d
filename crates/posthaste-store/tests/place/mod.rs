//! A place on disk for one store, gone when the test is over.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use posthaste_core::dice::TestDice;
use posthaste_store::StoreError;
use posthaste_store::sqlite::{SqliteOptions, SqliteStore};

static PLACES: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        let number = PLACES.fetch_add(1, Ordering::SeqCst);
        let name = format!("store-{}-{number}", std::process::id());
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).expect("the target directory can be written");
        Self(dir)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("posthaste.db")
    }

    pub(crate) fn options(&self, serving: bool) -> SqliteOptions {
        let main_secret = String::from("the main secret").into();
        let seed = PLACES.fetch_add(1, Ordering::SeqCst);
        SqliteOptions { path: self.database(), main_secret, dice: Arc::new(TestDice::seeded(seed)), serving }
    }

    pub(crate) fn try_open(&self, serving: bool) -> Result<Arc<SqliteStore>, StoreError> {
        SqliteStore::open(self.options(serving))
    }

    pub(crate) fn open(&self) -> Arc<SqliteStore> {
        self.try_open(true).expect("nobody else serves from here")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
