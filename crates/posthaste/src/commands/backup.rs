//! `posthaste backup`: a copy of the store in one file, made beside a running server.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use posthaste_core::time::Clock as _;
use posthaste_store::sqlite::copy::{self, Contents};

use crate::cli::BackupArgs;
use crate::config::{ConfigError, Settings};
use crate::doctor::LAST_BACKUP;
use crate::staged::Staged;
use crate::system::SystemTimer;
use crate::telemetry::tell;
use crate::{wiring, words};

/// Makes one.
pub(crate) fn backup(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let (settings, _) = Settings::load(&args.settings)?;
    settings.must_be_embedded("backup", "use pg_dump, or PostgreSQL's own base backups")?;
    let database = wiring::database(&settings);
    refuse_what_cannot_be_meant(args, &database)?;
    let began = Instant::now();
    let staged = Staged::begin(&args.file)?;
    let failed = || format!("no backup was made, and nothing is left of it ({})", args.file.display());
    copy::copy(&database, staged.path()).with_context(failed)?;
    let copied = began.elapsed();
    let secret = wiring::known_secret(&settings);
    let contents = copy::inspect(staged.path(), secret.as_ref()).with_context(failed)?;
    let bytes = std::fs::metadata(staged.path()).with_context(failed)?.len();
    staged.publish(args.overwrite).with_context(failed)?;
    let took = began.elapsed();
    tell(&format!("backup of {} in {}", database.display(), args.file.display()));
    tell(&format!(
        "  size     {}, in {} (copied in {}, then checked)",
        words::size(bytes),
        words::span(took),
        words::span(copied)
    ));
    for line in describe(&contents) {
        tell(&line);
    }
    tell(&secret_is_elsewhere(&settings, &contents));
    remember(&settings, &args.file, bytes);
    Ok(ExitCode::SUCCESS)
}

fn refuse_what_cannot_be_meant(args: &BackupArgs, database: &Path) -> Result<(), ConfigError> {
    let file = args.file.display();
    let refuse = |why: String| Err(ConfigError::Machine(why));
    if !database.is_file() {
        let dir = database.parent().unwrap_or(database).display();
        return refuse(format!("there is no store in {dir}: name its directory with --data-dir"));
    }
    if args.file.is_dir() {
        return refuse(format!("{file} is a directory: name a file in it"));
    }
    if let (Ok(one), Ok(other)) = (args.file.canonicalize(), database.canonicalize())
        && one == other
    {
        return refuse(format!("{file} is the store itself: name another file"));
    }
    if args.file.exists() && !args.overwrite {
        return refuse(format!("{file} is there already: choose another name, or say --overwrite"));
    }
    Ok(())
}

/// What is in a copy that was checked.
pub(crate) fn describe(contents: &Contents) -> [String; 3] {
    let newest = contents.newest_at.map_or_else(String::new, |at| format!(", the newest of {at}"));
    [
        format!("  checked  every page and every index; schema {}", contents.schema),
        format!(
            "  holds    {}, {}, {}{newest}",
            words::count(contents.apps_count, "app"),
            words::count(contents.endpoints_count, "endpoint"),
            words::count(contents.messages_count, "message"),
        ),
        format!(
            "           {} of {} still owed",
            words::grouped(contents.owed_count),
            words::count(contents.deliveries_count, "delivery"),
        ),
    ]
}

fn secret_is_elsewhere(settings: &Settings, contents: &Contents) -> String {
    let place = if settings.main_secret.is_some() {
        "POSTHASTE_MAIN_SECRET".to_owned()
    } else {
        wiring::main_secret_file(settings).display().to_string()
    };
    let fits = match contents.secret_fits {
        Some(true) => format!("The main secret is not in it: keep {place} too, elsewhere."),
        Some(false) => {
            format!("The main secret is not in it, and {place} holds another one: find the right one.")
        }
        None => {
            "The main secret is not in it, and was not found here: find it, and keep it elsewhere.".to_owned()
        }
    };
    format!(
        "{fits}\nWithout it nobody can use this backup: the secrets of endpoints and sources are sealed with it."
    )
}

/// Nothing depends on it: a data directory that cannot be written only leaves `doctor` without the date.
fn remember(settings: &Settings, file: &Path, bytes: u64) {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let line = format!("{} {bytes} {}\n", SystemTimer.now(), file.display());
    if let Err(error) = std::fs::write(settings.data_dir.join(LAST_BACKUP), line) {
        tell(&format!(
            "`posthaste doctor` will not know of this backup: {LAST_BACKUP} cannot be written: {error}"
        ));
    }
}
