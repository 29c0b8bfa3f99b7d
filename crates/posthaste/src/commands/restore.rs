//! `posthaste restore`: a backup becomes the store, if it is sound, ours, and fits the main secret.

use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use posthaste_core::time::Clock as _;
use posthaste_store::StoreError;
use posthaste_store::sqlite::copy::{self, Contents};
use posthaste_store::sqlite::lock;

use super::backup::describe;
use crate::cli::RestoreArgs;
use crate::config::{ConfigError, Settings};
use crate::staged::{Staged, sync_dir, with_end};
use crate::system::SystemTimer;
use crate::telemetry::tell;
use crate::wiring;

/// Restores one. Whatever is refused leaves the store as it was.
pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let (settings, _) = Settings::load(&args.settings)?;
    settings.must_be_embedded("restore", "use pg_restore, or PostgreSQL's own base backups")?;
    let database = wiring::database(&settings);
    refuse_what_is_no_backup(&args.file)?;
    wiring::prepare_data_dir(&settings.data_dir)?;
    // Until we are done, no server starts here.
    let _lock = lock::serve(&database)?;
    if database.exists() && !args.replace {
        return Err(refused(format!(
            "there is a store in {} already: say --replace to put it aside, or use another --data-dir",
            settings.data_dir.display()
        )));
    }
    let mut staged = Staged::begin(&database)?;
    let contents = bring(&args.file, &mut staged, &settings)?;
    let aside = put_aside(&database).context("the store that is there could not be put aside")?;
    // What waits beside it belongs to the old store.
    staged.publish(true).with_context(|| format!("{} could not be written", database.display()))?;
    tell(&format!("{} is now the store in {}", args.file.display(), settings.data_dir.display()));
    for line in describe(&contents) {
        tell(&line);
    }
    if contents.schema < contents.schema_known {
        tell(&format!(
            "  The next start brings it from schema {} to {}.",
            contents.schema, contents.schema_known
        ));
    }
    if let Some(aside) = aside {
        tell(&format!(
            "The store that was there is kept in {}: delete it when you are sure.",
            aside.display()
        ));
    }
    tell(
        "What is owed goes out when `posthaste serve` starts; what was delivered since the backup may go out again.",
    );
    Ok(ExitCode::SUCCESS)
}

fn refused(why: String) -> anyhow::Error {
    ConfigError::Machine(why).into()
}

fn refuse_what_is_no_backup(file: &Path) -> anyhow::Result<()> {
    let shown = file.display();
    if !file.is_file() {
        return Err(refused(format!("{shown} is no file: name one that `posthaste backup` wrote")));
    }
    let wal = with_end(file, "-wal");
    if std::fs::metadata(&wal).is_ok_and(|wal| wal.len() > 0) {
        return Err(refused(format!(
            "{shown} has {} beside it, so it is part of a store that was in use: make a backup of that store with `posthaste backup`",
            wal.display()
        )));
    }
    Ok(())
}

/// Copies the backup beside the store and judges the copy: what was judged is what is used.
fn bring(file: &Path, staged: &mut Staged, settings: &Settings) -> anyhow::Result<Contents> {
    let Some(secret) = wiring::known_secret(settings) else {
        return Err(refused(format!(
            "there is no main secret to open {} with: put that of its store into {}, or set POSTHASTE_MAIN_SECRET",
            file.display(),
            wiring::main_secret_file(settings).display()
        )));
    };
    let unreadable = || format!("{} could not be copied to {}", file.display(), settings.data_dir.display());
    let mut from = File::open(file).with_context(unreadable)?;
    std::io::copy(&mut from, staged.file()).with_context(unreadable)?;
    // Its own name in what is refused, not that of the copy.
    let contents = copy::inspect(staged.path(), Some(&secret)).map_err(|error| match error {
        StoreError::NotAStore(_) => StoreError::NotAStore(file.display().to_string()),
        StoreError::Damaged { detail, .. } => {
            StoreError::Damaged { file: file.display().to_string(), detail }
        }
        other => other,
    })?;
    if contents.secret_fits == Some(false) {
        let why = format!("{} cannot be used with this main secret", file.display());
        return Err(anyhow::Error::from(StoreError::WrongMainSecret).context(why));
    }
    Ok(contents)
}

/// Links the store that is there into a directory of its own, then takes its WAL away: whatever happens in between,
/// one of the two places has all of it. A WAL that stayed would be read as part of the backup.
fn put_aside(database: &Path) -> std::io::Result<Option<PathBuf>> {
    if !database.exists() {
        return Ok(None);
    }
    // A damaged one may refuse: then its WAL is kept with it.
    let _ = copy::settle(database);
    let at = SystemTimer.now().to_string().replace(':', "-");
    let aside = database.with_file_name(format!("replaced-{at}"));
    std::fs::DirBuilder::new().mode(0o700).create(&aside)?;
    let kept = aside.join("posthaste.db");
    std::fs::hard_link(database, &kept)?;
    let wal = with_end(database, "-wal");
    if wal.exists() {
        std::fs::hard_link(&wal, with_end(&kept, "-wal"))?;
    }
    sync_dir(&kept)?;
    sync_dir(database)?;
    for end in ["-wal", "-shm", "-journal"] {
        match std::fs::remove_file(with_end(database, end)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(Some(aside))
}
